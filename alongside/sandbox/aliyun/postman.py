"""Tells the receiver what became of messages (SmsReport) and what patients text (SmsUp): JSON arrays, unsigned."""

from __future__ import annotations

import asyncio
import hashlib
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import orjson

from alongside.sandbox.common.http import iso
from alongside.sandbox.common.phone_queue import Happening
from alongside.sandbox.common.phones import Step
from alongside.sandbox.common.postman import PhonePostman

ZONE = ZoneInfo("Asia/Shanghai")
#: Entries of one call at most.
PORTION = 100
TRIES = 4
_PAUSE = 0.1
_LEAVING = frozenset({"R", "TD", "T", "退订", "STOP", "UNSUBSCRIBE"})
#: What the phones' fates are called here.
_CODES = {
    30003: "MOBILE_NOT_ON_SERVICE",
    30005: "INVALID_NUMBER",
    30006: "INVALID_NUMBER",
    30007: "CONTENT_KEYWORD",
    30008: "UNDELIV",
}


def report_code(step: Step) -> str:
    """The provider's word for the end of a message."""
    return "DELIVERED" if step.status == "delivered" else _CODES.get(step.code or 0, "UNKNOWN")


@dataclass
class Counts:
    """Counters for `/_sandbox/stats`; `unheard` had no address, `lost` were not taken after every try."""

    reports_posted: int = 0
    reports_repeated: int = 0
    texts_posted: int = 0
    posts_refused: int = 0
    unheard: int = 0
    lost: int = 0


@dataclass
class Postman(PhonePostman):
    """Tells reports and texts, as two kinds of calls.

    Attributes
    ----------
    webhook_url : beginning of both addresses
    left : (signature, number) of patients who texted a wish to leave: nothing is delivered to them any more
    """

    counts: Counts = field(default_factory=Counts)
    left: set[tuple[str, str]] = field(default_factory=set)
    inbound_id = "sequence_id"

    async def work(self, session: aiohttp.ClientSession) -> bool:
        happenings = self.queue.pop_due(self.clock.now(), 500)
        unread = []  # what never reached a phone is not answered
        for item in happenings:
            if item.step.text and self._refuses(item.record):
                unread.append(item)
            elif item.step.text:
                await self.text(item.record["to"], item.record["from"], item.step.text, (item.offset, item.index))
        ended = [item for item in happenings if item.step.status in ("delivered", "undelivered", "failed")]
        others = [item for item in happenings if item.step.status and item not in ended] + unread
        await self._done([{"done": (item.offset, item.index)} for item in others])
        texts, self.saying = self.saying, []
        self.under_way += len(ended) + len(texts)
        for start in range(0, len(ended), PORTION):
            await self._report(session, ended[start : start + PORTION])
        for text in texts:
            entry = {name: value for name, value in text.items() if name != "to_step"}
            if await self._tell(session, "/text", [entry]):
                self.counts.texts_posted += 1
            await self._done([{"inbound": text["sequence_id"]}])
            self.under_way -= 1
        return bool(happenings or texts)

    async def _report(self, session: aiohttp.ClientSession, portion: Sequence[Happening]) -> None:
        entries = [self._entry(item) for item in portion]
        if await self._tell(session, "/report", entries):
            self.counts.reports_posted += len(entries)
            again = [entry for entry in entries if _share(entry) < self.duplicates]
            if again and await self._tell(session, "/report", again):
                self.counts.reports_repeated += len(again)
        await self._done([{"done": (item.offset, item.index)} for item in portion])
        self.under_way -= len(portion)

    def _entry(self, item: Happening) -> dict[str, Any]:
        """One entry of a SmsReport. Whoever left gets nothing any more, whatever their phone would do."""
        record = item.record
        code = "USER_REJECT" if self._refuses(record) else report_code(item.step)
        return {
            "phone_number": record["to"].removeprefix("+86"),
            "send_time": _moment(datetime.fromisoformat(record["at"]).timestamp()),
            "report_time": _moment(item.moment),
            "success": code == "DELIVERED",
            "err_code": code,
            "err_msg": code,
            "sms_size": "1",
            "biz_id": record["sid"],
            "out_id": record["m"] or "",
        }

    def _refuses(self, record: Mapping[str, Any]) -> bool:
        return (record["from"], record["to"]) in self.left

    async def text(self, number: str, signature: str, words: str, to_step: tuple[int, int] | None = None) -> str:
        """A patient texts something: written down first, then told. Returns its sequence number."""
        # Of a step always the same number: after a restart the text is not another one.
        seed = f"{number}|{to_step or time.time_ns()}"
        sequence = str(int(hashlib.sha256(seed.encode()).hexdigest()[:14], 16))
        text = {
            "phone_number": number.removeprefix("+86"),
            "send_time": _moment(self.clock.now()),
            "content": words,
            "sign_name": signature,
            "dest_code": "1069000000",
            "sequence_id": sequence,
            "at": iso(self.clock.now()),
            "to_step": to_step,
        }
        await self.files.inbound.append([orjson.dumps(text)])
        self.heed(text)
        self.saying.append(text)
        self.wake()
        return sequence

    def heed(self, said: Mapping[str, Any]) -> None:
        if said["content"].strip().upper() in _LEAVING:
            self.left.add((said["sign_name"], f"+86{said['phone_number']}"))

    async def _tell(self, session: aiohttp.ClientSession, path: str, entries: Sequence[Mapping[str, Any]]) -> bool:
        """Post, and again after a pause until the receiver says `code` 0."""
        if not self.webhook_url:
            self.counts.unheard += len(entries)
            return False
        for number in range(TRIES):
            if await self._post(session, f"{self.webhook_url}{path}", entries):
                return True
            self.counts.posts_refused += 1
            await asyncio.sleep(_PAUSE * 2**number)
        self.counts.lost += len(entries)
        return False

    @staticmethod
    async def _post(session: aiohttp.ClientSession, url: str, entries: Sequence[Mapping[str, Any]]) -> bool:
        try:
            async with session.post(url, json=list(entries), allow_redirects=False) as answer:
                told = await answer.json(content_type=None)
                return answer.status == 200 and isinstance(told, dict) and told.get("code") == 0
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False

    async def _done(self, lines: Sequence[Mapping[str, Any]]) -> None:
        if lines:
            await self.files.posted.append([orjson.dumps(line) for line in lines])


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC).astimezone(ZONE):%Y-%m-%d %H:%M:%S}"


def _share(entry: Mapping[str, Any]) -> float:
    """Decided by the content alone; the receipt's id is another one in every run."""
    return zlib.crc32(f"{entry['phone_number']}|{entry['err_code']}|{entry['out_id']}".encode()) / 2**32
