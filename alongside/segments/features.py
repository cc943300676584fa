"""Features: what one person's history says, one column each, computed by one GROUP BY per history table.

Expressions share features: `visited('cardiology', 80)` and `days_since_visit('cardiology')` read the same column, the
moment of the latest visit. All features of a table come from a single scan of its Parquet file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from sqlglot import exp, parse_one

from alongside.segments.columns import fields
from alongside.segments.moment import Moment

#: Orders readings by time; among those of the same instant the larger value wins, so that the result does not depend
#: on the order in which rows are read. One 128-bit key is half again cheaper than comparing pairs.
_RECENCY = "epoch_us({time})::HUGEINT * 10000000000000000 + least(greatest({value} * 1000, -1e15), 1e15)::BIGINT"


@dataclass(frozen=True)
class History:
    """A history table: `key` names what a row is about, `event` when it became known."""

    key: str
    event: str
    recency: tuple[str, str] | None = None

    @property
    def coded(self) -> bool:
        return self.key == "concept"


HISTORIES: dict[str, History] = {
    "condition": History("concept", "onset_at"),
    "procedure": History("concept", "performed_at"),
    "medication_request": History("concept", "authored_at"),
    "immunization": History("concept", "occurred_at"),
    "observation": History("concept", "effective_at", ("effective_at", "value")),
    "encounter": History("department", "started_at"),
    "interaction": History("topic", "occurred_at"),
    "appointment": History("service", "booked_at"),
    "questionnaire_response": History("questionnaire", "answered_at", ("answered_at", "score")),
}


@dataclass(frozen=True)
class Measure:
    """`aggregate` over one person's rows that meet `where`; both DuckDB expressions, `:as_of` the moment."""

    table: str
    aggregate: str
    where: str = ""


_SUPPLY = "max(authored_at + to_hours((greatest(least(days_supply, 3660), 0) * 24)::BIGINT))"

MEASURES: dict[str, Measure] = {
    "diagnosis_first": Measure("condition", "min(onset_at)", "abated_at IS NULL OR abated_at > :as_of"),
    "procedure_last": Measure("procedure", "max(performed_at)", "status = 'completed'"),
    "immunization_last": Measure("immunization", "max(occurred_at)"),
    "supply_end": Measure("medication_request", _SUPPLY, "status = 'active'"),
    "reading_latest": Measure("observation", "arg_max(value, recency)", "value IS NOT NULL"),
    "reading_latest_at": Measure("observation", "max(effective_at)", "value IS NOT NULL"),
    "reading_text": Measure("observation", "arg_max(value_text, (effective_at, value_text))", "value_text IS NOT NULL"),
    "reading_previous": Measure("observation", "max(value)", "value IS NOT NULL"),
    "reading_average": Measure("observation", "avg(value)", "value IS NOT NULL"),
    "reading_lowest": Measure("observation", "min(value)", "value IS NOT NULL"),
    "reading_highest": Measure("observation", "max(value)", "value IS NOT NULL"),
    "reading_count": Measure("observation", "count(value)", "value IS NOT NULL"),
    "visit_last": Measure("encounter", "max(started_at)"),
    "interaction_last": Measure("interaction", "max(occurred_at)"),
    "booked_next": Measure("appointment", "min(start_at)", "status = 'booked' AND start_at > :as_of"),
    "attended_last": Measure("appointment", "max(start_at)", "status = 'fulfilled' AND start_at <= :as_of"),
    "missed_last": Measure("appointment", "max(start_at)", "status = 'noshow' AND start_at <= :as_of"),
    "answer_last": Measure("questionnaire_response", "max(answered_at)"),
    "answer_score": Measure("questionnaire_response", "arg_max(score, recency)", "score IS NOT NULL"),
}


@dataclass(frozen=True, order=True)
class Feature:
    """A measure of one `name` (a concept, department, service, topic or survey), as one column a person.

    Attributes
    ----------
    context : only readings taken there (lab, clinic or home); empty for all
    since : only rows at or after this moment (UTC, naive)
    """

    measure: str
    name: str
    context: str = ""
    since: datetime | None = None

    @property
    def table(self) -> str:
        return MEASURES[self.measure].table

    @property
    def column(self) -> str:
        """The column's name, readable in a query plan."""
        since = f"since {self.since:%Y-%m-%dT%H:%M}" if self.since else ""
        return " ".join(part for part in (self.measure, self.name, self.context, since) if part)

    @property
    def group(self) -> tuple[str, str]:
        """Features of one group come from one GROUP BY; `previous` ranks rows first, per context."""
        return (self.table, f"previous {self.context}" if self.measure == "reading_previous" else "")

    @property
    def reads(self) -> frozenset[str]:
        """Canonical fields, `table.column`, that decide its value."""
        return fields(self.table, *_raw_columns(self))


@dataclass(frozen=True)
class Sources:
    """Where the rows are: a folder of Parquet tables, and optionally a relation whose `person_id`s alone count."""

    tables: Path
    people: str = ""

    def table(self, name: str) -> exp.Table:
        """The table's Parquet file as a relation."""
        path = exp.Literal.string(str(self.tables / f"{name}.parquet"))
        return exp.Table(this=exp.Anonymous(this="read_parquet", expressions=[path]))

    def restrict(self, query: exp.Select) -> exp.Select:
        """The query, only for the people asked for."""
        if not self.people:
            return query
        wanted = exp.select("person_id").from_(exp.to_table(self.people))
        return query.where(exp.column("person_id").isin(query=wanted))


def timestamp(moment: datetime) -> exp.Expr:
    """A TIMESTAMP literal."""
    return exp.cast(exp.Literal.string(moment.isoformat(sep=" ")), "TIMESTAMP")


@cache
def _parsed(sql: str) -> exp.Expr:
    return parse_one(sql, dialect="duckdb")


def _snippet(sql: str, moment: Moment) -> exp.Expr:
    return exp.replace_placeholders(_parsed(sql).copy(), as_of=timestamp(moment.utc))


def _raw_columns(feature: Feature) -> Iterator[str]:
    """Columns of the canonical table that the feature depends on."""
    measure, history = MEASURES[feature.measure], HISTORIES[feature.table]
    yield "concepts" if history.coded else history.key
    yield history.event
    if feature.context:
        yield "context"
    for sql in filter(None, (measure.aggregate, measure.where)):
        for column in _parsed(sql).find_all(exp.Column):
            if column.name == "recency" and history.recency:
                yield from history.recency
            else:
                yield column.name


def group_queries(
    features: Iterable[Feature], moment: Moment, sources: Sources
) -> list[tuple[list[Feature], exp.Select]]:
    """One query per group: `person_id` and a column for each of its features."""
    groups: dict[tuple[str, str], list[Feature]] = defaultdict(list)
    for feature in sorted(features, key=lambda item: item.column):
        groups[feature.group].append(feature)
    return [(members, _group_query(members, moment, sources)) for _, members in sorted(groups.items())]


def _group_query(members: list[Feature], moment: Moment, sources: Sources) -> exp.Select:
    previous = members[0].measure == "reading_previous"
    rows = _rows(members, moment, sources)
    if previous:
        rows = _second_latest(members, moment, rows)
    columns = [_aggregate(feature, moment, plain=previous).as_(feature.column, quoted=True) for feature in members]
    query = exp.select("person_id", *columns, copy=False).from_(rows.subquery("history", copy=False), copy=False)
    return query.where(_relevant(members), copy=False).group_by("person_id", copy=False)


def _rows(members: list[Feature], moment: Moment, sources: Sources) -> exp.Select:
    """The history's rows known by the moment, one per concept; only the columns that are used."""
    table = members[0].table
    history = HISTORIES[table]
    names = sorted({name for feature in members for name in _raw_columns(feature)} - {"concepts"})
    query = exp.select("person_id", *names).from_(sources.table(table))
    if history.coded:
        query = query.select(exp.alias_(exp.func("unnest", exp.column("concepts"), dialect="duckdb"), "concept"))
    if history.recency and any("recency" in MEASURES[feature.measure].aggregate for feature in members):
        time, value = history.recency
        query = query.select(exp.alias_(_parsed(_RECENCY.format(time=time, value=value)).copy(), "recency"))
    return sources.restrict(query.where(exp.column(history.event) <= timestamp(moment.utc)))


def _second_latest(members: list[Feature], moment: Moment, rows: exp.Select) -> exp.Select:
    """Readings of the latest moment but one, per person and concept."""
    kept = exp.select("*").from_(rows.subquery("known")).where(_parsed("value IS NOT NULL").copy(), _relevant(members))
    if context := members[0].context:
        kept = kept.where(exp.column("context").eq(exp.Literal.string(context)))
    window = _parsed("dense_rank() OVER (PARTITION BY person_id, concept ORDER BY effective_at DESC)").copy()
    placed = exp.select("*", exp.alias_(window, "place")).from_(kept.subquery("kept"))
    return exp.select("*").from_(placed.subquery("placed")).where(exp.column("place").eq(2))


def _relevant(members: list[Feature]) -> exp.Expr:
    """Rows that any feature of the group can use, so that the aggregation sees no others."""
    key = exp.column(HISTORIES[members[0].table].key)
    names = sorted({feature.name for feature in members})
    return key.isin(*(exp.Literal.string(name) for name in names))


def _aggregate(feature: Feature, moment: Moment, plain: bool) -> exp.Expr:
    measure, history = MEASURES[feature.measure], HISTORIES[feature.table]
    conditions: list[exp.Expr] = [exp.column(history.key).eq(exp.Literal.string(feature.name))]
    if not plain:
        if measure.where:
            conditions.append(exp.paren(_snippet(measure.where, moment)))
        if feature.context:
            conditions.append(exp.column("context").eq(exp.Literal.string(feature.context)))
        if feature.since:
            conditions.append(exp.column(history.event) >= timestamp(feature.since))
    return exp.Filter(this=_snippet(measure.aggregate, moment), expression=exp.Where(this=exp.and_(*conditions)))
