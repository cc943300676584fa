"""WeChat's callbacks: what became of messages, who follows or stopped to, what patients write; all at one address.

The vendor signs a time and a number, not the body. A signature is therefore taken while it is fresh, and with one body:
the same body again is the vendor trying again and changes nothing, another one is refused.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from alongside.channels.wechat_events import Finished, Following, Malformed, Words, read
from alongside.channels.wechat_signature import MAX_AGE_SECONDS, verify
from alongside.delivery.replies import Inbound, follow, unfollow
from alongside.delivery.vendors import WECHAT_PATH
from alongside.ledger import receipts
from alongside.model.enums import Channel
from alongside.model.errors import StoreUnavailable
from alongside.web.callbacks import Callbacks, Endpoint
from alongside.web.webhook import read_limited

#: A text has 2,048 bytes at most, an event some hundred.
MAX_BODY_BYTES = 64 * 1024
_SIGNATURES = 100_000
#: The answer that names a message's id may reach the ledger after the event that is told under it.
_YOUNG = timedelta(minutes=2)
_LOOK_AGAIN = 0.2
#: What the vendor wants to hear; anything else and it comes again, three times in all.
_HEARD = PlainTextResponse("success")


@dataclass
class _Seen:
    """What came with one signature, and whether it has been taken in."""

    at: float
    body: bytes
    taken: bool = False


@dataclass
class WeChatCallbacks(Callbacks):
    """The endpoint.

    Attributes
    ----------
    token : shared with the vendor
    patience : seconds for which an event waits for its message to be written down; the vendor gives up after five
    """

    token: str = field(repr=False)
    patience: float = 3.0
    _seen: OrderedDict[tuple[str, str], _Seen] = field(default_factory=OrderedDict)
    _awaited: OrderedDict[str, None] = field(default_factory=OrderedDict)

    @property
    def routes(self) -> Sequence[tuple[str, Endpoint]]:
        return ((WECHAT_PATH, self.told),)

    @property
    def shows(self) -> Sequence[tuple[str, Endpoint]]:
        return ((WECHAT_PATH, self.greeting),)

    async def greeting(self, request: Request) -> Response:
        """GET: the vendor asks whether this is the address that the account's owner has entered."""
        if not self._signed(request):
            return self._refuse("forged", 403, "forbidden")
        echo = request.query_params.get("echostr", "")
        if not echo or len(echo) > 200 or not echo.isprintable():
            return self._refuse("malformed", 400, "no echostr")
        self.counts["greeted"] += 1
        return PlainTextResponse(echo)

    async def told(self, request: Request) -> Response:
        """POST: one document."""
        body = await read_limited(request, MAX_BODY_BYTES) if self._signed(request) else b""
        if body is None:
            return self._refuse("oversized", 413, "too large")
        seen = self._seen_with(request, hashlib.sha256(body).digest()) if body else None
        if seen is None:
            return self._refuse("forged", 403, "forbidden")
        if seen.taken:
            self.counts["repeated"] += 1
            return _HEARD
        try:
            answer = await self._take(read(body))
        except Malformed:
            return self._refuse("malformed", 400, "expected one XML document")
        except StoreUnavailable:
            return self._refuse("unavailable", 503, "try again later")
        seen.taken = answer is _HEARD
        return answer

    async def _take(self, found: Finished | Following | Words | None) -> Response:
        match found:
            case Finished():
                return await self._finished(found)
            case Following():
                change = follow if found.follows else unfollow
                to = self.intake
                await run_in_threadpool(change, to.ledger, to.vault, Channel.WECHAT, found.openid, found.occurred_at)
                self.counts["followed" if found.follows else "unfollowed"] += 1
            case Words():
                await self._take_words(Inbound(found.inbound_id, Channel.WECHAT, found.openid, found.text))
            case None:
                self.counts["ignored"] += 1
        return _HEARD

    async def _finished(self, found: Finished) -> Response:
        """An event of another system's message is nobody's; one that is young may be ours in a moment.

        It is waited for, and once more when the vendor comes again.
        """
        key = await self._await(found)
        if key is not None:
            await self._take_statuses([found.of(key)])
        elif self._is_young(found) and found.receipt not in self._awaited:
            self._awaited[found.receipt] = None
            while len(self._awaited) > _SIGNATURES:
                self._awaited.popitem(last=False)
            return self._refuse("early", 503, "try again later")
        else:
            self.counts["foreign"] += 1
        return _HEARD

    async def _await(self, found: Finished) -> str | None:
        """The message's key, at the latest when patience ends."""
        left = self.patience if self._is_young(found) else 0.0
        while (key := await run_in_threadpool(self._key_of, found.receipt)) is None and left > 0:
            await asyncio.sleep(_LOOK_AGAIN)
            left -= _LOOK_AGAIN
        return key

    def _is_young(self, found: Finished) -> bool:
        return self.intake.patient_clock() - found.occurred_at < _YOUNG

    def _key_of(self, receipt: str) -> str | None:
        with self.intake.ledger.reading() as connection:
            return receipts.key_of(connection, receipt)

    # ------------------------------------------------------------------------------------------------------ believing
    def _signed(self, request: Request) -> bool:
        given = request.query_params
        parts = (given.get("timestamp", ""), given.get("nonce", ""), given.get("signature", ""))
        return verify(self.token, *parts, now=self.intake.clock())

    def _seen_with(self, request: Request, body: bytes) -> _Seen | None:
        """What is known of this signature; None when it came with another body."""
        now = self.intake.clock().timestamp()
        known = (request.query_params["timestamp"], request.query_params["nonce"])
        seen = self._seen.setdefault(known, _Seen(now, body))
        while len(self._seen) > 1:  # what is too old is not believed anyway
            oldest = next(iter(self._seen.values()))
            if len(self._seen) <= _SIGNATURES and oldest.at >= now - 2 * MAX_AGE_SECONDS:
                break
            self._seen.popitem(last=False)
        return seen if seen.body == body else None
