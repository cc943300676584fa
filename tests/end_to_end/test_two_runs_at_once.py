"""Two runs of the same day at the same time on one ledger: by the vendor's own log nothing twice and nothing lost."""

from __future__ import annotations

import os
from collections import Counter
from datetime import datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
import sqlalchemy as sa

from alongside.ledger import Ledger
from alongside.ledger.runs import pin_snapshot
from alongside.ledger.schema import assignment, batch, message
from alongside.sandbox.common.faults import Fault, FaultKind
from tasks import context, delivery, outreach, runs
from tests.end_to_end.conftest import AS_OF, Played
from tests.forks import FORKS
from tests.ledgers import PostgresLedgers, copy_rows, require

pytestmark = pytest.mark.timeout(240)


def _plan_and_send(run_id: str, root: str, together: Barrier, environment: dict[str, str]) -> None:
    """What the flow `campaign` does, without the turn that Prefect's server would make them take."""
    os.environ.clear()
    os.environ.update(environment)
    house = context.services(root)
    runs.start.fn(run_id, datetime.fromisoformat(AS_OF), None, root)
    with house.ledger.begin() as connection:
        pin_snapshot(connection, run_id, "snapshot-r1")
    names = [item.name for item in house.catalogues.campaigns]
    for name in names:
        together.wait(60)
        outreach.plan_campaign.fn(run_id, name, 2, root)
    together.wait(60)
    for channel in delivery.open_channels(run_id, root):
        for partition in range(2):
            delivery.dispatch_partition.fn(run_id, partition, 2, root, channel)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def hospital(
    request: pytest.FixtureRequest,
    refreshed: Played,
    postgres_ledgers: PostgresLedgers,
    monkeypatch: pytest.MonkeyPatch,
) -> Played:
    """The refreshed hospital with its ledger on either store."""
    if request.param == "postgres":
        url = require(postgres_ledgers).emptied()
        copy_rows(refreshed.house.ledger_url, url)
        monkeypatch.setenv("ALONGSIDE_LEDGER_URL", url)
        context.services.cache_clear()
    return refreshed


def _keys(ledger: Ledger) -> set[str]:
    with ledger.begin() as connection:
        return set(connection.execute(sa.select(message.c.message_key)).scalars())


def _waiting(ledger: Ledger) -> set[str]:
    """Keys of messages whose recipient sleeps at the moment of the run: by right, they wait."""
    moment = datetime.fromisoformat(AS_OF)
    query = sa.select(message.c.message_key).join_from(message, batch, message.c.batch_id == batch.c.batch_id)
    with ledger.begin() as connection:
        asleep = query.where(message.c.state == "planned", batch.c.not_before > moment)
        return set(connection.execute(asleep).scalars())


def test_two_runs_at_once_send_what_one_alone_would_have_sent(
    hospital: Played, planned_once: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hospital.stand_ins(tmp_path / "vendor", monkeypatch) as running:
        for one in running.each:
            one.control.behave([Fault(FaultKind.SLOW, seconds=0.1)])  # so that both are on the wire
        together = FORKS.Barrier(2)
        given = (hospital.root, together, dict(os.environ))
        both = [FORKS.Process(target=_plan_and_send, args=(name, *given)) for name in "ab"]
        for process in both:
            process.start()
        for process in both:
            process.join(180)
        assert [process.exitcode for process in both] == [0, 0]
    ledger = hospital.house.ledger
    sent = Counter(str(record["m"]) for record in running.accepted())
    assert max(sent.values()) == 1
    assert _keys(ledger) == _keys(Ledger.open(planned_once.house.ledger_url))
    assert set(sent) == _keys(ledger) - _waiting(ledger)
    assert len(sent) > 100
    with ledger.begin() as connection:
        arms = connection.execute(sa.select(sa.func.count()).select_from(assignment)).scalar_one()
    assert arms == planned_once.plans["hypertension_follow_up"].funnel["planned"]
