"""All rows of a ledger out of one moment, and back into one transaction; both stores give and take the same Arrow."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection
from sqlalchemy.types import TypeDecorator

from alongside.ledger.bulk import connect_adbc
from alongside.ledger.engine import Ledger

#: Kept by Alembic, set by whoever creates the tables.
VERSION_TABLE = "alembic_version"
_ROWS = 50_000  # of one part: what is in memory at any moment
_MOMENT = pa.timestamp("us")  # UTC
_PG = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped

Read = Callable[[sa.Table], Iterator[pa.RecordBatch]]


def tables_of(connection: Connection) -> list[sa.Table]:
    """The store's own tables as they are, whatever its revision; a table after those that it refers to."""
    found = sa.MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != VERSION_TABLE]


def arrow_type(column: sa.Column[Any]) -> pa.DataType:
    """The type in which a column travels, from this release's tables or from what the store tells of them."""
    kind = column.type.impl if isinstance(column.type, TypeDecorator) else column.type
    for sql_type, data_type in (
        (sa.DateTime, _MOMENT),
        (sa.Boolean, pa.bool_()),
        (sa.Integer, pa.int64()),
        (sa.Float, pa.float64()),
        (sa.LargeBinary, pa.binary()),
    ):
        if isinstance(kind, sql_type):
            return data_type
    return pa.string()  # JSON travels as text, too


# --------------------------------------------------------------------------------------------------------------- out
@contextmanager
def snapshot(ledger: Ledger) -> Iterator[tuple[Connection, Read]]:
    """One moment of the ledger while others go on writing: a connection and a reader of whole tables that both see it.

    SQLite's journal (WAL) grows and PostgreSQL keeps dead rows for as long as this is open.
    """
    if ledger.is_sqlite:
        with ledger.reading() as connection:
            yield connection, lambda table: _read_sqlite(connection, table)
        return
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with Ledger(ledger.engine.execution_options(**options)).reading() as connection:
        token = connection.scalar(sa.text("SELECT pg_export_snapshot()"))
        with closing(connect_adbc(ledger.engine, autocommit=True)) as other, other.cursor() as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute(f"SET TRANSACTION SNAPSHOT '{token}'")
            yield connection, lambda table: _read_postgres(cursor, table)


def _read_sqlite(connection: Connection, table: sa.Table) -> Iterator[pa.RecordBatch]:
    driver: Any = connection.connection.driver_connection
    names = [column.name for column in table.columns]
    types = [arrow_type(column) for column in table.columns]
    with closing(driver.cursor()) as cursor:
        cursor.execute(f"SELECT {_list(names)} FROM {_quote(table.name)}")
        while rows := cursor.fetchmany(_ROWS):
            values = zip(*rows, strict=True)
            arrays = [_from_sqlite(column, kind) for column, kind in zip(values, types, strict=True)]
            yield pa.record_batch(arrays, names=names)


def _from_sqlite(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """SQLAlchemy keeps moments as text and truth as a number there."""
    if kind == _MOMENT:
        return pa.array(values, pa.string()).cast(_MOMENT)
    return pa.array(values, pa.int64()).cast(kind) if pa.types.is_boolean(kind) else pa.array(values, kind)


def _read_postgres(cursor: Any, table: sa.Table) -> Iterator[pa.RecordBatch]:
    names = [column.name for column in table.columns]
    fields = ", ".join(f"{_quote(column.name)}{_read_as(column)}" for column in table.columns)
    cursor.execute(f"SELECT {fields} FROM {_quote(table.name)}")
    types = [arrow_type(column) for column in table.columns]
    for batch in cursor.fetch_record_batch():
        for start in range(0, batch.num_rows, _ROWS):
            portion = batch.slice(start, _ROWS)
            arrays = [array.cast(kind) for array, kind in zip(portion.columns, types, strict=True)]
            yield pa.record_batch(arrays, names=names)


def _read_as(column: sa.Column[Any]) -> str:
    if arrow_type(column) == _MOMENT:
        return " AT TIME ZONE 'UTC'"
    return "::text" if isinstance(column.type, sa.JSON) else ""


# ---------------------------------------------------------------------------------------------------------------- in
def clear(connection: Connection, tables: Sequence[sa.Table]) -> None:
    """Delete every row, in the transaction that is open; `tables` in the order of `tables_of`."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"TRUNCATE {_list([table.name for table in tables])}")
        return
    for table in reversed(tables):
        connection.execute(table.delete())


def append(connection: Connection, table: sa.Table, data: pa.Table) -> None:
    """Insert rows in the transaction that is open; their columns are named as the table's and have `arrow_type`."""
    driver: Any = connection.connection.driver_connection
    names = _list(data.column_names)
    if connection.dialect.name == "postgresql":
        with (
            driver.cursor() as cursor,
            cursor.copy(f"COPY {_quote(table.name)} ({names}) FROM STDIN (FORMAT csv)") as copy,
        ):
            copy.write(_as_csv(data))
        return
    marks = ", ".join("?" for _ in data.column_names)
    rows = zip(*(_for_sqlite(column) for column in data.columns), strict=True)
    driver.executemany(f"INSERT INTO {_quote(table.name)} ({names}) VALUES ({marks})", rows)


def _for_sqlite(column: pa.ChunkedArray) -> list[Any]:
    """Moments as the text that SQLAlchemy writes and sorts by."""
    values: list[Any] = (column.cast(pa.string()) if column.type == _MOMENT else column).to_pylist()
    return values


def _as_csv(data: pa.Table) -> memoryview:
    """For COPY: strings are quoted, so that an empty one is told from null."""
    columns = {name: _for_csv(column) for name, column in zip(data.column_names, data.columns, strict=True)}
    sink = io.BytesIO()
    csv.write_csv(pa.table(columns), sink, csv.WriteOptions(include_header=False, quoting_style="needed"))
    return sink.getbuffer()


def _for_csv(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    if column.type == _MOMENT:
        return pc.binary_join_element_wise(column.cast(pa.string()), "+00", "")
    if pa.types.is_binary(column.type):
        return pa.array([None if value is None else f"\\x{value.hex()}" for value in column.to_pylist()], pa.string())
    return column


def advance_counters(connection: Connection, tables: Sequence[sa.Table]) -> None:
    """Let PostgreSQL number new rows after those that were inserted with their numbers; SQLite does so itself."""
    if connection.dialect.name != "postgresql":
        return
    for table in tables:
        key = table.autoincrement_column
        if key is not None:
            highest = sa.select(sa.func.coalesce(sa.func.max(key), 0) + 1).scalar_subquery()
            sequence = sa.func.pg_get_serial_sequence(table.name, key.name)
            connection.execute(sa.select(sa.func.setval(sequence, highest, False)))


def _quote(name: str) -> str:
    return f'"{name}"'


def _list(names: Sequence[str]) -> str:
    return ", ".join(map(_quote, names))
