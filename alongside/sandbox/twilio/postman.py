"""Carries what happens to the world: status callbacks and patients' answers, each one signed HTTP request."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urldefrag, urlsplit

import aiohttp
import orjson
from yarl import URL

from alongside.sandbox.common.clock import StandInClock
from alongside.sandbox.common.http import iso
from alongside.sandbox.common.log import read_ndjson
from alongside.sandbox.common.loopback import is_loopback_url
from alongside.sandbox.common.phone_queue import Happening, MessageQueue
from alongside.sandbox.common.phone_store import Files
from alongside.sandbox.common.phones import opt_out_type
from alongside.sandbox.twilio.webhooks import (
    CLIENT_ERROR,
    CONNECT,
    READ,
    SERVER_ERROR,
    TOTAL_SECONDS,
    inbound_fields,
    retries_of,
    signed,
    status_fields,
)

BATCH = 500
AT_ONCE = 8
FIRST_PAUSE = 0.1


@dataclass
class Parcel:
    """One webhook that must be posted.

    Attributes
    ----------
    url : with its fragment
    done : what to note once it is through, or given up
    """

    url: str
    fields: dict[str, str]
    done: dict[str, Any]
    is_status: bool = True


@dataclass
class PostCounts:
    """Counters for `/_sandbox/stats`.

    Attributes
    ----------
    unheard : had no address on this machine
    lost : the receiver did not take them, and the vendor tries no more
    """

    callbacks_posted: int = 0
    callbacks_repeated: int = 0
    replies_posted: int = 0
    posts_refused: int = 0
    unheard: int = 0
    lost: int = 0


@dataclass
class Postman:
    """Empties the queue as time passes.

    Attributes
    ----------
    webhook_url : where patients' messages go
    duplicates : share of callbacks that are posted a second time
    opted_out : (our number or service, patient's number) that the vendor sends nothing to any more
    """

    files: Files
    queue: MessageQueue
    clock: StandInClock
    account_sid: str
    auth_token: str
    webhook_url: str | None = None
    duplicates: float = 0.0
    counts: PostCounts = field(default_factory=PostCounts)
    opted_out: set[tuple[str, str]] = field(default_factory=set)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _replies: list[dict[str, Any]] = field(default_factory=list)
    _posting: int = 0
    _working: bool = False

    def restore(self, *, patients: bool) -> None:
        """Rebuild everything from the files of an earlier life; without `patients` only what they said then."""
        posted = list(read_ndjson(self.files.posted.path))
        heard = {line["inbound"] for line in posted if "inbound" in line}
        replied = []
        for reply in read_ndjson(self.files.inbound.path):
            self._note_opt_out(reply)
            if reply["to_step"] is not None:
                replied.append(tuple(reply["to_step"]))
            if reply["sid"] not in heard:
                self._replies.append(reply)
        if patients:
            done = [tuple(line["done"]) for line in posted if "done" in line]
            self.queue.rebuild([*done, *replied])

    def wake(self) -> None:
        self._wake.set()

    @property
    def posting(self) -> int:
        """Webhooks that are under way or wait for their next try."""
        return self._posting + len(self._replies)

    def due(self) -> int:
        return self.queue.due(self.clock.now())

    def settled(self) -> bool:
        """Whether everything that is due by now has been posted or given up."""
        return not (self._working or self.posting or self.due())

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
        timeout = aiohttp.ClientTimeout(total=TOTAL_SECONDS, connect=5)
        async with aiohttp.ClientSession(timeout=timeout) as session:
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
        happenings = self.queue.pop_due(self.clock.now(), BATCH)
        answered = [item for item in happenings if item.step.text]
        await asyncio.gather(  # together, so that they share an fsync
            *(self.reply(item.record, item.step.text, item.moment, (item.offset, item.index)) for item in answered)
        )
        replies, self._replies = self._replies, []
        chains = [*self._chains(happenings), *([self._inbound_parcel(reply)] for reply in replies)]
        self._posting += sum(map(len, chains))
        slots = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(self._post_chain(session, chain, slots) for chain in chains))
        return bool(chains)

    def _chains(self, happenings: Sequence[Happening]) -> list[list[Parcel]]:
        """Callbacks of one message one after the other, messages side by side."""
        chains: dict[int, list[Parcel]] = {}
        for item in happenings:
            if item.step.status:
                parcel = Parcel(
                    item.record["callback"] or "",
                    status_fields(item.record, item.step.status, item.step.code),
                    {"done": (item.offset, item.index)},
                )
                chains.setdefault(item.offset, []).append(parcel)
        return list(chains.values())

    async def reply(
        self,
        record: Mapping[str, Any],
        text: str,
        moment: float,
        to_step: tuple[int, int] | None = None,
    ) -> str:
        """A patient answers: written down first, then told. Returns the message's id.

        Parameters
        ----------
        record : the message that is answered, with `from`, `to` and `service`
        to_step : of the queue; keeps the answer the same one after a restart
        """
        # Of a step always the same id: after a restart the answer is not another one.
        sid = secrets.token_hex(16)
        if to_step is not None:
            sid = hashlib.sha256(f"{record['sid']}|{to_step}".encode()).hexdigest()[:32]
        reply = {
            "at": iso(moment),
            "sid": f"SM{sid}",
            "account": self.account_sid,
            "from": record["to"],
            "to": record["from"],
            "service": record["service"],
            "body": text,
            "to_step": to_step,
        }
        await self.files.inbound.append([orjson.dumps(reply)])
        self._note_opt_out(reply)
        self._replies.append(reply)
        self.wake()
        return str(reply["sid"])

    def _note_opt_out(self, reply: dict[str, Any]) -> None:
        pair = (reply["service"] or reply["to"], reply["from"])
        match opt_out_type(reply["body"]):
            case "STOP":
                self.opted_out.add(pair)
            case "START":
                self.opted_out.discard(pair)

    def _inbound_parcel(self, reply: dict[str, Any]) -> Parcel:
        fields = inbound_fields(reply, opt_out_type(reply["body"]))
        return Parcel(self.webhook_url or "", fields, {"inbound": reply["sid"]}, is_status=False)

    async def _post_chain(
        self, session: aiohttp.ClientSession, chain: Sequence[Parcel], slots: asyncio.Semaphore
    ) -> None:
        async with slots:
            for parcel in chain:
                await self._deliver(session, parcel)
                self._posting -= 1

    async def _deliver(self, session: aiohttp.ClientSession, parcel: Parcel) -> None:
        if not parcel.url or not is_loopback_url(parcel.url):
            self.counts.unheard += 1
        elif not await self._insist(session, parcel):
            self.counts.lost += 1
        elif parcel.is_status:
            self.counts.callbacks_posted += 1
            if _share(parcel) < self.duplicates and await self._insist(session, parcel):
                self.counts.callbacks_repeated += 1
        else:
            self.counts.replies_posted += 1
        await self.files.posted.append([orjson.dumps(parcel.done)])

    async def _insist(self, session: aiohttp.ClientSession, parcel: Parcel) -> bool:
        """Post, and try again as the address asks for."""
        retries, begun = retries_of(parcel.url), time.monotonic()
        for attempt in range(1 + retries.count):
            failure = await self._try(session, parcel)
            if failure is None:
                return True
            self.counts.posts_refused += 1
            pause = FIRST_PAUSE * 2**attempt
            if not retries.apply(failure) or time.monotonic() + pause > begun + TOTAL_SECONDS:
                return False
            if attempt < retries.count:
                await asyncio.sleep(pause)
        return False

    async def _try(self, session: aiohttp.ClientSession, parcel: Parcel) -> str | None:
        """Post once; None when it was taken, else the kind of failure."""
        url = urldefrag(parcel.url).url
        body, headers = signed(self.auth_token, url, parcel.fields)
        try:
            exact = URL(url, encoded=True)  # as it was signed, to the letter
            async with session.post(exact, data=body, headers=headers, allow_redirects=False) as answer:
                await answer.read()
                if answer.status < 300:
                    return None
                return CLIENT_ERROR if answer.status < 500 else SERVER_ERROR
        except aiohttp.ClientConnectorError:
            return CONNECT
        except (aiohttp.ClientError, TimeoutError):
            return READ


def _share(parcel: Parcel) -> float:
    """Decided by the content alone; the vendor's id is another one in every run."""
    text = f"{parcel.fields['To']}|{parcel.fields['MessageStatus']}|{urlsplit(parcel.url).query}"
    return zlib.crc32(text.encode()) / 2**32
