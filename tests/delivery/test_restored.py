"""A restored backup cannot re-send: judged by what the vendor's own log has."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alongside.channels.sendgrid_events import translate
from alongside.delivery import ingest_events
from alongside.delivery.overlap import OverlapReport, compare
from alongside.ledger import pauses
from alongside.ledger.backups import backup, restore
from alongside.ledger.calls import split_off
from alongside.model.errors import Refused
from alongside.sandbox.sendgrid.launch import Running
from tests.delivery.clinic import Clinic
from tests.delivery.conftest import AcceptedLog
from tests.delivery.crash_steps import delivered
from tests.fakes import key_of

SENT, WAITING = range(8), range(8, 12)
NOT_FOUND = ("unresolved", "restored: no answer, no event, not found")


def saved(clinic: Clinic, tmp_path: Path) -> Path:
    """A backup of the ledger as it is before the run sends."""
    file = tmp_path / "ledger.backup"
    backup(clinic.environment.ledger_url, file, now=datetime.now(UTC), actor="operator")
    return file


def put_back(clinic: Clinic, file: Path, vendor: Running) -> Clinic:
    """Restored, and looked at by new processes."""
    url = clinic.environment.ledger_url
    clinic.ledger.engine.dispose()
    restore(url, file, clinic.environment, now=datetime.now(UTC), actor="operator", replace=True)
    return Clinic.attach(url, clinic.project.root, vendor.url)


def resume(clinic: Clinic) -> None:
    with clinic.ledger.begin() as connection:
        assert pauses.lift_pause(connection, pauses.ALL)


def times(accepted: AcceptedLog) -> Counter[str]:
    return Counter(str(record["m"]) for record in accepted())


@pytest.fixture
def restored(clinic: Clinic, tmp_path: Path, vendor: Running, accepted: AcceptedLog) -> Clinic:
    """Twelve were planned when the backup was made; eight have left since, then the ledger was lost."""
    clinic.admit(range(12))
    clinic.plan(SENT, batch_size=4)
    clinic.plan(WAITING, batch_size=4, run_id="run-2")
    file = saved(clinic, tmp_path)
    clinic.dispatch(run_id="run-1")
    assert times(accepted) == Counter(map(key_of, SENT))
    return put_back(clinic, file, vendor)


def test_nothing_that_has_left_leaves_again(restored: Clinic, accepted: AcceptedLog) -> None:
    for lift in (False, True):
        if lift:
            resume(restored)
        restored.plan(range(12), batch_size=4)  # the operator's Retry
        restored.dispatch()
        assert times(accepted) == Counter(map(key_of, SENT))


def test_care_is_not_risked_a_second_time_where_nobody_can_be_asked(
    ledger_url: str, tmp_path: Path, vendor: Running, accepted: AcceptedLog
) -> None:
    """An unknown message of care is sent again without the vendor's feed; after a restore that would be all of them."""
    clinic = Clinic.open(ledger_url, tmp_path / "project", vendor.url, email={"activity_lookup": False})
    clinic.admit(SENT)
    clinic.plan(SENT, batch_size=4, purpose="care")
    file = saved(clinic, tmp_path)
    clinic.dispatch()
    again = put_back(clinic, file, vendor)
    resume(again)
    again.reconcile(grace=timedelta(0))
    again.dispatch()
    assert again.states_of(SENT) == [NOT_FOUND] * len(SENT)
    assert times(accepted) == Counter(map(key_of, SENT))


def test_the_vendors_feed_settles_what_had_left_and_leaves_the_rest_to_a_person(
    restored: Clinic, accepted: AcceptedLog
) -> None:
    assert restored.states == {"unknown": 12}
    report = restored.reconcile(grace=timedelta(0))
    assert (report.found, report.unresolved, report.again, report.unknown) == (8, 4, 0, 0)
    assert restored.states_of(WAITING) == [NOT_FOUND] * 4
    resume(restored)
    restored.dispatch()
    assert times(accepted) == Counter(map(key_of, SENT))


def test_what_left_in_another_batch_than_the_backup_knows_is_found(
    clinic: Clinic, tmp_path: Path, vendor: Running, accepted: AcceptedLog
) -> None:
    clinic.admit(range(4))
    clinic.plan(range(4), batch_size=4)
    file = saved(clinic, tmp_path)
    with clinic.ledger.begin() as connection:  # as a postponement does
        [batch] = clinic.ledger.read_arrow("SELECT batch_id FROM batch")["batch_id"].to_pylist()
        split_off(connection, batch, "a1", [key_of(0), key_of(1)], None, datetime.now(UTC))
    clinic.dispatch()
    again = put_back(clinic, file, vendor)
    assert again.reconcile(grace=timedelta(0)).found == 4
    assert again.states == {"accepted": 4}


def test_events_settle_what_a_restore_made_unknown(restored: Clinic, accepted: AcceptedLog) -> None:
    ingest_events(restored.ledger, [translate(event) for event in delivered(accepted())], datetime.now(UTC))
    assert restored.states == {"delivered": 8, "unknown": 4}


def test_what_is_planned_afterwards_waits_for_an_operator(restored: Clinic, accepted: AcceptedLog) -> None:
    new = range(20, 24)
    restored.admit(new)
    restored.plan(new, batch_size=4, run_id="run-3")
    restored.dispatch()
    assert times(accepted) == Counter(map(key_of, SENT))
    resume(restored)
    restored.dispatch()
    assert times(accepted) == Counter(map(key_of, [*SENT, *new]))


def test_what_a_run_plans_again_that_left_after_the_backup_is_recognised(
    clinic: Clinic, tmp_path: Path, vendor: Running, accepted: AcceptedLog
) -> None:
    """The backup knows nothing of eight that left; the next plan holds them and four others."""
    clinic.admit(range(12))
    file = saved(clinic, tmp_path)
    clinic.plan(SENT, batch_size=4)
    clinic.dispatch()
    again = put_back(clinic, file, vendor)
    again.plan(range(12), batch_size=8)
    report = compare(again.ledger, again.project, again.settings, again.environment, clock=again.clock)
    assert report == OverlapReport(asked=12, found=8)
    resume(again)
    again.dispatch()
    assert again.states == {"accepted": 12}
    assert times(accepted) == Counter(map(key_of, range(12)))
    with pytest.raises(Refused, match="pause all"):
        compare(again.ledger, again.project, again.settings, again.environment, clock=again.clock)
