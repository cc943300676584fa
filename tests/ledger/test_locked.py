"""A ledger that somebody else holds locked: whoever waits is told so after a while, on both stores and both ways in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import pyarrow as pa
import pytest
import sqlalchemy as sa

from alongside.ledger import Ledger, schema
from alongside.model.errors import Refused, StoreLocked, StoreUnavailable
from tests.ledgers import PostgresLedgers, require

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SUPPRESSION = {"blind": "a", "channel": "email", "scope": "all", "reason": "import", "since": NOON, "origin": "import"}


@pytest.fixture
def impatient(ledger_url: str) -> Iterator[Ledger]:
    """The same ledger for somebody who does not wait for half a minute."""
    ledger = Ledger.open(f"{ledger_url}?timeout=0.2")
    yield ledger
    ledger.engine.dispose()


@contextmanager
def held(ledger: Ledger) -> Iterator[None]:
    """Somebody else writes and does not come to an end: SQLite locks the file, PostgreSQL what is asked for."""
    with ledger.begin() as connection:
        if not ledger.is_sqlite:
            connection.execute(sa.text("LOCK TABLE suppression IN ACCESS EXCLUSIVE MODE"))
        yield


def write_a_row(ledger: Ledger) -> None:
    with ledger.begin() as connection:
        connection.execute(schema.suppression.insert().values(**SUPPRESSION))


def write_in_bulk(ledger: Ledger) -> None:
    ledger.insert_arrow(schema.suppression, pa.Table.from_pylist([SUPPRESSION]))


def read_a_row(ledger: Ledger) -> None:
    with ledger.reading() as connection:
        connection.execute(sa.select(schema.suppression)).all()


def read_in_bulk(ledger: Ledger) -> None:
    ledger.read_arrow("SELECT * FROM suppression")


@pytest.mark.parametrize("work", [write_a_row, write_in_bulk])
def test_whoever_writes_is_told_and_may_write_afterwards(
    ledger: Ledger, impatient: Ledger, work: Callable[[Ledger], None]
) -> None:
    with held(ledger):
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable, match="the ledger is locked by another process") as caught:
            work(impatient)
        assert time.monotonic() - begun < 10
    assert caught.value.where == impatient.where
    assert caught.value.remedy == "Nothing was lost. Wait for that process to end, or end it, then run again."
    work(impatient)
    assert ledger.read_arrow("SELECT blind FROM suppression").column(0).to_pylist() == ["a"]


def test_whoever_is_in_a_hurry_learns_that_nothing_was_begun(ledger: Ledger, impatient: Ledger) -> None:
    hasty = ledger.impatient(0.05)
    if ledger.is_sqlite:
        with held(impatient), pytest.raises(StoreLocked):
            write_a_row(hasty)
        assert hasty.read_arrow("SELECT blind FROM suppression").num_rows == 0
    write_a_row(hasty)
    assert ledger.read_arrow("SELECT blind FROM suppression").column(0).to_pylist() == ["a"]


def test_threads_of_one_process_take_turns(ledger: Ledger) -> None:
    """Each of many writes gets its turn, and none is lost."""
    rows = [{**SUPPRESSION, "blind": str(number)} for number in range(40)]

    def write(row: dict[str, object]) -> None:
        with ledger.begin() as connection:
            connection.execute(schema.suppression.insert().values(**row))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, rows))
    assert ledger.read_arrow("SELECT blind FROM suppression").num_rows == 40


@pytest.mark.parametrize("work", [read_a_row, read_in_bulk])
def test_readers_are_told_too_where_a_writer_can_hold_them_up(
    ledger: Ledger, impatient: Ledger, work: Callable[[Ledger], None]
) -> None:
    with held(ledger):
        if ledger.is_sqlite:  # its readers do not wait for a writer
            work(impatient)
        else:
            with pytest.raises(StoreUnavailable, match="the ledger is locked by another process"):
                work(impatient)
    work(impatient)


@pytest.mark.postgres
def test_both_ways_into_postgresql_wait_for_half_a_minute_and_commit_to_disk(
    postgres_ledgers: PostgresLedgers,
) -> None:
    ledger = Ledger.open(require(postgres_ledgers).emptied())
    asked = "SELECT current_setting('lock_timeout') AS patience, current_setting('synchronous_commit') AS durable"
    with ledger.reading() as connection:
        assert tuple(connection.execute(sa.text(asked)).one()) == ("30s", "on")
    assert ledger.read_arrow(asked).to_pylist() == [{"patience": "30s", "durable": "on"}]
    ledger.engine.dispose()


def test_a_patience_that_is_no_number_says_where(ledger_url: str) -> None:
    with pytest.raises(Refused, match=r"ALONGSIDE_LEDGER_URL: timeout is not a number\. Give seconds"):
        Ledger.open(f"{ledger_url}?timeout=soon")
