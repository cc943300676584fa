"""What each look at the data of an experiment may claim."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from alongside.analysis.judging.comparing import Compare, comparer
from alongside.analysis.observing.sums import NOBODY, ArmSums, Course, Sums, summed
from alongside.analysis.result import MetricInfo, Point
from alongside.outreach.experiments import Calendar, ExperimentDefinition, people_needed
from alongside.outreach.experiments.calendar import adds_nothing, time_over
from alongside.stats import Comparison, Interval, normal, sequential
from alongside.stats.results import SMALLEST_P
from alongside.stats.sequential import Ending, Look


@dataclass(frozen=True)
class Taken:
    """One look that was taken at a metric: everything known by then, and what it may spend."""

    number: int
    look: Look
    treatment: ArmSums
    control: ArmSums


def looks_taken(
    definition: ExperimentDefinition,
    calendar: Calendar,
    course: Course,
    arrivals: Mapping[int, int],
    needed: int,
    as_of: datetime,
    variant: str,
) -> tuple[Taken, ...]:
    """The looks at one metric that showed something new, for one variant against control.

    Parameters
    ----------
    arrivals : people enrolled by day after launch, all arms
    needed : people that the design asks for
    """
    planned_days = definition.design.planned_days
    taken: list[Taken] = []
    treatment = control = NOBODY
    known, fraction = 0, 0.0
    for number, sums in course:
        treatment = treatment.plus(sums.get(variant, NOBODY))
        control = control.plus(sums.get(definition.control, NOBODY))
        known += sum(arm.n + arm.missing for arm in sums.values())
        if not treatment.n or not control.n:
            continue
        elapsed = number * calendar.every
        enrolled = sum(count for day, count in arrivals.items() if day < elapsed)
        fraction = max(fraction, time_over(known, enrolled, needed, elapsed, planned_days))
        look = Look(treatment.n * control.n / (treatment.n + control.n), fraction)
        if taken and adds_nothing(taken[-1].look.information, look.information):
            taken.pop()
        taken.append(Taken(number, look, treatment, control))
    if taken and as_of >= calendar.due:
        taken[-1] = replace(taken[-1], look=replace(taken[-1].look, fraction=1.0))
    return tuple(taken)


class View:
    """What the looks so far show of an experiment that is looked at daily.

    `sums` holds what the last look on the calendar saw: later data wait for the next one.
    """

    def __init__(
        self,
        definition: ExperimentDefinition,
        calendar: Calendar,
        courses: Mapping[str, Course],
        arrivals: Mapping[int, int],
        as_of: datetime,
    ) -> None:
        last, needed = calendar.taken(as_of), people_needed(definition)
        seen = {name: [(number, sums) for number, sums in course if number <= last] for name, course in courses.items()}
        self.calendar = calendar
        self._infos = {metric.name: MetricInfo.of(metric) for metric in definition.metrics}
        self.sums: dict[str, Sums] = {name: summed(course) for name, course in seen.items()}
        self._taken = {
            (variant, name): looks_taken(definition, calendar, course, arrivals, needed, as_of, variant)
            for name, course in seen.items()
            for variant in definition.treatments
        }

    def taken(self, variant: str, metric: str) -> tuple[Taken, ...]:
        return self._taken[variant, metric]

    def at_last_look(self, compare: Compare, variant: str, metric: str) -> Compare:
        """The same comparison with the level and the p-value of repeated looks."""
        taken = self._taken[variant, metric]
        if not taken:
            return compare
        before = [self._z(metric, item) for item in taken[:-1]]
        return at_last_look(compare, [item.look for item in taken], before)

    def plain(self, variant: str, metric: str) -> Comparison:
        """The last look's comparison as if it were the only one."""
        last = self._taken[variant, metric][-1]
        return comparer(self._infos[metric], last.treatment, last.control)(0.05)

    def level(self, variant: str, metric: str, alpha: float) -> float:
        """What a plain interval may use now; alpha itself before the first look."""
        looks = [item.look for item in self._taken[variant, metric]]
        return sequential.level(looks, alpha) if looks else alpha

    def crossed_before(self, variant: str, metric: str, alpha: float) -> bool:
        """Whether a look before the last one claimed a difference at this level."""
        taken = self._taken[variant, metric]
        bounds = sequential.two_sided_boundaries([item.look for item in taken], alpha) if taken else []
        return any(abs(self._z(metric, item)) >= bound for item, bound in zip(taken[:-1], bounds, strict=False))

    def _z(self, metric: str, item: Taken) -> float:
        found = z_of(comparer(self._infos[metric], item.treatment, item.control)(0.05), 1)
        return 0.0 if found is None else found


def at_last_look(compare: Compare, looks: Sequence[Look], before: Sequence[float]) -> Compare:
    """The comparison at the last look, with the p-value and an interval that pay for every look.

    Where the experiment may end here (the boundary is crossed for the first time, or this is the planned day), the
    interval is the exact one of that ending; else the repeated one, which is wider and holds whatever happens next.

    Parameters
    ----------
    before : z of the plain test at each look before the last
    """

    def repeated(alpha: float) -> Comparison:
        bounds = sequential.two_sided_boundaries(looks, alpha)
        found = compare(max(normal.two_sided_p(bounds[-1]), SMALLEST_P))
        z = z_of(found, 1)
        if found.p_value is None or z is None:
            return replace(found, alpha=alpha)
        crossed = any(abs(one) >= bound for one, bound in zip(before, bounds, strict=False))
        if not crossed and (abs(z) >= bounds[-1] or looks[-1].fraction >= 1):
            found = at_ending(compare, found, sequential.ending(looks, z, alpha))
        relative = replace(found.relative, interval=_finite(found.relative.interval))
        p_value = sequential.repeated_p(looks, found.p_value)  # type: ignore[arg-type]
        return replace(found, interval=_finite(found.interval), relative=relative, p_value=p_value, alpha=alpha)

    return repeated


def at_ending(compare: Compare, found: Comparison, ending: Ending) -> Comparison:
    """With the bounds of this ending, each taken from the plain interval at its own level."""
    below, above = (compare(_level(quantile)) for quantile in (ending.below, ending.above))
    interval = Interval(below.interval.low, above.interval.high)
    ratios = Interval(below.relative.interval.low, above.relative.interval.high)
    return replace(found, interval=interval, relative=replace(found.relative, interval=ratios))


def _level(quantile: float) -> float:
    return min(1 - 1e-9, max(normal.two_sided_p(max(quantile, 0.0)), SMALLEST_P))


def _finite(interval: Interval) -> Interval:
    """Hardly any alpha early gives bounds beyond every number: unbounded."""
    low, high = (
        None if bound is None or not math.isfinite(bound) else bound for bound in (interval.low, interval.high)
    )
    return Interval(low, high)


def path(
    calendar: Calendar, taken: Sequence[Taken], comparisons: Sequence[Comparison], sign: int, alpha: float
) -> tuple[Point, ...]:
    """The way of one comparison through its boundaries, and the boundaries that are still to come.

    Parameters
    ----------
    comparisons : the plain one at each look taken
    sign : of the good direction
    alpha : what this comparison has within its family
    """
    if not taken:
        return ()
    ahead = _ahead(calendar, taken[-1])
    bounds = sequential.two_sided_boundaries([*(item.look for item in taken), *(look for _, look in ahead)], alpha)
    points = [
        Point(
            item.number, calendar.moment(item.number), item.treatment.n + item.control.n,
            z_of(comparison, sign), bound, item.look.fraction,
        )
        for item, comparison, bound in zip(taken, comparisons, bounds, strict=False)
    ]  # fmt: skip
    points += [
        Point(number, calendar.moment(number), None, None, bound, look.fraction)
        for (number, look), bound in zip(ahead, bounds[len(taken) :], strict=True)
    ]
    return tuple(points)


def _ahead(calendar: Calendar, last: Taken) -> list[tuple[int, Look]]:
    """The looks to come, as if people went on coming evenly until the planned day."""
    left = calendar.planned - last.number
    if left <= 0 or last.look.fraction >= 1:
        return []
    fractions = [last.look.fraction + (1 - last.look.fraction) * step / left for step in range(1, left + 1)]
    scale = last.look.information / last.look.fraction
    return [
        (last.number + step, Look(scale * fraction, min(1.0, fraction)))
        for step, fraction in enumerate(fractions, start=1)
    ]


def z_of(comparison: Comparison, sign: int) -> float | None:
    """The normal quantile of a plain p-value, positive in the direction `sign`."""
    if comparison.p_value is None or comparison.difference is None:
        return None
    return sign * math.copysign(normal.isf(max(comparison.p_value / 2, 1e-300)), comparison.difference)
