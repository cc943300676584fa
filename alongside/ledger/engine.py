"""Opening the ledger, and the two ways into it: transactions of rows, and Arrow in bulk."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import QueuePool

from alongside.ledger import schema
from alongside.model.errors import StoreUnavailable

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

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._info: LedgerInfo | None = None

    @classmethod
    def open(cls, url: str) -> Ledger:
        """Open (and on first use create) the ledger behind a SQLAlchemy URL.

        Raises
        ------
        StoreUnavailable : the server or the file does not answer
        """
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            if parsed.database:
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            engine = sa.create_engine(parsed, poolclass=QueuePool, connect_args={"timeout": 30})
            _prepare_sqlite(engine)
        else:
            engine = sa.create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
        ledger = cls(engine)
        ledger._create(datetime.now(UTC))
        return ledger

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @property
    def info(self) -> LedgerInfo:
        """Read once per process; the epoch of a restored ledger is therefore seen by new processes only."""
        if self._info is None:
            with self.begin() as connection:
                row = connection.execute(sa.select(schema.ledger_info)).one()
            self._info = LedgerInfo(row.ledger_id, bytes(row.secret), row.epoch, row.vault_check)
        return self._info

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction; on SQLite it takes the write lock at once (waiting up to 30 s)."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except OperationalError as error:
            raise StoreUnavailable(
                f"the ledger did not answer: {str(error.orig).splitlines()[0]}",
                where=self.engine.url.render_as_string(hide_password=True),
                remedy="Check that it runs and that no other process holds it locked, then run again.",
            ) from error

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

    def _create(self, now: datetime) -> None:
        with self.begin() as connection:
            schema.metadata.create_all(connection)
            if connection.execute(sa.select(schema.ledger_info.c.ledger_id)).first() is None:
                connection.execute(
                    schema.ledger_info.insert().values(
                        ledger_id=secrets.token_hex(8), secret=secrets.token_bytes(32), epoch=1, created_at=now
                    )
                )


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, by us
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
