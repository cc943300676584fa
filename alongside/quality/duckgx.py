"""Great Expectations on DuckDB: its own engine, with the connection kept.

Quirks, each seen: (1) its SQL engine returns a connection before fetching, which DuckDB answers with an empty
result, so one persistent connection is yielded, as it does itself for SQLite; (2) it has no entry for DuckDB's regular
expressions, but DuckDB's dialect derives from PostgreSQL's, whose operator `~` DuckDB reads as *full* match; (3) a
connection shared by threads gives wrong counts silently, so an engine serves one table, serially; (4) results are
truncated, so they are used for counts and for the query only.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import duckdb_engine
import sqlalchemy as sa
from great_expectations.core.batch import Batch
from great_expectations.core.suite_parameters import build_suite_parameters
from great_expectations.exceptions import GreatExpectationsError
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.execution_engine.sqlalchemy_batch_data import SqlAlchemyBatchData
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.expectations.registry import get_expectation_impl
from great_expectations.validator.validator import Validator
from sqlalchemy.engine.reflection import ObjectKind

from alongside.model.errors import AlongsideError
from alongside.quality.suites import Expectation

logging.getLogger("great_expectations").setLevel(logging.ERROR)

COUNTS = {"result_format": "BASIC", "partial_unexpected_count": 0}


class Views:
    """Columns of every view, reflected once: DuckDB's catalogue costs a tenth of a second a table otherwise."""

    def __init__(self, engine: sa.Engine) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Did not recognize type", sa.exc.SAWarning)  # lists have no type there
            found = sa.inspect(engine).get_multi_columns(kind=ObjectKind.ANY)
        self._columns = {name: columns for (_, name), columns in found.items()}

    def get_columns(self, table_name: str, schema: str | None = None) -> list[Any]:
        return [dict(column) for column in self._columns[str(table_name)]]

    def get_pk_constraint(self, table_name: str, schema: str | None = None) -> dict[str, Any]:
        return {}


class DuckEngine(SqlAlchemyExecutionEngine):  # type: ignore[misc]  # Great Expectations is untyped
    """Great Expectations' SQL engine on one persistent DuckDB connection."""

    def __init__(self, engine: sa.Engine, views: Views) -> None:
        super().__init__(engine=engine, create_temp_table=False)
        self._views = views
        self._connection: sa.Connection | None = None
        self.dialect_module = SimpleNamespace(dialect=duckdb_engine.Dialect)

    def get_inspector(self) -> Views:
        return self._views

    @contextmanager
    def get_connection(self) -> Iterator[sa.Connection]:
        if not self._connection:
            self._connection = self.engine.connect()
        yield self._connection


class TableValidator:
    """Great Expectations on one view. Keep it until all tables are done: when it goes, it closes the connection."""

    def __init__(self, engine: sa.Engine, views: Views, view: str) -> None:
        self.view = view
        execution = DuckEngine(engine, views)
        data = SqlAlchemyBatchData(execution_engine=execution, table_name=view, create_temp_table=False)
        self._validator = Validator(execution_engine=execution, batches=[Batch(data=data)])
        self._validator.metrics_calculator.show_progress_bars = False  # progress is drawn by whoever calls

    def run(self, expectations: Sequence[Expectation], parameters: dict[str, Any]) -> list[Any]:
        """Great Expectations' results in order: ExpectationValidationResult, or the reason why one was skipped."""
        prepared = [_configuration(item, parameters) for item in expectations]
        runnable = [item for item in prepared if not isinstance(item, str)]
        found = self._validate(runnable, COUNTS) if runnable else []
        by_id = {result.expectation_config.meta["id"]: result for result in found}
        return [item if isinstance(item, str) else by_id[item.meta["id"]] for item in prepared]

    def failing_rows_query(self, expectation: Expectation, row_id: str) -> str:
        """The query by which Great Expectations finds the failing rows; its one column is `row_id`."""
        if expectation.type == "unexpected_rows_expectation":
            query = expectation.kwargs["unexpected_rows_query"].replace("{batch}", self.view)
            return f"SELECT {row_id} FROM ({query.rstrip().rstrip(';')})"
        wanted = {
            "result_format": "COMPLETE",
            "partial_unexpected_count": 0,
            "unexpected_index_column_names": [row_id],
            "return_unexpected_index_query": True,
            "exclude_unexpected_values": True,
        }
        result = self._validate([_configuration(expectation, {})], wanted)[0]
        query = str(result.result["unexpected_index_query"]).rstrip().rstrip(";")
        return f"SELECT #1 AS {row_id} FROM ({query})"

    def _validate(self, configurations: list[Any], result_format: dict[str, Any]) -> list[Any]:
        runtime = {"result_format": result_format}
        found: list[Any] = self._validator.graph_validate(configurations, runtime_configuration=runtime)
        return found


def argument_fault(expectation: Expectation) -> str:
    """What Great Expectations itself says against this type and its arguments; empty when it accepts them."""
    try:
        impl = get_expectation_impl(expectation.type)
    except GreatExpectationsError:
        return f"Great Expectations knows no '{expectation.type}'"
    try:
        impl(**expectation.kwargs)
    except (ValueError, TypeError) as error:
        return " ".join(str(error).split())
    return ""


def _configuration(expectation: Expectation, parameters: dict[str, Any]) -> Any:
    """Great Expectations' configuration object, or why a parameter of the run is missing."""
    try:
        kwargs, _ = build_suite_parameters(dict(expectation.kwargs), parameters)
    except GreatExpectationsError:
        return "no earlier snapshot to compare with"
    return ExpectationConfiguration(
        type=expectation.type,
        kwargs=kwargs,
        severity=expectation.severity.value,
        meta={"id": expectation.meta.id},
    )


def exception_of(result: Any) -> str:
    """The message of an expectation that could not be computed, else empty."""
    info = result.exception_info or {}
    if info.get("raised_exception"):
        return str(info.get("exception_message"))
    nested = [entry for entry in info.values() if isinstance(entry, dict) and entry.get("raised_exception")]
    return str(nested[0].get("exception_message")) if nested else ""


class ValidationFailed(AlongsideError):
    """An expectation could not be computed: its arguments do not fit the table."""


__all__ = ["TableValidator", "ValidationFailed", "Views", "argument_fault", "exception_of"]
