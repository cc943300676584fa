"""What changes between planning, the recheck and the call: suppressions, addresses, states."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from alongside.delivery.recheck import Checked, still_stands
from alongside.ledger import calls, suppressions
from alongside.ledger.calls import Settlement
from alongside.ledger.claims import Claim, Scope, claim
from alongside.ledger.schema import message
from alongside.ledger.suppressions import Suppression
from alongside.ledger.vault import Identity
from alongside.model.enums import Channel
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
