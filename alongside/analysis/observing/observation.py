"""What the stores say about an experiment: sums per arm and metric, set-based, in DuckDB."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alongside.analysis.observing.first_events import FirstEvents, Watched, is_watched, watch
from alongside.analysis.observing.metric_sql import (
    Facts,
    arrivals_sql,
    batch_sql,
    clusters_sql,
    counted_sql,
    divided_sql,
    knows_clinics,
    naive,
    outcome_sql,
    strata_sql,
    subgroup_sql,
)
from alongside.analysis.observing.sums import ArmSums, ClusterSums, Course, Sums, summed
from alongside.analysis.observing.values import read_values
from alongside.analysis.result import Maturity
from alongside.ledger import experiments as store
from alongside.outreach.experiments import CLINIC, Calendar, ExperimentDefinition, Looks, Metric
from alongside.stats.clusters import ClusterArm

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from alongside.ledger import Ledger
    from alongside.warehouse import Warehouse


@dataclass(frozen=True)
class SeenBatch:
    """People who were assigned at one moment, with the same shares: how many in each arm, and their sums by metric."""

    assigned_at: datetime
    units: Mapping[str, int]
    sums: Mapping[str, Sums]


@dataclass(frozen=True)
class Observed:
    """What the data say, before any statistics."""

    units: Mapping[str, int]  # enrolled people by arm
    channels: Mapping[str, Mapping[str, int]]  # what was assigned (people, households, clinics), by channel, then arm
    maturity: Maturity
    sums: Mapping[str, Sums]  # by metric, then arm
    courses: Mapping[str, Course] = field(default_factory=dict)  # by metric: the same sums as they came in
    arrivals: Mapping[str, Mapping[int, Mapping[str, int]]] = field(default_factory=dict)  # by channel, day, arm
    watched: Mapping[str, Mapping[str, Watched]] = field(default_factory=dict)  # by guardrail, then variant
    subgroups: Mapping[str, Mapping[str, Sums]] = field(default_factory=dict)  # first goal, by column and its value
    divided: Mapping[str, Mapping[str, Mapping[int, Mapping[str, int]]]] = field(default_factory=dict)  # by day, arm
    strata: Mapping[str, Mapping[str, Sums]] = field(default_factory=dict)  # by goal, then value of the column
    batches: Sequence[SeenBatch] = ()  # of a bandit, in the order of time
    reached: Sequence[FirstEvents] = ()  # when people first had the first goal's event, where it is one
    armless: int = 0  # people in arms that the definition no longer has


def observe(
    definition: ExperimentDefinition,
    launched_at: datetime,
    ledger: Ledger,
    tables: Path,
    as_of: datetime,
    warehouse: Warehouse,
) -> Observed:
    """Sums per arm and metric, without a row of any person leaving the database."""
    assigned = store.assignments(ledger, definition.name)
    counted = [source for metric in definition.metrics for source in (metric, metric.per) if source is not None]
    kinds = sorted({source.event.value for source in counted if source.event is not None})
    events = store.events(ledger, definition.name, kinds)
    return aggregate(definition, launched_at, assigned, events, tables, as_of, warehouse)


def aggregate(
    definition: ExperimentDefinition,
    launched_at: datetime,
    assigned: pa.Table,
    events: pa.Table,
    tables: Path,
    as_of: datetime,
    warehouse: Warehouse,
) -> Observed:
    """The same from what the ledger gave: `assignments` and `events` of `ledger.experiments`."""
    ends = definition.enrolment_ends(launched_at)
    calendar = Calendar.of(definition, launched_at)
    with warehouse.connect() as connection:
        armless = _register(connection, definition, assigned, events, ends, as_of)
        facts = _facts(connection, tables, as_of)
        clustered = definition.unit.is_cluster
        arrivals = _arrivals(connection, arrivals_sql(clustered=clustered), launched_at)
        course = _in_clusters if clustered else _course
        rules = {rule.metric.name for rule in definition.guardrails}
        courses: dict[str, Course] = {}
        watched: dict[str, Mapping[str, Watched]] = {}
        reached: list[FirstEvents] = []
        for metric in definition.metrics:
            _count(connection, metric, facts)
            courses[metric.name] = course(connection, metric, facts, calendar)
            first = _first_events(connection, launched_at, clustered=clustered) if is_watched(metric) else []
            if is_watched(metric) and metric.name in rules:
                watched[metric.name] = watch(first, metric, definition, as_of)
            if metric == definition.goals[0] and not clustered:  # when people first had it, not households
                reached = first
        early = definition.design.looks is Looks.DAILY and as_of < calendar.due
        seen = replace(facts, until=calendar.moment(calendar.taken(as_of)) if early else as_of)
        subgroups = _subgroups(connection, definition, seen, calendar)
        divided = {
            column: _arrivals(connection, divided_sql(column, tables), launched_at)
            for column in _checked(definition, tables)
        }
        strata = _strata(connection, definition, seen, calendar)
        batches = _batches(connection, definition, facts, calendar) if definition.bandit else []
        maturity = _maturity(connection, definition, launched_at, as_of)
        people = dict(connection.execute("SELECT variant, count(*) FROM unit GROUP BY 1 ORDER BY 1").fetchall())
    channels = {name: _together(days.values()) for name, days in arrivals.items()}
    sums = {name: summed(course) for name, course in courses.items()}
    return Observed(
        people,
        channels,
        maturity,
        sums,
        courses,
        arrivals,
        watched,
        subgroups,
        divided,
        strata,
        batches,
        reached,
        armless,
    )


def _together(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for part in counts:
        found.update(part)
    return dict(found)


def _register(
    connection: duckdb.DuckDBPyConnection,
    definition: ExperimentDefinition,
    assigned: pa.Table,
    events: pa.Table,
    ends: datetime,
    as_of: datetime,
) -> int:
    """Tables `assigned`, `event` and `unit`; returns how many people are in arms that the definition no longer has."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = assigned.filter(pc.is_in(assigned.column("variant"), value_set=pa.array(list(definition.shares))))
    connection.register("assigned", known)
    connection.register("event", events)
    units = files("alongside.analysis.observing").joinpath("units.sql").read_text("utf-8")
    connection.execute(units, [naive(ends), naive(as_of)])
    gone: int = assigned.num_rows - known.num_rows
    return gone


def _maturity(
    connection: duckdb.DuckDBPyConnection, definition: ExperimentDefinition, launched_at: datetime, as_of: datetime
) -> Maturity:
    ends = definition.enrolment_ends(launched_at)
    row = connection.execute(
        "SELECT count(*) FILTER (assigned_at + $1::INTERVAL <= $2), count(*) FROM unit",
        [definition.waits, naive(as_of)],
    ).fetchone()
    late = connection.execute(
        "SELECT count(*) FROM assigned WHERE assigned_at >= $1 AND assigned_at <= $2", [naive(ends), naive(as_of)]
    ).fetchone()
    mature, enrolled = row or (0, 0)
    due = definition.verdict_due(launched_at)
    return Maturity(launched_at, ends, due, mature, enrolled - mature, late[0] if late else 0)


def _arrivals(
    connection: duckdb.DuckDBPyConnection, query: str, launched_at: datetime
) -> dict[str, dict[int, dict[str, int]]]:
    """What was assigned by part (planned channel, or value of a column), day after launch and arm, in order of days."""
    found: dict[str, dict[int, dict[str, int]]] = {}
    for part, day, variant, count in connection.execute(query, [naive(launched_at)]).fetchall():
        found.setdefault(part, {}).setdefault(day, {})[variant] = count
    return found


def _facts(connection: duckdb.DuckDBPyConnection, tables: Path, as_of: datetime) -> Facts:
    first, last = connection.execute("SELECT min(assigned_at), max(assigned_at) FROM unit").fetchone() or (None, None)
    return Facts(tables, as_of, first, last)


def _count(connection: duckdb.DuckDBPyConnection, metric: Metric, facts: Facts) -> None:
    """Table `counted` of this metric, which the queries after it read."""
    connection.execute(counted_sql(metric, facts), [metric.window]).fetchall()


def _course(connection: duckdb.DuckDBPyConnection, metric: Metric, facts: Facts, calendar: Calendar) -> Course:
    if metric.quantile is not None:
        return tuple(read_values(connection, metric, facts, _limits(metric, facts, calendar)).items())
    looks: dict[int, dict[str, ArmSums]] = {}
    rows = connection.execute(outcome_sql(metric, facts), _limits(metric, facts, calendar)).fetchall()
    for variant, look, *sums in rows:
        looks.setdefault(look, {})[variant] = ArmSums(*sums)
    return tuple(looks.items())


def _in_clusters(connection: duckdb.DuckDBPyConnection, metric: Metric, facts: Facts, calendar: Calendar) -> Course:
    """All as one look: a household's people come on different days."""
    arms: dict[str, ArmSums] = {}
    for row in connection.execute(clusters_sql(metric, facts), _limits(metric, facts, calendar)).fetchall():
        variant, people, total, mean, missing, beside, clusters, size, *squares, affected, whole = row
        arm = ClusterArm(clusters, size, total, *squares)
        sums = ClusterSums(arm, people, total, affected, whole)
        arms[variant] = ArmSums(people, total, mean, math.nan, missing, beside, clusters=sums)
    return ((calendar.planned, arms),) if arms else ()


def _limits(metric: Metric, facts: Facts, calendar: Calendar) -> list[Any]:
    waits = metric.window + metric.settles
    return [waits, naive(facts.until), naive(calendar.launched_at), calendar.step.total_seconds()]


def _subgroups(
    connection: duckdb.DuckDBPyConnection, definition: ExperimentDefinition, seen: Facts, calendar: Calendar
) -> dict[str, Mapping[str, Sums]]:
    """Sums of the first goal by column and its value, over people whose outcome the last look saw."""
    goal = definition.goals[0]
    if definition.subgroups:
        _count(connection, goal, seen)
    return {column: _parts(connection, goal, column, seen, calendar) for column in definition.subgroups}


def _strata(
    connection: duckdb.DuckDBPyConnection, definition: ExperimentDefinition, seen: Facts, calendar: Calendar
) -> dict[str, Mapping[str, Sums]]:
    """Sums of every goal by the value of the column within which the goals are compared."""
    found: dict[str, Mapping[str, Sums]] = {}
    for goal in definition.goals if definition.stratify_by else ():
        _count(connection, goal, seen)
        found[goal.name] = _parts(connection, goal, str(definition.stratify_by), seen, calendar)
    return found


def _parts(
    connection: duckdb.DuckDBPyConnection, metric: Metric, column: str, seen: Facts, calendar: Calendar
) -> Mapping[str, Sums]:
    """Sums of the metric that was counted last, by the column's value; unknown values are a group, too."""
    if metric.quantile is not None:
        parts = read_values(connection, metric, seen, _limits(metric, seen, calendar), column)
        return {part or "": sums for part, sums in parts.items()}
    found: dict[str, dict[str, ArmSums]] = {}
    rows = connection.execute(subgroup_sql(metric, column, seen), _limits(metric, seen, calendar)).fetchall()
    for variant, part, *sums in rows:
        found.setdefault(part or "", {})[variant] = ArmSums(*sums)
    return found


def _batches(
    connection: duckdb.DuckDBPyConnection, definition: ExperimentDefinition, facts: Facts, calendar: Calendar
) -> list[SeenBatch]:
    units: dict[str, dict[str, int]] = {}
    moments: dict[str, datetime] = {}
    query = "SELECT CAST(assigned_at AS VARCHAR), assigned_at, variant, count(*) FROM unit GROUP BY ALL ORDER BY ALL"
    for key, moment, variant, count in connection.execute(query).fetchall():
        units.setdefault(key, {})[variant] = count
        moments[key] = moment.replace(tzinfo=UTC)
    sums: dict[str, dict[str, dict[str, ArmSums]]] = {key: {} for key in units}
    for metric in definition.metrics:
        _count(connection, metric, facts)
        rows = connection.execute(batch_sql(metric, facts), _limits(metric, facts, calendar)).fetchall()
        for variant, key, *values in rows:
            sums[key].setdefault(metric.name, {})[variant] = ArmSums(*values)
    return [SeenBatch(moments[key], units[key], sums[key]) for key in units]


def _checked(definition: ExperimentDefinition, tables: Path) -> list[str]:
    """By what the arms' sizes are checked: the declared subgroups, and always the clinic where people are assigned."""
    by_clinic = not definition.unit.is_cluster and knows_clinics(tables)
    return list(dict.fromkeys([*definition.subgroups, *([CLINIC] if by_clinic else [])]))


def _first_events(
    connection: duckdb.DuckDBPyConnection, launched_at: datetime, *, clustered: bool
) -> list[FirstEvents]:
    """Of the metric that was counted last."""
    rows = connection.execute(strata_sql(clustered=clustered), [naive(launched_at)]).fetchall()
    return [
        FirstEvents(cohort, variant, day, people, last.replace(tzinfo=UTC))
        for cohort, variant, day, people, last in rows
    ]
