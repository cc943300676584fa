"""What is FCM's own in the protocol: devices that are gone, keys of the wrong place, nothing that is told later."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from alongside import diagnosis
from alongside.bootstrap import build
from alongside.delivery.vendors import Books, open_vendor
from alongside.ledger import consent, suppressions
from alongside.ledger.consent import CROSS_BORDER, ConsentEvent
from alongside.model.enums import Channel, Decision, DeliveryMode
from alongside.model.errors import Refused
from alongside.sandbox import fcm
from alongside.settings import Environment
from tests.delivery.clinic import LONG_AGO, Clinic, device_of
from tests.delivery.conftest import in_a_thread
from tests.fakes import NOON

PUSH = Channel.PUSH


@pytest.fixture
def project(tmp_path: Path) -> Iterator[fcm.Running]:
    with in_a_thread(fcm.serve(fcm.Options(tmp_path / "push"))) as running:
        yield running


@pytest.fixture
def clinic(ledger_url: str, tmp_path: Path, project: fcm.Running) -> Iterator[Clinic]:
    """A clinic with an app, which ten patients have."""
    section = {"stores_data_in": "CN"}
    opened = Clinic.open(ledger_url, tmp_path / "project", project.url, account=project.account, push=section)
    opened.admit(range(10), channels=("push",))
    yield opened
    opened.ledger.engine.dispose()


def closed(clinic: Clinic) -> dict[str, str]:
    blinds = [clinic.blind(one, channel=PUSH) for one in range(10)]
    with clinic.ledger.reading() as connection:
        return suppressions.suppressed(connection, blinds, "push", "care")


def test_a_device_without_the_app_is_not_notified_again(clinic: Clinic, project: fcm.Running) -> None:
    project.control.remove(device_of(3))
    project.control.estrange(device_of(4))
    clinic.plan(range(10), channel=PUSH)
    report = clinic.dispatch(channel=PUSH)
    assert (report.progress.accepted, report.progress.rejected) == (8, 2)
    assert closed(clinic) == {clinic.blind(3, channel=PUSH): "hard_bounce"}


def test_who_takes_back_their_yes_to_a_service_abroad_is_not_notified(
    ledger_url: str, tmp_path: Path, project: fcm.Running
) -> None:
    """Unless the configuration says otherwise, the vendor keeps what it is given in another country."""
    opened = Clinic.open(ledger_url, tmp_path / "abroad", project.url, account=project.account, push={})
    opened.admit([1], channels=("push",))
    opened.plan([1], channel=PUSH)
    no = ConsentEvent(f"p{1:016x}", CROSS_BORDER, "push", Decision.DENY, LONG_AGO, "nurse", "call")
    with opened.ledger.begin() as connection:
        consent.record(connection, [no], NOON)
    opened.dispatch(channel=PUSH)
    assert opened.states_of([1]) == [("withheld", "cross_border")]
    assert project.control.stats()["accepted"] == 0
    opened.ledger.engine.dispose()


@pytest.mark.parametrize(
    ("account", "why"),
    [
        ("", "no key of a service account"),
        ("{}", "no key of a service account"),
        ("/run/secrets/fcm.json: No such file or directory", "no key of a service account"),
    ],
)
def test_without_a_key_nothing_is_opened(clinic: Clinic, account: str, why: str) -> None:
    environment = replace(clinic.environment, fcm_service_account=account)
    with pytest.raises(Refused, match=why):
        open_vendor(clinic.settings, environment, PUSH, books=Books(clinic.ledger, environment))


def test_the_stand_in_is_not_asked_with_a_real_key(clinic: Clinic, project: fcm.Running) -> None:
    """The key's own token address would be asked, which is not on this machine."""
    real = json.loads(project.account) | {"token_uri": "https://oauth2.googleapis.com/token"}
    environment = replace(clinic.environment, fcm_service_account=json.dumps(real))
    with pytest.raises(Refused, match="the stand-in is not asked with a real key"):
        open_vendor(clinic.settings, environment, PUSH, books=Books(clinic.ledger, environment))


def test_live_is_refused_with_the_stand_ins_key(clinic: Clinic) -> None:
    clinic.plan([1], channel=PUSH)
    with pytest.raises(Refused, match="demonstration key"):
        clinic.dispatch(channel=PUSH, mode=DeliveryMode.LIVE)


def test_the_key_may_stand_in_a_file(tmp_path: Path, project: fcm.Running) -> None:
    file = tmp_path / "fcm.json"
    file.write_text(project.account, "utf-8")
    assert Environment.read({"FCM_SERVICE_ACCOUNT_FILE": str(file)}).fcm_service_account == project.account
    missing = Environment.read({"FCM_SERVICE_ACCOUNT_FILE": str(tmp_path / "missing")})
    assert missing.fcm_service_account.endswith("No such file or directory")
    assert missing.account("fcm").secret == ""
    assert "PRIVATE" not in repr(Environment.read({"FCM_SERVICE_ACCOUNT_FILE": str(file)}))


def test_the_doctor_reads_the_key(clinic: Clinic) -> None:
    state, found = diagnosis._push_vendor(build(clinic.project, clinic.environment))
    assert (state, found) == ("ok", "127.0.0.1 answers; project stand-in, as sender@stand-in.iam.example")
    without = build(clinic.project, replace(clinic.environment, fcm_service_account=""))
    assert diagnosis._push_vendor(without)[0] == "warning"
