"""E-mail through SendGrid's v3 API.

The vendor has no idempotency key: what it answers, and what it does not answer, decides whether a message may be sent
again. `docs/exactly-once.md` explains each choice below.
"""

from __future__ import annotations

import re
import time
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from typing import Any

import aiohttp
import orjson

from alongside.channels.base import Addressee, Channel, Letter, LetterRefused, Posted, RecipientsRefused
from alongside.channels.transport import LONGEST_WAIT, SHORTEST_WAIT, KeptSession, broken, retry_after
from alongside.model.enums import MessageState
from alongside.model.errors import DeliveryError, OutcomeUnknown, Permanent, Refused, Retryable, Throttled

MAX_PERSONALIZATIONS = 1000
MAX_SUBSTITUTION_BYTES = 10_000
MAX_CUSTOM_ARGS_BYTES = 10_000
MAX_BODY_BYTES = 30 * 1024 * 1024
_ONE_ADDRESS = r"[^\s@<>,;:\"()\[\]\\\x00-\x20\x7f-\uffff]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+"
_ADDRESS = re.compile(_ONE_ADDRESS)
_ADDRESSES = re.compile(rf"{_ONE_ADDRESS}(?:\n{_ONE_ADDRESS})*+")  # possessive: no address holds a line feed
_LOOKS_LIKE_ADDRESS = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+")
_PLACE = re.compile(r"personalizations\.(\d+)\b")
_BREAK = re.compile(r"[\r\n\x00]")
#: Statuses of the feed; whatever became of a message that was taken, its events tell the rest.
_FEED_STATES = {"delivered": MessageState.DELIVERED}


# ------------------------------------------------------------------------------------------------------------- build
def check_letter(letter: Letter) -> None:
    """Refuse what the API description does not forbid but the vendor does, or should.

    Raises
    ------
    LetterRefused : no recipient could be sent this
    """
    found = _sender_fault(letter.sender_address, letter.reply_to, letter.sender_name)
    if not found:
        if not letter.subject.strip():
            found = "the subject is empty"
        elif not letter.text.strip() and not letter.html.strip():
            found = "there is neither text nor html"
        elif _BREAK.search(f"{letter.subject}{letter.sender_name}{letter.list_id}"):
            found = "a header would contain a line break"
    if found:
        raise LetterRefused(found, where="e-mail", remedy="Correct the sender in config/alongside.yaml or the message.")


@lru_cache(maxsize=64)
def _sender_fault(address: str, reply_to: str, name: str) -> str:
    """What is wrong with a sender; a hospital has a handful of them."""
    if not _ADDRESS.fullmatch(address):
        return "the sender's address is not a valid ASCII address"
    if reply_to and not _ADDRESS.fullmatch(reply_to):
        return "the reply-to address is not a valid ASCII address"
    if ";" in name or "," in name:
        return "the sender's name contains ; or , which the vendor reads as a list"
    return ""


def check_addressee(one: Addressee, batch_id: str) -> str | None:
    """Why the vendor would refuse this recipient; None when it would not. The reason names no value."""
    if not one.address:
        return "no address"
    if len(one.address) > 254 or not _ADDRESS.fullmatch(one.address):
        return "the address is not one that the vendor takes"
    if _BREAK.search(f"{one.unsubscribe_url}{one.key}{batch_id}"):
        return "a header would contain a line break"
    size = len("".join(one.substitutions)) + len("".join(one.substitutions.values()))
    if size * 4 > MAX_SUBSTITUTION_BYTES:  # a character has at most four bytes
        size = sum(len(key.encode()) + len(value.encode()) for key, value in one.substitutions.items())
        if size > MAX_SUBSTITUTION_BYTES:
            return f"substitutions exceed {MAX_SUBSTITUTION_BYTES} bytes"
    if len(one.key) + len(batch_id) + 20 > MAX_CUSTOM_ARGS_BYTES:
        return f"custom arguments exceed {MAX_CUSTOM_ARGS_BYTES} bytes"
    return None


def _nobody_is_refused(letter: Letter) -> bool:
    """Whether `check_addressee` would pass all of a large letter's recipients: asked of all of them at once.

    False says nothing. Looking at them one by one takes twice as long.
    """
    everybody = letter.addressees
    addresses = [one.address for one in everybody]
    if max(map(len, addresses)) > 254 or not _ADDRESSES.fullmatch("\n".join(addresses)):
        return False
    keys = [one.key for one in everybody]
    if _BREAK.search("".join([letter.batch_id, *keys, *[one.unsubscribe_url for one in everybody]])):
        return False
    if max(map(len, keys)) + len(letter.batch_id) + 20 > MAX_CUSTOM_ARGS_BYTES:
        return False
    rows = [one.substitutions for one in everybody]
    longest = max(map(len, chain.from_iterable([*rows, *[row.values() for row in rows]])), default=0)
    return 2 * max(map(len, rows)) * longest * 4 <= MAX_SUBSTITUTION_BYTES  # four bytes are the most


def build_payload(letter: Letter) -> dict[str, Any]:
    """The body of `POST /v3/mail/send`. Opaque ids only: custom arguments are stored and seen by the vendor's staff.

    Both headers of one-click unsubscription stand in each personalization: headers of a personalization and of the
    message are not documented to be merged.
    """
    sender: dict[str, str] = {"email": letter.sender_address}
    if letter.sender_name:
        sender["name"] = encoded_name(letter.sender_name)
    payload: dict[str, Any] = {
        "personalizations": [_personalization(one, letter.batch_id) for one in letter.addressees],
        "from": sender,
        "subject": letter.subject,
        "content": [
            {"type": kind, "value": value}
            for kind, value in (("text/plain", letter.text), ("text/html", letter.html))  # this order, by RFC 2046
            if value
        ],
        "headers": {"List-Id": f"<{letter.list_id}>"},
        "tracking_settings": {
            "click_tracking": {"enable": True, "enable_text": False},
            "open_tracking": {"enable": True},
            "subscription_tracking": {"enable": False},  # our own link stands in the text and in the header
        },
    }
    if letter.reply_to:
        payload["reply_to"] = {"email": letter.reply_to}
    return payload


def _personalization(one: Addressee, batch_id: str) -> dict[str, Any]:
    found: dict[str, Any] = {"to": [{"email": one.address}], "custom_args": {"m": one.key, "b": batch_id}}
    if one.substitutions:
        found["substitutions"] = one.substitutions
    if one.unsubscribe_url:
        found["headers"] = {
            "List-Unsubscribe": f"<{one.unsubscribe_url}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        }
    return found


@lru_cache(maxsize=64)
def encoded_name(name: str) -> str:
    """A display name in ASCII. The vendor takes no Unicode in `from`: other names become encoded words (RFC 2047)."""
    if name.isascii():
        return name
    words, portion = [], b""
    for character in name:
        raw = character.encode()
        if len(portion) + len(raw) > 45:  # 60 base64 characters: an encoded word has at most 75
            words.append(portion)
            portion = b""
        portion += raw
    words.append(portion)
    return " ".join(f"=?utf-8?B?{b64encode(word).decode()}?=" for word in words)


# ------------------------------------------------------------------------------------------------------------ answers
def read_answer(status: int, headers: Mapping[str, str], body: bytes, now: float) -> DeliveryError | Refused | None:
    """What the vendor's answer means for the sender; None for acceptance.

    Parameters
    ----------
    now : seconds since the epoch, against `X-RateLimit-Reset`
    """
    where = f"SendGrid, status {status}"
    if status == 202:
        return None
    if status == 429:
        return Throttled("too many requests", retry_after=_wait(headers, now), where=where)
    if status == 503:
        return Retryable("service unavailable", where=where)
    if 300 <= status < 500:
        return _client_fault(status, body, where)
    if status < 300:
        what = "the answer is not the vendor's: something between us and it replied"
        return OutcomeUnknown(what, where=where, remedy="Check the proxy and SENDGRID_URL.")
    # 500, 502 and 504 come after the body has arrived somewhere: it may have been queued before the failure.
    return OutcomeUnknown("the vendor failed after it had the message", where=where)


def _client_fault(status: int, body: bytes, where: str) -> DeliveryError | Refused:
    if status in (400, 413, 422):
        return _refusal(body, where)
    if status in (401, 403):
        remedy = "Check SENDGRID_API_KEY, its scope 'Mail Send', and that the sender is verified."
        return Refused(f"the vendor does not let us send: {_first_message(body)}", where=where, remedy=remedy)
    return Refused("this is not the vendor's mail/send endpoint", where=where, remedy="Check SENDGRID_URL.")


def _refusal(body: bytes, where: str) -> Permanent:
    errors = _errors(body)
    what = _first_message(body)
    places: dict[int, str] = {}
    for error in errors:
        field = str(error.get("field") or "")
        if found := _PLACE.match(field):
            places[int(found.group(1))] = _plain(error.get("message"))
        elif field and not field.startswith("personalizations"):
            return LetterRefused(f"{field}: {what}", where=where, remedy="Correct the message or its sender.")
    if places:
        return RecipientsRefused(what, places, where=where)
    return Permanent(what, where=where)


def _errors(body: bytes) -> list[dict[str, Any]]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    errors = found.get("errors") if isinstance(found, dict) else None
    return [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []


def _first_message(body: bytes) -> str:
    errors = _errors(body)
    return _plain(errors[0].get("message")) if errors else "no reason given"


def _plain(message: object) -> str:
    """The vendor's words without anything that looks like an address."""
    return _LOOKS_LIKE_ADDRESS.sub("<address>", str(message or "no reason given"))[:200]


def rest_of(headers: Mapping[str, str], now: float) -> float:
    """Seconds until the account's allowance is renewed, when this request used the last of it; otherwise 0."""
    if headers.get("X-RateLimit-Remaining") != "0":
        return 0.0
    return _wait(headers, now) if "X-RateLimit-Reset" in headers else 0.0


def _wait(headers: Mapping[str, str], now: float) -> float:
    """Seconds to wait, from `Retry-After` or `X-RateLimit-Reset` (epoch seconds)."""
    lowered = {name.lower(): value for name, value in headers.items()}
    reset = lowered.get("x-ratelimit-reset", "").strip()
    if "retry-after" not in lowered and reset.isdigit():
        return min(max(int(reset) - now, SHORTEST_WAIT), LONGEST_WAIT)
    return retry_after({"Retry-After": lowered.get("retry-after", "")}, now)


# ------------------------------------------------------------------------------------------------------------ channel
class SendGrid(Channel):
    """One account, with connections that are kept open. Belongs to one event loop.

    Parameters
    ----------
    timeout : seconds without an answer after which the outcome is unknown
    connections : at most so many at a time
    max_recipients : of one request, at most the vendor's 1000
    """

    name = "email"

    def __init__(
        self,
        api_key: str,
        url: str,
        *,
        timeout: float = 20.0,
        connections: int = 32,
        max_recipients: int = MAX_PERSONALIZATIONS,
    ) -> None:
        self.max_recipients = min(max_recipients, MAX_PERSONALIZATIONS)
        self._url = url.rstrip("/")
        self._send_url = f"{self._url}/v3/mail/send"
        self._headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
        self._session = KeptSession(connections, timeout, self._headers)

    async def close(self) -> None:
        await self._session.close()

    def check(self, letter: Letter) -> dict[str, str]:
        check_letter(letter)
        batch_id = letter.batch_id
        if len(letter.addressees) > 1 and _nobody_is_refused(letter):
            return {}
        return {one.key: why for one in letter.addressees if (why := check_addressee(one, batch_id))}

    def build(self, letter: Letter) -> bytes:
        return orjson.dumps(build_payload(letter))

    async def post(self, body: bytes) -> Posted:
        if len(body) > MAX_BODY_BYTES:
            raise Permanent("the request exceeds 30 MB", where="e-mail")
        try:
            answer = await self._session.request("POST", self._send_url, data=body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise broken(error, "SendGrid", "SENDGRID_URL, SENDGRID_API_KEY") from error
        if answer.status != 202 and (meaning := read_answer(*answer, time.time())):
            raise meaning
        return Posted(answer.status, rest_of(answer.headers, time.time()))

    async def lookup(self, argument: str, value: str) -> list[MessageState]:
        parameters = {"query": f"unique_args['{argument}']=\"{value}\"", "limit": str(MAX_PERSONALIZATIONS)}
        try:
            answer = await self._session.request("GET", f"{self._url}/v3/messages", params=parameters)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Retryable("the activity feed did not answer", where="SendGrid") from error
        return _read_feed(*answer)


def _read_feed(status: int, headers: Mapping[str, str], body: bytes) -> list[MessageState]:
    where = f"SendGrid activity feed, status {status}"
    if status == 429:
        wait = _wait(headers, datetime.now(UTC).timestamp())
        raise Throttled("too many requests", retry_after=wait, where=where)
    if status in (401, 403, 404):
        remedy = "Set channels.email.activity_lookup to false when the account has no Email Activity add-on."
        raise Refused("the account may not read its activity feed", where=where, remedy=remedy)
    try:
        found: Any = orjson.loads(body) if status == 200 else None
        return [_FEED_STATES.get(item["status"], MessageState.ACCEPTED) for item in found["messages"]]
    except (orjson.JSONDecodeError, TypeError, KeyError) as error:
        raise Retryable("the answer was not understood", where=where) from error
