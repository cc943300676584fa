"""Listening: what the vendor and patients tell us, in our words, with what follows from it. Step 8 of a run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
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

#: SendGrid's words for what happened (https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event).
#: Its other words (group_resubscribe, account_status_change) are about no message of ours.
KIND_OF: dict[str, EventKind] = {
    "processed": EventKind.PROCESSED,
    "deferred": EventKind.DEFERRED,
    "delivered": EventKind.DELIVERED,
    "bounce": EventKind.BOUNCE,  # `type` blocked: see `kind_of`
    "blocked": EventKind.BLOCKED,
    "dropped": EventKind.DROPPED,
    "open": EventKind.OPEN,
    "click": EventKind.CLICK,
    "spamreport": EventKind.COMPLAINT,
    "unsubscribe": EventKind.UNSUBSCRIBE,
    "group_unsubscribe": EventKind.UNSUBSCRIBE,
}
#: Reasons of `dropped` that say the address may not be written to. Others (content, quota) say nothing about it.
SUPPRESSING_DROPS: dict[str, str] = {
    "bounced address": "hard_bounce",
    "invalid": "hard_bounce",
    "spam reporting address": "complaint",
    "unsubscribed address": "unsubscribe",
}
_MACHINE = re.compile(r"bot\b|crawl|spider|scan|preview|proxy|monitor|curl|python-requests", re.IGNORECASE)
_KEY = re.compile(r"[0-9a-f]{32}")
_LOOKS_LIKE_ADDRESS = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+")


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


def kind_of(event: Mapping[str, Any]) -> EventKind | None:
    """The event's kind in our words; None for what concerns no message."""
    found = KIND_OF.get(str(event.get("event", "")))
    return EventKind.BLOCKED if found is EventKind.BOUNCE and event.get("type") == "blocked" else found


def translate(event: Any) -> DeliveryEvent | None:
    """One of the vendor's events in our words; None when it is malformed or concerns no message."""
    if not isinstance(event, Mapping):
        return None
    kind, key, moment = kind_of(event), event.get("m"), event.get("timestamp")
    event_id = event.get("sg_event_id")
    if kind is None or not isinstance(key, str) or not _KEY.fullmatch(key) or not isinstance(event_id, str):
        return None
    if not event_id or isinstance(moment, bool) or not isinstance(moment, int | float) or not 0 < moment < 1e11:
        return None
    machine = bool(event.get("sg_machine_open")) or bool(_MACHINE.search(str(event.get("useragent") or "")))
    return DeliveryEvent(
        event_id=event_id[:120],
        message_key=key,
        kind=kind,
        occurred_at=datetime.fromtimestamp(moment, UTC),
        machine=machine and kind in (EventKind.OPEN, EventKind.CLICK),
        detail=_LOOKS_LIKE_ADDRESS.sub("<address>", str(event.get("reason") or ""))[:300],
    )


def ingest(ledger: Ledger, events: Sequence[Any], received_at: datetime) -> IngestReport:
    """Take events in: each once, messages only forward, and what follows for the address and the consent.

    Events may come in any order and any number of times; the end is the same. All of a call is one transaction: after
    an error nothing of it was taken, and the vendor sends it again.

    Parameters
    ----------
    events : parsed JSON of the webhook's array
    received_at : wall time

    Raises
    ------
    StoreUnavailable : answer the vendor with an error, it will come again
    """
    known = [found for found in map(translate, events) if found is not None]
    with ledger.begin() as connection:
        recorded = record_events(connection, known, received_at=received_at)
        telling = [event for event in recorded.fresh if _reason(event) is not None]
        rows = _messages(connection, [event.message_key for event in telling])
        suppressed = suppressions.add(connection, _suppressions(telling, rows))
        withdrawn = consent.record(connection, _withdrawals(telling, rows), received_at)
        failpoint("ingest.before_commit")
    failpoint("ingest.after")
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
    if event.kind is EventKind.DROPPED:
        return SUPPRESSING_DROPS.get(event.detail.strip().lower())
    return {
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
