"""Before launch: the chance to find effects of every size, and how long a verdict takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alongside.outreach.experiments.calendar import adds_nothing, days_between_looks, time_over
from alongside.outreach.experiments.definition import ExperimentDefinition, Looks
from alongside.outreach.experiments.metrics import MetricKind
from alongside.outreach.experiments.planning import (
    comparison_level,
    looks_cost,
    people_needed,
    power_at,
    weakest_arm,
)
from alongside.stats import normal

if TYPE_CHECKING:
    from alongside.stats.sequential import Look  # imports NumPy, which most commands do not need

_POINTS = 25
#: The curve reaches so many times the planned smallest effect.
_REACH = 3
#: A chance nearer to 0 or 1 has no z that would change an expected day.
_SURE = 1 - 1e-9


@dataclass(frozen=True)
class CurvePoint:
    """Chance to find an improvement of this size with the people expected."""

    effect: float
    power: float


@dataclass(frozen=True)
class DaysToVerdict:
    """Expected days from launch to the verdict on the first goal alone.

    Attributes
    ----------
    no_win_before : from then on the first people's outcomes are known on every metric; a win ships no earlier, however
        soon the goal is won, because no guardrail is unharmed by then
    with_effect : when the planned smallest effect is real
    without : when the arms do not differ
    latest : the planned day, which never passes without a verdict
    """

    with_effect: float
    without: float
    latest: float
    no_win_before: float


def power_curve(definition: ExperimentDefinition, people: int) -> tuple[CurvePoint, ...]:
    """About 25 effects from none to three times the planned smallest one; a rate ends at 0 or 1."""
    goal, plan = definition.goals[0], definition.design
    most = _REACH * plan.minimum_effect
    if goal.kind is MetricKind.BINARY:
        most = min(most, 1 - plan.base_rate if goal.direction.sign > 0 else plan.base_rate)
    treatment = weakest_arm(definition)
    effects = [most * step / (_POINTS - 1) for step in range(_POINTS)]
    return tuple(CurvePoint(effect, power_at(definition, treatment, people, effect)) for effect in effects)


def days_to_verdict(
    definition: ExperimentDefinition, audience_now: int, audience_per_day: float = 0.0
) -> DaysToVerdict:
    """How long the experiment takes on average, with `audience_now` people at launch and this many new ones a day."""
    waits = definition.waits.total_seconds() / 86400
    latest = definition.design.planned_days + waits
    if definition.design.looks is Looks.FINAL:
        return DaysToVerdict(latest, latest, latest, latest)
    course = _course(definition, audience_now, audience_per_day, latest)
    if not course:
        return DaysToVerdict(latest, latest, latest, latest)
    people = int(audience_now + audience_per_day * definition.design.planned_days)
    found = power_at(definition, weakest_arm(definition), people, definition.design.minimum_effect)
    alpha = comparison_level(definition)
    # `power_at` is of a single look at fewer people, by what the looks cost: the same drift, on all of them.
    single = normal.isf(alpha / 2) + normal.isf(min(_SURE, max(1 - _SURE, 1 - found)))
    effect = max(0.0, single) * looks_cost(definition) ** 0.5
    with_effect, without = _expected(course, effect, alpha, 1, latest), _expected(course, 0.0, alpha, 2, latest)
    return DaysToVerdict(with_effect, without, latest, waits)


Taken = tuple["Look", ...]


def _course(definition: ExperimentDefinition, now: int, per_day: float, latest: float) -> list[tuple[float, Taken]]:
    """Day of each look on the calendar, and the looks that count by then, if people come as expected."""
    goal, planned, needed = definition.goals[0], definition.design.planned_days, people_needed(definition)
    waits, every = (goal.window + goal.settles).total_seconds() / 86400, days_between_looks(definition)

    def enrolled(day: float) -> float:
        return now + per_day * min(day, planned) if day >= 0 else 0.0

    from alongside.stats.sequential import Look

    found: list[tuple[float, Taken]] = []
    taken: list[Look] = []
    for number in range(1, math.ceil(latest / every) + 1):
        day = min(number * every, latest)
        known = enrolled(day - waits)
        if not known:
            continue
        over = 1.0 if day >= latest else time_over(known, enrolled(day), needed, number * every, planned)
        fraction = max(over, taken[-1].fraction) if taken else over
        if taken and adds_nothing(taken[-1].information, known):
            taken.pop()
        taken.append(Look(known, fraction))
        found.append((day, tuple(taken)))
    return found


def _expected(
    course: Sequence[tuple[float, Taken]], expected_z: float, alpha: float, sides: int, latest: float
) -> float:
    """Expected day of the first crossing, `latest` where there is none; `expected_z` at the last look."""
    from alongside.stats import sequential

    whole = course[-1][1]
    last = sequential.power(whole, expected_z, alpha).by_look
    days, before = 0.0, 0.0
    for day, taken in course:
        if taken == whole[: len(taken)]:
            chance = last[len(taken) - 1]
        else:  # its last look was taken again with more of alpha's time over: a verdict then holds later, too
            share = taken[-1].information / whole[-1].information
            chance = sequential.power(taken, expected_z * share**0.5, alpha).overall
        chance = min(1.0, sides * chance)
        days += max(0.0, chance - before) * day
        before = max(before, chance)
    return days + (1 - before) * latest
