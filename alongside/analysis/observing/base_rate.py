"""What the hospital's own data say about the first goal before there is an experiment: the guess in YAML, held
against what people like these did of themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from alongside.analysis.observing.metric_sql import Facts, counted_sql, naive, outcome_sql
from alongside.analysis.observing.sums import ArmSums
from alongside.analysis.observing.values import read_values
from alongside.outreach.experiments import ExperimentDefinition, Metric
from alongside.outreach.experiments.metrics import DELIVERY
from alongside.stats import normal, power
from alongside.stats.quantiles import QuantileArm, quantile_of

if TYPE_CHECKING:
    import duckdb

    from alongside.warehouse import Snapshot, Warehouse

#: From this share of the guess on, a difference changes what the experiment needs.
_WORTH_TELLING = 1 / 3
#: Standard errors within which a difference may be chance.
_CHANCE = 2.0


@dataclass(frozen=True)
class BaseRate:
    """The first goal, measured on the segment's people over the last window whose data have arrived.

    Attributes
    ----------
    error : standard error of `value`; None for fewer than two people
    deviation : standard deviation between people
    since : when the window began
    then : the people are the segment's of that day. Otherwise those of today, among whom nobody is left who did what
        was asked for and left the segment by it
    """

    metric: str
    value: float
    people: int
    deviation: float | None
    error: float | None
    since: datetime
    then: bool

    def contradicts(self, guess: float) -> bool:
        """Whether the guess is off by more than a third of itself, and by more than chance explains."""
        apart = abs(self.value - guess)
        return apart > abs(guess) * _WORTH_TELLING and (self.error is None or apart > _CHANCE * self.error)

    def warning(self, guess: float) -> str | None:
        """For whoever plans the experiment."""
        if not self.contradicts(guess):
            return None
        return (
            f"base_rate is {guess:g}, but {self.people:,} people of the segment had {self.value:.3g} on '{self.metric}'"
            f" since {self.since:%Y-%m-%d}: correct design.base_rate, or say why the campaign's people differ"
        )


def measured_base_rate(
    definition: ExperimentDefinition, segment: str, snapshot: Snapshot, warehouse: Warehouse
) -> BaseRate | None:
    """The first goal without any experiment; None where the snapshot does not hold it or the segment was empty."""
    goal = definition.goals[0].model_copy(update={"before_days": None})
    sources = [source for source in (goal, goal.per) if source is not None]
    tables = [f"{source.origin}.parquet" for source in sources]
    if any(source.origin == DELIVERY for source in sources):
        return None  # without the experiment's messages there is nothing to open or click
    folder = snapshot.path / "tables"
    if not all((folder / name).is_file() for name in (*tables, "membership.parquet")):
        return None
    waits = goal.window + goal.settles
    cohort = next((each for each in _newest_first(warehouse) if each.as_of + waits <= snapshot.as_of), None)
    since = cohort.as_of if cohort else snapshot.as_of - waits
    members = (cohort or snapshot).path / "tables" / "membership.parquet"
    with warehouse.connect() as connection:
        connection.execute(
            "CREATE TEMP TABLE unit AS SELECT CAST(row_number() OVER () AS INTEGER) AS unit, person_id,"
            " person_id AS cluster, 'all' AS variant, $1::TIMESTAMP AS assigned_at"
            " FROM (SELECT DISTINCT person_id FROM read_parquet($2) WHERE segment = $3)",
            [naive(since), str(members), segment],
        ).fetchall()
        sums = _sums(connection, goal, Facts(folder, snapshot.as_of, naive(since), naive(since)), since)
    return None if sums is None else _of(goal, sums, since, then=cohort is not None)


def _newest_first(warehouse: Warehouse) -> list[Snapshot]:
    kept = [each for each in warehouse.all() if (each.path / "tables" / "membership.parquet").is_file()]
    return sorted(kept, key=lambda each: each.as_of, reverse=True)


def _sums(connection: duckdb.DuckDBPyConnection, goal: Metric, facts: Facts, since: datetime) -> ArmSums | None:
    """Of everybody at once."""
    connection.execute(counted_sql(goal, facts), [goal.window]).fetchall()
    limits = [goal.window + goal.settles, naive(facts.until), naive(since), 86400]
    if goal.quantile is not None:
        return next((arms["all"] for arms in read_values(connection, goal, facts, limits).values()), None)
    rows = connection.execute(outcome_sql(goal, facts), limits).fetchall()
    return ArmSums(*rows[0][2:]) if rows else None


def _quantile(goal: Metric, q: float, sums: ArmSums, since: datetime, *, then: bool) -> BaseRate | None:
    """Its error from its interval, and the deviation of normal values that would have this error."""
    if sums.values is None or not sums.n:
        return None
    arm, value = QuantileArm.of_ordered(sums.values, q), quantile_of(sums.values, q)
    if not math.isfinite(value):
        return None
    error = (arm.high - arm.low) / (2 * normal.isf(0.025))
    if not (math.isfinite(error) and error > 0):
        return BaseRate(goal.name, value, sums.n, None, None, since, then)
    deviation = error * math.sqrt(sums.n) / power.spread_of_quantile(q)
    return BaseRate(goal.name, value, sums.n, deviation, error, since, then)


def _of(goal: Metric, sums: ArmSums, since: datetime, *, then: bool) -> BaseRate | None:
    if goal.quantile is not None:
        return _quantile(goal, goal.quantile, sums, since, then=then)
    value, spread = sums.mean, sums.variance
    if goal.per is not None:
        if not sums.beside_mean:
            return None
        value = sums.mean / sums.beside_mean  # its variance by the delta method, per person and unit of the divisor
        spread = (sums.variance - 2 * value * sums.covariance + value**2 * sums.beside_variance) / sums.beside_mean**2
    if not sums.n or not math.isfinite(value):
        return None
    deviation = math.sqrt(max(0.0, spread)) if math.isfinite(spread) else None
    error = None if deviation is None else deviation / math.sqrt(sums.n)
    return BaseRate(goal.name, value, sums.n, deviation, error, since, then)
