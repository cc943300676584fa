"""When people first had an event, as tables of people at risk: what the watch for harm weighs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter

from alongside.outreach.experiments import ExperimentDefinition, Metric, MetricKind
from alongside.stats.eprocess import Stratum


@dataclass(frozen=True)
class FirstEvents:
    """People of one arm who were assigned on one day after launch and first had the event on one day of their window.

    `day` is None for those who have not had it; `last_assigned` is when the last of these people was assigned.
    """

    cohort: int
    variant: str
    day: int | None
    people: int
    last_assigned: datetime


@dataclass(frozen=True)
class Affected:
    """How many of how many people had the harm so far."""

    events: int
    people: int


@dataclass(frozen=True)
class Watched:
    """One variant against control on one guardrail: tables of people at risk in the order of time, and their sums."""

    strata: tuple[Stratum, ...]
    variant: Affected
    control: Affected


def is_watched(metric: Metric) -> bool:
    """Whether events of this metric can be weighed one by one; counts, amounts and values wait for their look."""
    return metric.kind is MetricKind.BINARY and metric.below is None


def watch(
    events: Sequence[FirstEvents], metric: Metric, definition: ExperimentDefinition, as_of: datetime
) -> dict[str, Watched]:
    """By variant: tables of people at risk and events, each from days that are over and whose data have arrived.

    In the order in which they become known, so that what one look saw is where the next one goes on: the evidence is
    then that of one bet, and its largest value never falls.

    Where an event is harm, every day of every cohort's window is a table of those who had not had it before; where its
    absence is, a cohort is one table when its window closes.
    """
    cohorts: dict[int, dict[str, dict[int | None, int]]] = {}
    latest: dict[int, datetime] = {}
    for row in events:
        cohorts.setdefault(row.cohort, {}).setdefault(row.variant, {})[row.day] = row.people
        latest[row.cohort] = max(latest.get(row.cohort, row.last_assigned), row.last_assigned)
    return {variant: _watched(cohorts, latest, variant, metric, definition, as_of) for variant in definition.treatments}


def _watched(
    cohorts: Mapping[int, Mapping[str, Mapping[int | None, int]]],
    latest: Mapping[int, datetime],
    variant: str,
    metric: Metric,
    definition: ExperimentDefinition,
    as_of: datetime,
) -> Watched:
    tables: list[tuple[datetime, Stratum]] = []
    people = [0, 0]
    for cohort, arms in cohorts.items():
        one, other = arms.get(variant, {}), arms.get(definition.control, {})
        settled = as_of - latest[cohort] - metric.settles
        days = [day for day in _days(metric, arms) if timedelta(days=day + 1) <= settled]
        tables += [(latest[cohort] + timedelta(days=day), _table(one, other, day, metric)) for day in days]
        if days:
            people = [people[0] + sum(one.values()), people[1] + sum(other.values())]
    strata = tuple(table for _, table in sorted(tables, key=itemgetter(0)))
    affected = Affected(sum(table.treatment_events for table in strata), people[0])
    return Watched(strata, affected, Affected(sum(table.control_events for table in strata), people[1]))


def _days(metric: Metric, arms: Mapping[str, Mapping[int | None, int]]) -> range:
    """Days at whose end something is known.

    Those of the window; a household or clinic goes on after its first person's, with those who came later.
    """
    if metric.direction.sign > 0:
        return range(metric.within_days - 1, metric.within_days)
    last = max((day for arm in arms.values() for day in arm if day is not None), default=0)
    return range(max(metric.within_days, last + 1))


def _table(one: Mapping[int | None, int], other: Mapping[int | None, int], day: int, metric: Metric) -> Stratum:
    if metric.direction.sign > 0:
        # A household's later member may still have it after the first one's window: too late for this table.
        lacking = [sum(n for when, n in arm.items() if when is None or when > day) for arm in (one, other)]
        return Stratum(sum(one.values()), sum(other.values()), lacking[0], lacking[1])
    at_risk = [sum(n for when, n in arm.items() if when is None or when >= day) for arm in (one, other)]
    return Stratum(at_risk[0], at_risk[1], one.get(day, 0), other.get(day, 0))
