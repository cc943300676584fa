"""Tells the receiver what became of messages (SmsReport) and what patients text (SmsUp): JSON arrays, unsigned."""

from __future__ import annotations

import asyncio
import contextlib
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

from alongside.sandbox.common.clock import StandInClock
from alongside.sandbox.common.http import iso
from alongside.sandbox.common.log import read_ndjson
from alongside.sandbox.common.phone_queue import Happening, MessageQueue
from alongside.sandbox.common.phone_store import Files
from alongside.sandbox.common.phones import Step

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
class Postman:
    """Empties the queue as time passes.

    Attributes
    ----------
    webhook_url : beginning of both addresses
    duplicates : share of reports that are told a second time
    left : (signature, number) of patients who texted a wish to leave: nothing is delivered to them any more
    """

    files: Files
    queue: MessageQueue
    clock: StandInClock
    webhook_url: str | None = None
    duplicates: float = 0.0
    counts: Counts = field(default_factory=Counts)
    left: set[tuple[str, str]] = field(default_factory=set)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _texts: list[dict[str, Any]] = field(default_factory=list)
    _posting: int = 0
    _working: bool = False

    def restore(self, *, patients: bool) -> None:
        """Rebuild everything from the files of an earlier life."""
        posted = list(read_ndjson(self.files.posted.path))
        told = {line["inbound"] for line in posted if "inbound" in line}
        replied = []
        for text in read_ndjson(self.files.inbound.path):
            self._note_leaving(text)
            if text["to_step"] is not None:
                replied.append(tuple(text["to_step"]))
            if text["sequence_id"] not in told:
                self._texts.append(text)
        if patients:
            done = [tuple(line["done"]) for line in posted if "done" in line]
            self.queue.rebuild([*done, *replied])

    def wake(self) -> None:
        self._wake.set()

    @property
    def posting(self) -> int:
        return self._posting + len(self._texts)

    def settled(self) -> bool:
        """Whether everything that is due by now has been told or given up."""
        return not (self._working or self.posting or self.queue.due(self.clock.now()))

    async def settle(self, timeout: float) -> bool:
        """Wait until everything due is through; False when `timeout` seconds were not enough."""
        deadline = time.monotonic() + timeout
        self.wake()
        while not self.settled():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.01)
        return True

    async def run(self) -> None:
        """Work until cancelled."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15, connect=5)) as session:
            while True:
                self._wake.clear()
                self._working = True
                worked = await self._work(session)
                self._working = False
                if not worked:
                    await self._rest()

    async def _rest(self) -> None:
        upcoming = self.queue.next_due()
        pause = None if upcoming is None or self.clock.simulated else max(0.0, upcoming - self.clock.now())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), pause)

    async def _work(self, session: aiohttp.ClientSession) -> bool:
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
        texts, self._texts = self._texts, []
        self._posting += len(ended) + len(texts)
        for start in range(0, len(ended), PORTION):
            await self._report(session, ended[start : start + PORTION])
        for text in texts:
            entry = {name: value for name, value in text.items() if name != "to_step"}
            if await self._tell(session, "/text", [entry]):
                self.counts.texts_posted += 1
            await self._done([{"inbound": text["sequence_id"]}])
            self._posting -= 1
        return bool(happenings or texts)

    async def _report(self, session: aiohttp.ClientSession, portion: Sequence[Happening]) -> None:
        entries = [self._entry(item) for item in portion]
        if await self._tell(session, "/report", entries):
            self.counts.reports_posted += len(entries)
            again = [entry for entry in entries if _share(entry) < self.duplicates]
            if again and await self._tell(session, "/report", again):
                self.counts.reports_repeated += len(again)
        await self._done([{"done": (item.offset, item.index)} for item in portion])
        self._posting -= len(portion)

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
        self._note_leaving(text)
        self._texts.append(text)
        self.wake()
        return sequence

    def _note_leaving(self, text: Mapping[str, Any]) -> None:
        if text["content"].strip().upper() in _LEAVING:
            self.left.add((text["sign_name"], f"+86{text['phone_number']}"))

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
