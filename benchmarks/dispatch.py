"""Dispatch against a bare aiohttp loop, django-anymail and django-post-office, all into the same stand-in of SendGrid.

Ours does everything that a run does: it claims in a ledger on SQLite (`synchronous=FULL`), asks consent, suppressions
and quiet hours again, opens the vault, renders, lints, signs unsubscribe links, sends, and records every answer. The
others send, and nothing else; django-post-office also keeps its queue in a database.
"""

from __future__ import annotations

import functools
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from alongside.content.message import CompiledMessage
from alongside.delivery.job import Progress
from alongside.model.enums import Channel, Locale
from alongside.model.ids import keyed_hash
from alongside.sandbox.sendgrid.launch import start
from alongside.sandbox.sendgrid.options import DEFAULT_API_KEY, Options
from benchmarks.processes import ROOT
from tests.delivery.clinic import PERSONAL, SHARED, Clinic

WORKERS = 2
PORTION = 50_000


@dataclass(frozen=True)
class Speed:
    """Messages a second: `running` leaves out the start of processes, `whole` counts everything.

    `seconds` says what our workers' time went into; `worker_mb` is the largest worker's resident memory; `cpu` are
    microseconds of a core that the senders spent on a message, with what their start costs.
    """

    running: float
    whole: float
    seconds: dict[str, float] = field(default_factory=dict)
    worker_mb: float = 0.0
    cpu: float = 0.0


def measure(root: str, size: int, batched: bool, rounds: int, peer_size: int) -> dict[str, Any]:
    """Best speed of each sender by name, all of `size` messages; django-post-office of `peer_size`.

    `*_sink` send to a server that answers 202 and does nothing: what is left when the stand-in costs nothing.
    """
    home = Path(root)
    home.mkdir(parents=True)
    with start(Options(home / "stand-in", patients=False, rate_limit=10**9)) as vendor, sink() as sink_url:
        clinic = _clinic(home, vendor.url, size)
        letter = home / "letter.json"
        letter.write_text(json.dumps(_letter(clinic, batched)), "utf-8")
        runs = _contenders(clinic, letter, (vendor.url, sink_url), size, batched)
        best: dict[str, Speed] = {}
        for number in range(rounds):
            for name in list(runs) if number % 2 == 0 else reversed(list(runs)):
                speed = _with_cpu(functools.partial(runs[name], number), size)
                if name not in best or speed.running > best[name].running:
                    best[name] = speed
        if not batched and has_peers():
            best["post_office"] = post_office(letter, vendor.url, peer_size, home / "queue.db")
    return {name: asdict(speed) for name, speed in best.items()}


def _with_cpu(run: Callable[[], Speed], size: int) -> Speed:
    """The speed of a run with the CPU time of its processes, which other work on the machine disturbs least."""
    before = _spent()
    return replace(run(), cpu=(_spent() - before) / size * 1e6)


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _contenders(
    clinic: Clinic, letter: Path, urls: tuple[str, str], size: int, batched: bool
) -> dict[str, Callable[[int], Speed]]:
    each = 1000 if batched else 1
    vendor, empty = urls
    found: dict[str, Callable[[int], Speed]] = {
        "bare": lambda _: children("benchmarks.bare", letter, vendor, size, each),
        "ours": lambda number: ours(clinic, f"vendor-{number}", size, batched),
        "bare_sink": lambda _: children("benchmarks.bare", letter, empty, size, each),
        "ours_sink": lambda number: ours(clinic.towards(empty), f"sink-{number}", size, batched),
    }
    if batched and has_peers():
        found["anymail"] = lambda _: children("benchmarks.peers.anymail_merge", letter, vendor, size, each)
        found["anymail_sink"] = lambda _: children("benchmarks.peers.anymail_merge", letter, empty, size, each)
    return found


def has_peers() -> bool:
    """Whether the dependency group `peers` is installed."""
    asked = subprocess.run([sys.executable, "-c", "import django, anymail"], capture_output=True, check=False)
    return asked.returncode == 0


# -------------------------------------------------------------------------------------------------------------- ours
def _clinic(home: Path, url: str, size: int) -> Clinic:
    changes: dict[str, Any] = {"delivery": {"lease_seconds": 120}, "email": {"rate_per_second": 1_000_000}}
    (home / "project").mkdir()
    clinic = Clinic.open(f"sqlite:///{home / 'ledger.db'}", home / "project", url, **changes)
    for low in range(0, size, PORTION):
        clinic.admit(range(low, min(low + PORTION, size)))
    return clinic


def ours(clinic: Clinic, run_id: str, size: int, batched: bool) -> Speed:
    """Plan so many messages (not timed), dispatch them (timed)."""
    for low in range(0, size, PORTION):
        numbers = range(low, min(low + PORTION, size))
        keys = {"message_key": [keyed_hash(b"benchmark", run_id, str(number)) for number in numbers]}
        email = clinic.settings.channels.email
        template, batch = (SHARED, email.batch_size) if batched else (PERSONAL, email.chunk_size)
        clinic.plan(numbers, template=template, batch_size=batch, run_id=run_id, **keys)
    laps: list[tuple[float, int]] = []

    def listen(total: Progress) -> None:
        laps.append((time.perf_counter(), total.accepted))

    begun = time.perf_counter()
    report = clinic.dispatch(run_id=run_id, workers=WORKERS, on_progress=listen)
    whole = size / (time.perf_counter() - begun)
    assert report.progress.accepted == size, f"{report.states} {report.reasons}"
    return Speed(_running(laps) or whole, whole, dict(report.progress.seconds), report.peak_rss_mb)


def _running(laps: list[tuple[float, int]]) -> float:
    """Messages a second between the first settled batch and the last one; 0 when there was only one."""
    first, last = laps[0], laps[-1]
    return (last[1] - first[1]) / (last[0] - first[0]) if last[0] > first[0] else 0.0


# ------------------------------------------------------------------------------------------------------------ others
def _letter(clinic: Clinic, batched: bool) -> dict[str, Any]:
    """The text that ours sends: with `-s01-` tokens for all recipients, or rendered for one of them."""
    compiled: CompiledMessage = clinic.content.compiled(SHARED if batched else PERSONAL, Channel.EMAIL, Locale.EN)
    values = clinic.content.preview_values(compiled.name, Locale.EN)
    group = compiled.batch([values])[0]
    tokens = group.rows[0][1]
    return {"subject": group.skeleton.subject, "html": group.skeleton.html, "text": group.skeleton.text, "row": tokens}


def children(module: str, letter: Path, url: str, size: int, each: int) -> Speed:
    """Two processes that share the messages; each says when its first and last request began and ended."""
    share = size // WORKERS
    begun = time.perf_counter()
    crew = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                module,
                str(letter),
                url,
                DEFAULT_API_KEY,
                str(number * share),
                str(share),
                str(each),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        for number in range(WORKERS)
    ]
    told = [json.loads(process.communicate()[0]) for process in crew]
    whole = share * WORKERS / (time.perf_counter() - begun)
    seconds = max(one["ended"] for one in told) - min(one["began"] for one in told)
    return Speed(share * WORKERS / seconds, whole)


def post_office(letter: Path, url: str, size: int, database: Path) -> Speed:
    """Queueing is not timed: planning is not either."""
    command = [sys.executable, "-m", "benchmarks.peers.post_office_queue", str(letter), url, DEFAULT_API_KEY]
    done = subprocess.run([*command, str(size), str(WORKERS), str(database)], cwd=ROOT, capture_output=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    speed = size / (told["ended"] - told["began"])
    return Speed(speed, speed)


@contextmanager
def sink() -> Iterator[str]:
    """A server of its own process that answers 202 to everything."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.sink"], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().decode().strip()
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
