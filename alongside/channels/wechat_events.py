"""What WeChat tells by HTTP, in our words: one XML document each, of a message, a follower, or a follower's words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from alongside.ledger.events import DeliveryEvent
from alongside.model.addresses import OPENID
from alongside.model.enums import EventKind

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_OPENID = re.compile(OPENID)
_NUMBER = re.compile(r"\d{1,20}")
#: `Status` of TEMPLATESENDJOBFINISH -> (what it means, what it says of the address)
_STATUSES: dict[str, tuple[EventKind, str | None]] = {
    "success": (EventKind.DELIVERED, None),
    "failed:user block": (EventKind.DROPPED, "refused"),  # the patient refuses this account's messages
    "failed: system failed": (EventKind.BLOCKED, None),
}
_UNKNOWN = (EventKind.BLOCKED, None)


@dataclass(frozen=True)
class Finished:
    """What became of a template message.

    Attributes
    ----------
    receipt : `wechat:<id>`, as the answer to the request named it
    detail : the vendor's words, without its blanks
    """

    receipt: str
    kind: EventKind
    occurred_at: datetime
    detail: str
    closes: str | None

    def of(self, message_key: str) -> DeliveryEvent:
        """The event of the message that the receipt stands for. The vendor gives it no id of its own."""
        return DeliveryEvent(
            event_id=f"{self.receipt}.{self.detail or 'success'}"[:120],
            message_key=message_key,
            kind=self.kind,
            occurred_at=self.occurred_at,
            detail=self.detail,
            closes=self.closes,
        )


@dataclass(frozen=True)
class Following:
    """Somebody follows the account, or does not any more."""

    openid: str = field(repr=False)
    follows: bool
    occurred_at: datetime


@dataclass(frozen=True)
class Words:
    """What a follower wrote; `inbound_id` is the same when it is told again."""

    inbound_id: str
    openid: str = field(repr=False)
    text: str = field(repr=False)


class Malformed(ValueError):
    """Not an XML document of the vendor's; nothing in it is believed."""


def read(body: bytes) -> Finished | Following | Words | None:
    """What a callback tells; None for what concerns neither messages nor followers (a menu, a place, a photograph).

    Raises
    ------
    Malformed : no well-formed XML, one with a document type or entities, or without what every callback has
    """
    try:
        root = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:  # LookupError: an unknown encoding
        raise Malformed(type(error).__name__) from None
    openid, seconds = _text(root, "FromUserName"), _text(root, "CreateTime")
    if root.tag != "xml" or not _OPENID.fullmatch(openid) or not re.fullmatch(r"\d{1,11}", seconds):
        raise Malformed("no sender or no time")
    moment = datetime.fromtimestamp(int(seconds), UTC)
    match _text(root, "MsgType"):
        case "event":
            return _event(root, openid, moment)
        case "text":
            number = _text(root, "MsgId")
            return Words(f"wechat:{number}", openid, _text(root, "Content")) if _NUMBER.fullmatch(number) else None
    return None


def _event(root: Element, openid: str, moment: datetime) -> Finished | Following | None:
    match _text(root, "Event"):
        case "TEMPLATESENDJOBFINISH":
            number, status = _text(root, "MsgID"), _text(root, "Status")
            if not _NUMBER.fullmatch(number):
                return None
            kind, closes = _STATUSES.get(status, _UNKNOWN)
            detail = "" if kind is EventKind.DELIVERED else re.sub(r"[^a-z:]+", "_", status.lower())[:40]
            return Finished(f"wechat:{number}", kind, moment, detail, closes)
        case "subscribe":
            return Following(openid, True, moment)
        case "unsubscribe":
            return Following(openid, False, moment)
    return None


def _text(root: Element, name: str) -> str:
    return (root.findtext(name) or "").strip()
