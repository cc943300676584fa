"""Settling unknown messages with the vendor's help, and after a person has had a say in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alongside.cli.app import app
from alongside.ledger.resolving import Ruling, Target, resolve_by_hand
from alongside.model.enums import Ruled
from alongside.sandbox.common.faults import Fault, FaultKind
from alongside.sandbox.sendgrid.launch import Running
from tests.delivery.clinic import PERSONAL, Clinic
from tests.delivery.conftest import AcceptedLog
from tests.fakes import key_of


def test_a_wrong_word_about_one_message_costs_no_other(clinic: Clinic, vendor: Running, accepted: AcceptedLog) -> None:
    """Two of three are unknown. The person takes the one that arrived for lost; the other must not count as arrived."""
    clinic.admit(range(3))
    clinic.plan(range(3), template=PERSONAL)
    vendor.control.behave([Fault(FaultKind.DROP_AFTER, count=1), Fault(FaultKind.DROP_BEFORE, skip=1, count=1)])
    clinic.dispatch()
    taken = {str(record["m"]) for record in accepted()}
    unknown = {key_of(number) for number in range(3) if clinic.states_of([number])[0][0] == "unknown"}
    (arrived,), (lost,) = taken & unknown, unknown - taken
    wrong = Ruling(Ruled.NOT_SENT, "the patient says so", "Li", "d" * 24, send_again=True)
    now = datetime.now(UTC)
    resolve_by_hand(clinic.ledger, Target(message_key=arrived), wrong, now=now, patient_now=clinic.as_of)
    learnt = clinic.reconcile(grace=timedelta(0))
    assert (learnt.found, learnt.again) == (0, 1)
    clinic.dispatch()
    assert lost in {str(record["m"]) for record in accepted()}


def test_without_arguments_the_vendor_is_asked(
    ledger_url: str, tmp_path: Path, vendor: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic = Clinic.open(ledger_url, tmp_path / "impatient", vendor.url, email={"unknown_grace_minutes": 0})
    clinic.admit(range(3))
    clinic.plan(range(3))
    vendor.control.behave([Fault(FaultKind.DROP_AFTER, count=1)])
    assert clinic.dispatch().progress.unknown == 3
    for name, value in {
        "ALONGSIDE_HOME": str(clinic.project.root),
        "ALONGSIDE_VAR": str(clinic.project.var),
        "ALONGSIDE_LEDGER_URL": ledger_url,
        "SENDGRID_URL": vendor.url,
        "SENDGRID_API_KEY": "SG.stand-in",
    }.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(app, ["resolve", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {
        "expired": 0, "found": 3, "again": 0, "unresolved": 0, "unknown": 0, "trouble": "",
    }  # fmt: skip
    assert clinic.states == {"accepted": 3}
