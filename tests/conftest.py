"""Fixtures that every part shares."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from alongside.ledger import Ledger
from tests.ledgers import PostgresLedgers, SqliteLedgers, require

# CI tries the same examples every time, so that a change is judged by itself; everybody else explores.
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI") == "true":
    hypothesis.settings.load_profile("ci")

ROOT = Path(__file__).resolve().parent.parent


#: Files that take minutes; begun last, one of them would run alone while the other processes wait.
LONGEST = ("flows/test_production_runs", "end_to_end/", "cli/test_run", "delivery/test_crashes", "test_closed_loop")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; everything else as it was collected."""

    def turn(item: pytest.Item) -> int:
        return next((place for place, part in enumerate(LONGEST) if part in item.nodeid), len(LONGEST))

    items.sort(key=turn)


@pytest.fixture(scope="session")
def peer_data() -> Path:
    """Other people's hospitals; absent for a stranger who clones the project."""
    path = Path(os.environ.get("ALONGSIDE_PEER_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no peer data at {path}: set ALONGSIDE_PEER_DATA to run this test")
    return path


@pytest.fixture(scope="session")
def sqlite_ledgers(tmp_path_factory: pytest.TempPathFactory) -> SqliteLedgers:
    return SqliteLedgers(tmp_path_factory.mktemp("ledgers"))


@pytest.fixture(scope="session")
def postgres_ledgers() -> Iterator[PostgresLedgers]:
    ledgers = PostgresLedgers()
    yield ledgers
    ledgers.close()


STORES = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
#: For what does not depend on the store; what a ledger then keeps of it is asked of both stores by tests beside it.
ON_SQLITE = pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)


@pytest.fixture
def new_ledger(
    tmp_path: Path, sqlite_ledgers: SqliteLedgers, postgres_ledgers: PostgresLedgers
) -> Callable[[str], str]:
    """Store -> the URL of a ledger of the test's own on it."""

    def place(store: str) -> str:
        if store == "sqlite":
            return sqlite_ledgers.place(tmp_path / "ledger.db")
        return require(postgres_ledgers).emptied()

    return place


@pytest.fixture(params=STORES)
def ledger_url(request: pytest.FixtureRequest, new_ledger: Callable[[str], str]) -> str:
    """A new ledger's URL: the same test runs on SQLite and on PostgreSQL."""
    return new_ledger(request.param)


@pytest.fixture(params=STORES)
def bare_url(request: pytest.FixtureRequest, tmp_path: Path, postgres_ledgers: PostgresLedgers) -> str:
    """The URL of a store that has no tables yet."""
    return f"sqlite:///{tmp_path / 'ledger.db'}" if request.param == "sqlite" else require(postgres_ledgers).bare()


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    store = Ledger.open(ledger_url)
    yield store
    store.engine.dispose()
