"""Tells the receiver what became of messages and what followers do: one signed XML document each."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

import aiohttp
import orjson

from alongside.sandbox.common.http import iso
from alongside.sandbox.common.phone_queue import Happening
from alongside.sandbox.common.postman import PhonePostman
from alongside.sandbox.wechat.followers import UNFOLLOW

#: The vendor tries three times in all, five seconds each.
TRIES = 3
_PAUSE = 0.1
#: Our account's name within the documents.
ACCOUNT = "gh_standin"


@dataclass
class Counts:
    """Counters for `/_sandbox/stats`; `unheard` had no address, `lost` were not taken after every try."""

    events_posted: int = 0
    events_repeated: int = 0
    words_posted: int = 0
    posts_refused: int = 0
    unheard: int = 0
    lost: int = 0


@dataclass
class Postman(PhonePostman):
    """One document a request.

    Attributes
    ----------
    gone : openids that stopped following
    heard : openid -> when they last wrote, and how many answers have used that up
    """

    token: str = field(kw_only=True, repr=False)
    counts: Counts = field(default_factory=Counts)
    gone: set[str] = field(default_factory=set)
    heard: dict[str, tuple[float, int]] = field(default_factory=dict)
    inbound_id = "id"
    seconds = 5.0

    def heed(self, said: Mapping[str, Any]) -> None:
        match said["kind"]:
            case "unsubscribe":
                self.gone.add(said["openid"])
            case "subscribe":
                self.gone.discard(said["openid"])
            case "text":
                self.heard[said["openid"]] = (datetime.fromisoformat(said["at"]).timestamp(), 0)

    async def say(self, kind: str, openid: str, words: str = "", to_step: tuple[int, int] | None = None) -> str:
        """A follower writes (`text`), leaves or comes (back): written down first, then told. Returns its id."""
        # Of a step always the same number: after a restart the words are not another message.
        seed = f"{openid}|{to_step or time.time_ns()}"
        said = {
            "id": str(int(hashlib.sha256(seed.encode()).hexdigest()[:15], 16)),
            "at": iso(self.clock.now()),
            "kind": kind,
            "openid": openid,
            "words": words,
            "to_step": to_step,
        }
        await self.files.inbound.append([orjson.dumps(said)])
        self.heed(said)
        self.saying.append(said)
        self.wake()
        return str(said["id"])

    async def work(self, session: aiohttp.ClientSession) -> bool:
        happenings = self.queue.pop_due(self.clock.now(), 500)
        for item in happenings:
            step = (item.offset, item.index)
            if item.step.text:
                await self.say("text", item.record["to"], item.step.text, step)
            elif item.step.status == UNFOLLOW:
                await self.say("unsubscribe", item.record["to"], "", step)
        finished = [item for item in happenings if item.step.status and item.step.status != UNFOLLOW]
        saying, self.saying = self.saying, []
        self.under_way += len(finished) + len(saying)
        for item in finished:
            await self._finished(session, item)
            self.under_way -= 1
        for said in saying:
            if await self._tell(session, said["openid"], self._words(said)):
                self.counts.words_posted += 1
            await self._done({"inbound": said["id"]})
            self.under_way -= 1
        return bool(happenings or saying)

    async def _finished(self, session: aiohttp.ClientSession, item: Happening) -> None:
        record = item.record
        event: dict[str, str | int] = {
            "Event": "TEMPLATESENDJOBFINISH",
            "MsgID": int(record["sid"]),
            "Status": item.step.status,
        }
        body = document(record["to"], item.moment, {"MsgType": "event", **event})
        if await self._tell(session, record["to"], body):
            self.counts.events_posted += 1
            if _share(record) < self.duplicates and await self._tell(session, record["to"], body):
                self.counts.events_repeated += 1
        await self._done({"done": (item.offset, item.index)})

    @staticmethod
    def _words(said: Mapping[str, Any]) -> bytes:
        moment = datetime.fromisoformat(said["at"]).timestamp()
        if said["kind"] == "text":
            fields = {"MsgType": "text", "Content": said["words"], "MsgId": int(said["id"])}
        else:
            fields = {"MsgType": "event", "Event": said["kind"], "EventKey": ""}
        return document(said["openid"], moment, fields)

    async def _tell(self, session: aiohttp.ClientSession, openid: str, body: bytes) -> bool:
        """Post, and again until the receiver says `success` or nothing at all."""
        if not self.webhook_url:
            self.counts.unheard += 1
            return False
        for number in range(TRIES):
            if await self._post(session, self.webhook_url, openid, body):
                return True
            self.counts.posts_refused += 1
            await asyncio.sleep(_PAUSE * 2**number)
        self.counts.lost += 1
        return False

    async def _post(self, session: aiohttp.ClientSession, url: str, openid: str, body: bytes) -> bool:
        query = {**signature_of(self.token), "openid": openid}
        headers = {"Content-Type": "text/xml"}
        try:
            async with session.post(url, params=query, data=body, headers=headers, allow_redirects=False) as answer:
                return answer.status == 200 and await answer.text() in ("success", "")
        except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError):
            return False

    async def _done(self, line: Mapping[str, Any]) -> None:
        await self.files.posted.append([orjson.dumps(line)])


def signature_of(token: str) -> dict[str, str]:
    """The three parameters that every call of the vendor's carries; of the wall's time, which is what is checked."""
    timestamp, nonce = str(int(time.time())), secrets.token_hex(8)
    parts = "".join(sorted([token, timestamp, nonce]))
    signed = hashlib.sha1(parts.encode(), usedforsecurity=False).hexdigest()
    return {"signature": signed, "timestamp": timestamp, "nonce": nonce}


def document(openid: str, moment: float, fields: Mapping[str, str | int]) -> bytes:
    """As the vendor writes it: text in CDATA, numbers bare."""
    whole: dict[str, str | int] = {"ToUserName": ACCOUNT, "FromUserName": openid, "CreateTime": int(moment), **fields}
    lines = [f"<{name}>{value if isinstance(value, int) else _cdata(value)}</{name}>" for name, value in whole.items()]
    return "\n".join(["<xml>", *lines, "</xml>"]).encode()


def _cdata(text: str) -> str:
    """Escaped where the text itself would end the section."""
    return escape(text) if "]]>" in text else f"<![CDATA[{text}]]>"


def _share(record: Mapping[str, Any]) -> float:
    """Decided by the content alone; the vendor's id is another one in every run."""
    return zlib.crc32(f"{record['to']}|{record['m']}".encode()) / 2**32
