"""Every fault of the vendor as it arrives from another process: both ends on uvloop, as workers and stand-in run."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from alongside.channels.transport import run_loop
from alongside.sandbox.common.faults import Fault, FaultKind
from alongside.sandbox.common.log import read_ndjson
from alongside.sandbox.sendgrid.launch import Running, start
from alongside.sandbox.sendgrid.options import Options
from tests.delivery.clinic import Clinic
from tests.delivery.conftest import require_valid_bodies
from tests.fakes import key_of
from tests.ledgers import SqliteLedgers

SIZE = 10
FIRST = count(2_000_000, SIZE)
#: What strikes the first request -> the state of its messages afterwards, and whether the vendor has taken them.
CASES = {
    "throttle": (Fault(FaultKind.THROTTLE, count=1, retry_after=0.05), "accepted", True),
    "fail 503": (Fault(FaultKind.FAIL, count=1, status=503), "accepted", True),
    "fail 500": (Fault(FaultKind.FAIL, count=1, status=500), "unknown", False),
    "slow": (Fault(FaultKind.SLOW, count=1, seconds=0.2), "accepted", True),
    "hang": (Fault(FaultKind.HANG, count=1), "unknown", False),
    "hang after accepting": (Fault(FaultKind.HANG, count=1, accept=True), "unknown", True),
    "drop before": (Fault(FaultKind.DROP_BEFORE, count=1), "unknown", False),
    "drop after accepting": (Fault(FaultKind.DROP_AFTER, count=1), "unknown", True),
    "html with 200": (Fault(FaultKind.HTML, count=1), "unknown", False),
    "wrong key": (Fault(FaultKind.WRONG_KEY, count=1), "planned", False),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def vendor(folder: Path, contract: Draft202012Validator | None) -> Iterator[Running]:
    with start(Options(folder / "vendor", patients=False, keep_bodies=True)) as running:
        yield running
    require_valid_bodies(contract, folder / "vendor")


@pytest.fixture(scope="module")
def clinic(folder: Path, vendor: Running, sqlite_ledgers: SqliteLedgers) -> Iterator[Clinic]:
    url = sqlite_ledgers.place(folder / "ledger.db")
    opened = Clinic.open(url, folder / "project", vendor.url, email={"timeout_seconds": 2})
    yield opened
    opened.ledger.engine.dispose()


@pytest.fixture(autouse=True)
def _on_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent without a worker of its own is sent on a worker's loop."""
    monkeypatch.setattr(asyncio, "run", run_loop)


def accepted(folder: Path, numbers: range) -> Counter[str]:
    ours = {key_of(number) for number in numbers}
    log = read_ndjson(folder / "vendor" / "accepted.ndjson")
    return Counter(str(record["m"]) for record in log if record["m"] in ours)


@pytest.mark.parametrize(("fault", "state", "taken"), CASES.values(), ids=CASES)
def test_a_fault_is_understood_and_nothing_is_lost_or_sent_twice(
    clinic: Clinic, vendor: Running, folder: Path, fault: Fault, state: str, taken: bool
) -> None:
    numbers = range(first := next(FIRST), first + SIZE)
    clinic.admit(numbers)
    clinic.plan(numbers)
    vendor.control.behave([fault])
    before = vendor.control.stats()["faults"].get(fault.kind, 0)
    clinic.dispatch()
    assert vendor.control.stats()["faults"][fault.kind] == before + 1
    assert {found for found, _ in clinic.states_of(numbers)} == {state}
    assert sum(accepted(folder, numbers).values()) == SIZE * taken
    clinic.reconcile(grace=timedelta(0))
    clinic.dispatch()
    assert {found for found, _ in clinic.states_of(numbers)} == {"accepted"}
    assert accepted(folder, numbers) == Counter({key_of(number): 1 for number in numbers})


def test_no_fault_is_left_out() -> None:
    assert {fault.kind for fault, *_ in CASES.values()} == set(FaultKind)
