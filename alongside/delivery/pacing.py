"""Pace, window and breaker: how fast a channel is used, how much of it at once, and when it is left alone."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from alongside.channels.base import Answer
from alongside.model.errors import OutcomeUnknown, Refused, Retryable, Throttled

Sleep = Callable[[float], Awaitable[None]]


@dataclass
class Pace:
    """A token bucket: `rate` messages a second on average, one request at once whatever its size.

    A request takes its tokens on credit and the next one waits until they are paid: a thousand messages in one request
    need no bucket of a thousand.
    """

    rate: float
    now: Callable[[], float] = time.monotonic
    sleep: Sleep = asyncio.sleep
    _free_at: float = 0.0

    async def take(self, messages: int) -> None:
        """Wait for the turn of these messages."""
        now = self.now()
        turn = max(self._free_at, now)
        self._free_at = turn + messages / self.rate
        if turn > now:
            await self.sleep(turn - now)


@dataclass
class Window:
    """How many requests may be under way together: as many as the vendor bears, `most` at most.

    It begins open, is halved when the vendor throttles, fails or does not answer, and grows by one with each windowful
    of answers (additive increase, multiplicative decrease: Chiu and Jain, 1989; RFC 5681). Requests that were under way
    together when it was halved tell of the same trouble: only the first of them halves it.
    """

    most: int
    size: float = field(init=False)
    _busy: int = field(default=0, init=False)
    _halved: int = field(default=0, init=False)
    _waking: bool = field(default=False, init=False)
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque, init=False)

    def __post_init__(self) -> None:
        self.size = float(self.most)

    async def enter(self) -> int:
        """Wait for a place; returns a mark for `leave`."""
        while self._busy >= int(self.size):
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                self._wake()  # its place is somebody else's
                raise
        self._busy += 1
        return self._halved

    def leave(self, mark: int, answer: Answer | None) -> None:
        """Give the place back, with what the vendor said; None where it was not asked."""
        self._busy -= 1
        if answer is not None and mark == self._halved:
            trouble = answer.trouble
            if trouble is None:
                self.size = min(float(self.most), self.size + 1.0 / self.size)
            elif isinstance(trouble, Throttled | Retryable | OutcomeUnknown) and not answer.burn:
                self.size = max(1.0, self.size / 2)
                self._halved += 1
        # Not at once: who leaves mostly enters again with its next letter, and whoever was woken would find no place.
        if self._waiting and not self._waking:
            self._waking = True
            asyncio.get_running_loop().call_soon(self._wake)

    def _wake(self) -> None:
        self._waking = False
        free = int(self.size) - self._busy
        while free > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1


@dataclass
class Breaker:
    """Leaves a failing channel alone: for a while after each failure, for good after `limit` failures in a row.

    What it knows comes from answers only; any success closes it again. A vendor that says how long to wait is obeyed
    and not counted as failing, unless it says so `throttle_limit` times in a row: what it says of requests that were
    under way together counts once. One that accepts and says that this was the last of an allowance is left alone until
    it is renewed.
    """

    limit: int = 6
    throttle_limit: int = 60
    base: float = 0.1
    longest: float = 30.0
    now: Callable[[], float] = time.monotonic
    sleep: Sleep = asyncio.sleep
    failures: int = 0
    throttles: int = 0
    open_because: str = ""
    _quiet_until: float = field(default=0.0)

    def learn(self, answer: Answer) -> None:
        """Take an answer into account."""
        trouble = answer.trouble
        if trouble is None or answer.burn:  # a letter that was refused says that the vendor is well
            self.failures = self.throttles = 0
            if answer.rest:
                self._rest(answer.rest)
            return
        if isinstance(trouble, Throttled):
            self.throttles += self.resting == 0
            self._rest(answer.retry_after or 1.0)
            if self.throttles >= self.throttle_limit:
                self.open_because = f"throttled {self.throttles} times in a row: {trouble}"
            return
        self.failures += 1
        foreign = isinstance(trouble, OutcomeUnknown) and trouble.remedy is not None
        if isinstance(trouble, Refused) or foreign or self.failures >= self.limit:
            self.open_because = str(trouble)
        self._rest(min(self.base * 2 ** (self.failures - 1), self.longest))

    @property
    def is_open(self) -> bool:
        return bool(self.open_because)

    @property
    def resting(self) -> float:
        """Seconds until the channel may be tried again."""
        return max(0.0, self._quiet_until - self.now())

    async def wait(self) -> None:
        """Until the channel may be tried again."""
        while (left := self.resting) > 0 and not self.is_open:
            await self.sleep(min(left, 1.0))

    def _rest(self, seconds: float) -> None:
        self._quiet_until = max(self._quiet_until, self.now() + seconds)
