"""What SendGrid's event webhook tells, in our words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from alongside.ledger.events import DeliveryEvent
from alongside.model.enums import EventKind

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
    detail = _LOOKS_LIKE_ADDRESS.sub("<address>", str(event.get("reason") or ""))[:300]
    machine = bool(event.get("sg_machine_open")) or bool(_MACHINE.search(str(event.get("useragent") or "")))
    return DeliveryEvent(
        event_id=event_id[:120],
        message_key=key,
        kind=kind,
        occurred_at=datetime.fromtimestamp(moment, UTC),
        machine=machine and kind in (EventKind.OPEN, EventKind.CLICK),
        detail=detail,
        closes=SUPPRESSING_DROPS.get(detail.strip().lower()) if kind is EventKind.DROPPED else None,
    )
