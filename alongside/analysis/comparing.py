"""From each arm's sums to comparisons: the right test per kind of metric, and one family of goals under Holm."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from alongside.analysis.result import (
    ArmMetric,
    GoalComparison,
    GuardrailComparison,
    GuardrailStatus,
    MetricInfo,
)
from alongside.outreach.experiments.metrics import MetricKind
from alongside.stats import Comparison, Interval, Unavailable
from alongside.stats.adjustment import AdjustedArm, compare_adjusted
from alongside.stats.means import Mean, compare_means
from alongside.stats.multiplicity import holm, holm_levels
from alongside.stats.proportions import Proportion, compare_proportions


@dataclass(frozen=True)
class ArmSums:
    """What a database gives per arm and metric: enough for every test. `total` is the sum of the values."""

    n: int
    total: float
    mean: float
    variance: float
    missing: int = 0
    adjusted: AdjustedArm | None = None

    def plus(self, other: ArmSums) -> ArmSums:
        """Both together (Chan, Golub and LeVeque 1983). Adjusted sums do not add up, and are left behind."""
        missing = self.missing + other.missing
        if not self.n or not other.n:
            filled = self if self.n else other
            return replace(filled, missing=missing, adjusted=None)
        n, distance = self.n + other.n, other.mean - self.mean
        squares = sum(arm.variance * (arm.n - 1) for arm in (self, other) if arm.n > 1)
        squares += distance * distance * self.n * other.n / n
        return ArmSums(n, self.total + other.total, self.mean + distance * other.n / n, squares / (n - 1), missing)

    def as_metric(self) -> ArmMetric:
        return ArmMetric(self.n, self.mean if self.n and math.isfinite(self.mean) else None, self.missing)


NOBODY = ArmSums(0, 0.0, math.nan, math.nan)
Sums = Mapping[str, ArmSums]  # by arm
Compare = Callable[[float], Comparison]
Viewed = Callable[[Compare, str, str], Compare]  # what a look makes of the comparison of this variant on this metric


def once(compare: Compare, variant: str, metric: str) -> Compare:
    """The data are looked at once."""
    del variant, metric
    return compare


def comparer(metric: MetricInfo, treatment: ArmSums, control: ArmSums, covariate_mean: float | None = None) -> Compare:
    """The comparison of two arms as a function of alpha."""
    if covariate_mean is not None and treatment.adjusted and control.adjusted:
        one, other = treatment.adjusted, control.adjusted
        return lambda alpha: compare_adjusted(one, other, covariate_mean, alpha)
    if metric.kind is MetricKind.BINARY:
        rates = [Proportion(arm.n, round(arm.total)) for arm in (treatment, control)]
        return lambda alpha: compare_proportions(rates[0], rates[1], alpha)
    means = [Mean(arm.n, arm.mean, arm.variance) for arm in (treatment, control)]
    return lambda alpha: compare_means(means[0], means[1], alpha)


def compare_goals(
    goals: Sequence[MetricInfo],
    sums: Mapping[str, Sums],
    treatments: Sequence[str],
    control: str,
    alpha: float,
    covariate_mean: Mapping[str, float] | None = None,
    viewed: Viewed = once,
) -> tuple[GoalComparison, ...]:
    """Every variant against control on every goal, as one family.

    The adjusted intervals have Holm's levels: each excludes zero exactly when its adjusted p-value is below alpha.
    """
    pairs = [(variant, metric) for metric in goals for variant in treatments]
    compares = [
        viewed(
            comparer(
                metric,
                sums[metric.name].get(variant, NOBODY),
                sums[metric.name].get(control, NOBODY),
                (covariate_mean or {}).get(metric.name),
            ),
            variant,
            metric.name,
        )
        for variant, metric in pairs
    ]
    plain = [compare(alpha) for compare in compares]
    # A comparison that cannot be made still belongs to the family: dropping it would favour the others.
    p_values = [1.0 if item.p_value is None else item.p_value for item in plain]
    adjusted = holm(p_values)
    levels = holm_levels(p_values, alpha)
    return tuple(
        GoalComparison(
            variant,
            metric,
            comparison,
            None if comparison.p_value is None else p,
            compare(level).interval,
        )
        for (variant, metric), comparison, compare, p, level in zip(
            pairs, plain, compares, adjusted, levels, strict=True
        )
    )


def compare_guardrails(
    guardrails: Sequence[tuple[MetricInfo, float]],
    sums: Mapping[str, Sums],
    treatments: Sequence[str],
    control: str,
    alpha: float,
    viewed: Viewed = once,
) -> tuple[GuardrailComparison, ...]:
    """Every variant against control on every (metric, margin): all must be unharmed, so nothing is adjusted."""
    found = []
    for metric, margin in guardrails:
        for variant in treatments:
            arms = [sums[metric.name].get(name, NOBODY) for name in (variant, control)]
            comparison = viewed(comparer(metric, arms[0], arms[1]), variant, metric.name)(alpha)
            status = guardrail_status(comparison, metric.direction.sign, margin)
            found.append(GuardrailComparison(variant, metric, comparison, margin, status))
    return tuple(found)


def guardrail_status(comparison: Comparison, sign: int, margin: float) -> GuardrailStatus:
    """Non-inferior by the margin, harmed, or neither; `sign` is +1 where more is better."""
    if comparison.reason is Unavailable.NO_VARIATION and comparison.difference == 0:
        return GuardrailStatus.UNHARMED
    least, most = _harm(comparison.interval, sign)
    if most < margin:
        return GuardrailStatus.UNHARMED
    return GuardrailStatus.HARMED if least > 0 else GuardrailStatus.UNCLEAR


def _harm(interval: Interval, sign: int) -> tuple[float, float]:
    """The interval of the worsening."""
    low = -math.inf if interval.low is None else interval.low
    high = math.inf if interval.high is None else interval.high
    return (-high, -low) if sign > 0 else (low, high)
