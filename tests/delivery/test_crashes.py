"""Killed at every boundary and at random: by the vendor's own log nothing is accepted twice and nothing is lost."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from itertools import count
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from jsonschema import Draft202012Validator

from alongside.ledger import Ledger, schema
from alongside.ledger.failpoints import FAILPOINTS
from alongside.sandbox.common.faults import Fault, FaultKind
from alongside.sandbox.common.log import read_ndjson
from alongside.sandbox.sendgrid.launch import Running, start
from alongside.sandbox.sendgrid.options import Options
from tests.conftest import STORES
from tests.delivery.clinic import PERSONAL, SHARED, Clinic
from tests.delivery.conftest import require_valid_bodies
from tests.delivery.crash_steps import step, take
from tests.fakes import key_of
from tests.forks import FORKS
from tests.ledgers import PostgresLedgers, SqliteLedgers, require

pytestmark = pytest.mark.crash

#: Every test has its own patients: the vendor and its log are shared.
FIRST = count(1_000_000, 10_000)
KILLS = 13  # of workers that hold a claim, for each template and store: 52 in all
CREW = 5  # workers that are started together
FRESH = 60  # messages that are planned for each crew, so that there is always work
PATIENCE = 120.0
STEP_OF = {"plan": "plan", "ingest": "ingest", "reconcile": "reconcile"}


@pytest.fixture(scope="module")
def vendor(
    tmp_path_factory: pytest.TempPathFactory, contract: Draft202012Validator | None
) -> Iterator[tuple[Running, Path]]:
    folder = tmp_path_factory.mktemp("vendor")
    with start(Options(folder, patients=False, keep_bodies=True)) as running:
        yield running, folder / "accepted.ndjson"
    require_valid_bodies(contract, folder)


@pytest.fixture(scope="module", params=STORES)
def shared_clinic(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    vendor: tuple[Running, Path],
    sqlite_ledgers: SqliteLedgers,
    postgres_ledgers: PostgresLedgers,
) -> Iterator[Clinic]:
    """One clinic on each store: to open one costs as much as a test."""
    folder = tmp_path_factory.mktemp(request.param)
    is_sqlite = request.param == "sqlite"
    url = sqlite_ledgers.place(folder / "ledger.db") if is_sqlite else require(postgres_ledgers).emptied()
    opened = Clinic.open(url, folder / "project", vendor[0].url, email={"timeout_seconds": 15})
    yield opened
    opened.ledger.engine.dispose()


@pytest.fixture
def clinic(shared_clinic: Clinic, vendor: tuple[Running, Path]) -> Clinic:
    vendor[0].control.behave([])
    return shared_clinic


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
    states = {state for state, _ in clinic.states_of(numbers)}
    assert states <= {"accepted", "delivered"}  # unknown is zero


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
    slow = Fault(FaultKind.SLOW, seconds=0.04)  # so that there is always something on the wire
    running.control.behave([Fault(FaultKind.THROTTLE, rate=0.05, retry_after=0.02), slow], seed=7)
    first = last = next(FIRST)
    killed, deadline = 0, time.monotonic() + PATIENCE
    while killed < KILLS and time.monotonic() < deadline:
        fresh = range(last, last := last + FRESH)
        clinic.admit(fresh)
        take(clinic, "plan", fresh, template=template)
        killed += _kill_a_crew(min(CREW, KILLS - killed), clinic, running, chance)
        an_hour_passes(clinic.ledger)
    running.control.behave([])
    finish(clinic, numbers := range(first, last), log)
    assert_exactly_once(clinic, numbers, log)
    assert killed >= KILLS, f"only {killed} workers died at work within {PATIENCE} s"


def _kill_a_crew(size: int, clinic: Clinic, running: Running, chance: random.Random) -> int:
    """Let each of some workers begin, then kill it; how many died at work."""
    crew = [_worker(clinic, running) for _ in range(size)]
    for process in crew:
        process.start()
    return sum(_kill_at_work(process, clinic.ledger, chance) for process in crew)


def _kill_at_work(process: ForkServerProcess, ledger: Ledger, chance: random.Random) -> bool:
    patience = time.monotonic() + 20
    while process.pid not in _claimants(ledger) and process.is_alive() and time.monotonic() < patience:
        time.sleep(0.02)
    time.sleep(chance.uniform(0, 0.15))
    began = process.pid in _claimants(ledger)
    process.kill()
    process.join(30)
    return began and process.exitcode == -signal.SIGKILL


def _worker(clinic: Clinic, running: Running) -> ForkServerProcess:
    url, root = clinic.environment.ledger_url, str(clinic.project.root)
    return FORKS.Process(target=step, args=("work", url, root, running.url, (), None))


def _claimants(ledger: Ledger) -> set[int]:
    """Processes that have ever claimed a batch."""
    with ledger.reading() as connection:
        return {int(name.split(":")[1]) for name in connection.scalars(sa.select(schema.attempt.c.worker).distinct())}


def test_a_worker_that_keeps_dying_is_given_up_and_a_retry_goes_on(
    clinic: Clinic, vendor: tuple[Running, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = range(first := next(FIRST), first + 12)
    clinic.admit(numbers)
    take(clinic, "plan", numbers)
    monkeypatch.setenv("ALONGSIDE_FAILPOINT", "claim.after")
    monkeypatch.setattr(import_module("alongside.delivery.dispatch"), "RESTARTS", 1)  # each costs a second
    report = clinic.dispatch(workers=1)
    assert (report.crashed, report.ready) == (2, 12)
    assert clinic.states_of(numbers) == [("planned", None)] * 12
    assert "died 2 times" in report.reasons[0]
    monkeypatch.delenv("ALONGSIDE_FAILPOINT")
    finish(clinic, numbers, vendor[1])
    assert_exactly_once(clinic, numbers, vendor[1])
