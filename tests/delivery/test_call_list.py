"""Calls that people make: listed once, and what came of them counts for the message and the patient."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from alongside.delivery import record_call
from alongside.delivery.calling import look_again
from alongside.ledger import call_list, consent, suppressions
from alongside.ledger.consent import ConsentEvent
from alongside.ledger.schema import call_task
from alongside.model.enums import CallOutcome, CallStatus, Channel, Decision, DeliveryMode
from alongside.model.errors import Refused
from tests.delivery.clinic import Clinic, phone_of
from tests.delivery.test_letters import last_look
from tests.fakes import key_of

CALL = Channel.CALL
NOW = datetime(2026, 3, 2, 4, 30, tzinfo=UTC)


@pytest.fixture
def planned(ledger_url: str, tmp_path: Path) -> Iterator[Clinic]:
    """A clinic with calls planned to three patients."""
    opened = Clinic.open(ledger_url, tmp_path / "project", "http://127.0.0.1:9")
    opened.admit(range(3), channels=("call",))
    opened.plan(range(3), channel=CALL)
    yield opened
    opened.ledger.engine.dispose()


@pytest.fixture
def calling(planned: Clinic) -> Clinic:
    """Those calls listed."""
    planned.dispatch(channel=CALL)
    return planned


def record(clinic: Clinic, outcome: CallOutcome, number: int = 0, note: str = "") -> CallStatus:
    return record_call(
        clinic.ledger, clinic.vault, clinic.settings, key_of(number), outcome, note=note, by="Nurse A", now=NOW
    )


def card(clinic: Clinic, number: int = 0) -> call_list.CallCard:
    with clinic.ledger.reading() as connection:
        return call_list.card(connection, clinic.vault, key_of(number))


def test_each_call_is_listed_once_with_its_deadline(planned: Clinic) -> None:
    """By a worker of its own, as every channel's messages; the tests below list within their process."""
    assert planned.dispatch(channel=CALL, workers=1).progress.accepted == 3
    assert planned.states == {"accepted": 3}
    assert planned.dispatch(channel=CALL).progress.accepted == 0
    with planned.ledger.reading() as connection:
        listed = call_list.calls(connection)
    assert sorted(one.task_id for one in listed) == sorted(key_of(number) for number in range(3))
    assert all(one.due_at - one.listed_at == timedelta(hours=24) for one in listed)


def test_number_and_script_are_sealed_where_they_lie(calling: Clinic) -> None:
    shown = card(calling)
    assert shown.number == phone_of(0)
    assert shown.script.startswith("Qinghe Demonstration Hospital: A minute for your heart.")
    assert phone_of(0) not in repr(shown)
    with calling.ledger.reading() as connection:
        sealed = connection.execute(sa.select(call_task.c.sealed)).scalars().all()
    assert all(b"heart" not in bytes(one) and b"+86" not in bytes(one) for one in sealed)


@pytest.mark.parametrize(
    ("outcome", "status", "state"),
    [
        (CallOutcome.REACHED, CallStatus.DONE, "delivered"),
        (CallOutcome.NOT_REACHED, CallStatus.OPEN, "deferred"),
        (CallOutcome.WRONG_NUMBER, CallStatus.GIVEN_UP, "bounced"),
        (CallOutcome.REFUSED, CallStatus.DONE, "delivered"),
    ],
)
def test_what_came_of_a_try_is_what_became_of_the_message(
    calling: Clinic, outcome: CallOutcome, status: CallStatus, state: str
) -> None:
    assert record(calling, outcome) is status
    assert calling.states_of([0, 1]) == [(state, None), ("accepted", None)]


def test_a_wrong_number_is_called_no_more_and_no_other_channel_suffers(calling: Clinic) -> None:
    record(calling, CallOutcome.WRONG_NUMBER)
    blind = calling.blind(0, channel=CALL)
    with calling.ledger.reading() as connection:
        assert suppressions.suppressed(connection, [blind], "call", "care") == {blind: "hard_bounce"}
        assert suppressions.suppressed(connection, [blind], "sms", "care") == {}


def test_who_wants_no_such_calls_gets_none(calling: Clinic) -> None:
    record(calling, CallOutcome.REFUSED)
    with calling.ledger.reading() as connection:
        for purpose, said in (("education", Decision.DENY), ("marketing", Decision.DENY), ("care", Decision.PERMIT)):
            assert consent.decide(connection, ["p" + "0" * 16], purpose, "call")["p" + "0" * 16][0] is said


def test_after_so_many_tries_nobody_is_called_any_more(calling: Clinic) -> None:
    found = [record(calling, CallOutcome.NOT_REACHED, note=f"try {number}") for number in (1, 2, 3)]
    assert found == [CallStatus.OPEN, CallStatus.OPEN, CallStatus.GIVEN_UP]
    assert calling.states_of([0]) == [("dropped", None)]
    assert card(calling).notes == "try 1\ntry 2\ntry 3"
    with pytest.raises(Refused, match="given_up"):
        record(calling, CallOutcome.REACHED)


def test_a_call_that_nobody_listed_is_refused(calling: Clinic) -> None:
    with pytest.raises(Refused, match="no call"):
        record(calling, CallOutcome.REACHED, number=77)


def test_a_listed_call_is_found_when_its_outcome_was_lost(calling: Clinic) -> None:
    """The list has it; the worker died before it could say so."""
    with calling.ledger.begin() as connection:
        connection.exec_driver_sql("UPDATE message SET state = 'unknown'")
        connection.exec_driver_sql("UPDATE batch SET state = 'unknown'")
    assert calling.reconcile(grace=timedelta(0)).found == 3
    assert calling.states == {"accepted": 3}


def test_staging_lists_calls_to_our_own_numbers(ledger_url: str, tmp_path: Path) -> None:
    allowed = "+8619900009999"
    clinic = Clinic.open(ledger_url, tmp_path / "project", "http://127.0.0.1:9", delivery={"staging_allow": [allowed]})
    clinic.admit([0], channels=("call",))
    clinic.plan([0], channel=CALL)
    clinic.dispatch(channel=CALL, mode=DeliveryMode.STAGING)
    assert (card(clinic).number, card(clinic).script[:10]) == (allowed, "[staging] ")
    clinic.ledger.engine.dispose()


# ---------------------------------------------------------------------------------------- the last look before a call
def look(clinic: Clinic, *died: int) -> dict[str, str]:
    return look_again(clinic.ledger, last_look(clinic, *died), NOW)


def test_nobody_calls_where_somebody_has_died_or_left(calling: Clinic) -> None:
    """Between being listed and being called lie hours, in which a family may have lost somebody."""
    assert look(calling) == {}
    with calling.ledger.begin() as connection:
        no = ConsentEvent(f"p{1:016x}", "education", "call", Decision.DENY, calling.as_of, "staff", "said so")
        consent.record(connection, [no], NOW)
    assert look(calling, 0) == {key_of(0): "deceased", key_of(1): "no_consent"}
    with calling.ledger.reading() as connection:
        assert [one.task_id for one in call_list.calls(connection)] == [key_of(2)]
        states = {one.task_id: one.status for one in call_list.calls(connection, everything=True)}
    assert states[key_of(0)] is states[key_of(1)] is CallStatus.WITHHELD
    assert calling.states == {"accepted": 1, "dropped": 2}
    with pytest.raises(Refused, match="the call is withheld"):
        card(calling)
    with pytest.raises(Refused, match="the call is withheld"), calling.ledger.begin() as connection:
        call_list.take(connection, key_of(0), "Nurse A", NOW)
    assert look(calling, 0) == {}  # it is said once
