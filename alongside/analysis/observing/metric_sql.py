"""A metric as SQL: the rows that may count, a person's value, and what that is held against.

Names and conditions were checked when the metric was read (`outreach.experiments.metrics`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

from alongside.model.errors import StoreUnavailable
from alongside.outreach.experiments import CLINIC, Metric, MetricKind
from alongside.outreach.experiments.metrics import DELIVERY, Aggregate, Source
from alongside.warehouse.duck import quoted


@dataclass(frozen=True)
class Facts:
    """Where the rows are that may count.

    Attributes
    ----------
    tables : folder of the snapshot's Parquet tables
    until : nothing later counts
    first, last : when the first and the last person were assigned, without zone; None where nobody was. What lies
        outside everybody's window needs no join to be left out
    """

    tables: Path
    until: datetime
    first: datetime | None = None
    last: datetime | None = None

    def sql(self, source: Source, name: str, start: timedelta, end: timedelta) -> str:
        """Rows from the first person's `start` to the last one's `end`, both relative to assignment, as a sub-query.

        Raises
        ------
        StoreUnavailable : the snapshot lacks the table
        """
        if source.origin == DELIVERY:
            kind = source.event.value if source.event else ""
            time, value, rows, condition = '"occurred_at"', "1.0", "event", f"kind = '{kind}'"
        else:
            what = f"which metric '{name}' counts"
            rows = f"read_parquet({quoted(_table(self.tables, source.origin, what))})"
            value = f'"{source.value}"' if source.value else "1.0"
            time, condition = f'"{source.time_column}"', source.where or "TRUE"
        limits = [f"{time} < {_moment(naive(self.until))}"]
        if self.first is not None and self.last is not None:
            limits += [f"{time} >= {_moment(self.first + start)}", f"{time} < {_moment(self.last + end)}"]
        return (
            f"SELECT person_id, {time} AS happened_at, CAST({value} AS DOUBLE) AS value "
            f"FROM {rows} WHERE {' AND '.join(limits)} AND ({condition})"
        )


def _table(tables: Path, name: str, why: str = "") -> Path:
    path = tables / f"{name}.parquet"
    if not path.is_file():
        what = f"the snapshot has no table '{name}'" + (f", {why}" if why else "")
        raise StoreUnavailable(what, where=str(path), remedy="Start a new run.")
    return path


def _moment(naive_utc: datetime) -> str:
    return f"TIMESTAMP '{naive_utc.isoformat(sep=' ')}'"


def counted_sql(metric: Metric, facts: Facts) -> str:
    """Table `counted`; parameters as `counted.sql` says."""
    return _sql("counted").format(
        fact=facts.sql(metric, metric.name, timedelta(0), metric.window), outcome=_outcome(metric)
    )


def outcome_sql(metric: Metric, facts: Facts) -> str:
    """Sums per arm and look; parameters as `person_outcome.sql` says."""
    return _outcome_sql(metric, facts, "look", "NULL::VARCHAR", "")


def values_sql(metric: Metric, facts: Facts, column: str | None = None) -> str:
    """Every value per arm and look, or per arm and value of a person's column; parameters as `person_outcome.sql`."""
    by, (part, join) = "look", ("NULL::VARCHAR", "")
    if column is not None:
        by, (part, join) = "part", part_sql(column, facts.tables)
    return _sql("values").format(people=_people_sql(metric, facts, part, join), by=by)


def subgroup_sql(metric: Metric, column: str, facts: Facts) -> str:
    """Sums per arm and value of a person's column; parameters as `person_outcome.sql` says."""
    return _outcome_sql(metric, facts, "part", *part_sql(column, facts.tables))


def batch_sql(metric: Metric, facts: Facts) -> str:
    """Sums per arm and moment of assignment; parameters as `outcome.sql` says."""
    return _outcome_sql(metric, facts, "part", "CAST(unit.assigned_at AS VARCHAR)", "")


def part_sql(column: str, tables: Path) -> tuple[str, str]:
    """By what people are divided: the expression, and the join that brings it to `unit`.

    The clinic is the department of the last encounter before assignment: what comes later, the message may have caused.

    Raises
    ------
    StoreUnavailable : the snapshot lacks the table
    """
    if column == CLINIC:
        path = _table(tables, "encounter")
        return "home.clinic", (
            "LEFT JOIN (SELECT own.unit, arg_max(e.department, (e.started_at, e.department)) AS clinic"
            f" FROM unit AS own JOIN read_parquet({quoted(path)}) AS e"
            " ON e.person_id = own.person_id AND e.started_at < own.assigned_at AND e.department IS NOT NULL"
            " GROUP BY own.unit) AS home ON home.unit = unit.unit"
        )
    path = _table(tables, "person")
    join = f"LEFT JOIN read_parquet({quoted(path)}) AS person ON person.person_id = unit.person_id"
    return f'CAST(person."{column}" AS VARCHAR)', join


def knows_clinics(tables: Path) -> bool:
    """Whether the snapshot says where people were treated."""
    return (tables / "encounter.parquet").is_file()


def clusters_sql(metric: Metric, facts: Facts) -> str:
    """Sums per arm over households or clinics; parameters as `person_outcome.sql` says."""
    size = "coalesce(sum(beside), 0.0)" if metric.kind is MetricKind.RATIO else "count(outcome)"
    return _sql("clusters").format(people=_people_sql(metric, facts, "NULL::VARCHAR", ""), size=size)


def _outcome_sql(metric: Metric, facts: Facts, by: str, part: str, join: str) -> str:
    return _sql("outcome").format(people=_people_sql(metric, facts, part, join), by=by)


def _people_sql(metric: Metric, facts: Facts, part: str, join: str) -> str:
    value, other = _beside(metric, facts)
    outcome = f"coalesce(counted.outcome, {_of_nothing(metric)})"
    return _sql("person_outcome").format(outcome=outcome, beside=value, other=f"{other}\n{join}", part=part)


def arrivals_sql(*, clustered: bool) -> str:
    """What was assigned, by channel, day and arm; parameters as `arrivals.sql` says."""
    first = (
        "(SELECT variant, min(assigned_at) AS assigned_at, arg_min(channel, (assigned_at, person_id)) AS channel"
        " FROM unit GROUP BY variant, cluster) AS unit"
    )
    return _sql("arrivals").format(part="unit.channel", arrived=first if clustered else "unit")


def divided_sql(column: str, tables: Path) -> str:
    """People by the column's value, day and arm; parameters as `arrivals.sql` says."""
    part, join = part_sql(column, tables)
    return _sql("arrivals").format(part=part, arrived=f"unit {join}")


def strata_sql(*, clustered: bool) -> str:
    """When people (households, clinics) first had the event; parameters as `strata.sql` says."""
    rows = "FROM unit LEFT JOIN counted ON counted.unit = unit.unit"
    each = f"SELECT unit.variant, unit.assigned_at, counted.first_at {rows}"
    first = (
        f"SELECT unit.variant, min(unit.assigned_at) AS assigned_at, min(counted.first_at) AS first_at {rows}"
        " GROUP BY unit.cluster, unit.variant"
    )
    return _sql("strata").format(units=first if clustered else each)


def _beside(metric: Metric, facts: Facts) -> tuple[str, str]:
    """The second value of a person, and the join that brings it."""
    if metric.per is not None:
        fact = facts.sql(metric.per, metric.name, timedelta(0), metric.window)
        absent, value = "0.0", "sum(fact.value)"
        start, end = "INTERVAL 0 DAY", f"INTERVAL {metric.within_days} DAY"
    elif metric.before_days is not None:
        fact = facts.sql(metric, metric.name, -timedelta(days=metric.before_days), timedelta(0))
        absent, value = _of_nothing(metric), _outcome(metric)
        start, end = f"INTERVAL (-{metric.before_days}) DAY", "INTERVAL 0 DAY"
    else:
        return "NULL::DOUBLE", ""
    return f"coalesce(beside.value, {absent})", _sql("beside").format(fact=fact, value=value, start=start, end=end)


def _of_nothing(metric: Metric) -> str:
    """The value of a person without a single row."""
    if metric.may_be_missing:
        return "NULL"
    if metric.is_wait:
        return "'infinity'::DOUBLE"
    summed_below = metric.below is not None and metric.aggregate is Aggregate.SUM
    return "1.0" if summed_below and (metric.below or 0.0) > 0 else "0.0"


def _outcome(metric: Metric) -> str:
    value = _uncapped(metric)
    return value if metric.cap is None else f"least({value}, {metric.cap!r})"


def _uncapped(metric: Metric) -> str:
    if metric.kind is MetricKind.BINARY and metric.below is None:
        return "CAST(count(fact.person_id) > 0 AS DOUBLE)"
    if metric.is_wait:
        return "date_diff('microsecond', min(unit.assigned_at), min(fact.happened_at)) / 86400e6"
    if metric.kind is MetricKind.COUNT:
        return "CAST(count(fact.person_id) AS DOUBLE)"
    value = {
        Aggregate.SUM: "coalesce(sum(fact.value), 0.0)",
        Aggregate.MEAN: "avg(fact.value)",
        Aggregate.MIN: "min(fact.value)",
        Aggregate.MAX: "max(fact.value)",
        Aggregate.LAST: "arg_max(fact.value, fact.happened_at)",
    }[Aggregate.SUM if metric.kind is MetricKind.RATIO else metric.aggregate]
    # Whoever has no value has not reached it.
    return value if metric.below is None else f"CAST(coalesce({value} < {metric.below!r}, FALSE) AS DOUBLE)"


def _sql(name: str) -> str:
    return files("alongside.analysis.observing").joinpath(f"{name}.sql").read_text("utf-8")


def naive(moment: datetime) -> datetime:
    """Snapshots and Arrow carry UTC without zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)
