"""Metrics of Great Expectations for DuckDB: counts in one scan of the table, and no values of patients.

Its own implementation runs every `unexpected_rows_query` twice, once for the count and once for some rows, and fetches
examples of failing values beside the count of every other expectation, also where nobody asks for them. What stands
here is registered for `DuckEngine` alone, in the registry that Great Expectations keeps for custom metrics.
"""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa
import sqlglot
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.metric_function_types import (
    MetricFunctionTypes,
    MetricPartialFunctionTypes,
    SummarizationMetricNameSuffixes,
)
from great_expectations.expectations.metrics.metric_provider import MetricProvider, metric_partial, metric_value
from great_expectations.expectations.metrics.query_metric_provider import QueryMetricProvider
from great_expectations.expectations.registry import get_expectation_impl, get_metric_kwargs, register_metric
from sqlglot import exp

from alongside.quality.duckengine import DuckEngine

_SIMPLE = re.compile(r"\s*SELECT\s+\*\s+FROM\s+\{batch\}\s+WHERE\s(?P<condition>.+)", re.IGNORECASE | re.DOTALL)
_CLAUSES = {"expressions", "from", "from_", "where"}


def row_condition(query: str) -> str | None:
    """The condition of `SELECT * FROM {batch} WHERE condition`, as it is written; None for any other shape.

    Such a query returns exactly the rows that fulfil the condition, so that `count(*) FILTER (WHERE condition)` in any
    scan of the table is its number of rows.
    """
    found = _SIMPLE.fullmatch(query)
    if found is None or "--" in query:  # a comment would hide what follows the condition
        return None
    try:
        tree = sqlglot.parse_one(query.replace("{batch}", "batch"), dialect="duckdb")
    except sqlglot.errors.SqlglotError:
        return None
    clauses = {name for name, value in tree.args.items() if value}
    if not isinstance(tree, exp.Select) or clauses - _CLAUSES or tree.find(exp.Window):
        return None
    return found["condition"]


class _UnexpectedRowsQuery(QueryMetricProvider):  # type: ignore[misc]  # Great Expectations is untyped
    value_keys = ("unexpected_rows_query",)
    query_param_name = "unexpected_rows_query"


class UnexpectedRowCount(_UnexpectedRowsQuery):
    """Rows that the query returns, as one expression of the bundle that the engine sends as a single SELECT."""

    metric_name = "unexpected_rows_query.row_count"

    @metric_partial(  # type: ignore[untyped-decorator]
        engine=DuckEngine,
        partial_fn_type=MetricPartialFunctionTypes.AGGREGATE_FN,
        domain_type=MetricDomainTypes.TABLE,
    )
    def _duckdb(
        cls,  # Great Expectations passes the class by name
        execution_engine: DuckEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        # Metrics share a SELECT when their domains are equal, and those of columns name a table.
        domain = {"table": None, **metric_domain_kwargs}
        query = cls._get_query_from_metric_value_kwargs(metric_value_kwargs)
        batch, _, _ = execution_engine.get_compute_domain(metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE)
        condition = None if metric_domain_kwargs.get("row_condition") else row_condition(query)
        if condition is not None:
            condition = cls._format_query(condition, batch=batch)
            return sa.literal_column(f"count(*) FILTER (WHERE {condition})"), domain, {}
        whole = cls._get_substituted_batch_subquery_from_query_and_batch_selectable(
            query=query, batch_selectable=batch, execution_engine=execution_engine
        )
        return sa.literal_column(f"(SELECT count(*) FROM ({whole}))"), domain, {}


class UnexpectedRows(_UnexpectedRowsQuery):
    """No rows: the quarantine takes them by their number, within the warehouse."""

    metric_name = "unexpected_rows_query.table"

    @metric_value(engine=DuckEngine)  # type: ignore[untyped-decorator]
    def _duckdb(cls, **given: Any) -> list[Any]:
        return []


class UnexpectedValues(MetricProvider):  # type: ignore[misc]
    """No examples of failing values; they would cost a query for each expectation."""

    def withheld(cls, **given: Any) -> list[Any]:
        return []


def withhold_values(expectation_type: str) -> None:
    """Have `DuckEngine` answer for this type's examples of failing values without looking for them."""
    map_metric = getattr(get_expectation_impl(expectation_type), "map_metric", None)
    if not map_metric:
        return
    name = f"{map_metric}.{SummarizationMetricNameSuffixes.UNEXPECTED_VALUES.value}"
    keys = get_metric_kwargs(name)
    register_metric(
        metric_name=name,
        metric_domain_keys=keys["metric_domain_keys"],
        metric_value_keys=keys["metric_value_keys"],
        execution_engine=DuckEngine,
        metric_class=UnexpectedValues,
        metric_provider=UnexpectedValues.withheld,
        metric_fn_type=MetricFunctionTypes.VALUE,
    )


__all__ = ["UnexpectedRowCount", "UnexpectedRows", "row_condition", "withhold_values"]
