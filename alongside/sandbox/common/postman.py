"""What the postmen of phones share: nothing that was accepted or said is forgotten, and each of it is told in its time.

A vendor's own file says how: which requests, signed how, and how often they are tried.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import aiohttp

from alongside.sandbox.common.clock import StandInClock
from alongside.sandbox.common.log import read_ndjson
from alongside.sandbox.common.phone_queue import MessageQueue
from alongside.sandbox.common.phone_store import Files


@dataclass
class PhonePostman(ABC):
    """Empties the queue as time passes.

    `posted.ndjson` remembers what is through: `{"done": [offset, step]}` of a message, `{"inbound": id}` of what a
    patient said.

    Attributes
    ----------
    webhook_url : of the receiver, on loopback
    duplicates : share of what is told that is told a second time
    saying : of `inbound.ndjson`, not told yet
    inbound_id : name of the field that tells one saying from another
    seconds : that one request to the receiver may take
    """

    files: Files
    queue: MessageQueue
    clock: StandInClock
    webhook_url: str | None = None
    duplicates: float = 0.0
    saying: list[dict[str, Any]] = field(default_factory=list)
    under_way: int = 0
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _working: bool = False
    inbound_id: ClassVar[str] = "sid"
    seconds: ClassVar[float] = 15.0

    @abstractmethod
    def heed(self, said: Mapping[str, Any]) -> None:
        """What the vendor itself makes of a patient's words, for example that they want nothing more."""

    @abstractmethod
    async def work(self, session: aiohttp.ClientSession) -> bool:
        """Tell what is due; whether there was anything."""

    def restore(self, *, patients: bool) -> None:
        """Rebuild everything from the files of an earlier life; without `patients` only what they said then."""
        posted = list(read_ndjson(self.files.posted.path))
        told = {line["inbound"] for line in posted if "inbound" in line}
        replied = []
        for said in read_ndjson(self.files.inbound.path):
            self.heed(said)
            if said["to_step"] is not None:
                replied.append(tuple(said["to_step"]))
            if said[self.inbound_id] not in told:
                self.saying.append(said)
        if patients:
            done = [tuple(line["done"]) for line in posted if "done" in line]
            self.queue.rebuild([*done, *replied])

    def wake(self) -> None:
        self._wake.set()

    @property
    def posting(self) -> int:
        """Calls that are under way or wait for their next try."""
        return self.under_way + len(self.saying)

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
        timeout = aiohttp.ClientTimeout(total=self.seconds, connect=5)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                self._wake.clear()
                self._working = True
                worked = await self.work(session)
                self._working = False
                if not worked:
                    await self._rest()

    async def _rest(self) -> None:
        upcoming = self.queue.next_due()
        pause = None if upcoming is None or self.clock.simulated else max(0.0, upcoming - self.clock.now())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), pause)
