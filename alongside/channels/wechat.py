"""WeChat official account: template messages, and answers to what a patient wrote within the last 48 hours.

`client_msg_id` carries our message key: for ten minutes the vendor takes a message with the same one to the same
follower once, so that a request without an answer is repeated at once (`recognises`). Afterwards nobody can be asked:
there is no list of what was sent. The id that an answer names comes back in the vendor's event (`Posted.receipt`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import orjson

from alongside.channels.base import AddressClosed, Addressee, Letter, LetterRefused, Posted
from alongside.channels.bearer import Bearer, Token
from alongside.channels.one_by_one import OneByOne
from alongside.channels.texts import personal_text
from alongside.channels.transport import KeptSession, broken
from alongside.channels.wechat_codes import CLOSING, WAITS, Meaning, meaning_of
from alongside.channels.wechat_templates import LONGEST_ANSWER, Misfit, Template, fill
from alongside.model.addresses import OPENID
from alongside.model.enums import MessageState
from alongside.model.errors import DeliveryError, OutcomeUnknown, Permanent, Refused, Retryable, Throttled

API_URL = "https://api.weixin.qq.com"
#: For so long one `client_msg_id` stands for one message to one follower.
RECOGNISED_SECONDS = 600.0
_TEMPLATE, _ANSWER = "/cgi-bin/message/template/send", "/cgi-bin/message/custom/send"
_KEY = re.compile(r"[0-9a-f]{32}")
_OPENID = re.compile(OPENID)
_REMEDY = "Check WECHAT_APP_ID, WECHAT_APP_SECRET and the account's list of addresses."


# ------------------------------------------------------------------------------------------------------------- build
def request_of(letter: Letter, templates: Sequence[Template]) -> dict[str, Any]:
    """The request for a letter to one follower. Raises `Misfit` for a text that is not registered."""
    (one,) = letter.addressees
    text = personal_text(letter, one)
    if letter.answering:
        return {"touser": one.address, "msgtype": "text", "text": {"content": text.strip()}}
    filled = fill(templates, text)
    request: dict[str, Any] = {
        "touser": one.address,
        "template_id": filled.template.template_id,
        "client_msg_id": one.key,
        "data": {name: {"value": value} for name, value in filled.values.items()},
    }
    return request | ({"url": filled.url} if filled.url else {})


def check_addressee(one: Addressee, letter: Letter, templates: Sequence[Template]) -> str | None:
    """Why the vendor would refuse this recipient; None when it would not. The reason names no value."""
    if not _OPENID.fullmatch(one.address):
        return "not an openid"
    text = personal_text(letter, one)
    if letter.answering:
        return "the answer is longer than 2048 bytes" if len(text.strip().encode()) > LONGEST_ANSWER else None
    if not _KEY.fullmatch(one.key):
        return "the message key is not one that the vendor could recognise"
    try:
        fill(templates, text)
    except Misfit as misfit:
        return misfit.what
    return None


# ------------------------------------------------------------------------------------------------------------ answers
def read_answer(status: int, body: bytes) -> DeliveryError | Refused | Posted:
    """What the answer to a message means for the sender."""
    where = f"WeChat, status {status}"
    given = _object(body)
    code = given.get("errcode")
    if status == 200 and code == 0:
        number = given.get("msgid")
        return Posted(status, receipt=f"wechat:{number}" if isinstance(number, int) else "")
    if isinstance(code, bool) or not isinstance(code, int):
        what = "the answer is not the vendor's: something between us and it replied, or the address is wrong"
        if status >= 500 or status == 200:
            return OutcomeUnknown(what, where=where, remedy="Check the proxy and WECHAT_URL.")
        return Refused(what, where=where, remedy="Check the proxy and WECHAT_URL.")
    return _refusal(code, where)


def _refusal(code: int, where: str) -> DeliveryError | Refused:
    meaning, words = meaning_of(code)
    reason = f"{code} {words}"
    match meaning:
        case Meaning.RECIPIENT:
            found: DeliveryError | Refused = Permanent(reason, where=where)
        case Meaning.CLOSED:
            found = AddressClosed(reason, closes=CLOSING[code], where=where)
        case Meaning.LETTER:
            remedy = "Compare channels.wechat.registered with the account's templates: 'alongside doctor' does it."
            found = LetterRefused(reason, where=where, remedy=remedy)
        case Meaning.TOKEN | Meaning.ACCOUNT:
            found = Refused(reason, where=where, remedy=_REMEDY)
        case Meaning.LOAD:
            found = Throttled(reason, retry_after=WAITS.get(code, 1.0), where=where)
        case Meaning.UNKNOWN:
            found = OutcomeUnknown(reason, where=where)
    return found


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


# ------------------------------------------------------------------------------------------------------------ channel
class WeChat(OneByOne):
    """One official account, with connections that are kept open. Belongs to one event loop.

    Parameters
    ----------
    templates : registered with the account
    timeout : seconds without an answer after which the outcome is unknown
    at_once : requests under way together
    """

    name = "wechat"

    def __init__(
        self,
        app_id: str,
        app_secret: str,
        url: str = API_URL,
        *,
        templates: Sequence[Template],
        timeout: float = 20.0,
        at_once: int = 8,
    ) -> None:
        if not app_id:
            raise Refused("there is no app id", where="WECHAT_APP_ID", remedy="Set it and WECHAT_APP_SECRET.")
        self.at_once = at_once
        self._app_id, self._app_secret, self._url = app_id, app_secret, url.rstrip("/")
        self._templates = tuple(templates)
        self._session = KeptSession(max(at_once, 1) * 4, timeout)
        self._bearer = Bearer(self._new_token)

    async def close(self) -> None:
        await self._session.close()

    def recognises(self, letter: Letter) -> float:
        """A template message by its `client_msg_id`; an answer has nothing of the kind."""
        return 0.0 if letter.answering else RECOGNISED_SECONDS

    def check(self, letter: Letter) -> dict[str, str]:
        found = {one.key: check_addressee(one, letter, self._templates) for one in letter.addressees}
        return {key: why for key, why in found.items() if why}

    def build(self, letter: Letter) -> bytes:
        try:
            return orjson.dumps(request_of(letter, self._templates))
        except Misfit as misfit:
            raise LetterRefused(misfit.what, where="WeChat") from None

    async def post(self, body: bytes) -> Posted:
        path = _ANSWER if "msgtype" in orjson.loads(body) else _TEMPLATE
        token = await self._bearer.get()
        found, refused = await self._post(path, token, body)
        if refused:  # nothing was looked at, so the same request may go again
            found, _ = await self._post(path, await self._bearer.get(instead_of=token), body)
        if isinstance(found, Posted):
            return found
        raise found

    async def _post(self, path: str, token: str, body: bytes) -> tuple[DeliveryError | Refused | Posted, bool]:
        """What the answer means, and whether it was the token that was refused."""
        try:
            status, answer = await self._call(path, token, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return broken(error, "WeChat", "WECHAT_URL"), False
        code = _object(answer).get("errcode")
        of_token = isinstance(code, int) and meaning_of(code)[0] is Meaning.TOKEN
        return read_answer(status, answer), of_token

    async def lookup(self, argument: str, value: str) -> list[MessageState]:
        """Nothing can be looked up.

        Raises
        ------
        Refused : always
        """
        what = "the vendor keeps no list of messages that could be asked"
        raise Refused(what, where="WeChat", remedy="Wait for its event, or let policy decide.")

    async def contents(self) -> dict[str, str]:
        """Template id -> content, of all that are registered with the account.

        Raises
        ------
        Retryable, Refused : the vendor did not tell
        """
        try:
            path = "/cgi-bin/template/get_all_private_template"
            status, body = await self._call(path, await self._bearer.get(), None)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Retryable("the vendor did not answer", where="WeChat") from error
        listed = _object(body).get("template_list")
        if status != 200 or not isinstance(listed, list):
            raise Retryable("the vendor did not tell", where="WeChat")
        return {str(one.get("template_id")): str(one.get("content")) for one in listed if isinstance(one, Mapping)}

    async def _new_token(self) -> Token:
        """`stable_token` gives every process the same token, and a new one shortly before that ends; the older
        interface would end the token of all others.
        """
        wanted = {"grant_type": "client_credential", "appid": self._app_id, "secret": self._app_secret}
        try:
            status, body = await self._call("/cgi-bin/stable_token", None, orjson.dumps(wanted))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Retryable(f"no access token ({type(error).__name__})", where="WeChat") from error
        given = _object(body)
        value, seconds, code = given.get("access_token"), given.get("expires_in"), given.get("errcode")
        if isinstance(value, str) and isinstance(seconds, int | float):
            return Token(value, float(seconds))
        if isinstance(code, int) and code > 0:
            meaning, words = meaning_of(code)
            if meaning is Meaning.LOAD:
                raise Throttled(f"{code} {words}", retry_after=WAITS.get(code, 1.0), where="WeChat")
            raise Refused(f"no access token: {code} {words}", where="WeChat", remedy=_REMEDY)
        raise Retryable(f"no access token (status {status})", where="WeChat")

    async def _call(self, path: str, token: str | None, body: bytes | None) -> tuple[int, bytes]:
        query = {} if token is None else {"access_token": token}
        method, headers = ("GET", {}) if body is None else ("POST", {"Content-Type": "application/json"})
        status, _, answer = await self._session.request(
            method, self._url + path, params=query, data=body, headers=headers
        )
        return status, answer
