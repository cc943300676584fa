"""Carries what happens to the world: status callbacks and patients' answers, each one signed HTTP request."""

from __future__ import annotations

import asyncio
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

from alongside.sandbox.common.http import iso
from alongside.sandbox.common.loopback import is_loopback_url
from alongside.sandbox.common.phone_queue import Happening
from alongside.sandbox.common.phones import opt_out_type
from alongside.sandbox.common.postman import PhonePostman
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
class Postman(PhonePostman):
    """Posts each happening as a signed request of its own.

    Attributes
    ----------
    webhook_url : where patients' messages go; callbacks of messages go where each message says
    opted_out : (our number or service, patient's number) that the vendor sends nothing to any more
    """

    account_sid: str = field(kw_only=True)
    auth_token: str = field(kw_only=True, repr=False)
    counts: PostCounts = field(default_factory=PostCounts)
    opted_out: set[tuple[str, str]] = field(default_factory=set)
    seconds = TOTAL_SECONDS

    async def work(self, session: aiohttp.ClientSession) -> bool:
        happenings = self.queue.pop_due(self.clock.now(), BATCH)
        answered = [item for item in happenings if item.step.text]
        await asyncio.gather(  # together, so that they share an fsync
            *(self.reply(item.record, item.step.text, item.moment, (item.offset, item.index)) for item in answered)
        )
        replies, self.saying = self.saying, []
        chains = [*self._chains(happenings), *([self._inbound_parcel(reply)] for reply in replies)]
        self.under_way += sum(map(len, chains))
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
        self.heed(reply)
        self.saying.append(reply)
        self.wake()
        return str(reply["sid"])

    def heed(self, said: Mapping[str, Any]) -> None:
        pair = (said["service"] or said["to"], said["from"])
        match opt_out_type(said["body"]):
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
                self.under_way -= 1

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
