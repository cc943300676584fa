"""The second clock: exact evidence of harm, looked at with every evaluation from the first day on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter

from alongside.outreach.experiments import ExperimentDefinition, Metric, MetricKind
from alongside.stats import eprocess
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


@dataclass(frozen=True)
class HarmEvidence:
    """How strongly the data speak against "this variant does no harm" on one guardrail.

    Attributes
    ----------
    evidence : largest e-value so far: a bet against "no harm" would have multiplied its stake by this
    threshold : from here on the variant is stopped; the chance of ever getting here without harm, on any guardrail
        or variant, is at most alpha
    affected, affected_control : people who had the harm
    """

    variant: str
    metric: str
    evidence: float
    threshold: float
    affected: Affected
    affected_control: Affected

    @property
    def stop(self) -> bool:
        return self.evidence >= self.threshold


def is_watched(metric: Metric) -> bool:
    """Whether events of this metric can be weighed one by one; counts, amounts and values wait for their look."""
    return metric.kind is MetricKind.BINARY and metric.below is None


def weigh(definition: ExperimentDefinition, watched: Mapping[str, Mapping[str, Watched]]) -> tuple[HarmEvidence, ...]:
    """The evidence of every variant on every watched guardrail; alpha is shared evenly among them.

    Parameters
    ----------
    watched : by metric, then variant
    """
    names = [rule.metric.name for rule in definition.guardrails if is_watched(rule.metric)]
    pairs = [(variant, name) for name in names for variant in definition.treatments]
    threshold = len(pairs) / definition.design.alpha
    found = []
    for variant, name in pairs:
        seen = watched.get(name, {}).get(variant)
        if seen is None:
            continue
        largest = max(0.0, max(eprocess.log_evidence(seen.strata), default=0.0))
        evidence = math.exp(min(largest, 600.0))
        found.append(HarmEvidence(variant, name, evidence, threshold, seen.variant, seen.control))
    return tuple(found)


def watch(
    events: Sequence[FirstEvents], metric: Metric, definition: ExperimentDefinition, as_of: datetime
) -> dict[str, Watched]:
    """By variant: tables of people at risk and events, each from days that are over and whose data have arrived.

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
    tables: list[tuple[int, Stratum]] = []
    people = [0, 0]
    for cohort, arms in cohorts.items():
        one, other = arms.get(variant, {}), arms.get(definition.control, {})
        days = [day for day in _days(metric) if latest[cohort] + timedelta(days=day + 1) + metric.settles <= as_of]
        tables += [(cohort + day, _table(one, other, day, metric)) for day in days]
        if days:
            people = [people[0] + sum(one.values()), people[1] + sum(other.values())]
    strata = tuple(table for _, table in sorted(tables, key=itemgetter(0)))
    affected = Affected(sum(table.treatment_events for table in strata), people[0])
    return Watched(strata, affected, Affected(sum(table.control_events for table in strata), people[1]))


def _days(metric: Metric) -> range:
    """Days of the window at whose end something is known."""
    return range(metric.within_days - 1, metric.within_days) if metric.direction.sign > 0 else range(metric.within_days)


def _table(one: Mapping[int | None, int], other: Mapping[int | None, int], day: int, metric: Metric) -> Stratum:
    if metric.direction.sign > 0:
        return Stratum(sum(one.values()), sum(other.values()), one.get(None, 0), other.get(None, 0))
    at_risk = [sum(n for when, n in arm.items() if when is None or when >= day) for arm in (one, other)]
    return Stratum(at_risk[0], at_risk[1], one.get(day, 0), other.get(day, 0))
