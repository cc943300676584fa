"""Arrow in and out of the ledger: many rows at a time, in bounded memory.

PostgreSQL speaks Arrow through ADBC (binary COPY both ways). SQLite is read and written through the interpreter's own
`sqlite3`: a second copy of the SQLite library in one process (as ADBC's wheel carries) would release the first copy's
POSIX locks whenever it closes the file (sqlite.org/howtocorrupt.html, 2.2.1).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Literal
from weakref import WeakKeyDictionary, finalize

import adbc_driver_postgresql.dbapi as adbc  # type: ignore[import-untyped]  # it publishes no types
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import Pool

from alongside.ledger import schema, sessions
from alongside.model.errors import Refused

OnConflict = Literal["error", "ignore"]
_ROWS = 50_000  # rows that are Python objects at any moment
_READ = 5_000  # the same when reading: while more are alive, Python's garbage collector looks at them again and again
_MOMENT = pa.timestamp("us")
_MOMENT_TEXT = "%Y-%m-%d %H:%M:%S.%f"  # as SQLAlchemy writes DateTime into SQLite
_PG = postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
_LITE = sqlite.dialect(paramstyle="qmark")
#: Classes of SQLSTATE that another try may not meet: connection, rollback, resources, locks, intervention, system.
_PASSING = ("08", "40", "53", "55", "57", "58")
_LOOKS_LIKE_MOMENT = r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}\.\d{6}$"


def arrow_type(column: sa.Column[Any]) -> pa.DataType:
    """The Arrow type in which a column of the ledger travels; the same for both stores."""
    kind = column.type
    if isinstance(kind, schema.Utc):
        return _MOMENT
    for sql_type, data_type in (
        (sa.Boolean, pa.bool_()),
        (sa.Integer, pa.int64()),
        (sa.Float, pa.float64()),
        (sa.LargeBinary, pa.binary()),
    ):
        if isinstance(kind, sql_type):
            return data_type
    return pa.string()


def _types_by_name() -> dict[str, pa.DataType]:
    """Types of result columns by their name, where every table of the ledger agrees on it.

    SQLite's results carry no types: without this an empty result, or one of nulls, would have none.
    """
    found: dict[str, set[pa.DataType]] = {}
    for table in schema.metadata.tables.values():
        for column in table.columns:
            found.setdefault(column.name, set()).add(arrow_type(column))
    return {name: next(iter(types)) for name, types in found.items() if len(types) == 1}


_KNOWN = _types_by_name()


def read(engine: Engine, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
    """See `Ledger.read_arrow`."""
    values = dict(parameters or {})
    raw = _read_sqlite(engine, sql, values) if engine.dialect.name == "sqlite" else _read_postgres(engine, sql, values)
    return pa.table({name: _settle(name, raw.column(name)) for name in raw.column_names})


def _settle(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """One column in the type that both stores agree on."""
    column = _plain(column)
    wanted = _KNOWN.get(name)
    if wanted is None:
        wanted = _guess(name, column)
    if wanted is None or column.type == wanted:
        return column
    try:
        return column.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return column  # an alias that means something else than the ledger's column of that name


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Without extension types (jsonb, numeric) and without zone."""
    if isinstance(column.type, pa.BaseExtensionType):
        numeric = "numeric" in str(column.type)
        storage = pa.chunked_array([chunk.storage for chunk in column.chunks], type=column.type.storage_type)
        return storage.cast(pa.float64() if numeric else pa.string())
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us", column.type.tz)).cast(_MOMENT)
    return column


def _guess(name: str, column: pa.ChunkedArray) -> pa.DataType | None:
    if pa.types.is_integer(column.type):
        return pa.int64()
    if pa.types.is_null(column.type):
        return _MOMENT if name.endswith("_at") else pa.string()
    if pa.types.is_string(column.type) and column.null_count < len(column):
        looks = pc.all(pc.match_substring_regex(column, _LOOKS_LIKE_MOMENT))  # skips nulls
        return _MOMENT if looks.as_py() else None
    return None


def _compile(sql: str, values: Mapping[str, Any], dialect: Any) -> tuple[str, Sequence[Any]]:
    """Positional SQL and its values; a list or tuple value becomes `(?, ?, ...)` behind `IN`."""
    text = sa.text(sql)
    binds: list[sa.BindParameter[Any]] = [
        sa.bindparam(name, [_moment(item) for item in value], expanding=True)
        if isinstance(value, list | tuple | set | frozenset)
        else sa.bindparam(name, _moment(value))
        for name, value in values.items()
    ]
    compiled = text.bindparams(*binds).compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    bound = compiled.params
    return str(compiled), [bound[name] for name in compiled.positiontup or ()]


def _moment(value: Any) -> Any:
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValueError(f"naive datetime {value!r}: the ledger keeps aware moments only")
    return value.astimezone(UTC)


# ------------------------------------------------------------------------------------------------------------ SQLite
def _read_sqlite(engine: Engine, sql: str, values: Mapping[str, Any]) -> pa.Table:
    text, bound = _compile(sql, values, _LITE)
    moments = [value.strftime(_MOMENT_TEXT) if isinstance(value, datetime) else value for value in bound]
    with closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        try:
            cursor.execute(text, tuple(moments))
            names = [entry[0] for entry in cursor.description]
            return _columns(names, iter(lambda: cursor.fetchmany(_READ), []))
        except sqlite3.OperationalError as error:
            raise _failure(engine, error) from error
        finally:
            cursor.close()


def _columns(names: Sequence[str], portions: Iterable[Sequence[Sequence[Any]]]) -> pa.Table:
    chunks: list[list[pa.Array]] = [[] for _ in names]
    for portion in portions:
        for index, chunk in enumerate(chunks):  # not zip(*portion): an iterator a row costs more than the rest
            chunk.append(_array([row[index] for row in portion]))
    return pa.table([_join(column) for column in chunks], names=list(names))


def _array(values: Sequence[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # SQLite's columns may mix types
        return pa.array([None if value is None else str(value) for value in values], pa.string())


def _join(chunks: Sequence[pa.Array]) -> pa.ChunkedArray:
    if not chunks:
        return pa.chunked_array([], type=pa.null())
    types = {chunk.type for chunk in chunks if not pa.types.is_null(chunk.type)} or {pa.null()}
    if len(types) == 1:
        wanted = next(iter(types))
    else:
        wanted = pa.float64() if types <= {pa.int64(), pa.float64()} else pa.string()
    return pa.chunked_array([chunk.cast(wanted) for chunk in chunks], type=wanted)


def _insert_sqlite(engine: Engine, table: sa.Table, batches: Iterator[pa.RecordBatch], on_conflict: OnConflict) -> int:
    inserted, insert = 0, ""
    with closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        try:
            cursor.execute("BEGIN IMMEDIATE")
            for batch in batches:
                insert = insert or _sqlite_insert(table, batch.schema.names, on_conflict)
                rows = zip(*(_sqlite_values(column) for column in batch.columns), strict=True)
                cursor.executemany(insert, list(rows))
                inserted += cursor.rowcount
            cursor.execute("COMMIT")
        except BaseException:
            if connection.driver_connection is not None and connection.driver_connection.in_transaction:
                cursor.execute("ROLLBACK")
            raise
        finally:
            cursor.close()
    return inserted


def _sqlite_insert(table: sa.Table, names: Sequence[str], on_conflict: OnConflict) -> str:
    columns = ", ".join(f'"{name}"' for name in names)
    marks = ", ".join("?" for _ in names)
    tail = " ON CONFLICT DO NOTHING" if on_conflict == "ignore" else ""
    return f'INSERT INTO "{table.name}" ({columns}) VALUES ({marks}){tail}'


def _sqlite_values(column: pa.Array) -> list[Any]:
    """Python values; moments as the text that SQLAlchemy writes and sorts by."""
    values: list[Any] = (column.cast(pa.string()) if column.type == _MOMENT else column).to_pylist()
    return values


# -------------------------------------------------------------------------------------------------------- PostgreSQL
def connect_adbc(engine: Engine, *, autocommit: bool = False) -> Any:
    """An ADBC connection to the PostgreSQL of this engine, with the settings that the engine's own have."""
    url = sessions.for_libpq(engine.url)
    connection = adbc.connect(url, autocommit=True) if autocommit else _pattern(engine).adbc_clone()
    with connection.cursor() as cursor:
        for statement in sessions.postgres_settings(engine.url):
            cursor.execute(statement)
    return connection


#: By the pool that an engine and its copies share, for as long as anybody uses it.
_PATTERNS: WeakKeyDictionary[Pool, Any] = WeakKeyDictionary()


def _pattern(engine: Engine) -> Any:
    """What connections are cloned from. To make one, the driver reads the server's types, ten times a clone's cost.

    It holds no session with the server.
    """
    found = _PATTERNS.get(engine.pool)
    if found is None:
        found = _PATTERNS[engine.pool] = adbc.connect(sessions.for_libpq(engine.url), autocommit=True)
        found.adbc_connection.close()
        finalize(engine.pool, found.close)
    return found


def _read_postgres(engine: Engine, sql: str, values: Mapping[str, Any]) -> pa.Table:
    text, bound = _compile(sql, values, _PG)
    record = pa.record_batch({str(i): pa.array([value]) for i, value in enumerate(bound)}) if bound else None
    try:
        with closing(connect_adbc(engine)) as connection, connection.cursor() as cursor:
            cursor.execute(text, record)
            return cursor.fetch_arrow_table()
    except adbc.Error as error:
        raise _failure(engine, error) from error


def _insert_postgres(
    engine: Engine, table: sa.Table, batches: Iterator[pa.RecordBatch], on_conflict: OnConflict
) -> int:
    first = next(batches, None)
    if first is None:
        return 0
    reader = pa.RecordBatchReader.from_batches(first.schema, _chain(first, batches))
    quote = _PG.identifier_preparer.quote
    names = first.schema.names
    columns = ", ".join(quote(name) for name in names)
    staged = ", ".join(f"CAST({quote(n)} AS {table.c[n].type.compile(_PG)})" for n in names)
    tail = " ON CONFLICT DO NOTHING" if on_conflict == "ignore" else ""
    with closing(connect_adbc(engine)) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("alongside_staged", reader, mode="create", temporary=True)
        cursor.execute(f"INSERT INTO {quote(table.name)} ({columns}) SELECT {staged} FROM alongside_staged{tail}")
        count: int = cursor.rowcount
        connection.commit()
    return count


def _chain(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


# ------------------------------------------------------------------------------------------------------------ insert
def insert(
    engine: Engine,
    table: sa.Table,
    data: pa.Table | pa.RecordBatchReader,
    on_conflict: OnConflict = "error",
) -> int:
    """See `Ledger.insert_arrow`."""
    unknown = sorted(set(data.schema.names) - set(table.columns.keys()))
    if unknown:
        raise ValueError(f"table {table.name} has no column {', '.join(unknown)}")
    work = _insert_sqlite if engine.dialect.name == "sqlite" else _insert_postgres
    try:
        return work(engine, table, _prepared(table, data), on_conflict)
    except (sqlite3.IntegrityError, adbc.IntegrityError) as error:
        raise Refused(
            f"rows break a rule of the table ({_rule(error)})",
            where=f"ledger table {table.name}",
            remedy="Nothing was inserted. Rows that may exist already are inserted with on_conflict='ignore'.",
        ) from error
    except (sqlite3.Error, adbc.Error) as error:
        raise _failure(engine, error) from error


def _prepared(table: sa.Table, data: pa.Table | pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """Batches of at most `_ROWS` rows in the table's own types, with its defaults filled in."""
    for batch in _portions(data):
        columns = {name: _cast(batch.column(name), table.c[name]) for name in batch.schema.names}
        yield pa.record_batch(columns | _defaults(table, columns, batch.num_rows))


def _portions(data: pa.Table | pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    batches = data.to_batches(max_chunksize=_ROWS) if isinstance(data, pa.Table) else data
    for whole in batches:
        for start in range(0, whole.num_rows, _ROWS):
            yield whole.slice(start, _ROWS)


def _cast(values: pa.Array, column: sa.Column[Any]) -> pa.Array:
    wanted = arrow_type(column)
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.timestamp("us", values.type.tz), safe=False)
    try:
        return values.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"column {column} needs {wanted}, not {values.type}") from error


def _defaults(table: sa.Table, given: Mapping[str, Any], rows: int) -> dict[str, pa.Array]:
    return {
        column.name: pa.array([column.default.arg] * rows, arrow_type(column))
        for column in table.columns
        if column.name not in given and isinstance(column.default, sa.ColumnDefault) and column.default.is_scalar
    }


def _rule(error: Exception) -> str:
    """The broken rule's kind, without the row's values that PostgreSQL quotes in DETAIL."""
    first = str(error).splitlines()[0]
    return first.split(" Key (")[0].strip()[:160]


def _failure(engine: Engine, error: Exception) -> Exception:
    """A store that does not answer, or a query that is wrong: the one is retried, the other is a fault of ours."""
    text = str(error).splitlines()[0]
    # The driver calls whatever fails while a statement is prepared an error of programming, a lock that is held too.
    passing = str(getattr(error, "sqlstate", None) or "")[:2] in _PASSING
    ours = isinstance(error, adbc.ProgrammingError) or re.search("no such|syntax error|ambiguous|mismatch", text)
    if ours and not passing:
        return ValueError(f"the ledger refused the query: {text}")
    return sessions.unavailable(text, engine.url.render_as_string(hide_password=True))


# ------------------------------------------------------------------------------------------------------------- stage
def stage(
    connection: Connection, name: str, columns: Mapping[str, sa.Column[Any]], data: pa.Table | pa.RecordBatchReader
) -> None:
    """Put rows into a new temporary table of the transaction that is open, so that SQL can work on them as a set.

    Parameters
    ----------
    columns : name in `data` -> the column of the ledger whose type it has; others of `data` are left out
    """
    types = {key: column.type.compile(connection.dialect) for key, column in columns.items()}
    fields = ", ".join(f'"{key}" {kind}' for key, kind in types.items())
    tail = " ON COMMIT DROP" if connection.dialect.name == "postgresql" else ""
    connection.exec_driver_sql(f'DROP TABLE IF EXISTS "{name}"')
    connection.exec_driver_sql(f'CREATE TEMPORARY TABLE "{name}" ({fields}){tail}')
    driver: Any = connection.connection.driver_connection
    load = _copy_postgres if connection.dialect.name == "postgresql" else _fill_sqlite
    for batch in _portions(data):
        given = batch.schema.names
        arrays = [
            _cast(batch.column(key), column) if key in given else pa.nulls(batch.num_rows, arrow_type(column))
            for key, column in columns.items()
        ]
        load(driver, name, list(columns), arrays)


def _fill_sqlite(driver: Any, name: str, columns: Sequence[str], arrays: Sequence[pa.Array]) -> None:
    marks = ", ".join("?" for _ in columns)
    rows = zip(*(_sqlite_values(array) for array in arrays), strict=True)
    driver.executemany(f'INSERT INTO "{name}" VALUES ({marks})', rows)


def _copy_postgres(driver: Any, name: str, columns: Sequence[str], arrays: Sequence[pa.Array]) -> None:
    values = [
        pc.binary_join_element_wise(array.cast(pa.string()), "+00", "") if array.type == _MOMENT else array
        for array in arrays
    ]
    names = ", ".join(f'"{column}"' for column in columns)
    with driver.cursor() as cursor, cursor.copy(f'COPY "{name}" ({names}) FROM STDIN') as copy:
        for row in zip(*(value.to_pylist() for value in values), strict=True):
            copy.write_row(row)
