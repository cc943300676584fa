"""What the stores say about an experiment: sums per arm and metric, set-based, in DuckDB."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from alongside.analysis.comparing import ArmSums, Sums
from alongside.analysis.harm import FirstEvents, Watched, is_watched, watch
from alongside.analysis.looking import Course, summed
from alongside.analysis.result import Maturity
from alongside.ledger import experiments as store
from alongside.model.errors import StoreUnavailable
from alongside.outreach.experiments import Calendar, ExperimentDefinition, Metric, MetricKind
from alongside.outreach.experiments.metrics import DELIVERY, Aggregate

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from alongside.ledger import Ledger
    from alongside.warehouse import Warehouse


@dataclass(frozen=True)
class Observed:
    """What the data say, before any statistics."""

    units: Mapping[str, int]  # enrolled people by arm
    channels: Mapping[str, Mapping[str, int]]  # by planned channel, then arm
    maturity: Maturity
    sums: Mapping[str, Sums]  # by metric, then arm
    courses: Mapping[str, Course] = field(default_factory=dict)  # by metric: the same sums as they came in
    arrivals: Mapping[str, Mapping[int, Mapping[str, int]]] = field(default_factory=dict)  # by channel, day, arm
    watched: Mapping[str, Mapping[str, Watched]] = field(default_factory=dict)  # by guardrail, then variant


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
    kinds = sorted({metric.event.value for metric in definition.metrics if metric.event is not None})
    events = store.events(ledger, definition.name, kinds)
    ends = definition.enrolment_ends(launched_at)
    calendar = Calendar.of(definition, launched_at)
    with warehouse.connect() as connection:
        _register(connection, definition, assigned, events, ends)
        arrivals = _arrivals(connection, launched_at)
        courses = {metric.name: _course(connection, metric, tables, as_of, calendar) for metric in definition.metrics}
        watched = {
            metric.name: watch(_first_events(connection, metric, tables, as_of, launched_at), metric, definition, as_of)
            for metric in (rule.metric for rule in definition.guardrails)
            if is_watched(metric)
        }
        maturity = _maturity(connection, definition, launched_at, as_of)
    channels = {name: _together(days.values()) for name, days in arrivals.items()}
    sums = {name: summed(course) for name, course in courses.items()}
    return Observed(_together(channels.values()), channels, maturity, sums, courses, arrivals, watched)


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
) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    known = pc.is_in(assigned.column("variant"), value_set=pa.array(list(definition.shares)))
    connection.register("assigned", assigned.filter(known))
    connection.register("event", events)
    connection.execute(_sql("units"), [_naive(ends)])


def _maturity(
    connection: duckdb.DuckDBPyConnection, definition: ExperimentDefinition, launched_at: datetime, as_of: datetime
) -> Maturity:
    ends = definition.enrolment_ends(launched_at)
    row = connection.execute(
        "SELECT count(*) FILTER (assigned_at + $1::INTERVAL <= $2), count(*) FROM unit",
        [definition.waits, _naive(as_of)],
    ).fetchone()
    late = connection.execute("SELECT count(*) FROM assigned WHERE assigned_at >= $1", [_naive(ends)]).fetchone()
    mature, enrolled = row or (0, 0)
    due = definition.verdict_due(launched_at)
    return Maturity(launched_at, ends, due, mature, enrolled - mature, late[0] if late else 0)


def _arrivals(connection: duckdb.DuckDBPyConnection, launched_at: datetime) -> dict[str, dict[int, dict[str, int]]]:
    """People by planned channel, day after launch and arm, in the order of days."""
    rows = connection.execute(
        "SELECT channel, CAST(floor(date_diff('second', $1::TIMESTAMP, assigned_at) / 86400) AS INTEGER) AS day,"
        " variant, count(*) FROM unit GROUP BY ALL ORDER BY ALL",
        [_naive(launched_at)],
    ).fetchall()
    found: dict[str, dict[int, dict[str, int]]] = {}
    for channel, day, variant, count in rows:
        found.setdefault(channel, {}).setdefault(day, {})[variant] = count
    return found


def _course(
    connection: duckdb.DuckDBPyConnection, metric: Metric, tables: Path, as_of: datetime, calendar: Calendar
) -> Course:
    query = _sql("outcome").format(fact=_fact(metric, tables, as_of), outcome=_outcome(metric))
    waits = metric.window + metric.settles
    limits = [metric.window, waits, _naive(as_of), _naive(calendar.launched_at), calendar.step.total_seconds()]
    looks: dict[int, dict[str, ArmSums]] = {}
    for variant, look, *sums in connection.execute(query, limits).fetchall():
        looks.setdefault(look, {})[variant] = ArmSums(*sums)
    return tuple(looks.items())


def _first_events(
    connection: duckdb.DuckDBPyConnection, metric: Metric, tables: Path, as_of: datetime, launched_at: datetime
) -> list[FirstEvents]:
    query = _sql("strata").format(fact=_fact(metric, tables, as_of))
    rows = connection.execute(query, [metric.window, _naive(launched_at)]).fetchall()
    return [
        FirstEvents(cohort, variant, day, people, last.replace(tzinfo=UTC))
        for cohort, variant, day, people, last in rows
    ]


def _fact(metric: Metric, tables: Path, as_of: datetime) -> str:
    """The rows that may count, as a sub-query. Names and condition were checked when the metric was read."""
    from alongside.warehouse.duck import quoted

    limit = f"TIMESTAMP '{_naive(as_of).isoformat(sep=' ')}'"
    if metric.origin == DELIVERY:
        kind = metric.event.value if metric.event else ""
        return (
            f"SELECT person_id, occurred_at AS happened_at, 1.0 AS value FROM event "
            f"WHERE kind = '{kind}' AND occurred_at < {limit}"
        )
    path = tables / f"{metric.origin}.parquet"
    if not path.is_file():
        what = f"the snapshot has no table '{metric.origin}', which metric '{metric.name}' counts"
        raise StoreUnavailable(what, where=str(path), remedy="Start a new run.")
    value = f'"{metric.value}"' if metric.value else "1.0"
    time = f'"{metric.time_column}"'
    return (
        f"SELECT person_id, {time} AS happened_at, CAST({value} AS DOUBLE) AS value "
        f"FROM read_parquet({quoted(path)}) WHERE {time} < {limit} AND ({metric.where or 'TRUE'})"
    )


def _outcome(metric: Metric) -> str:
    if metric.kind is MetricKind.BINARY:
        return "CAST(count(fact.person_id) > 0 AS DOUBLE)"
    if metric.kind is MetricKind.COUNT:
        return "CAST(count(fact.person_id) AS DOUBLE)"
    return {
        Aggregate.SUM: "coalesce(sum(fact.value), 0.0)",
        Aggregate.MEAN: "avg(fact.value)",
        Aggregate.MIN: "min(fact.value)",
        Aggregate.MAX: "max(fact.value)",
        Aggregate.LAST: "arg_max(fact.value, fact.happened_at)",
    }[metric.aggregate]


def _sql(name: str) -> str:
    return files("alongside.analysis").joinpath(f"{name}.sql").read_text("utf-8")


def _naive(moment: datetime) -> datetime:
    """Snapshots and Arrow carry UTC without zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)
