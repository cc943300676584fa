"""What providers and patients told us about messages: each thing once, and only ever forward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from alongside.ledger.groups import in_keys
from alongside.ledger.protocol import states_before
from alongside.ledger.schema import delivery_event, message
from alongside.model.enums import EventKind, MessageState

#: Where an event leaves its message. Whoever opens, clicks or complains has received it.
STATE_OF: dict[EventKind, MessageState] = {
    EventKind.PROCESSED: MessageState.ACCEPTED,
    EventKind.DEFERRED: MessageState.DEFERRED,
    EventKind.DELIVERED: MessageState.DELIVERED,
    EventKind.OPEN: MessageState.DELIVERED,
    EventKind.CLICK: MessageState.DELIVERED,
    EventKind.READ: MessageState.DELIVERED,
    EventKind.COMPLAINT: MessageState.DELIVERED,
    EventKind.UNSUBSCRIBE: MessageState.DELIVERED,
    EventKind.DROPPED: MessageState.DROPPED,
    EventKind.BOUNCE: MessageState.BOUNCED,
    EventKind.BLOCKED: MessageState.BOUNCED,
}
_PORTION = 500  # rows of one INSERT


@dataclass(frozen=True)
class DeliveryEvent:
    """One thing that happened to one message.

    Attributes
    ----------
    event_id : the provider's own id; events arrive at least once
    occurred_at : when it happened, as the provider says
    machine : a proxy or a scanner did it, not a person
    detail : the provider's reason, without addresses
    closes : what the event says about the address, where its kind does not tell: a reason of suppressions
    """

    event_id: str
    message_key: str
    kind: EventKind
    occurred_at: datetime
    machine: bool = False
    detail: str = ""
    closes: str | None = None


def was_read(message_key: str, by: str, at: datetime) -> DeliveryEvent:
    """Whoever answers a message has read it.

    Parameters
    ----------
    by : how it was answered, for example `survey`: each way tells once
    at : patient time
    """
    return DeliveryEvent(f"read:{message_key}.{by}"[:120], message_key, EventKind.READ, at, detail=by)


@dataclass(frozen=True)
class Recorded:
    """The events that were new, in the order given, and how many were not taken."""

    fresh: tuple[DeliveryEvent, ...]
    duplicates: int
    foreign: int  # about messages that this ledger never planned


def record_events(connection: Connection, events: Sequence[DeliveryEvent], *, received_at: datetime) -> Recorded:
    """Keep new events and move their messages forward, in the transaction that is open.

    The end is the same for every order and every repetition of the same events.
    """
    unique = {event.event_id: event for event in reversed([_storable(event) for event in events])}
    known = _known_keys(connection, {event.message_key for event in unique.values()})
    ours = [event for event in unique.values() if event.message_key in known]
    inserted: set[str] = set()
    for start in range(0, len(ours), _PORTION):
        inserted |= _insert(connection, ours[start : start + _PORTION], received_at)
    fresh = [event for event in ours if event.event_id in inserted]
    _move_forward(connection, fresh, received_at)
    fresh.sort(key=lambda event: (event.occurred_at, event.event_id))
    foreign = sum(event.message_key not in known for event in events)
    return Recorded(tuple(fresh), len(events) - foreign - len(fresh), foreign)


def _storable(event: DeliveryEvent) -> DeliveryEvent:
    """Without the one character that PostgreSQL's text cannot hold: an event with it would have its whole delivery
    refused, which the vendor then repeats for a day.
    """
    if "\0" not in event.event_id and "\0" not in event.detail:
        return event
    return replace(event, event_id=event.event_id.replace("\0", ""), detail=event.detail.replace("\0", ""))


def _known_keys(connection: Connection, keys: set[str]) -> set[str]:
    query = sa.select(message.c.message_key).where(in_keys(connection, message.c.message_key, sorted(keys)))
    return set(connection.scalars(query))


def _insert(connection: Connection, events: Sequence[DeliveryEvent], received_at: datetime) -> set[str]:
    dialect: Any = sqlite if connection.dialect.name == "sqlite" else postgresql
    rows = [
        {
            "event_id": event.event_id,
            "message_key": event.message_key,
            "kind": event.kind.value,
            "occurred_at": event.occurred_at,
            "received_at": received_at,
            "machine": event.machine,
            "detail": event.detail[:300],
        }
        for event in events
    ]
    insert = dialect.insert(delivery_event).values(rows).on_conflict_do_nothing().returning(delivery_event.c.event_id)
    return set(connection.scalars(insert))


def _move_forward(connection: Connection, events: Sequence[DeliveryEvent], now: datetime) -> None:
    furthest: dict[MessageState, dict[str, datetime]] = {}
    for event in events:
        keys = furthest.setdefault(STATE_OF[event.kind], {})
        earliest = keys.get(event.message_key)
        keys[event.message_key] = event.occurred_at if earliest is None else min(earliest, event.occurred_at)
    for state, keys in furthest.items():
        connection.execute(
            message.update()
            .where(in_keys(connection, message.c.message_key, list(keys)), message.c.state.in_(states_before(state)))
            .values(state=state.value, reason=None, updated_at=now)
        )
    _date_acceptance(connection, furthest)


def _date_acceptance(connection: Connection, furthest: dict[MessageState, dict[str, datetime]]) -> None:
    """A message whose answer was lost was accepted when its first event says so, at the latest."""
    earliest: dict[str, datetime] = {}
    for keys in furthest.values():
        for key, moment in keys.items():
            earliest[key] = min(moment, earliest.get(key, moment))
    query = sa.select(message.c.message_key).where(
        in_keys(connection, message.c.message_key, list(earliest)), message.c.accepted_at.is_(None)
    )
    undated = [{"key": key, "moment": earliest[key]} for key in connection.scalars(query)]
    if undated:
        connection.execute(
            message.update()
            .where(message.c.message_key == sa.bindparam("key"))
            .values(accepted_at=sa.bindparam("moment")),
            undated,
        )
