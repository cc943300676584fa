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
    RATIO = "ratio"  # all that was counted / all that it is counted `per`, over the arm
    QUANTILE = "quantile"  # a quantile over the arm's people: of `value`, or of the days until it first happened


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


class Source(Strict):
    """What is counted: delivery events, or rows of a canonical table."""

    origin: str = Field(alias="from", description="delivery, or a canonical table of the snapshot")
    event: EventKind | None = Field(None, description="from delivery: the event that counts")
    time: str | None = Field(None, description="from a table: the moment that must lie in the window")
    where: str | None = Field(None, description="from a table: SQL condition on its columns")
    value: str | None = Field(None, description="from a table: the numeric column that is aggregated, instead of rows")

    @property
    def time_column(self) -> str:
        return self.time or TABLES[self.origin].event_time


class Metric(Source):
    """One file of config/metrics/. A person's window opens when they are assigned and lasts `within_days`."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{2,59}$")
    label: dict[Locale, str] = Field(min_length=1)
    kind: MetricKind = MetricKind.BINARY
    aggregate: Aggregate = Aggregate.SUM
    per: Source | None = Field(None, description="ratio: what it is counted per, in the same window")
    below: float | None = Field(None, description="binary: it holds of whoever's aggregated value lies below this")
    quantile: float | None = Field(None, ge=0.05, le=0.95, description="quantile: which one; 0.5 is the median")
    cap: float | None = Field(None, gt=0, description="count or sum: a person's value above this counts as this")
    before_days: int | None = Field(
        None, ge=1, le=730, description="the same measured so long before assignment narrows the interval"
    )
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
    def may_be_missing(self) -> bool:
        """A person without a row has no value, instead of 0."""
        valued = self.kind is MetricKind.CONTINUOUS or (self.kind is MetricKind.QUANTILE and self.value is not None)
        return valued and self.aggregate is not Aggregate.SUM

    @property
    def averages(self) -> bool:
        """Compared by means of people's values, on which a few large ones weigh."""
        return self.kind in {MetricKind.COUNT, MetricKind.CONTINUOUS, MetricKind.RATIO}

    @property
    def is_wait(self) -> bool:
        """A quantile of the days until it first happened; of whoever it did not happen to, they are infinite."""
        return self.kind is MetricKind.QUANTILE and self.value is None

    @property
    def is_sum(self) -> bool:
        return self.kind is MetricKind.CONTINUOUS and self.aggregate is Aggregate.SUM

    def words(self, locale: Locale) -> str:
        return self.label.get(locale) or next(iter(self.label.values()))


#: Canonical tables that a snapshot does not hold as histories.
_NOT_IN_SNAPSHOTS = frozenset({"patient", "consent", "related_person"})


def check_metric(metric: Metric, document: Document) -> list[Finding]:
    """What the model cannot see: fields that fit each other and `from`, known columns, a harmless condition."""
    found = [*_kind_faults(metric, document), *_source_faults(metric, document, ())]
    if metric.kind is MetricKind.CONTINUOUS and metric.origin != DELIVERY and metric.value is None:
        found.append(
            document.finding("value", what="is required for a continuous metric", remedy="name a numeric column")
        )
    if metric.per is not None:
        found += _source_faults(metric.per, document, ("per",))
    return found


def _kind_faults(metric: Metric, document: Document) -> Iterator[Finding]:
    if metric.kind is MetricKind.CONTINUOUS and metric.origin == DELIVERY:
        yield document.finding("kind", what="delivery events are binary or counted", remedy="use binary or count")
    if (metric.per is not None) != (metric.kind is MetricKind.RATIO):
        what = "belongs to 'kind: ratio'" if metric.per else "a ratio needs what it is counted per"
        yield document.finding("per", what=what, remedy="for example per: {from: delivery, event: delivered}")
    if (metric.quantile is not None) != (metric.kind is MetricKind.QUANTILE):
        what = "belongs to 'kind: quantile'" if metric.quantile else "a quantile metric says which one"
        yield document.finding("quantile", what=what, remedy="for example quantile: 0.5 for the median")
    if metric.is_wait and metric.aggregate is not Aggregate.SUM:
        what = "the days until the first row need no aggregate"
        yield document.finding("aggregate", what=what, remedy="remove it, or name the value")
    if metric.below is not None and (metric.kind is not MetricKind.BINARY or metric.value is None):
        what = "belongs to a binary metric with a value"
        yield document.finding("below", what=what, remedy="for example value: value, aggregate: last, below: 140")
    if metric.cap is not None and not (metric.kind is MetricKind.COUNT or metric.is_sum):
        yield document.finding("cap", what="belongs to a count or a sum", remedy="remove it")
    own = metric.kind in {MetricKind.RATIO, MetricKind.QUANTILE}
    if metric.before_days is not None and (own or metric.may_be_missing):
        what = "a person without a row has no value before, and ratios and quantiles have their own variance"
        yield document.finding("before_days", what=what, remedy="use it with binary, count or sum")


def _source_faults(source: Source, document: Document, place: tuple[str, ...]) -> list[Finding]:
    if source.origin == DELIVERY:
        return list(_delivery_faults(source, document, place))
    if source.origin not in TABLES or source.origin in _NOT_IN_SNAPSHOTS:
        known = [DELIVERY, *(name for name in TABLES if name not in _NOT_IN_SNAPSHOTS)]
        what = f"unknown origin '{source.origin}'"
        return [document.finding(*place, "from", what=what, remedy=nearest(source.origin, known) or ", ".join(known))]
    return [*_column_faults(source, document, place), *_condition_faults(source, document, place)]


def _delivery_faults(source: Source, document: Document, place: tuple[str, ...]) -> Iterator[Finding]:
    if source.event is None:
        yield document.finding(*place, "event", what="is required with 'from: delivery'", remedy="for example click")
    for field in ("time", "where", "value"):
        if getattr(source, field) is not None:
            yield document.finding(*place, field, what="belongs to a table, not to delivery", remedy="remove it")


def columns_of(table: str) -> dict[str, str]:
    """Columns that a snapshot's table has (never identifying ones) and their DuckDB types."""
    return {
        "person_id": "VARCHAR",
        **{column.name: column.type for column in TABLES[table].columns if not column.identifying},
    }


def _column_faults(source: Source, document: Document, place: tuple[str, ...]) -> Iterator[Finding]:
    columns = columns_of(source.origin)
    if source.event is not None:
        yield document.finding(*place, "event", what="belongs to 'from: delivery'", remedy="use where")
    if not source.time_column:
        yield document.finding(
            *place, "time", what=f"is required: {source.origin} has no event time", remedy="name a column"
        )
    elif columns.get(source.time_column) != "TIMESTAMP":
        moments = [name for name, kind in columns.items() if kind == "TIMESTAMP"]
        what = f"'{source.time_column}' is not a moment of {source.origin}"
        yield document.finding(
            *place, "time", what=what, remedy=nearest(source.time_column, moments) or ", ".join(moments)
        )
    numbers = [name for name, kind in columns.items() if kind in {"DOUBLE", "INTEGER", "BIGINT"}]
    if source.value is not None and source.value not in numbers:
        what = f"'{source.value}' is not a numeric column of {source.origin}"
        yield document.finding(*place, "value", what=what, remedy=nearest(source.value, numbers) or ", ".join(numbers))


#: All that a condition may be made of. Whatever is not here (sub-queries, file and network functions) is refused.
_ALLOWED = (
    exp.And, exp.Or, exp.Not, exp.Paren, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.In, exp.Between,
    exp.Is, exp.Null, exp.Boolean, exp.Literal, exp.Column, exp.Identifier, exp.Like, exp.ILike, exp.Add, exp.Sub,
    exp.Mul, exp.Div, exp.Neg, exp.Lower, exp.Upper, exp.Coalesce, exp.Abs, exp.ArrayContains, exp.StartsWith,
    exp.Tuple,
)  # fmt: skip
_FUNCTIONS = ("lower", "upper", "coalesce", "abs", "list_contains", "starts_with")


def _condition_faults(source: Source, document: Document, place: tuple[str, ...]) -> Iterator[Finding]:
    if source.where is None:
        return
    try:
        tree = sqlglot.parse_one(source.where, dialect="duckdb", into=exp.Condition)
    except SqlglotError as error:
        what = f"is not a SQL condition: {str(error).splitlines()[0]}"
        yield document.finding(*place, "where", what=what, remedy="for example \"service = 'follow_up'\"")
        return
    columns = columns_of(source.origin)
    for node in tree.walk():
        if isinstance(node, exp.Column) and (node.table or node.name not in columns):
            name = node.sql(dialect="duckdb")
            what = f"unknown column '{name}' of {source.origin}"
            yield document.finding(*place, "where", what=what, remedy=nearest(node.name, columns) or ", ".join(columns))
        elif not isinstance(node, _ALLOWED):
            name = node.name if isinstance(node, exp.Anonymous) else node.sql(dialect="duckdb")
            what = f"'{name[:60]}' is not allowed in a condition"
            yield document.finding(
                *place, "where", what=what, remedy=nearest(name, _FUNCTIONS) or ", ".join(_FUNCTIONS)
            )
            return
