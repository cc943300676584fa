"""Opening the ledger, and the two ways into it: transactions of rows, and Arrow in bulk."""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.pool import QueuePool

from alongside.ledger import migrations, schema, sessions
from alongside.model.errors import StoreUnavailable

#: Seconds between two questions for SQLite's write lock; the longest transaction of a dispatch takes some 10 ms.
_PAUSE = 0.001

if TYPE_CHECKING:  # delivery workers open a ledger and must stay small
    import pyarrow as pa


@dataclass(frozen=True)
class LedgerInfo:
    """Who this ledger is: its id, the secret that derives all keys, its epoch (raised by a restore)."""

    ledger_id: str
    secret: bytes = field(repr=False)
    epoch: int
    vault_check: str | None


class Ledger:
    """One ledger. Cheap to open per process; never share one over a fork."""

    def __init__(self, engine: Engine, patience: float | None = None) -> None:
        self.engine = engine
        self._patience = sessions.patience(engine.url) if patience is None else patience
        self._readers = engine.execution_options(reads=True)
        self._writers = engine.execution_options(patience=self._patience)
        self._info: LedgerInfo | None = None
        self._turn = threading.Lock()

    @classmethod
    def open(cls, url: str) -> Ledger:
        """Open (and on first use create) the ledger behind a SQLAlchemy URL.

        Raises
        ------
        StoreUnavailable : the server or the file does not answer
        Refused : its schema is older or newer than this release's
        """
        ledger = cls.connect(url)
        with ledger.reading() as connection:
            found = migrations.revision(connection)
        if found is None:
            found = ledger._create()
        migrations.require_current(found, ledger.where)
        return ledger

    @classmethod
    def connect(cls, url: str) -> Ledger:
        """A ledger whose schema nobody has looked at yet; everybody but a migration uses `open`."""
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return cls(_sqlite_engine(parsed))
        return cls(_postgres_engine(parsed))

    @property
    def where(self) -> str:
        """The store's URL as it may be shown."""
        return self.engine.url.render_as_string(hide_password=True)

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @property
    def info(self) -> LedgerInfo:
        """Read once per process; the epoch of a restored ledger is therefore seen by new processes only."""
        if self._info is None:
            with self.reading() as connection:
                row = connection.execute(sa.select(schema.ledger_info)).one()
            self._info = LedgerInfo(row.ledger_id, bytes(row.secret), row.epoch, row.vault_check)
        return self._info

    def impatient(self, patience: float) -> Ledger:
        """The same ledger, whose `begin` waits so many seconds at most for SQLite's write lock."""
        hasty = Ledger(self.engine, patience)
        hasty._turn = self._turn
        return hasty

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction; on SQLite it takes the write lock at once (waiting up to 30 s, or as the URL says).

        Raises
        ------
        StoreLocked : somebody else holds the lock for longer; nothing was begun
        StoreUnavailable : the store did not answer
        """
        with self._own_turn(), self._transaction(self._writers) as connection:
            yield connection

    @contextmanager
    def _own_turn(self) -> Iterator[None]:
        """Threads that write to SQLite queue here: waiting for its lock, they would sleep up to 100 ms too long."""
        if not self.is_sqlite:
            yield
            return
        if not self._turn.acquire(timeout=self._patience):
            raise sessions.unavailable("database is locked", self.where)
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One transaction that only reads; on SQLite it neither waits for a writer nor holds one up."""
        with self._transaction(self._readers) as connection:
            yield connection

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        try:
            with engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            if not _is_unavailable(error):
                raise
            raise sessions.unavailable(str(error.orig).splitlines()[0], self.where) from error

    def read_arrow(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """A query's result as Arrow; `:name` binds, and a list binds behind `IN`.

        Both stores give the same types: moments UTC `timestamp[us]` without zone, JSON as text, integers int64. A
        result column named like a column of the ledger has that column's type, even when it is empty or null.

        Raises
        ------
        StoreUnavailable : the store did not answer
        ValueError : the query is not valid SQL for this store
        """
        from alongside.ledger import bulk

        return bulk.read(self.engine, sql, parameters)

    def insert_arrow(
        self,
        table: sa.Table,
        data: pa.Table | pa.RecordBatchReader,
        on_conflict: Literal["error", "ignore"] = "error",
    ) -> int:
        """Insert many rows in one transaction; returns how many were new. Column names are the table's.

        Moments are `timestamp` of any unit (naive ones are UTC), JSON is text. Columns with a constant default may be
        left out. A reader of record batches is never held in memory as a whole.

        Raises
        ------
        Refused : a row breaks a rule of the table, for example a key that exists; nothing was inserted
        ValueError : a column that the table does not have, or of a type that does not fit
        StoreUnavailable : the store did not answer
        """
        from alongside.ledger import bulk

        return bulk.insert(self.engine, table, data, on_conflict)

    def introduce(self, connection: Connection) -> None:
        """Give a new ledger its identity and its secret; an existing one keeps them."""
        if connection.execute(sa.select(schema.ledger_info.c.ledger_id)).first() is None:
            connection.execute(
                schema.ledger_info.insert().values(
                    ledger_id=secrets.token_hex(8),
                    secret=secrets.token_bytes(32),
                    epoch=1,
                    created_at=datetime.now(UTC),
                )
            )

    def _create(self) -> str | None:
        """Run the migrations on an empty store; whoever comes second finds it done."""
        with self.begin() as connection:
            migrations.lock(connection)
            if migrations.revision(connection) is None:
                migrations.migrate(connection)
                self.introduce(connection)
            return migrations.revision(connection)


def _is_unavailable(error: DBAPIError) -> bool:
    """Locked, gone, unreachable or not a database; a broken constraint is not."""
    return isinstance(error, OperationalError | InterfaceError) or "not a database" in str(error.orig)


def _sqlite_engine(url: URL) -> Engine:
    if url.database:
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailable(
                f"the ledger's folder cannot be made: {error.strerror}",
                where=url.database,
                remedy="Give ALONGSIDE_LEDGER_URL a place that may be written to.",
            ) from error
    patience = sessions.patience(url)
    # Kept connections: closing the last one of a WAL database checkpoints it, which every transaction would pay for.
    engine = sa.create_engine(
        url,
        poolclass=QueuePool,
        connect_args={"timeout": patience},
        json_deserializer=orjson.loads,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, by us
        _use_wal(connection)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        # 16 MB: a settled batch rewrites some 4 MB of pages, of which the next ones rewrite many again.
        connection.execute("PRAGMA wal_autocheckpoint=4000")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("reads"):
            connection.exec_driver_sql("BEGIN")
        else:
            _begin_writing(connection, options.get("patience", patience), patience)

    return engine


def _begin_writing(connection: Connection, patience: float, usual: float) -> None:
    """Take SQLite's write lock, asking every millisecond for `patience` seconds; `usual` is that of readers.

    SQLite's own pauses grow to 100 ms, far longer than a transaction of a dispatch takes: whoever waits could be
    overtaken again and again.
    """
    deadline = time.monotonic() + patience
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA busy_timeout=0")
    try:
        while True:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                return
            except OperationalError as error:
                if "locked" not in str(error.orig) or time.monotonic() >= deadline:
                    raise
            time.sleep(_PAUSE)
    finally:
        driver.execute(f"PRAGMA busy_timeout={round(usual * 1000)}")


def _use_wal(connection: Any) -> None:
    """Switching a new file to WAL needs it alone, and SQLite does not wait for that: try for a while."""
    for pause in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            time.sleep(pause)
    connection.execute("PRAGMA journal_mode=WAL")


def _postgres_engine(url: URL) -> Engine:
    settings = sessions.postgres_settings(url)
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,
        json_deserializer=orjson.loads,
        hide_parameters=True,
    )

    @event.listens_for(engine, "do_connect")
    def _before(_dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> None:
        options.pop(sessions.TIMEOUT, None)  # the driver knows no such word

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        for statement in settings:
            connection.execute(statement)
        connection.commit()

    return engine
