"""What changes between planning, the recheck and the call: suppressions, addresses, states."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from alongside.delivery.recheck import Checked, still_stands
from alongside.ledger import calls, suppressions, wishes
from alongside.ledger.claims import Claim, Scope, claim
from alongside.ledger.schema import message
from alongside.ledger.settlement import Settlement
from alongside.ledger.suppressions import Suppression
from alongside.ledger.vault import Identity
from alongside.ledger.wishes import WishEvent
from alongside.model.enums import Channel, WishKind
from tests.delivery.clinic import Clinic
from tests.fakes import NOON, key_of


@pytest.fixture
def three(clinic: Clinic) -> Claim:
    """Three messages in the hands of a worker."""
    clinic.admit(range(3))
    clinic.plan(range(3))
    now = datetime.now(UTC)
    held = claim(
        clinic.ledger, Scope(Channel.EMAIL), attempt_id="a", worker="w", now=now, due=clinic.as_of, lease_seconds=60
    )
    assert held is not None
    return held


def stands(clinic: Clinic, held: Claim, checked: Checked) -> bool:
    with clinic.ledger.reading() as connection:
        return still_stands(connection, held, checked, clinic.as_of)


def suppress(clinic: Clinic, blind: str, scope: str = "all") -> None:
    with clinic.ledger.begin() as connection:
        suppressions.add(connection, [Suppression(blind, "email", scope, "import", NOON, "test")])


def move(clinic: Clinic, number: int, address: str) -> str:
    """Give a person another address; its blind index."""
    with clinic.ledger.begin() as connection:
        clinic.vault.store(connection, {f"p{number:016x}": Identity(name="Anna Novak", email=address)}, NOON)
    return clinic.vault.blind_index("email", address)


def keys(checked: Checked) -> Sequence[str]:
    return [one.key for one in checked.ready]


def test_a_suppressed_address_is_withheld_unless_the_suppression_is_for_another_purpose(
    clinic: Clinic, three: Claim
) -> None:
    suppress(clinic, clinic.blind(0))
    suppress(clinic, clinic.blind(1), scope="marketing")  # the messages are education
    checked = clinic.recheck(three)
    assert checked.withheld == {key_of(0): "suppressed"}
    assert keys(checked) == [key_of(1), key_of(2)]
    assert stands(clinic, three, checked)


def test_the_present_address_decides_not_the_planned_one(clinic: Clinic, three: Claim) -> None:
    suppress(clinic, clinic.blind(0))
    suppress(clinic, move(clinic, 1, "refused@example.com"))
    free = move(clinic, 0, "free@example.com")
    checked = clinic.recheck(three)
    assert checked.withheld == {key_of(1): "suppressed"}
    assert checked.readdressed == {key_of(0): free}
    assert [one.address for one in checked.ready] == ["free@example.com", "patient2@example.com"]
    assert stands(clinic, three, checked)


@pytest.mark.parametrize("which", ["planned", "present"])
def test_an_address_that_is_suppressed_while_a_batch_is_rendered_stops_the_call(
    clinic: Clinic, three: Claim, which: str
) -> None:
    blind = clinic.blind(0) if which == "planned" else move(clinic, 0, "new@example.com")
    checked = clinic.recheck(three)
    assert stands(clinic, three, checked)
    suppress(clinic, blind)
    assert not stands(clinic, three, checked)


def test_an_event_that_moves_a_message_while_the_batch_is_rendered_stops_the_call(clinic: Clinic, three: Claim) -> None:
    checked = clinic.recheck(three)
    with clinic.ledger.begin() as connection:
        connection.execute(message.update().where(message.c.message_key == key_of(1)).values(state="delivered"))
    assert not stands(clinic, three, checked)


def test_an_answer_counts_for_all_also_when_an_event_was_faster(clinic: Clinic, three: Claim) -> None:
    checked, now = clinic.recheck(three), datetime.now(UTC)
    assert calls.begin_call(clinic.ledger, three, now=now, lease_seconds=60)
    with clinic.ledger.begin() as connection:
        connection.execute(message.update().where(message.c.message_key == key_of(1)).values(state="delivered"))
    calls.settle(clinic.ledger, three, Settlement(accepted=tuple(keys(checked))), now=now, patient_now=clinic.as_of)
    assert [state for state, _ in clinic.states_of(range(3))] == ["accepted", "delivered", "accepted"]


def test_what_was_withheld_is_not_accepted_with_the_rest_of_its_batch(clinic: Clinic, three: Claim) -> None:
    suppress(clinic, clinic.blind(2))
    checked, now = clinic.recheck(three), datetime.now(UTC)
    assert calls.begin_call(clinic.ledger, three, now=now, lease_seconds=60, withheld=checked.withheld)
    calls.settle(clinic.ledger, three, Settlement(accepted=tuple(keys(checked))), now=now, patient_now=clinic.as_of)
    assert clinic.states_of(range(3)) == [("accepted", None), ("accepted", None), ("withheld", "suppressed")]


# ------------------------------------------------------------------------------------------------------------- wishes
def wish(clinic: Clinic, number: int, kind: WishKind, value: str, hours: float = 1) -> None:
    event = WishEvent(f"p{number:016x}", kind, value, clinic.as_of + timedelta(hours=hours), "preferences")
    with clinic.ledger.begin() as connection:
        wishes.record(connection, [event], NOON)


def mark(clinic: Clinic, number: int, **variables: object) -> None:
    with clinic.ledger.begin() as connection:
        at = message.c.message_key == key_of(number)
        written = connection.execute(sa.select(message.c.variables).where(at)).scalar_one()
        connection.execute(message.update().where(at).values(variables={**written, **variables}))


def test_a_topic_that_was_switched_off_since_planning_stops_the_message(clinic: Clinic, three: Claim) -> None:
    wish(clinic, 0, WishKind.TOPICS_OFF, "sleep|heart_health")
    wish(clinic, 1, WishKind.TOPICS_OFF, "sleep")
    wish(clinic, 2, WishKind.TOPICS_OFF, "heart_health", hours=-1)  # planning knew it
    assert clinic.recheck(three, topics=("heart_health",)).withheld == {key_of(0): "topic_off"}


def test_who_wants_general_information_since_planning_is_not_sent_what_was_chosen_for_them(
    clinic: Clinic, three: Claim
) -> None:
    for number in (0, 1):
        wish(clinic, number, WishKind.GENERAL_ONLY, "yes")
    mark(clinic, 0, selective=True)
    assert clinic.recheck(three).withheld == {key_of(0): "general_only"}


def test_a_wish_between_the_last_look_and_the_call_stops_the_call(clinic: Clinic, three: Claim) -> None:
    """The batch is given back, and looked at anew: what was rendered meanwhile is not sent."""
    topics = ("heart_health",)
    wish(clinic, 7, WishKind.PACE, "monthly")  # of somebody else
    wish(clinic, 1, WishKind.TOPICS_OFF, "sleep")  # seen by the last look
    checked = clinic.recheck(three, topics=topics)
    wish(clinic, 8, WishKind.TOPICS_OFF, "heart_health", hours=2)
    assert stands(clinic, three, checked)
    wish(clinic, 1, WishKind.TOPICS_OFF, "sleep|heart_health", hours=2)
    assert not stands(clinic, three, checked)
    anew = clinic.recheck(three, topics=topics)
    assert anew.withheld == {key_of(1): "topic_off"}
    assert stands(clinic, three, anew)


def test_quiet_hours_of_the_same_day_count(clinic: Clinic, three: Claim) -> None:
    local = clinic.as_of.astimezone(ZoneInfo("Asia/Shanghai"))
    begins, ends = (f"{(local + timedelta(hours=hours)):%H}:00" for hours in (-1, 2))
    wish(clinic, 0, WishKind.QUIET, f"{begins}/{ends}")
    mark(clinic, 1, quiet=[begins, ends])
    wish(clinic, 1, WishKind.QUIET, "-")
    checked = clinic.recheck(three)
    assert list(checked.postponed) == [key_of(0)]
    assert f"{checked.postponed[key_of(0)].astimezone(local.tzinfo):%H:%M}" == ends


def test_a_slower_pace_since_planning_stops_what_would_come_too_soon(clinic: Clinic, three: Claim) -> None:
    wish(clinic, 0, WishKind.PACE, "monthly")
    wish(clinic, 1, WishKind.PACE, "weekly")
    clinic.admit([8, 9])
    with clinic.ledger.begin() as connection:
        for number, recipient in ((8, 0), (9, 1)):  # both had another message ten days ago
            row = connection.execute(sa.select(message).where(message.c.message_key == key_of(recipient))).one()
            earlier = clinic.as_of - timedelta(days=10)
            values = {"message_key": key_of(number), "batch_id": "earlier", "state": "delivered", "planned_at": earlier}
            connection.execute(message.insert().values({**row._mapping, **values, "occurrence": "earlier"}))
    assert clinic.recheck(three).withheld == {key_of(0): "own_pace"}
    mark(clinic, 0, urgent=True)
    assert clinic.recheck(three).withheld == {}
