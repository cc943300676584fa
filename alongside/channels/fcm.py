"""Notifications of the hospital's app through Firebase Cloud Messaging, HTTP v1.

There is no idempotency and no list of what was sent, and nobody tells what became of a notification. But what a device
shows can be replaced: our message key is the tag of the notification, so that one that was sent again after a doubt
stands on the screen once.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import aiohttp
import orjson

from alongside.channels.base import Addressee, Letter, LetterRefused, Posted
from alongside.channels.bearer import Bearer, Token
from alongside.channels.fcm_answers import is_of_token, read_answer
from alongside.channels.fcm_message import fault_of, message_of
from alongside.channels.google_account import GRANT, ServiceAccount
from alongside.channels.one_by_one import OneByOne
from alongside.channels.texts import personal_text
from alongside.channels.transport import KeptSession, broken
from alongside.model.addresses import DEVICE_TOKEN
from alongside.model.enums import MessageState
from alongside.model.errors import DeliveryError, Refused, Retryable

API_URL = "https://fcm.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_KEY = re.compile(r"[0-9a-f]{32}")
_DEVICE = re.compile(DEVICE_TOKEN)


# ------------------------------------------------------------------------------------------------------------- build
def check_addressee(one: Addressee, letter: Letter, validity: int) -> str | None:
    """Why the vendor would refuse this recipient; None when it would not. The reason names no value."""
    if not _DEVICE.fullmatch(one.address):
        return "not a device's token"
    if not _KEY.fullmatch(one.key):
        return "the message key is not one that a device could be told"
    return fault_of(personal_text(letter, one), validity)


# ------------------------------------------------------------------------------------------------------------ channel
class Fcm(OneByOne):
    """One Firebase project, with connections that are kept open. Belongs to one event loop.

    Parameters
    ----------
    timeout : seconds without an answer after which the outcome is unknown
    at_once : requests under way together
    validity : seconds for which a notification may wait for a device that is off
    """

    name = "push"

    def __init__(
        self,
        account: ServiceAccount,
        url: str = API_URL,
        *,
        timeout: float = 20.0,
        at_once: int = 8,
        validity: int = 4 * 3600,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.at_once = at_once
        self._account, self._validity, self._clock = account, validity, clock
        self._url = f"{url.rstrip('/')}/v1/projects/{account.project}/messages:send"
        self._session = KeptSession(max(at_once, 1) * 4, timeout)
        self._bearer = Bearer(self._new_token)

    async def close(self) -> None:
        await self._session.close()

    def check(self, letter: Letter) -> dict[str, str]:
        found = {one.key: check_addressee(one, letter, self._validity) for one in letter.addressees}
        return {key: why for key, why in found.items() if why}

    def build(self, letter: Letter) -> bytes:
        (one,) = letter.addressees
        text = personal_text(letter, one)
        if fault := fault_of(text, self._validity):
            raise LetterRefused(fault, where="FCM")
        return orjson.dumps({"message": {"token": one.address, **message_of(text, one.key, self._validity)}})

    async def post(self, body: bytes) -> Posted:
        token = await self._bearer.get()
        found, refused = await self._post(token, body)
        if refused:  # nothing was looked at, so the same request may go again
            found, _ = await self._post(await self._bearer.get(instead_of=token), body)
        if isinstance(found, Posted):
            return found
        raise found

    async def _post(self, token: str, body: bytes) -> tuple[DeliveryError | Refused | Posted, bool]:
        """What the answer means, and whether it was the token that was refused."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            status, told, answer = await self._session.request("POST", self._url, data=body, headers=headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return broken(error, "FCM", "FCM_URL"), False
        return read_answer(status, told, answer, self._clock()), is_of_token(status, answer)

    async def _new_token(self) -> Token:
        given = {"grant_type": GRANT, "assertion": self._account.assertion(SCOPE, self._clock())}
        try:
            status, _, body = await self._session.request("POST", self._account.token_url, data=given)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Retryable(f"no access token ({type(error).__name__})", where="FCM") from error
        return _token(status, body)

    async def lookup(self, argument: str, value: str) -> list[MessageState]:
        """Nothing can be looked up.

        Raises
        ------
        Refused : always
        """
        what = "the vendor keeps no list of messages that could be asked"
        raise Refused(what, where="FCM", remedy="Let policy decide.")


def _token(status: int, body: bytes) -> Token:
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        given = None
    if status == 200 and isinstance(given, dict) and isinstance(given.get("access_token"), str):
        seconds = given.get("expires_in")
        return Token(given["access_token"], float(seconds) if isinstance(seconds, int | float) else 0.0)
    if 400 <= status < 500 and status != 429 and isinstance(given, dict):
        remedy = "Is the key still in force, and this machine's clock right? Make a new key of the service account."
        raise Refused(f"no access token: {str(given.get('error'))[:40]}", where="FCM", remedy=remedy)
    raise Retryable(f"no access token (status {status})", where="FCM")
