"""Ledgers for tests: the migrations run once a process; every test then finds a ledger without a row, of its own id.

Running the migrations and dropping a database cost a second on PostgreSQL, most of it waiting for the disk, and some
hundred tests want a ledger.
"""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa

from alongside.ledger import Ledger, schema

POSTGRES = os.environ.get("ALONGSIDE_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
TABLES = schema.metadata.sorted_tables
#: Names of the tables that hold a row: one question costs less than deleting nothing from each of the others.
FILLED = " UNION ALL ".join(f"SELECT '{table.name}' WHERE EXISTS (SELECT 1 FROM {table.name})" for table in TABLES)


class SqliteLedgers:
    """Copies of one migrated file."""

    def __init__(self, folder: Path) -> None:
        self._template = folder / "template.db"
        Ledger.open(f"sqlite:///{self._template}").engine.dispose()

    def place(self, file: Path) -> str:
        """A new ledger in `file`; returns its URL."""
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self._template, file)
        url = f"sqlite:///{file}"
        empty(url)
        return url


class PostgresLedgers:
    """One database, emptied for every test; databases without tables for tests of the migrations themselves."""

    def __init__(self) -> None:
        self._url = sa.engine.make_url(POSTGRES)
        self._admin = sa.create_engine(
            self._url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT", pool_pre_ping=True
        )
        self._databases: list[str] = []
        self._ledger: str | None = None

    def answers(self) -> bool:
        try:
            with self._admin.connect():
                return True
        except sa.exc.OperationalError:
            return False

    def emptied(self) -> str:
        """A ledger without rows; whoever was still connected to it from an earlier test is not any more."""
        if self._ledger is None:
            self._ledger = self.bare()
            Ledger.open(self._ledger).engine.dispose()
        hang_up = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
        with self._admin.connect() as connection:
            connection.execute(sa.text(hang_up), {"name": sa.engine.make_url(self._ledger).database})
        empty(self._ledger)
        return self._ledger

    def bare(self) -> str:
        """A database without a table."""
        name = f"alongside_test_{uuid.uuid4().hex[:12]}"
        with self._admin.connect() as connection:
            connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
        self._databases.append(name)
        return self._url.set(database=name).render_as_string(hide_password=False)

    def close(self) -> None:
        for name in self._databases:
            with self._admin.connect() as connection:
                connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')
        self._admin.dispose()


def empty(url: str) -> None:
    """Delete every row of the ledger behind the URL and give it another identity and secret."""
    ledger = Ledger.open(url)
    with ledger.begin() as connection:
        filled = set(connection.exec_driver_sql(FILLED).scalars())
        for table in reversed(TABLES):
            if table.name in filled:
                connection.execute(table.delete())
        if not ledger.is_sqlite:
            connection.execute(sa.text("SELECT setval(oid, 1, false) FROM pg_class WHERE relkind = 'S'"))
        ledger.introduce(connection)
    ledger.engine.dispose()


def copy_rows(source: str, target: str) -> None:
    """Make the ledger at `target` the one at `source`: its rows, its identity, its counters."""
    old, new = Ledger.open(source), Ledger.open(target)
    with old.reading() as reader, new.begin() as writer:
        for table in reversed(TABLES):
            writer.execute(table.delete())
        for table in TABLES:
            if rows := [dict(row._mapping) for row in reader.execute(sa.select(table))]:
                writer.execute(table.insert(), rows)
            key = table.autoincrement_column
            if key is not None and not new.is_sqlite:
                highest = f"(SELECT coalesce(max({key.name}), 0) + 1 FROM {table.name})"
                writer.execute(
                    sa.text(f"SELECT setval(pg_get_serial_sequence('{table.name}', '{key.name}'), {highest}, false)")
                )
    for ledger in (old, new):
        ledger.engine.dispose()


def require(postgres: PostgresLedgers) -> PostgresLedgers:
    """Skip with a loud word where PostgreSQL is missing; under CI that fails."""
    if postgres.answers():
        return postgres
    if os.environ.get("CI") == "true":
        pytest.fail(f"PostgreSQL does not answer at {POSTGRES}, and CI must not skip it")
    pytest.skip(f"PostgreSQL does not answer at {POSTGRES}: set ALONGSIDE_TEST_POSTGRES")
