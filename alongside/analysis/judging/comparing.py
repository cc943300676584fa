"""From each arm's sums to comparisons: the right test per kind of metric, and one family of goals under Holm."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from alongside.analysis.judging.clustered import compare_rates
from alongside.analysis.observing.sums import NOBODY, ArmSums, ClusterSums, Sums
from alongside.analysis.result import (
    GoalComparison,
    GuardrailComparison,
    GuardrailStatus,
    MetricInfo,
)
from alongside.outreach.experiments.metrics import MetricKind
from alongside.stats import Comparison, Interval, Method, Unavailable
from alongside.stats.adjustment import compare_adjusted
from alongside.stats.clusters import compare_clusters
from alongside.stats.means import Mean, compare_means
from alongside.stats.multiplicity import holm, holm_interval
from alongside.stats.proportions import EXPECTED_AT_LEAST, Proportion, compare_proportions
from alongside.stats.quantiles import compare_ordered
from alongside.stats.ratios import RatioArm, compare_ratios
from alongside.stats.results import unavailable

Compare = Callable[[float], Comparison]
Viewed = Callable[[Compare, str, str], Compare]  # what a look makes of the comparison of this variant on this metric


def once(compare: Compare, variant: str, metric: str) -> Compare:
    """The data are looked at once."""
    del variant, metric
    return compare


def comparer(metric: MetricInfo, treatment: ArmSums, control: ArmSums, covariate_mean: float | None = None) -> Compare:
    """The comparison of two arms as a function of alpha."""
    if treatment.clusters and control.clusters:
        return _compare_clusters(metric, treatment.clusters, control.clusters)
    if covariate_mean is not None and treatment.adjusted and control.adjusted:
        one, other = treatment.adjusted, control.adjusted
        return lambda alpha: compare_adjusted(one, other, covariate_mean, alpha)
    if metric.has_before and _enough(metric, treatment, control):
        return _compare_with_before(treatment, control)
    return _compare_plain(metric, treatment, control)


def _compare_plain(metric: MetricInfo, treatment: ArmSums, control: ArmSums) -> Compare:
    if metric.kind is MetricKind.RATIO:
        return _compare_ratio(metric, treatment, control)
    if metric.quantile is not None:
        return _compare_quantile(metric.quantile, treatment, control)
    if metric.kind is MetricKind.BINARY:
        rates = [Proportion(arm.n, round(arm.total)) for arm in (treatment, control)]
        return lambda alpha: compare_proportions(rates[0], rates[1], alpha)
    means = [Mean(arm.n, arm.mean, arm.variance) for arm in (treatment, control)]
    return lambda alpha: compare_means(means[0], means[1], alpha)


def _compare_clusters(metric: MetricInfo, treatment: ClusterSums, control: ClusterSums) -> Compare:
    if metric.kind is MetricKind.BINARY:
        return lambda alpha: compare_rates(treatment, control, alpha)
    return lambda alpha: compare_clusters(treatment.arm, control.arm, alpha)


def _compare_ratio(metric: MetricInfo, treatment: ArmSums, control: ArmSums) -> Compare:
    one, other = (
        RatioArm(arm.n, arm.mean, arm.beside_mean, arm.variance, arm.beside_variance, arm.covariance)
        for arm in (treatment, control)
    )
    if metric.counts_events and treatment.n and control.n and _fewest(treatment, control) < EXPECTED_AT_LEAST:
        return lambda alpha: unavailable(Unavailable.TOO_FEW_CONVERSIONS, alpha, compare_ratios(one, other).difference)
    return lambda alpha: compare_ratios(one, other, alpha)


def _compare_quantile(q: float, treatment: ArmSums, control: ArmSums) -> Compare:
    one, other = (() if arm.values is None else arm.values for arm in (treatment, control))
    return lambda alpha: compare_ordered(one, other, q, alpha)


def _fewest(treatment: ArmSums, control: ArmSums) -> float:
    """Events that the smaller arm expects when the arms are alike."""
    return min(treatment.n, control.n) * (treatment.total + control.total) / (treatment.n + control.n)


def _enough(metric: MetricInfo, treatment: ArmSums, control: ArmSums) -> bool:
    """Whether a test of means may stand in for the one of rates."""
    if min(treatment.n, control.n) < 3:
        return False
    if metric.kind is not MetricKind.BINARY:
        return True
    people = treatment.n + control.n
    rarer = min(treatment.total + control.total, people - treatment.total - control.total)
    return min(treatment.n, control.n) * rarer / people >= EXPECTED_AT_LEAST


def _compare_with_before(treatment: ArmSums, control: ArmSums) -> Compare:
    """CUPED (Deng, Xu, Kohavi and Walker 2013): the outcome less what the time before assignment foretells of it.

    One slope for both arms, from this look's own data, makes the sums add up from look to look. Its estimate costs
    one degree of freedom among hundreds; Welch's test does the rest.
    """
    within = [(arm.n - 1, arm.beside_variance, arm.covariance) for arm in (treatment, control)]
    spread = sum(n * variance for n, variance, _ in within)
    slope = sum(n * covariance for n, _, covariance in within) / spread if spread > 0 else 0.0
    people = treatment.n + control.n
    overall = (treatment.n * treatment.beside_mean + control.n * control.beside_mean) / people
    one, other = (
        Mean(
            arm.n,
            arm.mean - slope * (arm.beside_mean - overall),
            arm.variance - 2 * slope * arm.covariance + slope * slope * arm.beside_variance,
        )
        for arm in (treatment, control)
    )
    return lambda alpha: replace(compare_means(one, other, alpha), method=Method.ADJUSTED)


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

    The adjusted intervals hold together, and exclude zero (or end there) exactly when the adjusted p-value is below
    alpha.
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
    level = alpha / max(1, len(pairs))
    return tuple(
        GoalComparison(
            variant,
            metric,
            comparison,
            None if comparison.p_value is None else p,
            holm_interval(compare(level).interval, comparison.difference, p < alpha),
        )
        for (variant, metric), comparison, compare, p in zip(pairs, plain, compares, holm(p_values), strict=True)
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
