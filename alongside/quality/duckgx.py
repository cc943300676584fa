"""Great Expectations on one DuckDB view: all expectations in one graph, so that their metrics share one SELECT.

Its results are truncated, so they are used for counts and for the query of the failing rows only.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from alongside.model.errors import AlongsideError
from alongside.quality.duckengine import DuckEngine, Views  # first: it turns analytics off
from alongside.quality.duckmetrics import withhold_values
from alongside.quality.suites import Expectation

from great_expectations.core.batch import Batch  # isort: skip
from great_expectations.core.suite_parameters import build_suite_parameters  # isort: skip
from great_expectations.exceptions import GreatExpectationsError  # isort: skip
from great_expectations.execution_engine.sqlalchemy_batch_data import SqlAlchemyBatchData  # isort: skip
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration  # isort: skip
from great_expectations.expectations.registry import get_expectation_impl  # isort: skip
from great_expectations.validator.validator import Validator  # isort: skip

logging.getLogger("great_expectations").setLevel(logging.ERROR)

COUNTS = {"result_format": "BASIC", "partial_unexpected_count": 0}
#: With BOOLEAN_ONLY it writes the query and runs none; COMPLETE would fetch the rows as well.
QUERIES = {"result_format": "BOOLEAN_ONLY", "return_unexpected_index_query": True}


class TableValidator:
    """Great Expectations on one view, over a connection that nothing else uses meanwhile."""

    def __init__(self, connection: sa.Connection, views: Views, view: str) -> None:
        self.view = view
        execution = DuckEngine(connection, views)
        data = SqlAlchemyBatchData(execution_engine=execution, table_name=view, create_temp_table=False)
        self._validator = Validator(execution_engine=execution, batches=[Batch(data=data)])
        self._validator.metrics_calculator.show_progress_bars = False  # progress is drawn by whoever calls

    def run(self, expectations: Sequence[Expectation], parameters: dict[str, Any]) -> list[Any]:
        """Great Expectations' results in order: ExpectationValidationResult, or the reason why one was skipped."""
        for type_ in {item.type for item in expectations}:
            withhold_values(type_)
        prepared = [_configuration(item, parameters) for item in expectations]
        runnable = [item for item in prepared if not isinstance(item, str)]
        found = self._validate(runnable, COUNTS) if runnable else []
        if any(exception_of(result) for result in found):
            # Whatever shares a SELECT fails together: one by one, the error stands where it belongs.
            found = [self._validate([item], COUNTS)[0] for item in runnable]
        by_id = {result.expectation_config.meta["id"]: result for result in found}
        return [item if isinstance(item, str) else by_id[item.meta["id"]] for item in prepared]

    def failing_rows_queries(self, expectations: Sequence[Expectation], row_id: str) -> list[str]:
        """The queries by which Great Expectations finds the failing rows; the one column of each is `row_id`."""
        mapped = [item for item in expectations if item.type != "unexpected_rows_expectation"]
        wanted = {**QUERIES, "unexpected_index_column_names": [row_id]}
        found = self._validate([_configuration(item, {}) for item in mapped], wanted) if mapped else []
        queries = {
            result.expectation_config.meta["id"]: _index_query(result.result["unexpected_index_query"], row_id)
            for result in found
        }
        return [queries.get(item.meta.id) or self._rows_query(item, row_id) for item in expectations]

    def _rows_query(self, expectation: Expectation, row_id: str) -> str:
        query = expectation.kwargs["unexpected_rows_query"].format(batch=self.view)
        return f"SELECT {row_id} FROM ({query.rstrip().rstrip(';')})"

    def _validate(self, configurations: list[Any], result_format: dict[str, Any]) -> list[Any]:
        runtime = {"result_format": result_format}
        found: list[Any] = self._validator.graph_validate(configurations, runtime_configuration=runtime)
        return found


def _index_query(query: Any, row_id: str) -> str:
    return f"SELECT #1 AS {row_id} FROM ({str(query).rstrip().rstrip(';')})"


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
