"""Metrics: what an experiment counts, from delivery events or from a canonical table of the snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum

import sqlglot
from pydantic import Field
from sqlglot import exp
from sqlglot.errors import SqlglotError

from alongside.model.canonical import TABLES
from alongside.model.enums import EventKind, Locale
from alongside.model.findings import Finding, nearest
from alongside.settings import Document
from alongside.settings.strict import Strict

DELIVERY = "delivery"


class MetricKind(StrEnum):
    BINARY = "binary"  # did it happen to the person within the window
    COUNT = "count"  # how often
    CONTINUOUS = "continuous"  # an aggregate of `value`


class Aggregate(StrEnum):
    SUM = "sum"  # 0 for a person without a row
    MEAN = "mean"  # the others leave a person without a row out of the metric, and the result says how many
    MIN = "min"
    MAX = "max"
    LAST = "last"


class Direction(StrEnum):
    HIGHER = "higher_is_better"
    LOWER = "lower_is_better"

    @property
    def sign(self) -> int:
        """+1 where more is better: `sign * difference` is the improvement."""
        return 1 if self is Direction.HIGHER else -1


class Metric(Strict):
    """One file of config/metrics/. A person's window opens when they are assigned and lasts `within_days`."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{2,59}$")
    label: dict[Locale, str] = Field(min_length=1)
    kind: MetricKind = MetricKind.BINARY
    origin: str = Field(alias="from", description="delivery, or a canonical table of the snapshot")
    event: EventKind | None = Field(None, description="from delivery: the event that counts")
    time: str | None = Field(None, description="from a table: the moment that must lie in the window")
    where: str | None = Field(None, description="from a table: SQL condition on its columns")
    value: str | None = Field(None, description="continuous: the numeric column that is aggregated")
    aggregate: Aggregate = Aggregate.SUM
    within_days: int = Field(7, ge=1, le=730)
    settle_hours: int | None = Field(None, ge=0, le=24 * 60, description="until the window's data have all arrived")
    direction: Direction = Direction.HIGHER
    typical: float | None = Field(None, description="expected value without any experiment, for planning")
    deviation: float | None = Field(None, gt=0, description="standard deviation of a person's value, for planning")

    @property
    def window(self) -> timedelta:
        return timedelta(days=self.within_days)

    @property
    def settles(self) -> timedelta:
        """Extracts arrive once a night, delivery events within hours."""
        default = 6 if self.origin == DELIVERY else 24
        return timedelta(hours=default if self.settle_hours is None else self.settle_hours)

    @property
    def time_column(self) -> str:
        return self.time or TABLES[self.origin].event_time

    @property
    def may_be_missing(self) -> bool:
        """A person without a row has no value, instead of 0."""
        return self.kind is MetricKind.CONTINUOUS and self.aggregate is not Aggregate.SUM

    def words(self, locale: Locale) -> str:
        return self.label.get(locale) or next(iter(self.label.values()))


#: Canonical tables that a snapshot does not hold as histories.
_NOT_IN_SNAPSHOTS = frozenset({"patient", "consent", "related_person"})


def check_metric(metric: Metric, document: Document) -> list[Finding]:
    """What the model cannot see: fields that fit `from`, known columns, a harmless condition."""
    if metric.origin == DELIVERY:
        return list(_delivery_faults(metric, document))
    if metric.origin not in TABLES or metric.origin in _NOT_IN_SNAPSHOTS:
        known = [DELIVERY, *(name for name in TABLES if name not in _NOT_IN_SNAPSHOTS)]
        what = f"unknown origin '{metric.origin}'"
        return [document.finding("from", what=what, remedy=nearest(metric.origin, known) or ", ".join(known))]
    return [*_column_faults(metric, document), *_condition_faults(metric, document)]


def _delivery_faults(metric: Metric, document: Document) -> Iterator[Finding]:
    if metric.event is None:
        yield document.finding("event", what="is required with 'from: delivery'", remedy="for example click")
    for field in ("time", "where", "value"):
        if getattr(metric, field) is not None:
            yield document.finding(field, what="belongs to a table, not to delivery", remedy="remove it")
    if metric.kind is MetricKind.CONTINUOUS:
        yield document.finding("kind", what="delivery events are binary or counted", remedy="use binary or count")


def columns_of(table: str) -> dict[str, str]:
    """Columns that a snapshot's table has (never identifying ones) and their DuckDB types."""
    return {
        "person_id": "VARCHAR",
        **{column.name: column.type for column in TABLES[table].columns if not column.identifying},
    }


def _column_faults(metric: Metric, document: Document) -> Iterator[Finding]:
    columns = columns_of(metric.origin)
    if metric.event is not None:
        yield document.finding("event", what="belongs to 'from: delivery'", remedy="use where")
    if not metric.time_column:
        yield document.finding("time", what=f"is required: {metric.origin} has no event time", remedy="name a column")
    elif columns.get(metric.time_column) != "TIMESTAMP":
        moments = [name for name, kind in columns.items() if kind == "TIMESTAMP"]
        what = f"'{metric.time_column}' is not a moment of {metric.origin}"
        yield document.finding("time", what=what, remedy=nearest(metric.time_column, moments) or ", ".join(moments))
    if metric.kind is MetricKind.CONTINUOUS and metric.value is None:
        yield document.finding("value", what="is required for a continuous metric", remedy="name a numeric column")
    numbers = [name for name, kind in columns.items() if kind in {"DOUBLE", "INTEGER", "BIGINT"}]
    if metric.value is not None and metric.value not in numbers:
        what = f"'{metric.value}' is not a numeric column of {metric.origin}"
        yield document.finding("value", what=what, remedy=nearest(metric.value, numbers) or ", ".join(numbers))


#: All that a condition may be made of. Whatever is not here (sub-queries, file and network functions) is refused.
_ALLOWED = (
    exp.And, exp.Or, exp.Not, exp.Paren, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.In, exp.Between,
    exp.Is, exp.Null, exp.Boolean, exp.Literal, exp.Column, exp.Identifier, exp.Like, exp.ILike, exp.Add, exp.Sub,
    exp.Mul, exp.Div, exp.Neg, exp.Lower, exp.Upper, exp.Coalesce, exp.Abs, exp.ArrayContains, exp.StartsWith,
    exp.Tuple,
)  # fmt: skip
_FUNCTIONS = ("lower", "upper", "coalesce", "abs", "list_contains", "starts_with")


def _condition_faults(metric: Metric, document: Document) -> Iterator[Finding]:
    if metric.where is None:
        return
    try:
        tree = sqlglot.parse_one(metric.where, dialect="duckdb", into=exp.Condition)
    except SqlglotError as error:
        what = f"is not a SQL condition: {str(error).splitlines()[0]}"
        yield document.finding("where", what=what, remedy="for example \"service = 'follow_up'\"")
        return
    columns = columns_of(metric.origin)
    for node in tree.walk():
        if isinstance(node, exp.Column) and (node.table or node.name not in columns):
            name = node.sql(dialect="duckdb")
            what = f"unknown column '{name}' of {metric.origin}"
            yield document.finding("where", what=what, remedy=nearest(node.name, columns) or ", ".join(columns))
        elif not isinstance(node, _ALLOWED):
            name = node.name if isinstance(node, exp.Anonymous) else node.sql(dialect="duckdb")
            what = f"'{name[:60]}' is not allowed in a condition"
            yield document.finding("where", what=what, remedy=nearest(name, _FUNCTIONS) or ", ".join(_FUNCTIONS))
            return
