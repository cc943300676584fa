"""Events arrive at least once, late and in any order; the end is the same."""

from __future__ import annotations

from datetime import timedelta

import pytest

from alongside.ledger import Ledger
from alongside.ledger.events import STATE_OF, DeliveryEvent, record_events
from alongside.ledger.messages import count_states
from alongside.model.enums import EventKind
from tests.fakes import NOON, key_of, plan


def happened(kind: EventKind, number: int = 0, name: str = "", minutes: int = 0) -> DeliveryEvent:
    moment = NOON + timedelta(minutes=minutes)
    return DeliveryEvent(name or f"{kind}-{number}", key_of(number), kind, moment)


def ingest(ledger: Ledger, *events: DeliveryEvent) -> tuple[int, int, int]:
    with ledger.begin() as connection:
        recorded = record_events(connection, events, received_at=NOON)
    return len(recorded.fresh), recorded.duplicates, recorded.foreign


def state(ledger: Ledger) -> str:
    (row,) = ledger.read_arrow("SELECT state FROM message").to_pylist()
    return str(row["state"])


def test_every_kind_of_event_has_a_place(ledger: Ledger) -> None:
    assert set(STATE_OF) == set(EventKind)


def test_an_event_counts_once_within_a_call_and_over_calls(ledger: Ledger) -> None:
    plan(ledger, range(2))
    delivered = happened(EventKind.DELIVERED)
    assert ingest(ledger, delivered, delivered, happened(EventKind.OPEN, 1)) == (2, 1, 0)
    assert ingest(ledger, delivered) == (0, 1, 0)
    assert ledger.read_arrow("SELECT count(*) AS n FROM delivery_event").column("n").to_pylist() == [2]


def test_events_of_others_are_left_alone(ledger: Ledger) -> None:
    plan(ledger, [0])
    assert ingest(ledger, happened(EventKind.DELIVERED, 99)) == (0, 0, 1)
    assert state(ledger) == "planned"


@pytest.mark.parametrize(
    ("kinds", "end"),
    [
        ([EventKind.PROCESSED], "accepted"),
        ([EventKind.DELIVERED, EventKind.PROCESSED], "delivered"),
        ([EventKind.DELIVERED, EventKind.DEFERRED], "delivered"),
        ([EventKind.OPEN], "delivered"),
        ([EventKind.BOUNCE, EventKind.DELIVERED], "bounced"),  # some servers accept, and bounce later
        ([EventKind.BLOCKED, EventKind.PROCESSED], "bounced"),
        ([EventKind.DROPPED, EventKind.PROCESSED], "dropped"),
    ],
)
def test_a_message_only_moves_forward(ledger: Ledger, kinds: list[EventKind], end: str) -> None:
    plan(ledger, [0])
    for kind in kinds:
        ingest(ledger, happened(kind))
    assert state(ledger) == end


def test_the_first_sign_of_life_dates_the_acceptance(ledger: Ledger) -> None:
    plan(ledger, [0])
    ingest(ledger, happened(EventKind.OPEN, minutes=9), happened(EventKind.DELIVERED, minutes=2))
    accepted = ledger.read_arrow("SELECT accepted_at FROM message").column(0).to_pylist()
    assert accepted == [(NOON + timedelta(minutes=2)).replace(tzinfo=None)]


def test_thousands_of_events_in_one_call(ledger: Ledger) -> None:
    plan(ledger, range(3000))
    events = [happened(kind, number) for number in range(3000) for kind in (EventKind.PROCESSED, EventKind.DELIVERED)]
    assert ingest(ledger, *events) == (6000, 0, 0)
    with ledger.reading() as connection:
        assert count_states(connection)["delivered"] == 3000
