"""Messages as the API shows them: one, or a page of a list."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

from alongside.sandbox.common.phones import Step
from alongside.sandbox.twilio.http import VendorRefusal

Record = Mapping[str, Any]
Statuses = Callable[[Record], Sequence[tuple[float, Step]]]
FILTERS = ("To", "From", "DateSent", "DateSent<", "DateSent>")
MAX_PAGE = 1000
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}(?:T[0-9:.]+Z?)?")


def outbound(record: Record, statuses: Sequence[tuple[float, Step]], path: str) -> dict[str, Any]:
    """The resource of an accepted message.

    Parameters
    ----------
    statuses : reached so far, with their moments
    path : of the list of messages, without `.json`
    """
    sent = next((moment for moment, step in statuses if step.status == "sent"), None)
    status = statuses[-1][1] if statuses else Step(0.0, record["initial"])
    code = status.code
    return _resource(record, path) | {
        "date_sent": _rfc2822(sent),
        "date_updated": _rfc2822(statuses[-1][0]) if statuses else _rfc2822(_at(record)),
        "direction": "outbound-api",
        "error_code": code,
        "error_message": None if code is None else f"Error {code}",
        "messaging_service_sid": record["service"],
        # Of a messaging service the vendor says so only later: the sender is not chosen yet.
        "num_segments": "0" if record["service"] and not statuses else str(record["segments"]),
        "status": status.status,
    }


def inbound(record: Record, path: str) -> dict[str, Any]:
    """The resource of a message from a patient."""
    return _resource(record, path) | {
        "date_sent": _rfc2822(_at(record)),
        "date_updated": _rfc2822(_at(record)),
        "direction": "inbound",
        "error_code": None,
        "error_message": None,
        "messaging_service_sid": record["service"],
        "num_segments": "1",
        "status": "received",
    }


def _resource(record: Record, path: str) -> dict[str, Any]:
    return {
        "account_sid": record["account"],
        "api_version": "2010-04-01",
        "body": record["body"],
        "date_created": _rfc2822(_at(record)),
        "from": record["from"],
        "num_media": "0",
        "price": None,
        "price_unit": "USD",
        "sid": record["sid"],
        "subresource_uris": {"media": f"{path}/{record['sid']}/Media.json"},
        "to": record["to"],
        "uri": f"{path}/{record['sid']}.json",
    }


def page(resources: Iterable[dict[str, Any]], query: Mapping[str, str], path: str) -> dict[str, Any]:
    """A page of the list: most recently sent first, those not yet sent before all.

    Raises
    ------
    VendorRefusal : a filter or the paging is not understood
    """
    size, number = _number(query, "PageSize", 50), _number(query, "Page", 0)
    if not 1 <= size <= MAX_PAGE:
        raise VendorRefusal(400, 20001, "PageSize")
    found = sorted((one for one in resources if _matches(one, query)), key=_recency, reverse=True)
    start = number * size
    shown = found[start : start + size]
    wanted = {name: query[name] for name in FILTERS if name in query} | {"PageSize": str(size)}

    def uri(which: int, **more: str) -> str:
        return f"{path}.json?{urlencode(wanted | {'Page': str(which)} | more)}"

    return {
        "end": start + max(len(shown) - 1, 0),
        "first_page_uri": uri(0),
        "messages": shown,
        "next_page_uri": uri(number + 1, PageToken=f"PA{shown[-1]['sid']}") if len(found) > start + size else None,
        "page": number,
        "page_size": size,
        "previous_page_uri": uri(number - 1) if number else None,
        "start": start,
        "uri": uri(number),
    }


def _matches(one: Mapping[str, Any], query: Mapping[str, str]) -> bool:
    if one["to"] != query.get("To", one["to"]) or one["from"] != query.get("From", one["from"]):
        return False
    day = "" if one["date_sent"] is None else parsedate_to_datetime(one["date_sent"]).date().isoformat()
    for name, holds in _COMPARISONS.items():
        if (wanted := query.get(name)) is not None:
            if not _DAY.fullmatch(wanted):
                raise VendorRefusal(400, 20001, name)
            if not day or not holds(day, wanted[:10]):
                return False
    return True


_COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "DateSent": str.__eq__,
    "DateSent<": str.__le__,
    "DateSent>": str.__ge__,
}


def _recency(one: Mapping[str, Any]) -> tuple[float, float, str]:
    sent = float("inf") if one["date_sent"] is None else parsedate_to_datetime(one["date_sent"]).timestamp()
    return sent, parsedate_to_datetime(one["date_created"]).timestamp(), one["sid"]


def _number(query: Mapping[str, str], name: str, otherwise: int) -> int:
    text = query.get(name, str(otherwise))
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise VendorRefusal(400, 20001, name)
    return int(text)


def _at(record: Record) -> float:
    return datetime.fromisoformat(record["at"]).timestamp()


def _rfc2822(seconds: float | None) -> str | None:
    return None if seconds is None else format_datetime(datetime.fromtimestamp(int(seconds), UTC))
