"""Listening: what vendors tell us of messages, with what follows from it. Step 8 of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from alongside.ledger import Ledger, consent, suppressions
from alongside.ledger.consent import ConsentEvent
from alongside.ledger.events import DeliveryEvent, record_events
from alongside.ledger.failpoints import failpoint
from alongside.ledger.groups import in_keys
from alongside.ledger.schema import message, run
from alongside.ledger.suppressions import Suppression
from alongside.model.enums import Decision, DeliveryMode, EventKind, Purpose


@dataclass(frozen=True)
class IngestReport:
    """What became of a delivery of events.

    Attributes
    ----------
    fresh : were new; `duplicates` were not
    foreign : about messages that this ledger never planned, or about none
    ignored : kinds that concern no message, and events that are malformed
    """

    received: int
    fresh: int
    duplicates: int
    foreign: int
    ignored: int
    suppressed: int
    withdrawn: int


def ingest(ledger: Ledger, events: Sequence[DeliveryEvent | None], received_at: datetime) -> IngestReport:
    """Take events in: each once, messages only forward, and what follows for the address and the consent.

    Events may come in any order and any number of times; the end is the same. All of a call is one transaction: after
    an error nothing of it was taken, and the vendor sends it again.

    Parameters
    ----------
    events : as the channel's file has translated them; None for what concerns no message or could not be read
    received_at : wall time

    Raises
    ------
    StoreUnavailable : answer the vendor with an error, it will come again
    """
    with ledger.begin() as connection:
        report = ingest_within(connection, events, received_at)
        failpoint("ingest.before_commit")
    failpoint("ingest.after")
    return report


def ingest_within(
    connection: Connection, events: Sequence[DeliveryEvent | None], received_at: datetime
) -> IngestReport:
    """`ingest` within a transaction of the caller's."""
    known = [event for event in events if event is not None]
    recorded = record_events(connection, known, received_at=received_at)
    telling = [event for event in recorded.fresh if _reason(event) is not None]
    rows = _messages(connection, [event.message_key for event in telling])
    suppressed = suppressions.add(connection, _suppressions(telling, rows))
    withdrawn = consent.record(connection, _withdrawals(telling, rows), received_at)
    return IngestReport(
        received=len(events),
        fresh=len(recorded.fresh),
        duplicates=recorded.duplicates,
        foreign=recorded.foreign,
        ignored=len(events) - len(known),
        suppressed=suppressed,
        withdrawn=withdrawn,
    )


def _reason(event: DeliveryEvent) -> str | None:
    """The reason for which this event stops further messages to its address; None when it does not."""
    return event.closes or {
        EventKind.BOUNCE: "hard_bounce",
        EventKind.COMPLAINT: "complaint",
        EventKind.UNSUBSCRIBE: "unsubscribe",
    }.get(event.kind)


def _messages(connection: Connection, keys: Sequence[str]) -> dict[str, Row[Any]]:
    query = (
        sa.select(
            message.c.message_key,
            message.c.person_id,
            message.c.address_blind,
            message.c.purpose,
            message.c.channel,
            run.c.mode,
        )
        .select_from(message.outerjoin(run, run.c.run_id == message.c.run_id))
        .where(in_keys(connection, message.c.message_key, sorted(set(keys))))
    )
    return {row.message_key: row for row in connection.execute(query)}


def _suppressions(events: Sequence[DeliveryEvent], rows: Mapping[str, Row[Any]]) -> list[Suppression]:
    """A dead or complaining address gets nothing more; who unsubscribes gets no marketing more."""
    found = []
    for event in events:
        row, reason = rows[event.message_key], _reason(event)
        if reason is None or row.mode == DeliveryMode.STAGING:  # staging wrote to one of our own addresses
            continue
        scope = "marketing" if reason == "unsubscribe" else "all"
        origin = f"event:{event.event_id}"[:120]
        found.append(Suppression(row.address_blind, row.channel, scope, reason, event.occurred_at, origin))
    return sorted(found, key=lambda one: (one.since, one.origin))


def _withdrawals(events: Sequence[DeliveryEvent], rows: Mapping[str, Row[Any]]) -> list[ConsentEvent]:
    """Unsubscribing withdraws consent for the kind of message that was sent, and for marketing in any case."""
    found = []
    for event in events:
        row = rows[event.message_key]
        if _reason(event) != "unsubscribe" or row.mode == DeliveryMode.STAGING:
            continue
        for purpose in sorted({row.purpose, Purpose.MARKETING.value}):
            found.append(
                ConsentEvent(
                    row.person_id,
                    purpose,
                    row.channel,
                    Decision.DENY,
                    event.occurred_at,
                    "unsubscribe",
                    f"message {event.message_key}",
                )
            )
    return found
