"""Great Expectations' SQL engine on DuckDB, on the caller's own connection.

Quirks, each seen: (1) its SQL engine returns a connection before fetching, which DuckDB answers with an empty
result, so one persistent connection is yielded, as it does itself for SQLite; (2) it has no entry for DuckDB's regular
expressions, but DuckDB's dialect derives from PostgreSQL's, whose operator `~` DuckDB reads as *full* match; (3) a
connection shared by threads gives wrong counts silently, so everything is done serially; (4) two SQLAlchemy connections
on the one in-memory database open transactions within each other, so there is one; (5) after a failed statement DuckDB
refuses everything until a rollback.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import duckdb_engine
import sqlalchemy as sa
from great_expectations.execution_engine import SqlAlchemyExecutionEngine


class Views:
    """Columns of every view in one cheap query; SQLAlchemy's reflection is slow there."""

    def __init__(self, connection: sa.Connection) -> None:
        self.dialect = connection.dialect
        self._columns: dict[str, list[dict[str, Any]]] = {}
        query = "SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns() ORDER BY column_index"
        for table, name, type_, nullable in connection.exec_driver_sql(query):
            column = {"name": name, "type": _type(type_), "nullable": nullable, "default": None}
            self._columns.setdefault(table, []).append(column)

    def get_columns(self, table_name: str, schema: str | None = None) -> list[Any]:
        return [dict(column) for column in self._columns[str(table_name)]]

    def get_pk_constraint(self, table_name: str, schema: str | None = None) -> dict[str, Any]:
        return {}


def _type(name: str) -> sa.types.TypeEngine[Any]:
    """`DECIMAL(18,3)` -> DECIMAL; what SQLAlchemy has no word for, such as lists, is of no type."""
    found = getattr(sa, name.partition("(")[0], None) if "[" not in name else None
    return found() if isinstance(found, type) and issubclass(found, sa.types.TypeEngine) else sa.types.NullType()


class DuckEngine(SqlAlchemyExecutionEngine):  # type: ignore[misc]  # Great Expectations is untyped
    """Great Expectations' SQL engine on a connection that somebody else opened and will close."""

    def __init__(self, connection: sa.Connection, views: Views) -> None:
        super().__init__(engine=connection.engine, create_temp_table=False)
        self._views = views
        self._callers = connection
        self.dialect_module = SimpleNamespace(dialect=duckdb_engine.Dialect)

    def get_inspector(self) -> Views:
        return self._views

    @contextmanager
    def get_connection(self) -> Iterator[sa.Connection]:
        try:
            yield self._callers
        except sa.exc.DBAPIError:
            self._callers.rollback()
            raise

    def close(self) -> None:
        """Nothing: the connection and its engine are the caller's."""


__all__ = ["DuckEngine", "Views"]
