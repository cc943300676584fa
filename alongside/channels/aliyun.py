"""Aliyun's SMS service (dysmsapi 2017-05-25): one of the texts that the provider has approved, with its variables.

There is no idempotency, and the provider says so. `OutId` carries our message key: it comes back in reports and in the
list of what a number was sent (`trace`), which settles a request whose answer was lost.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from alongside.channels.aliyun_codes import Meaning, meaning_of
from alongside.channels.aliyun_events import ZONE
from alongside.channels.aliyun_signature import canonical_query, signed_headers
from alongside.channels.base import Addressee, Letter, LetterRefused, Posted
from alongside.channels.one_by_one import OneByOne
from alongside.channels.registered import Registered, match, without_signature
from alongside.channels.texts import Trace, personal_text
from alongside.channels.transport import LONGEST_WAIT, KeptSession, Received, broken, retry_after
from alongside.model.clock import require_utc
from alongside.model.enums import MessageState
from alongside.model.errors import DeliveryError, OutcomeUnknown, Permanent, Refused, Retryable, Throttled

API_URL = "https://dysmsapi.aliyuncs.com"
VERSION = "2017-05-25"
PAGE_SIZE = 50  # the most that QuerySendDetails gives
_MAX_PAGES = 20
_MOBILE = re.compile(r"\+861\d{10}")
_KEY = re.compile(r"[0-9a-f]{32}")
_LINK = re.compile(r"https?://|www\.", re.IGNORECASE)
#: `SendStatus` of QuerySendDetails.
_STATES = {1: MessageState.ACCEPTED, 2: MessageState.BOUNCED, 3: MessageState.DELIVERED}


# ------------------------------------------------------------------------------------------------------------- build
def check_addressee(one: Addressee, text: str, signature: str, registered: Sequence[Registered]) -> str | None:
    """Why the provider would refuse this recipient; None when it would not. The reason names no value."""
    if not _MOBILE.fullmatch(one.address):
        return "not a mobile number of mainland China"
    if not _KEY.fullmatch(one.key):
        return "the message key would not come back in a report"
    found = match(registered, without_signature(text, signature))
    if found is None:
        return "the text is none of those that are registered with the provider"
    if any(_LINK.search(value) for value in found[1].values()):
        return meaning_of("isv.PARAM_NOT_SUPPORT_URL")[1]
    return None


def parameters_of(letter: Letter, registered: Sequence[Registered]) -> dict[str, str]:
    """The parameters of `SendSms` for a letter to one recipient."""
    (one,) = letter.addressees
    found = match(registered, without_signature(personal_text(letter, one), letter.sender_address))
    if found is None:
        raise LetterRefused("the text is none of those that are registered", where="Aliyun")
    template, values = found
    parameters = {
        "OutId": one.key,
        "PhoneNumbers": one.address.removeprefix("+86"),
        "SignName": letter.sender_address,
        "TemplateCode": template.code,
    }
    return parameters | ({"TemplateParam": orjson.dumps(values).decode()} if values else {})


# ------------------------------------------------------------------------------------------------------------ answers
def read_answer(status: int, headers: Mapping[str, str], body: bytes, now: float) -> DeliveryError | Refused | None:
    """What the answer to a message means for the sender; None for acceptance."""
    where = f"Aliyun, status {status}"
    given = _object(body)
    code = given.get("Code")
    if status == 200 and code == "OK":
        return None
    if not isinstance(code, str):
        what = "the answer is not the provider's: something between us and it replied, or the address is wrong"
        if status >= 500 or status == 200:
            return OutcomeUnknown(what, where=where, remedy="Check the proxy and ALIYUN_SMS_URL.")
        return Refused(what, where=where, remedy="Check the proxy and ALIYUN_SMS_URL.")
    return _refusal(code, headers, now, where)


def _refusal(code: str, headers: Mapping[str, str], now: float, where: str) -> DeliveryError | Refused:
    meaning, words = meaning_of(code)
    reason = f"{code} {words}"
    match meaning:
        case Meaning.RECIPIENT:
            found: DeliveryError | Refused = Permanent(reason, where=where)
        case Meaning.LETTER:
            remedy = "Compare channels.sms.registered with the provider's list: 'alongside doctor' does it."
            found = LetterRefused(reason, where=where, remedy=remedy)
        case Meaning.ACCOUNT:
            found = Refused(reason, where=where, remedy="Check ALIYUN_ACCESS_KEY_ID, its secret and the account.")
        case Meaning.LOAD:
            wait = retry_after(headers, now, otherwise=LONGEST_WAIT if "LIMIT_CONTROL" in code else 1.0)
            found = Throttled(reason, retry_after=wait, where=where)
        case Meaning.UNKNOWN:
            found = OutcomeUnknown(reason, where=where)
    return found


def read_details(body: bytes, key: str) -> tuple[list[MessageState], int]:
    """States of the messages of one page that carry our key, and how many entries the page has.

    Raises
    ------
    Retryable : the answer was not understood
    """
    given = _object(body)
    if given.get("Code") != "OK":
        raise Retryable("the provider did not tell", where="Aliyun")
    entries = (given.get("SmsSendDetailDTOs") or {}).get("SmsSendDetailDTO")
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise Retryable("the answer was not understood", where="Aliyun")
    found = [_STATES.get(one.get("SendStatus", 0), MessageState.ACCEPTED) for one in entries if one.get("OutId") == key]
    return found, len(entries)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


# ------------------------------------------------------------------------------------------------------------ channel
class Aliyun(OneByOne):
    """One account, with connections that are kept open. Belongs to one event loop.

    Parameters
    ----------
    registered : texts that the provider has approved
    timeout : seconds without an answer after which the outcome is unknown
    at_once : requests under way together
    """

    name = "sms"

    def __init__(
        self,
        key_id: str,
        secret: str,
        url: str = API_URL,
        *,
        registered: Sequence[Registered],
        timeout: float = 20.0,
        at_once: int = 8,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not key_id:
            raise Refused("there is no access key", where="ALIYUN_ACCESS_KEY_ID", remedy="Set it and its secret.")
        self.at_once = at_once
        self._key_id, self._secret, self._registered = key_id, secret, tuple(registered)
        self._url, self._host, self._clock = url.rstrip("/"), urlsplit(url).netloc, clock
        self._session = KeptSession(max(at_once, 1) * 4, timeout)

    async def close(self) -> None:
        await self._session.close()

    def check(self, letter: Letter) -> dict[str, str]:
        if not letter.sender_address.strip():
            raise LetterRefused("there is no signature", where="Aliyun", remedy="Name it in channels.sms.senders.")
        found = {}
        for one in letter.addressees:
            text = personal_text(letter, one)
            if why := check_addressee(one, text, letter.sender_address, self._registered):
                found[one.key] = why
        return found

    def build(self, letter: Letter) -> bytes:
        return canonical_query(parameters_of(letter, self._registered)).encode()

    async def post(self, body: bytes) -> Posted:
        try:
            status, headers, answer = await self._call("SendSms", body.decode())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise broken(error, "Aliyun", "ALIYUN_SMS_URL") from error
        if (meaning := read_answer(status, headers, answer, self._clock())) is not None:
            raise meaning
        return Posted(status)

    async def lookup(self, argument: str, value: str) -> list[MessageState]:
        """Nothing is found by key alone.

        Raises
        ------
        Refused : always: the provider lists by number and day
        """
        what = "the provider cannot be asked for our batch ids or message keys"
        raise Refused(what, where="Aliyun", remedy="Look for the number and the key instead (trace).")

    async def trace(self, number: str, key: str, text: str, since: datetime) -> Trace:
        """Look for a message by its recipient and the key that it carries, on every day since then."""
        earliest = require_utc(since) - timedelta(minutes=5)  # two clocks
        today = datetime.fromtimestamp(self._clock(), UTC).astimezone(ZONE).date()
        day, found, conclusive = earliest.astimezone(ZONE).date(), [], True
        while day <= today:
            states, complete = await self._of_day(number, key, f"{day:%Y%m%d}")
            found += states
            conclusive &= complete
            day += timedelta(days=1)
        return Trace(tuple(found), conclusive)

    async def _of_day(self, number: str, key: str, day: str) -> tuple[list[MessageState], bool]:
        found: list[MessageState] = []
        for page in range(1, _MAX_PAGES + 1):
            parameters = {
                "CurrentPage": str(page),
                "PageSize": str(PAGE_SIZE),
                "PhoneNumber": number.removeprefix("+86"),
                "SendDate": day,
            }
            states, entries = read_details(await self._ask("QuerySendDetails", parameters), key)
            found += states
            if entries < PAGE_SIZE:
                return found, True
        return found, False

    async def content_of(self, code: str) -> str | None:
        """The text that the provider has registered under a code; None when there is none or it is not approved.

        Raises
        ------
        Retryable, Throttled, Refused : the provider did not tell
        """
        given = _object(await self._ask("GetSmsTemplate", {"TemplateCode": code}, refusals=True))
        approved = str(given.get("TemplateStatus")) in ("1", "AUDIT_STATE_PASS")
        content = given.get("TemplateContent")
        return content if approved and isinstance(content, str) else None

    async def _ask(self, action: str, parameters: Mapping[str, str], *, refusals: bool = False) -> bytes:
        """A question; with `refusals` the service's own refusal is an answer too."""
        try:
            status, headers, body = await self._call(action, canonical_query(parameters))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Retryable("the provider did not answer", where="Aliyun") from error
        meaning = read_answer(status, headers, body, self._clock())
        if isinstance(meaning, Refused | Throttled):
            raise meaning
        if meaning is not None and not (refusals and isinstance(meaning, Permanent)):
            raise Retryable("the provider did not tell", where="Aliyun")
        return body

    async def _call(self, action: str, query: str) -> Received:
        date = datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        headers = signed_headers(
            action,
            VERSION,
            host=self._host,
            query=query,
            key_id=self._key_id,
            secret=self._secret,
            date=date,
            nonce=secrets.token_hex(16),
        )
        from yarl import URL

        exact = URL(f"{self._url}/?{query}", encoded=True)  # as it was signed, to the letter
        return await self._session.request("POST", exact, headers=headers)
