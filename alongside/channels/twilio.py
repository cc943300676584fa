"""Text messages through Twilio's Programmable Messaging API (2010-04-01).

The vendor has neither an idempotency key nor custom arguments: batch id and message key travel in the address of the
status callback and come back with it. That callback settles a request whose answer was lost, or else `Twilio.trace`.
"""

from __future__ import annotations

import re
import time
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
import orjson

from alongside.channels.base import Addressee, Letter, LetterRefused, Posted
from alongside.channels.one_by_one import OneByOne
from alongside.channels.texts import Trace, personal_text
from alongside.channels.transport import LONGEST_WAIT, KeptSession, Received, broken, retry_after
from alongside.channels.twilio_codes import FAULTS, Blame, Fault
from alongside.channels.twilio_events import BATCH_ID, MESSAGE_KEY, callback_url
from alongside.channels.twilio_trace import PAGE_SIZE, Page, read_message, read_page
from alongside.model.clock import require_utc
from alongside.model.enums import MessageState
from alongside.model.errors import DeliveryError, OutcomeUnknown, Permanent, Refused, Retryable, Throttled

API_URL = "https://api.twilio.com"
MAX_BODY = 1600  # characters; counted here in UTF-16 units, which are never fewer
MAX_VALIDITY = 36_000  # seconds
_QUEUE_FULL_WAIT = 60.0
_DAY_USED_UP = 63038
_MAX_PAGES = 10
_PHONE = re.compile(r"\+[1-9]\d{7,14}")  # E.164
_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")
_ACCOUNT_SID = re.compile(r"AC[0-9a-fA-F]{32}")
_MESSAGE_SID = re.compile(r"(?:SM|MM)[0-9a-fA-F]{32}")
#: A number, a short code, or a name of up to 11 characters with a letter in it.
_SENDER = re.compile(r"\+[1-9]\d{7,14}|\d{3,8}|(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9 +\-_&]{1,11}")
_DIGITS = re.compile(r"\+?\d[\d\s().-]{5,}\d")


# ------------------------------------------------------------------------------------------------------------- build
def check_letter(letter: Letter) -> None:
    """Refuse what would be refused for every recipient.

    Raises
    ------
    LetterRefused : no recipient could be sent this
    """
    found = ""
    if not _SERVICE.fullmatch(letter.sender_address) and not _SENDER.fullmatch(letter.sender_address):
        found = "the sender is no number in E.164, short code, name of at most 11 characters or messaging service"
    elif not letter.text.strip():
        found = "there is no text"
    elif not BATCH_ID.fullmatch(letter.batch_id):
        found = "the batch id would not come back in a callback's address"
    if found:
        raise LetterRefused(found, where="text message", remedy="Correct the sender in config/alongside.yaml.")


def check_addressee(one: Addressee, text: str) -> str | None:
    """Why the vendor would refuse this recipient; None when it would not. The reason names no value.

    Parameters
    ----------
    text : as this recipient reads it
    """
    if not one.address:
        return Fault.of(21604).reason
    if not _PHONE.fullmatch(one.address):
        return "the number is not in E.164 form, or has an extension"
    if not MESSAGE_KEY.fullmatch(one.key):
        return "the message key would not come back in a callback's address"
    if not text.strip():
        return Fault.of(21602).reason
    try:
        units = len(text.encode("utf-16-le")) // 2
    except UnicodeEncodeError:
        return "the text has half a surrogate pair"
    return Fault.of(21617).reason if units > MAX_BODY else None


def build_form(letter: Letter, callback: str, validity: int) -> dict[str, str]:
    """The fields of `POST .../Messages.json` for a letter to one recipient.

    Parameters
    ----------
    callback : address that takes status callbacks; gets opaque ids and nothing else
    validity : seconds that the message may wait in the vendor's queue
    """
    (one,) = letter.addressees
    sender = "MessagingServiceSid" if _SERVICE.fullmatch(letter.sender_address) else "From"
    return {
        "To": one.address,
        sender: letter.sender_address,
        "Body": personal_text(letter, one),
        "StatusCallback": callback_url(callback, letter.batch_id, one.key),
        "ValidityPeriod": str(validity),
        "SmartEncoded": "false",  # what was approved is what is sent: the vendor replaces no character
    }


# ------------------------------------------------------------------------------------------------------------ answers
def read_answer(status: int, headers: Mapping[str, str], body: bytes, now: float) -> DeliveryError | Refused | None:
    """What the answer to a message means for the sender; None for acceptance.

    Parameters
    ----------
    now : seconds since the epoch, against a date in `Retry-After`
    """
    where = f"Twilio, status {status}"
    given = _object(body)
    code = given.get("code")
    if 200 <= status < 300:
        return _accepted(given, where)
    if status == 429:
        wait = retry_after(headers, now, otherwise=LONGEST_WAIT if code == _DAY_USED_UP else 1.0)
        return Throttled("too many requests", retry_after=wait, where=where)
    if status >= 500 or status == 408:
        return _failure(status, code, where)
    # A code of tomorrow with 401, 403 or 404 is not about the patient whose message happened to be the first.
    if isinstance(code, int) and (status == 400 or code in FAULTS):
        return _refusal(code, given, headers, now, where)
    if status in (401, 403):
        return _account(Fault.of(20003), where)
    what = "the answer is not the vendor's: something between us and it replied, or the address is wrong"
    return Refused(what, where=where, remedy="Check the proxy and TWILIO_URL.")


def _failure(status: int, code: object, where: str) -> DeliveryError:
    if status == 503 and code == 20503:  # said by the vendor itself, before it takes anything
        return Retryable("service unavailable", where=where)
    # It comes after the body has arrived somewhere: the message may have been queued before the failure.
    return OutcomeUnknown("the vendor failed after it had the message", where=where)


def _accepted(given: Mapping[str, Any], where: str) -> DeliveryError | Refused | None:
    sid = given.get("sid")
    if not isinstance(sid, str) or not _MESSAGE_SID.fullmatch(sid):
        what = "the answer is not the vendor's: something between us and it replied"
        return OutcomeUnknown(what, where=where, remedy="Check the proxy and TWILIO_URL.")
    if given.get("status") in ("failed", "undelivered"):  # created and at once given up: it will not be sent
        code = given.get("error_code")
        return Permanent(Fault.of(code if isinstance(code, int) else 30008).reason, where=where)
    return None


def _refusal(
    code: int, given: Mapping[str, Any], headers: Mapping[str, str], now: float, where: str
) -> DeliveryError | Refused:
    fault = Fault.of(code)
    if fault.blame is Blame.LOAD:
        wait = retry_after(headers, now, otherwise=_QUEUE_FULL_WAIT)
        return Throttled(fault.reason, retry_after=wait, where=where)
    if fault.blame is Blame.ACCOUNT:
        return _account(fault, where)
    if fault.blame is Blame.LETTER:
        return LetterRefused(fault.reason, where=where, remedy="Correct the sender in config/alongside.yaml.")
    # The vendor's own words are wanted only where our table does not know the code.
    return Permanent(fault.reason if code in FAULTS else f"{code} {_plain(given.get('message'))}", where=where)


def _account(fault: Fault, where: str) -> Refused:
    remedy = "Check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN (or the API key), and the account's state in the console."
    return Refused(fault.reason, where=where, remedy=remedy)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _plain(message: object) -> str:
    """The vendor's words without anything that looks like a number."""
    return _DIGITS.sub("<number>", str(message or "no reason given"))[:200]


# ------------------------------------------------------------------------------------------------------------ channel
class Twilio(OneByOne):
    """One account, with connections that are kept open. Belongs to one event loop.

    Parameters
    ----------
    secret : auth token of the account, or secret of the API key
    callback : public address that takes status callbacks
    api_key : `SK...`; without one the account itself is the user
    timeout : seconds without an answer after which the outcome is unknown
    at_once : requests under way together; the vendor allows an account about a hundred
    validity : seconds that a message may wait in the vendor's queue, so that none leaves it at night
    """

    name = "sms"

    def __init__(
        self,
        account_sid: str,
        secret: str,
        url: str = API_URL,
        *,
        callback: str,
        api_key: str = "",
        timeout: float = 20.0,
        at_once: int = 8,
        validity: int = 14_400,
    ) -> None:
        _check_settings(account_sid, callback, validity)
        self.at_once = at_once
        self._callback, self._validity = callback, validity
        self._path = f"/2010-04-01/Accounts/{account_sid}/Messages"
        self._url = url.rstrip("/")
        pair = b64encode(f"{api_key or account_sid}:{secret}".encode()).decode()
        self._headers = {"Authorization": f"Basic {pair}"}
        self._session = KeptSession(max(at_once, 1) * 4, timeout, self._headers)

    async def close(self) -> None:
        await self._session.close()

    def check(self, letter: Letter) -> dict[str, str]:
        check_letter(letter)
        found = ((one.key, check_addressee(one, personal_text(letter, one))) for one in letter.addressees)
        return {key: why for key, why in found if why}

    def build(self, letter: Letter) -> bytes:
        return urlencode(build_form(letter, self._callback, self._validity)).encode()

    async def post(self, body: bytes) -> Posted:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            answer = await self._session.request("POST", f"{self._url}{self._path}.json", data=body, headers=headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise broken(error, "Twilio", "TWILIO_URL") from error
        if (meaning := read_answer(*answer, time.time())) is not None:
            raise meaning
        return Posted(answer.status)

    async def lookup(self, argument: str, value: str) -> list[MessageState]:
        """The state of the message with the vendor's own id (`sid`), which its callbacks and answers carry.

        Raises
        ------
        Refused : any other argument: the vendor stores neither our keys nor the callback's address. Use `trace`
        Retryable, Throttled : nothing was learnt
        """
        if argument != "sid" or not _MESSAGE_SID.fullmatch(value):
            what = "the vendor cannot be asked for our batch ids or message keys"
            raise Refused(what, where="Twilio", remedy="Look for the number and a mark in the text instead (trace).")
        status, headers, body = await self._get(f"{self._path}/{value}.json")
        return read_message(status, headers, body, time.time())

    async def trace(self, number: str, key: str, text: str, since: datetime) -> Trace:
        """Look for a message by its recipient and its text; the key is not kept by the vendor.

        Parameters
        ----------
        since : shortly before the request was made; older messages are not looked through

        Raises
        ------
        Retryable, Throttled, Refused : nothing was learnt
        """
        if not text.strip():
            raise ValueError("an empty text would be found in every message")
        earliest = require_utc(since) - timedelta(minutes=5)  # two clocks
        # Not by DateSent: a message that still waits has none, and might be left out.
        path = f"{self._path}.json?{urlencode({'To': number, 'PageSize': PAGE_SIZE})}"
        found = Trace((), True)
        for _ in range(_MAX_PAGES):
            page = await self._page(path)
            found += page.trace(text, earliest)
            if page.next_path is None or page.is_older_than(earliest):
                return found
            path = page.next_path
        return found + Trace((), False)

    async def _page(self, path: str) -> Page:
        status, headers, body = await self._get(path)
        return read_page(status, headers, body, time.time(), f"{self._path}.json")

    async def _get(self, path: str) -> Received:
        try:
            return await self._session.request("GET", f"{self._url}{path}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Retryable("the vendor did not answer", where="Twilio") from error


def _check_settings(account_sid: str, callback: str, validity: int) -> None:
    if not _ACCOUNT_SID.fullmatch(account_sid):
        raise Refused("the account SID is not AC and 32 hex digits", where="TWILIO_ACCOUNT_SID")
    parts = urlsplit(callback)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        raise Refused("the status callback is not a web address without a fragment", where="delivery.public_url")
    if not 1 <= validity <= MAX_VALIDITY:
        raise Refused(f"a validity of {validity} s is not between 1 and {MAX_VALIDITY}", where="channels.sms")
