"""Reading Twilio's messages back, for reconciliation. Pure: answers in, states out.

What can be known: whether a message with a given text exists for a number, if the account keeps texts and addresses.
What cannot: which batch it belonged to, and anything at all about a message whose text was redacted or deleted.
"""

from __future__ import annotations

import email.utils
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from alongside.channels.texts import Trace
from alongside.channels.transport import retry_after
from alongside.channels.twilio_events import STATE_OF
from alongside.model.enums import MessageState
from alongside.model.errors import Refused, Retryable, Throttled

PAGE_SIZE = 100


@dataclass(frozen=True)
class Page:
    """One page of the list of messages, most recent first.

    Attributes
    ----------
    next_path : path and query of the next page; None on the last
    """

    messages: tuple[Mapping[str, Any], ...]
    next_path: str | None

    def trace(self, mark: str, earliest: datetime) -> Trace:
        """Our own messages of this page that contain the mark."""
        outbound = [one for one in self.messages if not str(one.get("direction", "")).startswith("inbound")]
        found = [one for one in outbound if mark in (one.get("body") or "")]
        blank = any(not one.get("body") and _created(one, earliest) >= earliest for one in outbound)
        return Trace(tuple(_state(one) for one in found), not blank)

    def is_older_than(self, earliest: datetime) -> bool:
        return bool(self.messages) and all(_created(one, earliest) < earliest for one in self.messages)


def read_page(status: int, headers: Mapping[str, str], body: bytes, now: float, path: str) -> Page:
    """A page of `GET .../Messages.json`.

    Parameters
    ----------
    path : of the list. The next page must lie there too, so that the credentials go nowhere else

    Raises
    ------
    Retryable, Throttled, Refused : nothing was learnt
    """
    given = _read(status, headers, body, now)
    messages, following = given.get("messages"), given.get("next_page_uri")
    if not isinstance(messages, list) or not all(isinstance(one, dict) for one in messages):
        raise Retryable("the answer was not understood", where="Twilio")
    if following is not None and not str(following).startswith(f"{path}?"):
        raise Retryable("the next page lies somewhere else", where="Twilio")
    return Page(tuple(messages), following)


def read_message(status: int, headers: Mapping[str, str], body: bytes, now: float) -> list[MessageState]:
    """The state in the answer of `GET .../Messages/{Sid}.json`; nothing for one that does not exist.

    Raises
    ------
    Retryable, Throttled, Refused : nothing was learnt
    """
    if status == 404:
        return []
    return [_state(_read(status, headers, body, now))]


def _read(status: int, headers: Mapping[str, str], body: bytes, now: float) -> dict[str, Any]:
    where = f"Twilio, status {status}"
    if status == 429:
        raise Throttled("too many requests", retry_after=retry_after(headers, now), where=where)
    if status in (401, 403, 404):
        remedy = "Check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN (or the API key)."
        raise Refused("the account may not read its messages", where=where, remedy=remedy)
    try:
        found = orjson.loads(body) if status == 200 else None
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise Retryable("the answer was not understood", where=where)
    return found


def _state(message: Mapping[str, Any]) -> MessageState:
    """The vendor has it, whatever became of it: a status of tomorrow still means accepted."""
    return STATE_OF.get(str(message.get("status")), MessageState.ACCEPTED)


def _created(message: Mapping[str, Any], otherwise: datetime) -> datetime:
    try:
        moment = email.utils.parsedate_to_datetime(str(message.get("date_created")))
    except ValueError:
        return otherwise
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
