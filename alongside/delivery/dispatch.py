"""The supervisor of a dispatch: worker processes, their reports, their deaths. Step 7 of a run."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from alongside import telemetry
from alongside.delivery.brakes import Brakes
from alongside.delivery.clocks import patient_now
from alongside.delivery.job import Job, Progress, Word, worker_environment
from alongside.delivery.vendors import require_usable
from alongside.ledger import Ledger, calls, claims
from alongside.ledger.claims import Scope
from alongside.ledger.messages import count_states
from alongside.model.clock import RunClock
from alongside.model.enums import Channel, DeliveryMode
from alongside.model.errors import Retryable
from alongside.outreach.run import require_real_consents
from alongside.settings import Environment, HospitalSettings, Project

#: How often one place among the workers is filled again after its process has died.
RESTARTS = 3
LONGEST_BACK_OFF = timedelta(seconds=900)


@dataclass(frozen=True)
class DispatchReport:
    """What a dispatch did, and what it left.

    Attributes
    ----------
    progress : counts of messages over all workers of this dispatch
    states : messages of the scope by state afterwards, and `taken`
    ready : messages that could have left and did not: the run is not complete
    postponed : messages that wait for their time (quiet hours)
    in_flight : messages in a call whose worker died and whose lease still runs; they become `unknown`
    crashed : workers that died and were replaced or given up
    reasons : why something was left, for a person; without patient values
    stopped : campaigns that paused themselves meanwhile, and why
    """

    progress: Progress
    states: dict[str, int]
    ready: int
    postponed: int
    in_flight: int
    seconds: float
    workers: int
    crashed: int = 0
    peak_rss_mb: float = 0.0
    reasons: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether everything that could leave has left."""
        return self.ready == 0

    @property
    def messages_per_second(self) -> float:
        return self.progress.accepted / self.seconds if self.seconds else 0.0

    def require_complete(self) -> None:
        """Raise when messages were left behind, so that the run fails and its Retry goes on from here.

        Raises
        ------
        Retryable : with the reasons
        """
        if not self.complete:
            raise Retryable(
                f"{self.ready} messages could not be sent: {'; '.join(self.reasons) or 'no worker could go on'}",
                where="dispatch",
                remedy="Nothing was lost or sent twice. Mend the cause, then retry the run.",
            )

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return found | {"complete": self.complete, "messages_per_second": round(self.messages_per_second, 1)}


Listener = Callable[[Progress], None]


def dispatch(
    ledger: Ledger,
    project: Project,
    settings: HospitalSettings,
    environment: Environment,
    *,
    clock: RunClock,
    channel: Channel = Channel.EMAIL,
    mode: DeliveryMode | None = None,
    run_id: str | None = None,
    campaigns: Sequence[str] | None = None,
    partition: int | None = None,
    partitions: int = 1,
    workers: int | None = None,
    on_progress: Listener | None = None,
) -> DispatchReport:
    """Send what is planned in this scope on one channel, with worker processes, until nothing more can leave now.

    Safe to call again at any time and after any crash: it carries on where the ledger stands. What a vendor refuses,
    what waits for its time and what is unknown does not make it fail; see `DispatchReport.require_complete`.

    Parameters
    ----------
    clock : of the run; in a replay quiet hours follow `as_of`
    mode : by default the configured one
    run_id, campaigns, partition : None means any
    partitions : how many dispatches share the channel's rate limit
    workers : processes, by default as configured; 0 works in this process, for a handful of messages
    on_progress : called in this thread with the sum so far, after each batch

    Raises
    ------
    Refused : the channel is not set up, its set-up contradicts the delivery mode, or the ledger holds invented consents
    StoreUnavailable : the ledger does not answer
    """
    mode = mode or settings.delivery.mode
    require_usable(mode, settings, environment, channel)
    require_real_consents(ledger, mode)
    scope = Scope(
        channel,
        run_id,
        None if campaigns is None else tuple(campaigns),
        max_attempts=settings.delivery.max_attempts,
        partition=partition,
        care_first=bool(settings.channels.of(channel).warm_up),
    )
    now = datetime.now(UTC)
    calls.expire_calls(ledger, now)
    claims.renew_attempts(ledger, scope, now)
    brakes = Brakes(ledger, settings.channels.of(channel).stop_campaign, scope, clock)
    brakes.look()
    count = settings.delivery.workers if workers is None else workers
    job = Job(
        root=str(project.root),
        var=str(project.var),
        worker="",
        mode=mode,
        scope=scope,
        clock=clock,
        share=1 / (max(count, 1) * partitions),
        patience=settings.delivery.lease_seconds + 10,
    )
    url = ledger.engine.url.render_as_string(hide_password=False)

    def watch(progress: Progress) -> None:
        brakes.look_again()
        if on_progress is not None:
            on_progress(progress)

    begun = time.monotonic()
    with telemetry.span("dispatch", channel=channel, run_id=run_id, partition=partition, workers=count) as traced:
        crew = _Crew(ledger, job, worker_environment(environment, url), count, watch)
        if count == 0:
            crew.work_here(environment)
        elif _anything_to_do(ledger, scope):
            crew.work()
        traced.set(**_numbers(crew.total))
    brakes.look()
    return replace(_report(ledger, scope, clock, crew, time.monotonic() - begun), stopped=tuple(brakes.stopped))


def _numbers(total: Progress) -> dict[str, int]:
    names = ("requests", "accepted", "rejected", "withheld", "postponed", "unknown")
    return {name: getattr(total, name) for name in names}


def _anything_to_do(ledger: Ledger, scope: Scope) -> bool:
    """Whether a worker could claim something, now or after a short wait; starting one costs about a second."""
    with ledger.reading() as connection:
        return claims.is_anything_open(connection, scope)


def _report(ledger: Ledger, scope: Scope, clock: RunClock, crew: _Crew, seconds: float) -> DispatchReport:
    with ledger.reading() as connection:
        due = patient_now(clock, datetime.now(UTC))
        # What waits for a back-off could have left; without one, whatever waits waits for the end of quiet hours.
        horizon = LONGEST_BACK_OFF if crew.total.retried else timedelta(0)
        ready, postponed = claims.waiting(connection, scope, due + horizon)
        states = count_states(connection, run_id=scope.run_id)
        in_flight = claims.in_call(connection, scope)
    return DispatchReport(
        crew.total,
        states,
        ready,
        postponed,
        in_flight,
        round(seconds, 3),
        crew.count,
        crew.crashed,
        crew.peak_rss_mb,
        tuple(dict.fromkeys(crew.reasons)),
    )


@dataclass
class _Place:
    """One place among the workers: the process that fills it, and how many have died in it."""

    process: subprocess.Popen[bytes] | None
    worker: str
    deaths: int = 0
    finished: bool = False


@dataclass
class _Crew:
    """Workers, and what they say. Threads only read pipes; everything else happens in `work`."""

    ledger: Ledger
    job: Job
    environment: dict[str, str]
    count: int
    listener: Listener
    total: Progress = field(default_factory=Progress)
    crashed: int = 0
    peak_rss_mb: float = 0.0
    reasons: list[str] = field(default_factory=list)

    def work(self) -> None:
        """Run until every place is finished. However this ends, no worker outlives it for long."""
        self._heard: queue.Queue[tuple[_Place, Word | None]] = queue.Queue()
        places: list[_Place] = []
        try:
            for _ in range(self.count):
                places.append(self._hire())
            while not all(place.finished for place in places):
                place, word = self._heard.get()
                if word is None:
                    self._bury(place)
                else:
                    self._listen(place, word)
        finally:
            for place in places:
                self._dismiss(place)

    def work_here(self, environment: Environment) -> None:
        """The same without processes of their own; in a thread, because the caller may have an event loop running."""
        from alongside.delivery.worker import open_bench, work

        job = replace(self.job, worker=self._name())
        place = _Place(None, job.worker)
        environment = replace(environment, ledger_url=self.environment["ALONGSIDE_LEDGER_URL"])

        def run() -> str:
            bench = open_bench(job, environment)
            try:
                return asyncio.run(work(job, bench, lambda word: self._listen(place, word), threading.Event()))
            finally:
                bench.ledger.engine.dispose()

        with ThreadPoolExecutor(1) as pool:
            stopped = pool.submit(contextvars.copy_context().run, run).result()
        if stopped:
            self.reasons.append(stopped)

    @staticmethod
    def _name() -> str:
        return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"

    def _hire(self) -> _Place:
        place = _Place(*self._start())
        self._attend(place)
        return place

    def _start(self) -> tuple[subprocess.Popen[bytes], str]:
        worker = self._name()
        process = subprocess.Popen(
            [sys.executable, "-m", "alongside.delivery.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self.environment,
        )
        job = replace(self.job, worker=worker)
        with contextlib.suppress(BrokenPipeError):  # it died at once: its empty output tells
            if process.stdin is not None:
                process.stdin.write(job.to_json() + b"\n")
                process.stdin.flush()
        return process, worker

    def _attend(self, place: _Place) -> None:
        process = place.process
        assert process is not None  # noqa: S101

        def hear() -> None:
            for line in process.stdout or ():
                # Half a word of a killed worker, or what a library printed there.
                with contextlib.suppress(ValueError, TypeError, LookupError):
                    self._heard.put((place, Word.from_json(line)))
            process.wait()
            self._heard.put((place, None))

        threading.Thread(target=hear, daemon=True).start()

    def _listen(self, place: _Place, word: Word) -> None:
        self.total += word.progress
        self.peak_rss_mb = max(self.peak_rss_mb, word.peak_rss_mb)
        if word.reason:
            self.reasons.append(word.reason)
        if word.kind == "progress":
            self.listener(self.total)
        else:
            place.finished = True

    def _bury(self, place: _Place) -> None:
        """A worker's process has ended. One that had not finished died: free what it held, and fill its place."""
        code = None if place.process is None else place.process.returncode
        self._close(place.process)
        if place.finished:
            return
        self.crashed += 1
        place.deaths += 1
        calls.abandon(self.ledger, place.worker, datetime.now(UTC))
        if place.deaths > RESTARTS:
            self.reasons.append(f"a worker died {place.deaths} times (exit {code})")
            place.finished = True
            return
        place.process, place.worker = self._start()
        self._attend(place)

    def _dismiss(self, place: _Place) -> None:
        """Closing its input tells a worker to settle what it has begun and leave."""
        process = place.process
        self._close(process)
        if process is None:
            return
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @staticmethod
    def _close(process: subprocess.Popen[bytes] | None) -> None:
        if process is not None and process.stdin is not None and not process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
