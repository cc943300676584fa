"""A patient who decides while messages are queued: the last look before the call reads the same log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient

from alongside.ledger.claims import Scope, claim
from alongside.model.enums import Channel
from alongside.model.tokens import sign_token
from alongside.sandbox.sendgrid.launch import Running
from alongside.web import create_app
from tests.delivery.clinic import Clinic
from tests.delivery.conftest import AcceptedLog
from tests.fakes import key_of

LEAVE = {"form": "leave"}
ANYTHING_BUT_SURVEYS = {"form": "purposes", "offered": "education survey", "shown": "education", "allow": "education"}
NO_EDUCATION = {"form": "purposes", "offered": "care education", "shown": "care education", "allow": "care"}


@pytest.fixture
def decide(clinic: Clinic, vendor: Running) -> Patients:
    return Patients(clinic, vendor.public_key)


class Patients:
    """What patients send from the preference page of a message that was planned for them."""

    def __init__(self, clinic: Clinic, webhook_key: str) -> None:
        self._clinic = clinic
        self._app = create_app(
            clinic.ledger,
            settings=clinic.settings,
            webhook_key=webhook_key,
            clock=lambda: clinic.clock.wall,
            patient_clock=lambda: clinic.as_of,
        )

    def __call__(self, number: int, form: Mapping[str, str]) -> None:
        token = sign_token(self._clinic.ledger.info.secret, "preferences", key_of(number))
        with TestClient(self._app) as client:
            assert client.post(f"/p/{token}", data=form).status_code == 200


def plan_two(clinic: Clinic, people: Sequence[int]) -> list[int]:
    """Everybody has one message, and waits for a second; numbers of the second ones."""
    clinic.admit(people)
    clinic.plan(people)
    clinic.dispatch()
    later = [number + 100 for number in people]
    clinic.plan(
        later,
        run_id="run-2",
        occurrence="twice",
        person_id=[f"p{number:016x}" for number in people],
        subject_person_id=[f"p{number:016x}" for number in people],
        address_blind=[clinic.blind(number) for number in people],
    )
    return later


def test_what_is_queued_is_withheld_from_who_left(clinic: Clinic, accepted: AcceptedLog, decide: Patients) -> None:
    later = plan_two(clinic, range(4))
    decide(1, LEAVE)
    decide(2, NO_EDUCATION)
    decide(3, ANYTHING_BUT_SURVEYS)
    clinic.dispatch()
    withheld = ("withheld", "no_consent")
    assert clinic.states_of(later) == [("accepted", None), withheld, withheld, ("accepted", None)]
    second = [str(record["to"]) for record in accepted()][4:]
    assert sorted(second) == ["patient0@example.com", "patient3@example.com"]


def test_whoever_leaves_after_the_claim_is_withheld_too(clinic: Clinic, decide: Patients) -> None:
    later = plan_two(clinic, range(2))
    now = datetime.now(UTC)
    held = claim(
        clinic.ledger,
        Scope(Channel.EMAIL),
        attempt_id="a",
        worker="w",
        now=now,
        due=clinic.as_of,
        lease_seconds=60,
    )
    assert held is not None
    decide(1, LEAVE)
    checked = clinic.recheck(held)
    assert checked.withheld == {key_of(later[1]): "no_consent"}
    assert [one.key for one in checked.ready] == [key_of(later[0])]
