"""Killed at every boundary and at random: by the vendor's own log nothing is accepted twice and nothing is lost."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from alongside.ledger import Ledger, schema
from alongside.ledger.failpoints import FAILPOINTS
from alongside.sandbox.sendgrid.faults import Fault, FaultKind
from alongside.sandbox.sendgrid.launch import Running, start
from alongside.sandbox.sendgrid.log import read_ndjson
from alongside.sandbox.sendgrid.options import Options
from tests.delivery.clinic import PERSONAL, SHARED, Clinic
from tests.delivery.crash_steps import step, take
from tests.fakes import key_of

pytestmark = pytest.mark.crash

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.delivery.crash_steps"])
#: Every test has its own patients: the vendor and its log are shared.
FIRST = count(1_000_000, 10_000)
ROUNDS = 7  # of two workers, for each template and store: 56 kills in all
STEP_OF = {"plan": "plan", "ingest": "ingest", "reconcile": "reconcile"}


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Path]]:
    folder = tmp_path_factory.mktemp("vendor")
    with start(Options(folder, patients=False)) as running:
        yield running, folder / "accepted.ndjson"


@pytest.fixture
def clinic(ledger_url: str, tmp_path: Path, vendor: tuple[Running, Path]) -> Iterator[Clinic]:
    vendor[0].control.behave([])
    opened = Clinic.open(ledger_url, tmp_path / "project", vendor[0].url, email={"timeout_seconds": 1})
    yield opened
    opened.ledger.engine.dispose()


def accepted_of(log: Path, numbers: range) -> list[dict[str, Any]]:
    ours = {key_of(number) for number in numbers}
    return [record for record in read_ndjson(log) if record["m"] in ours]


def an_hour_passes(ledger: Ledger) -> None:
    """Every lease has run out."""
    with ledger.begin() as connection:
        rows = connection.execute(sa.select(schema.batch.c.batch_id, schema.batch.c.lease_until)).all()
        for row in rows:
            if row.lease_until is not None:
                earlier = row.lease_until - timedelta(hours=1)
                update = schema.batch.update().where(schema.batch.c.batch_id == row.batch_id)
                connection.execute(update.values(lease_until=earlier))


def finish(clinic: Clinic, numbers: range, log: Path) -> None:
    """What the operator's Retry and the vendor's events do."""
    an_hour_passes(clinic.ledger)
    take(clinic, "plan", numbers)
    take(clinic, "work", numbers)
    take(clinic, "ingest", numbers, accepted_of(log, numbers)[::2])
    take(clinic, "reconcile", numbers)
    take(clinic, "work", numbers)


def assert_exactly_once(clinic: Clinic, numbers: range, log: Path) -> None:
    counted = Counter(str(record["m"]) for record in accepted_of(log, numbers))
    twice = {key: times for key, times in counted.items() if times > 1}
    lost = {key_of(number) for number in numbers} - set(counted)
    assert (twice, lost) == ({}, set())
    states = clinic.states
    assert sum(states.values()) == len(numbers)
    assert set(states) <= {"accepted", "delivered"}  # unknown is zero


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_killed_at_a_boundary(clinic: Clinic, vendor: tuple[Running, Path], failpoint: str) -> None:
    running, log = vendor
    numbers = range(first := next(FIRST), first + 12)
    clinic.admit(numbers)
    running.control.behave([Fault(FaultKind.DROP_AFTER, count=1)])  # so that there is something unknown to reconcile
    dies_in = STEP_OF.get(failpoint.partition(".")[0], "work")
    for name in ("plan", "work", "ingest", "reconcile"):
        records = accepted_of(log, numbers)[:6]
        if name == dies_in:
            url = clinic.environment.ledger_url
            dying = FORKS.Process(
                target=step, args=(name, url, str(clinic.project.root), running.url, numbers, failpoint, records)
            )
            dying.start()
            dying.join(60)
            assert dying.exitcode == -signal.SIGKILL
            break
        take(clinic, name, numbers, records)
    finish(clinic, numbers, log)
    assert_exactly_once(clinic, numbers, log)


@pytest.mark.parametrize("template", [SHARED, PERSONAL], ids=["batched", "one by one"])
def test_killed_at_random_instants(clinic: Clinic, vendor: tuple[Running, Path], template: str) -> None:
    running, log = vendor
    chance = random.Random(f"{template} {clinic.ledger.is_sqlite}")
    numbers = range(first := next(FIRST), first + 480)
    clinic.admit(numbers)
    take(clinic, "plan", numbers, template=template)
    slow = Fault(FaultKind.SLOW, seconds=0.04)  # so that there is always something on the wire
    running.control.behave([Fault(FaultKind.THROTTLE, rate=0.05, retry_after=0.02), slow], seed=7)
    killed = 0
    for _ in range(ROUNDS):
        pair = [_worker(clinic, running) for _ in range(2)]
        for process in pair:
            process.start()
        for process in pair:
            killed += _kill_at_random(process, log, numbers, chance)
        an_hour_passes(clinic.ledger)
    running.control.behave([])
    finish(clinic, numbers, log)
    assert_exactly_once(clinic, numbers, log)
    assert killed >= ROUNDS  # most of them died at work, not after it


def _worker(clinic: Clinic, running: Running) -> ForkServerProcess:
    url, root = clinic.environment.ledger_url, str(clinic.project.root)
    return FORKS.Process(target=step, args=("work", url, root, running.url, (), None))


def _kill_at_random(process: ForkServerProcess, log: Path, numbers: range, chance: random.Random) -> int:
    """Let it begin to send, then kill it; 1 when it was still at work."""
    before = log.stat().st_size if log.exists() else 0
    patience = time.monotonic() + 20
    while process.is_alive() and log.stat().st_size == before and time.monotonic() < patience:
        time.sleep(0.005)
    time.sleep(chance.uniform(0, 0.15))
    alive = process.is_alive()
    if alive and process.pid is not None:
        os.kill(process.pid, signal.SIGKILL)
    process.join(30)
    return int(alive and process.exitcode == -signal.SIGKILL)


def test_a_worker_that_keeps_dying_is_given_up_and_a_retry_goes_on(
    clinic: Clinic, vendor: tuple[Running, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = range(first := next(FIRST), first + 12)
    clinic.admit(numbers)
    take(clinic, "plan", numbers)
    monkeypatch.setenv("ALONGSIDE_FAILPOINT", "claim.after")
    report = clinic.dispatch(workers=1)
    assert (report.crashed, report.ready, clinic.states) == (4, 12, {"planned": 12})
    assert "died 4 times" in report.reasons[0]
    monkeypatch.delenv("ALONGSIDE_FAILPOINT")
    finish(clinic, numbers, vendor[1])
    assert_exactly_once(clinic, numbers, vendor[1])
