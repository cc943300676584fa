"""Carries what simulated patients do to the world: signed webhook events, bookings, one-click unsubscribes."""

from __future__ import annotations

import asyncio
import contextlib
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp
import orjson

from alongside.sandbox.common.clock import StandInClock
from alongside.sandbox.common.log import Files, read_ndjson
from alongside.sandbox.sendgrid.behaviour import Act
from alongside.sandbox.sendgrid.events import Signer, event
from alongside.sandbox.sendgrid.queue import Happening, PatientQueue, one_click_url

BATCH = 1000
#: Patients wait while mail is being accepted, so that they do not slow the sender down, but never longer than this.
QUIET_SECONDS = 0.03
LONGEST_WAIT_SECONDS = 0.5
GIVE_UP_SECONDS = 24 * 3600
MAX_BACKOFF_SECONDS = 30.0
ONE_CLICK_BODY = b"List-Unsubscribe=One-Click"


@dataclass
class Parcel:
    """One HTTP call that must succeed: a batch of events, or one patient's unsubscribe."""

    url: str
    body: bytes
    done: list[tuple[int, int]]
    is_events: bool
    first_try: float
    attempts: int = 0
    not_before: float = 0.0


@dataclass
class PostCounts:
    """Counters for `/_sandbox/stats`."""

    events_posted: int = 0
    events_repeated: int = 0
    events_unheard: int = 0
    batches_posted: int = 0
    posts_refused: int = 0
    given_up: int = 0
    bookings: int = 0
    one_clicks: int = 0


@dataclass
class Postman:
    """Empties the queue as time passes, and retries what the receiver did not take.

    Attributes
    ----------
    webhook_url : where events go; without one they are counted as unheard, as for an account without a webhook
    duplicates : share of events that are posted a second time
    reorder : share of batches that are posted in reverse order
    """

    files: Files
    queue: PatientQueue
    clock: StandInClock
    signer: Signer
    webhook_url: str | None = None
    duplicates: float = 0.0
    reorder: float = 0.0
    counts: PostCounts = field(default_factory=PostCounts)
    _last_accepted: float = 0.0
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _parcels: list[Parcel] = field(default_factory=list)
    _repeat: list[bytes] = field(default_factory=list)
    _working: bool = False
    _booked: set[tuple[str, str]] = field(default_factory=set)

    def restore(self) -> None:
        """Rebuild the queue from the files of an earlier life."""
        posted = read_ndjson(self.files.posted.path)
        self.queue.rebuild((offset, index) for line in posted for offset, index in line["done"])
        for booking in read_ndjson(self.files.bookings.path):
            self._booked.add((str(booking["message"]), booking["to"]))

    def wake(self) -> None:
        self._wake.set()

    def accepted(self, moment: float, offsets: Sequence[int]) -> None:
        """Messages were accepted at `moment`; their lines stand at these offsets of the log."""
        self.queue.add(moment, offsets)
        self._last_accepted = time.monotonic()
        self.wake()

    @property
    def posting(self) -> int:
        """Calls that the receiver has not taken yet."""
        return len(self._parcels)

    def settled(self) -> bool:
        """Whether everything that is due by now has been delivered."""
        return not (self._working or self._parcels or self.queue.has_due(self.clock.now()))

    async def settle(self, timeout: float) -> bool:
        """Wait until everything due has been delivered; False when `timeout` seconds were not enough."""
        deadline = time.monotonic() + timeout
        self.wake()
        while not self.settled():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.01)
        return True

    async def run(self) -> None:
        """Work until cancelled."""
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                await self._wait_for_quiet()
                self._working = True
                worked = await self._work(session)
                self._working = False
                if not worked:
                    await self._rest()

    async def _work(self, session: aiohttp.ClientSession) -> bool:
        happenings = self.queue.pop_due(self.clock.now(), BATCH)
        if happenings:
            await self._book([item for item in happenings if item.act is Act.BOOK])
            await self._pack([item for item in happenings if item.act is not Act.BOOK])
        ready = [parcel for parcel in self._parcels if parcel.not_before <= time.monotonic()]
        for parcel in ready:
            await self._post(session, parcel)
        return bool(happenings or ready)

    async def _rest(self) -> None:
        """Sleep until something is due, a parcel may be tried again, or somebody wakes us."""
        self._wake.clear()
        pauses = [parcel.not_before - time.monotonic() for parcel in self._parcels]
        if (due := self.queue.next_due()) is not None and not self.clock.simulated:
            pauses.append(due - self.clock.now())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(0.0, min(pauses)) if pauses else None)

    async def _wait_for_quiet(self) -> None:
        latest = time.monotonic() + LONGEST_WAIT_SECONDS
        while time.monotonic() < min(self._last_accepted + QUIET_SECONDS, latest):
            await asyncio.sleep(QUIET_SECONDS / 3)

    async def _book(self, happenings: Sequence[Happening]) -> None:
        lines = []
        for item in happenings:
            rates = self.queue.responses.rates(item.record["rule"])
            key = (str(item.record["m"]), item.record["to"])
            if rates.book is None or key in self._booked:
                continue
            self._booked.add(key)
            moment = datetime.fromtimestamp(item.moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            lines.append({"to": key[1], "at": moment, "service": rates.book.service, "message": item.record["m"]})
        if lines:
            await self.files.bookings.append([orjson.dumps(line) for line in lines])
            self.counts.bookings += len(lines)
        await self._mark_done([(item.offset, item.index) for item in happenings])

    async def _pack(self, happenings: Sequence[Happening]) -> None:
        """Turn happenings into parcels; one-click unsubscribes go to the real endpoint, each by itself."""
        now = time.monotonic()
        events: list[Happening] = []
        for item in happenings:
            if item.act is Act.UNSUBSCRIBE and (url := one_click_url(item.record)):
                self._parcels.append(Parcel(url, ONE_CLICK_BODY, [(item.offset, item.index)], False, now))
            else:
                events.append(item)
        if not events:
            return
        done = [(item.offset, item.index) for item in events]
        if self.webhook_url is None:
            self.counts.events_unheard += len(events)
            await self._mark_done(done)
            return
        lines = [orjson.dumps(event(item.record, item.act, item.index, item.moment)) for item in events]
        body = b"[" + b",".join(self._disturb(lines)) + b"]"
        self._parcels.append(Parcel(self.webhook_url, body, done, True, now))

    def _disturb(self, lines: list[bytes]) -> list[bytes]:
        """Duplicates and reordering, as every receiver of webhooks must expect; decided by the content alone."""
        sent = lines + self._repeat
        self.counts.events_repeated += len(self._repeat)
        self._repeat = [line for line in lines if _share(line) < self.duplicates]
        if _share(b"reorder" + lines[0]) < self.reorder:
            sent.reverse()
        return sent

    async def _post(self, session: aiohttp.ClientSession, parcel: Parcel) -> None:
        taken = await self._try(session, parcel)
        if taken or time.monotonic() - parcel.first_try > GIVE_UP_SECONDS:
            self._parcels.remove(parcel)
            await self._mark_done(parcel.done)
            self._count(parcel, taken)
            return
        self.counts.posts_refused += 1
        parcel.attempts += 1
        parcel.not_before = time.monotonic() + min(0.1 * 2**parcel.attempts, MAX_BACKOFF_SECONDS)

    async def _try(self, session: aiohttp.ClientSession, parcel: Parcel) -> bool:
        if parcel.is_events:
            # Signed anew at each try, or a retry would look like a replay.
            headers = {"Content-Type": "application/json", **self.signer.headers(parcel.body, int(time.time()))}
        else:
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            async with session.post(parcel.url, data=parcel.body, headers=headers, allow_redirects=False) as answer:
                await answer.read()
                return 200 <= answer.status < 300
        except (aiohttp.ClientError, TimeoutError):
            return False

    def _count(self, parcel: Parcel, taken: bool) -> None:
        if not taken:
            self.counts.given_up += 1
        elif parcel.is_events:
            self.counts.batches_posted += 1
            self.counts.events_posted += len(parcel.done)
        else:
            self.counts.one_clicks += 1

    async def _mark_done(self, done: Sequence[tuple[int, int]]) -> None:
        if done:
            await self.files.posted.append([orjson.dumps({"done": done})])


def _share(line: bytes) -> float:
    return zlib.crc32(line) / 2**32
