"""A metric as SQL: the rows that may count, a person's value, and what that is held against.

Names and conditions were checked when the metric was read (`outreach.experiments.metrics`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from alongside.model.errors import StoreUnavailable
from alongside.outreach.experiments import Metric, MetricKind
from alongside.outreach.experiments.metrics import DELIVERY, Aggregate, Source


def outcome_sql(metric: Metric, tables: Path, as_of: datetime) -> str:
    """Sums per arm and look; parameters as `person_outcome.sql` says."""
    return _outcome_sql(metric, tables, as_of, "look", "NULL::VARCHAR", "")


def subgroup_sql(metric: Metric, column: str, tables: Path, as_of: datetime) -> str:
    """Sums per arm and value of a person's column; parameters as `person_outcome.sql` says."""
    return _outcome_sql(metric, tables, as_of, "part", f'CAST(person."{column}" AS VARCHAR)', person_sql(tables))


def batch_sql(metric: Metric, tables: Path, as_of: datetime) -> str:
    """Sums per arm and moment of assignment; parameters as `outcome.sql` says."""
    return _outcome_sql(metric, tables, as_of, "part", "CAST(unit.assigned_at AS VARCHAR)", "")


def person_sql(tables: Path) -> str:
    """The join that brings a unit's own columns.

    Raises
    ------
    StoreUnavailable : the snapshot has no people
    """
    from alongside.warehouse.duck import quoted

    path = tables / "person.parquet"
    if not path.is_file():
        raise StoreUnavailable("the snapshot has no table 'person'", where=str(path), remedy="Start a new run.")
    return f"LEFT JOIN read_parquet({quoted(path)}) AS person ON person.person_id = unit.person_id"


def clusters_sql(metric: Metric, tables: Path, as_of: datetime) -> str:
    """Sums per arm over households or clinics; parameters as `person_outcome.sql` says."""
    size = "coalesce(sum(beside), 0.0)" if metric.kind is MetricKind.RATIO else "count(outcome)"
    return _sql("clusters").format(people=_people_sql(metric, tables, as_of, "NULL::VARCHAR", ""), size=size)


def _outcome_sql(metric: Metric, tables: Path, as_of: datetime, by: str, part: str, join: str) -> str:
    return _sql("outcome").format(people=_people_sql(metric, tables, as_of, part, join), by=by)


def _people_sql(metric: Metric, tables: Path, as_of: datetime, part: str, join: str) -> str:
    value, other = _beside(metric, tables, as_of)
    fact = fact_sql(metric, metric.name, tables, as_of)
    return _sql("person_outcome").format(
        fact=fact, outcome=_outcome(metric), beside=value, other=f"{other}\n{join}", part=part
    )


def arrivals_sql(*, clustered: bool) -> str:
    """What was assigned, by channel, day and arm; parameters as `arrivals.sql` says."""
    first = (
        "(SELECT variant, min(assigned_at) AS assigned_at, arg_min(channel, (assigned_at, person_id)) AS channel"
        " FROM unit GROUP BY variant, cluster)"
    )
    return _sql("arrivals").format(arrived=first if clustered else "unit")


def strata_sql(metric: Metric, tables: Path, as_of: datetime) -> str:
    """When people first had the event; parameters as `strata.sql` says."""
    return _sql("strata").format(fact=fact_sql(metric, metric.name, tables, as_of))


def fact_sql(source: Source, name: str, tables: Path, as_of: datetime) -> str:
    """The rows that may count, as a sub-query.

    Raises
    ------
    StoreUnavailable : the snapshot lacks the table
    """
    from alongside.warehouse.duck import quoted

    limit = f"TIMESTAMP '{naive(as_of).isoformat(sep=' ')}'"
    if source.origin == DELIVERY:
        kind = source.event.value if source.event else ""
        return (
            f"SELECT person_id, occurred_at AS happened_at, 1.0 AS value FROM event "
            f"WHERE kind = '{kind}' AND occurred_at < {limit}"
        )
    path = tables / f"{source.origin}.parquet"
    if not path.is_file():
        what = f"the snapshot has no table '{source.origin}', which metric '{name}' counts"
        raise StoreUnavailable(what, where=str(path), remedy="Start a new run.")
    value = f'"{source.value}"' if source.value else "1.0"
    time = f'"{source.time_column}"'
    return (
        f"SELECT person_id, {time} AS happened_at, CAST({value} AS DOUBLE) AS value "
        f"FROM read_parquet({quoted(path)}) WHERE {time} < {limit} AND ({source.where or 'TRUE'})"
    )


def _beside(metric: Metric, tables: Path, as_of: datetime) -> tuple[str, str]:
    """The second value of a person, and the join that brings it."""
    if metric.per is not None:
        fact = fact_sql(metric.per, metric.name, tables, as_of)
        value, start, end = "coalesce(sum(fact.value), 0.0)", "INTERVAL 0 DAY", f"INTERVAL {metric.within_days} DAY"
    elif metric.before_days is not None:
        fact = fact_sql(metric, metric.name, tables, as_of)
        value, start, end = _outcome(metric), f"INTERVAL (-{metric.before_days}) DAY", "INTERVAL 0 DAY"
    else:
        return "NULL::DOUBLE", ""
    return "beside.value", _sql("beside").format(fact=fact, value=value, start=start, end=end)


def _outcome(metric: Metric) -> str:
    value = _uncapped(metric)
    return value if metric.cap is None else f"least({value}, {metric.cap!r})"


def _uncapped(metric: Metric) -> str:
    if metric.kind is MetricKind.BINARY and metric.below is None:
        return "CAST(count(fact.person_id) > 0 AS DOUBLE)"
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
    return files("alongside.analysis").joinpath(f"{name}.sql").read_text("utf-8")


def naive(moment: datetime) -> datetime:
    """Snapshots and Arrow carry UTC without zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)
