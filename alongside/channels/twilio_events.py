"""What Twilio's webhooks tell, in our words: what became of a message, and what a patient texts.

Status callbacks come at least once, in any order, without a time of their own, and not at all for the status that the
answer to the request already named. By default the vendor tries once more when it gets no connection and never after
an error status; `callback_url` asks for more, within the vendor's limit of 15 seconds. What an outage of ours swallowed
is therefore gone, and only asking helps (`Twilio.trace`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import parse_qs, urlencode, urlsplit

from alongside.channels.twilio_codes import Fault
from alongside.ledger.events import DeliveryEvent
from alongside.model.clock import require_utc
from alongside.model.enums import EventKind, MessageState

#: https://www.twilio.com/docs/messaging/api/message-resource#message-status-values. `partially_delivered` says neither
#: that it arrived nor that it did not; `receiving` and `received` are about messages to us.
STATE_OF: dict[str, MessageState] = {
    "accepted": MessageState.ACCEPTED,
    "scheduled": MessageState.ACCEPTED,
    "queued": MessageState.ACCEPTED,
    "sending": MessageState.ACCEPTED,
    "sent": MessageState.ACCEPTED,
    "partially_delivered": MessageState.ACCEPTED,
    "delivered": MessageState.DELIVERED,
    "read": MessageState.DELIVERED,
    "undelivered": MessageState.BOUNCED,
    "failed": MessageState.BOUNCED,
    "canceled": MessageState.DROPPED,
}
#: More tries than the vendor's default, on every kind of failure: `rc` at most 5 (webhook connection overrides).
_RETRIES = "rc=5&rp=all"
MESSAGE_KEY = re.compile(r"[0-9a-f]{32}")
BATCH_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_SID = re.compile(r"(?:SM|MM)[0-9a-fA-F]{32}")
_CODE = re.compile(r"\d{5}")


def callback_url(base: str, batch_id: str, message_key: str) -> str:
    """Where the vendor reports on one message. The ids are opaque; the fragment stays with the vendor."""
    joint = "&" if "?" in base else "?"
    return f"{base}{joint}{urlencode({'b': batch_id, 'm': message_key})}#{_RETRIES}"


def ids_of(url: str) -> tuple[str, str] | None:
    """(batch id, message key) of the address that was called; None when it is not one of ours."""
    try:
        query = parse_qs(urlsplit(url).query, max_num_fields=10)
    except ValueError:
        return None
    batch, key = query.get("b", []), query.get("m", [])
    if len(batch) != 1 or len(key) != 1 or not BATCH_ID.fullmatch(batch[0]) or not MESSAGE_KEY.fullmatch(key[0]):
        return None
    return batch[0], key[0]


def read_status(url: str, fields: Iterable[tuple[str, str]], received_at: datetime) -> DeliveryEvent | None:
    """A status callback as an event; None when it is malformed or about no message of ours.

    Its id is made of the message's id and the status, because the vendor gives none: a repetition is the same event.

    Parameters
    ----------
    url : that was called, with its query
    fields : of the body, after their signature was verified
    received_at : stands for the time of what happened, which the vendor does not tell
    """
    given = dict(fields)
    ids, status = ids_of(url), given.get("MessageStatus", "")
    sid = given.get("MessageSid", "")
    if ids is None or status not in STATE_OF or not _SID.fullmatch(sid):
        return None
    fault = _fault(given)
    return DeliveryEvent(
        event_id=f"{sid}.{status}",
        message_key=ids[1],
        kind=_kind(status, fault),
        occurred_at=require_utc(received_at),
        detail=fault.reason if fault else "",
        closes=fault.suppress if fault else None,
    )


def _fault(given: Mapping[str, str]) -> Fault | None:
    code = given.get("ErrorCode", "")
    return Fault.of(int(code)) if _CODE.fullmatch(code) else None


def _kind(status: str, fault: Fault | None) -> EventKind:
    state = STATE_OF[status]
    if state is MessageState.ACCEPTED:
        return EventKind.PROCESSED
    if state is MessageState.DELIVERED:
        return EventKind.READ if status == "read" else EventKind.DELIVERED
    if state is MessageState.DROPPED:
        return EventKind.DROPPED
    # A hard bounce closes a number for ever; only codes that say so are one.
    match fault.suppress if fault else None:
        case "hard_bounce":
            return EventKind.BOUNCE
        case "unsubscribe":
            return EventKind.DROPPED
        case _:
            return EventKind.BLOCKED


@dataclass(frozen=True)
class Inbound:
    """A text message from a patient.

    Attributes
    ----------
    sid : the vendor's id; the same when the webhook comes again
    sender, recipient : E.164; the recipient is one of our numbers
    opt_out : `STOP`, `START` or `HELP` where the vendor took it for one and answered by itself; empty elsewhere
    """

    sid: str
    sender: str = field(repr=False)
    recipient: str
    text: str = field(repr=False)
    opt_out: str = ""


def read_inbound(fields: Iterable[tuple[str, str]]) -> Inbound | None:
    """A message to one of our numbers; None when it is malformed."""
    given = dict(fields)
    sid, sender = given.get("MessageSid", ""), given.get("From", "")
    if not _SID.fullmatch(sid) or not sender or "Body" not in given:
        return None
    return Inbound(sid, sender, given.get("To", ""), given["Body"], given.get("OptOutType", ""))
