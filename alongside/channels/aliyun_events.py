"""What Aliyun tells by HTTP, in our words: reports of delivery (SmsReport), and what a patient texts (SmsUp).

Both are JSON arrays without any signature: the address that is registered with the provider has to be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from alongside.channels.aliyun_codes import CLOSING
from alongside.ledger.events import DeliveryEvent
from alongside.model.enums import EventKind

#: Moments are Beijing time, without saying so.
ZONE = ZoneInfo("Asia/Shanghai")
_KEY = re.compile(r"[0-9a-f]{32}")
_SEQUENCE = re.compile(r"[!-~]{1,70}")
_RECEIPT = re.compile(r"[!-~]{1,100}")
_CODE = re.compile(r"[A-Za-z0-9_.:\-]{1,40}")


@dataclass(frozen=True)
class TextFromPatient:
    """One message to our number; `inbound_id` is the same when it is told again."""

    inbound_id: str
    sender: str = field(repr=False)
    text: str = field(repr=False)


def read_report(entry: Any) -> DeliveryEvent | None:
    """One entry of a SmsReport; None when it is malformed or about no message of ours.

    Its id is made of the provider's receipt id, ours, and the code, because the provider gives none.
    """
    if not isinstance(entry, Mapping):
        return None
    key, receipt, code = entry.get("out_id"), entry.get("biz_id"), entry.get("err_code")
    moment = _moment(entry.get("report_time"))
    if not isinstance(key, str) or not _KEY.fullmatch(key) or moment is None:
        return None
    if not isinstance(receipt, str) or not _RECEIPT.fullmatch(receipt):
        return None
    success = entry.get("success")
    if not isinstance(success, bool) or not isinstance(code, str) or not _CODE.fullmatch(code):
        return None
    closes = None if success else CLOSING.get(code)
    return DeliveryEvent(
        event_id=f"aliyun:{receipt[:40]}.{key}.{code}"[:120],
        message_key=key,
        kind=_kind(success, closes),
        occurred_at=moment,
        detail="" if success else code,
        closes=closes,
    )


def _kind(success: bool, closes: str | None) -> EventKind:
    if success:
        return EventKind.DELIVERED
    return {"hard_bounce": EventKind.BOUNCE, "unsubscribe": EventKind.DROPPED}.get(closes or "", EventKind.BLOCKED)


def read_text(entry: Any) -> TextFromPatient | None:
    """One entry of a SmsUp; None when it is malformed."""
    if not isinstance(entry, Mapping):
        return None
    number, text, sequence = entry.get("phone_number"), entry.get("content"), entry.get("sequence_id")
    if not isinstance(number, str) or not re.fullmatch(r"\+?(?:86)?1\d{10}", number) or not isinstance(text, str):
        return None
    if isinstance(sequence, bool) or not isinstance(sequence, int | str) or not _SEQUENCE.fullmatch(str(sequence)):
        return None
    return TextFromPatient(f"aliyun:{sequence}"[:80], f"+86{number[-11:]}", text)


def _moment(text: object) -> datetime | None:
    try:
        return datetime.strptime(str(text), "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZONE).astimezone(UTC)
    except (ValueError, OverflowError):  # the first hours of the year 1 are none in UTC
        return None
