"""One delivery worker (`python -m alongside.delivery.worker`): claim, recheck, render, call, record, until all is done.

Reads one `Job` as a line of JSON on standard input, writes `Word`s as lines on standard output, and takes the end of
standard input as the end of its supervisor: it settles what it has begun and leaves. It knows neither Prefect nor
DuckDB nor Arrow, so that many of them fit on one machine.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

from alongside import telemetry
from alongside.channels.transport import run_loop, spare_collector
from alongside.content import load as load_content
from alongside.delivery.job import Job, Word
from alongside.delivery.lanes import Bench, Worker
from alongside.delivery.letters import Press
from alongside.delivery.vendors import Books, open_vendor, public_url, require_usable
from alongside.ledger import Ledger
from alongside.ledger.vault import Vault
from alongside.model.errors import AlongsideError
from alongside.settings import Environment, HospitalSettings, Project, read_model


def open_bench(job: Job, environment: Environment) -> Bench:
    """Everything a worker needs, from its job and its environment."""
    project = Project(Path(job.root), Path(job.var))
    settings = read_model(HospitalSettings, project.config / "alongside.yaml")
    require_usable(job.mode, settings, environment, job.scope.channel)
    ledger = Ledger.open(environment.ledger_url)
    press = Press(
        settings,
        load_content(project),
        ledger.info.secret,
        public_url(settings, environment),
        job.mode,
    )
    vault = Vault.open(ledger, environment)
    channel = open_vendor(settings, environment, job.scope.channel, books=Books(ledger, environment))
    return Bench(ledger, vault, settings, press, channel)


async def work(job: Job, bench: Bench, say: Callable[[Word], None], leave: threading.Event) -> str:
    """Do the job; returns why it stopped early, or the empty string."""
    worker = Worker(job, bench, say, leave)
    try:
        await worker.run()
    finally:
        await bench.channel.close()
    return worker.stopped


def main() -> int:
    """Entry of the process; 0 also when the channel was given up, because that has been said."""
    job = Job.from_json(sys.stdin.buffer.readline())
    leave = threading.Event()
    threading.Thread(target=_watch_supervisor, args=(leave,), daemon=True).start()
    try:
        environment = Environment.read()
        telemetry.start("alongside-worker", wanted=environment.traces, traceparent=environment.traceparent)
        bench = open_bench(job, environment)
        spare_collector()
        # Answers that have arrived wait this long for a thread that is rendering; by default five times longer.
        sys.setswitchinterval(0.001)
        stopped = run_loop(work(job, bench, _say, leave))
    except AlongsideError as error:
        stopped = str(error)
    except Exception as error:
        # A message of an unforeseen error could quote a patient's value: only its kind and its place are told.
        place = traceback.extract_tb(error.__traceback__)[-1]
        sys.stderr.write(f"worker failed: {type(error).__name__} at {place.filename}:{place.lineno}\n")
        return 1
    _say(Word("stopped" if stopped else "done", reason=stopped, peak_rss_mb=_peak_rss_mb()))
    telemetry.stop()
    return 0


def _say(word: Word) -> None:
    """A word to the supervisor; once that has gone nobody listens, and the ledger has what matters."""
    try:
        sys.stdout.buffer.write(word.to_json() + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # What is still buffered would fail again when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _watch_supervisor(leave: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1 << 10):  # unbuffered: a thread in a buffer's lock would spoil the exit
        pass
    leave.set()


def _peak_rss_mb() -> float:
    """This program's own peak: `ru_maxrss` begins with that of the process which started it."""
    try:
        status = Path("/proc/self/status").read_text("ascii")
        return round(int(status.split("VmHWM:")[1].split()[0]) / 1024, 1)
    except (OSError, IndexError, ValueError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)


if __name__ == "__main__":
    sys.exit(main())
