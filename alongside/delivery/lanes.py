"""The lanes of a worker: claim a batch, recheck, render, call, record; a few batches are under way together."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from sqlalchemy.engine import Connection

from alongside import telemetry
from alongside.channels.base import Answer, Channel, Letter
from alongside.channels.capabilities import provider_of
from alongside.delivery.clocks import patient_now
from alongside.delivery.job import Job, Progress, Word
from alongside.delivery.laps import Stopwatch, about, counts_of
from alongside.delivery.letters import Press
from alongside.delivery.pacing import Breaker, Pace, Window
from alongside.delivery.recheck import Checked, recheck, still_stands
from alongside.delivery.seeding import recheck_copies
from alongside.delivery.warming import Warming
from alongside.ledger import Ledger, calls, claims, seeds
from alongside.ledger.claims import Claim
from alongside.ledger.failpoints import failpoint
from alongside.ledger.settlement import Settlement
from alongside.ledger.vault import Vault
from alongside.ledger.warm_up import WARM_UP, Take
from alongside.model.enums import DeliveryMode
from alongside.model.errors import AlongsideError, Refused, StoreLocked, StoreUnavailable
from alongside.settings import HospitalSettings

#: Batches of one worker that are under way together: one is prepared while another waits for the vendor.
LANES = 3
_SETTLE_TRIES = 6
_HASTE = 0.02  # seconds for which the loop itself waits for SQLite's write lock
_LONGEST_NAP = 0.25  # seconds

Result = TypeVar("Result")


@dataclass(frozen=True)
class Bench:
    """What a worker works with."""

    ledger: Ledger
    vault: Vault
    settings: HospitalSettings
    press: Press
    channel: Channel


@dataclass
class Worker:
    """One run of one job. `say` is called with every word; `leave` is set when the supervisor has gone."""

    job: Job
    bench: Bench
    say: Callable[[Word], None]
    leave: threading.Event = field(default_factory=threading.Event)
    breaker: Breaker = field(default_factory=Breaker)
    stopped: str = ""

    def __post_init__(self) -> None:
        self._limits = self.bench.settings.channels.of(self.job.scope.channel)
        self._pace = Pace(self._limits.rate_per_second * self.job.share)
        self._window = Window(self._limits.connections)
        self._provider = provider_of(self.bench.settings, self.job.scope.channel).provider
        self._lease = self.bench.settings.delivery.lease_seconds
        self._warming = Warming.of(self.bench.settings, self.job.scope.channel)
        self._let_go = asyncio.Event()
        self._hasty = self.bench.ledger.impatient(_HASTE)

    async def run(self) -> None:
        """Work until nothing can be claimed, the channel is given up, or the supervisor has gone.

        When one lane fails, the others settle what they have begun before the error is raised.
        """
        ended = await asyncio.gather(*(self._lane() for _ in range(LANES)), return_exceptions=True)
        for error in ended:
            if isinstance(error, BaseException):
                raise error

    async def _lane(self) -> None:
        try:
            await self._work()
        except BaseException as error:
            self.stopped = self.stopped or type(error).__name__
            raise

    async def _work(self) -> None:
        held: Claim | None = None
        while held is not None or not self._done:
            if held is None:
                await self.breaker.wait()
                if self._done:
                    return
                held = await self._claim()
            if held is not None:
                with telemetry.span("batch", **about(held)):
                    held = await self._handle(held)
                self._let_go.set()
            elif not await self._wait_for_more():
                return

    @property
    def _done(self) -> bool:
        if self.breaker.is_open and not self.stopped:
            self.stopped = self.breaker.open_because
        return bool(self.stopped) or self.leave.is_set()

    # --------------------------------------------------------------------------------------------------------- claim
    async def _claim(self) -> Claim | None:
        begun = telemetry.began()
        held = await self._write(lambda ledger: claims.claim(ledger, self.job.scope, **self._terms()))
        if held is not None and begun:
            telemetry.record("claim", begun, **about(held))
        return held

    def _claim_next(self, connection: Connection) -> Claim | None:
        """The next batch, with the settlement of the one before; None where this worker is to stop or to wait."""
        if self._done or self.breaker.resting > 0:
            return None
        begun = telemetry.began()
        held = claims.claim_within(connection, self.job.scope, **self._terms())
        if held is not None and begun:
            telemetry.record("claim", begun, **about(held))
        return held

    def _terms(self) -> dict[str, Any]:
        """Of a claim that is made now."""
        now = datetime.now(UTC)
        return {
            "attempt_id": uuid.uuid4().hex,
            "worker": self.job.worker,
            "now": now,
            "due": patient_now(self.job.clock, now),
            "lease_seconds": self._lease,
        }

    async def _write(self, change: Callable[[Ledger], Result]) -> Result:
        """One transaction; on SQLite without a thread while the lock is to be had.

        A thread that holds the lock would ask for the interpreter at every statement, while the loop renders the next
        batch, and nobody else could write meanwhile. Waiting for a lock that is held for long belongs into a thread:
        answers go on being read.
        """
        if self.bench.ledger.is_sqlite:
            with contextlib.suppress(StoreLocked):
                changed = change(self._hasty)
                await asyncio.sleep(0)
                return changed
        return await asyncio.to_thread(change, self.bench.ledger)

    async def _wait_for_more(self) -> bool:
        """Wait for a back-off or an abandoned claim that ends soon; False when there is none."""
        now = datetime.now(UTC)
        with self.bench.ledger.reading() as connection:
            due, lease = claims.next_moment(connection, self.job.scope)
        waits = []
        if due is not None:
            waits.append((due - patient_now(self.job.clock, now)).total_seconds())
        if lease is not None:
            waits.append((lease - now).total_seconds())
        soon = [wait for wait in waits if wait <= self.job.patience]
        if not soon:
            return False
        # Mostly it is the other lane's batch, which says when it is done; that of another process has to be asked for.
        self._let_go.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._let_go.wait(), min(max(min(soon), 0.05), _LONGEST_NAP))
        return True

    # --------------------------------------------------------------------------------------------------------- batch
    async def _handle(self, held: Claim) -> Claim | None:
        """Everything that becomes of a batch; returns the next one, where it was claimed on the way."""
        clock = Stopwatch()
        if (until := self._held_back_until(held)) is not None:
            await self._hold_back(held, until)
            return None
        try:
            # Not in a thread: it would take turns with the loop for the interpreter, a thousand times a batch.
            checked, letters = self._prepare(held, clock)
        except Refused as error:  # this batch cannot leave as things are; others may
            await self._give_back(held, str(error))
            return None
        except AlongsideError as error:
            self.stopped = str(error)
            await self._give_back(held, str(error), burn=False)
            return None
        failpoint("recheck.after")
        if not letters:
            await self._close_uncalled(held, checked)
            return None
        size = sum(len(letter.addressees) for letter in letters)
        seconds = self._lease + size / self._pace.rate
        with clock("call"):
            may_call = await self._write(lambda ledger: self._begin_call(ledger, held, checked, seconds))
        if not may_call:
            await self._give_back(
                held,
                "the lease ran out, a pause began, a patient left or an allowance was used up before the call",
                burn=False,
            )
            return None
        with clock("send"), telemetry.span("call vendor", provider=self._provider, **about(held)) as traced:
            answer = await self._send(letters, time.monotonic() + seconds)
            traced.set(**counts_of(answer))
        failpoint("send.after")
        with clock("settle"):
            following = await self._settle(held, answer, checked.take)
        self.say(Word("progress", _progress(checked, answer, clock)))
        return following

    def _held_back_until(self, held: Claim) -> datetime | None:
        if self._warming is None:
            return None
        with self.bench.ledger.reading() as connection:
            return self._warming.closed_until(connection, held, self._patient_now())

    async def _hold_back(self, held: Claim, until: datetime) -> None:
        """Nothing of the batch fits into a new sender's day: it waits for the next one as a whole."""
        now = datetime.now(UTC)
        await self._write(
            lambda ledger: calls.release(
                ledger, held, now=now, not_before=until, detail="held back by a warm-up", waits_for=WARM_UP
            )
        )
        self.say(Word("progress", Progress(postponed=held.size)))

    def _prepare(self, held: Claim, clock: Stopwatch) -> tuple[Checked, list[Letter]]:
        is_copy = seeds.is_copy(held.campaign)
        look = recheck_copies if is_copy else partial(recheck, topics=self.bench.press.topics_of(held))
        with clock("recheck"), self.bench.ledger.reading() as connection:
            checked = look(
                connection,
                held,
                vault=self.bench.vault,
                settings=self.bench.settings,
                mode=self.job.mode,
                patient_now=self._patient_now(),
            )
            if self._warming is not None:
                checked = self._warming.fit(connection, held, checked, self._patient_now())
        with clock("render"):
            return checked, self.bench.press.compose(held, checked)

    def _begin_call(self, ledger: Ledger, held: Claim, checked: Checked, seconds: float) -> bool:
        return calls.begin_call(
            ledger,
            held,
            now=datetime.now(UTC),
            lease_seconds=seconds + self._limits.timeout_seconds,
            withheld=checked.withheld,
            postponed=checked.postponed,
            readdressed=checked.readdressed,
            stands=lambda connection: still_stands(connection, held, checked, self._patient_now()),
            take=checked.leaving_take,
            held_back=checked.held_back,
        )

    async def _close_uncalled(self, held: Claim, checked: Checked) -> None:
        now, withheld, postponed = datetime.now(UTC), checked.withheld, checked.postponed
        await self._write(
            lambda ledger: calls.settle_uncalled(
                ledger, held, now=now, withheld=withheld, postponed=postponed, held_back=checked.held_back
            )
        )
        self.say(Word("progress", _progress(checked, Answer(), Stopwatch())))

    async def _give_back(self, held: Claim, detail: str, *, burn: bool = True) -> None:
        now = datetime.now(UTC)
        await self._write(lambda ledger: calls.release(ledger, held, now=now, burn=burn, detail=detail))
        self.say(Word("progress", Progress(retried=held.size), reason=detail if burn else ""))

    # ---------------------------------------------------------------------------------------------------------- send
    async def _send(self, letters: Sequence[Letter], deadline: float) -> Answer:
        answers: list[Answer] = []
        parts = [part for letter in letters for part in self.bench.channel.split(letter)]
        waiting = iter(parts)

        async def sender() -> None:
            for letter in waiting:
                answers.append(await self._send_one(letter, deadline))
                failpoint("send.first_answer")

        lanes = min(len(parts), self._limits.connections)
        await asyncio.gather(*(sender() for _ in range(lanes)))
        return combine(answers)

    async def _send_one(self, letter: Letter, deadline: float) -> Answer:
        answer, mark = None, await self._window.enter()
        try:
            if self.breaker.is_open or self.breaker.resting > 0:
                return _untouched(letter, self.breaker.resting)
            if time.monotonic() >= deadline:  # the window was narrow for long: no trouble of the vendor's
                return _untouched(letter, 0.0)
            answer = await self.bench.channel.send(letter, deadline=deadline, gate=self._pace.take)
            self.breaker.learn(answer)
            return answer
        finally:
            self._window.leave(mark, answer)

    async def _settle(self, held: Claim, answer: Answer, taken: Take | None) -> Claim | None:
        """Record the answer; a ledger that is busy for a moment must not turn what is known into `unknown`.

        Returns the next batch, which is claimed in the same transaction.
        """
        wait = answer.retry_after if answer.retry_after is not None else min(0.5 * 2**held.attempts, 30.0)
        patient = self._patient_now()
        settlement = Settlement(
            accepted=answer.accepted,
            unknown=answer.unknown,
            rejected=answer.rejected,
            retry=answer.retry,
            not_before=patient + timedelta(seconds=wait),
            burn=answer.burn,
            http_status=answer.http_status,
            detail=str(answer.trouble or ""),
            taken=taken,
            # Staging writes to addresses of our own: what a vendor says of one is not about the patient.
            closes={} if self.job.mode is DeliveryMode.STAGING else answer.closes,
            receipts=answer.receipts,
        )

        def record(ledger: Ledger) -> Claim | None:
            now = datetime.now(UTC)
            return calls.settle(ledger, held, settlement, now=now, patient_now=patient, then=self._claim_next)

        for number in range(_SETTLE_TRIES - 1):
            try:
                return await self._write(record)
            except StoreUnavailable:
                await asyncio.sleep(0.1 * 2**number)
        return await self._write(record)

    def _patient_now(self) -> datetime:
        return patient_now(self.job.clock, datetime.now(UTC))


def _untouched(letter: Letter, seconds: float) -> Answer:
    """Nothing of the letter has left; it may be tried again in so many seconds."""
    return Answer(retry=tuple(one.key for one in letter.addressees), retry_after=seconds)


def combine(answers: Iterable[Answer]) -> Answer:
    """All answers of a batch in one; a thousand of them in one pass."""
    found = list(answers)
    waits = [one.retry_after for one in found if one.retry_after is not None]
    return Answer(
        accepted=tuple(key for one in found for key in one.accepted),
        rejected={key: reason for one in found for key, reason in one.rejected.items()},
        unknown=tuple(key for one in found for key in one.unknown),
        retry=tuple(key for one in found for key in one.retry),
        retry_after=max(waits, default=None),
        trouble=next((one.trouble for one in found if one.trouble is not None), None),
        burn=any(one.burn for one in found),
        requests=sum(one.requests for one in found),
        http_status=next((one.http_status for one in reversed(found) if one.http_status is not None), None),
        closes={key: reason for one in found for key, reason in one.closes.items()},
        receipts={key: receipt for one in found for key, receipt in one.receipts.items()},
    )


def _progress(checked: Checked, answer: Answer, clock: Stopwatch) -> Progress:
    gates: dict[str, int] = {}
    for gate in checked.withheld.values():
        gates[gate] = gates.get(gate, 0) + 1
    return Progress(
        batches=1,
        requests=answer.requests,
        accepted=len(answer.accepted),
        rejected=len(answer.rejected),
        withheld=len(checked.withheld),
        postponed=len(checked.postponed),
        retried=len(answer.retry),
        unknown=len(answer.unknown),
        gates=gates,
        seconds=dict(clock.seconds),
    )
