"""Two proportions: the pooled score test, and the intervals that are its inversion.

The interval for the difference is Mee's (1984), the one for the ratio Koopman's (1984): Miettinen and Nurminen (1985)
without their N / (N - 1) factor. Each holds exactly the hypotheses that the score test does not reject, with variances
estimated under the hypothesis (for the ratio: Fieller's theorem with those variances). At no difference the restricted
estimate is the pooled rate, so both intervals and the p-value always agree on significance. Wald's test has up to .083
false rejections where this has .055 (unequal arms, small rates).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from alongside.stats import normal
from alongside.stats.results import (
    Comparison,
    Interval,
    Method,
    RelativeDifference,
    Unavailable,
    floor_p,
    require_alpha,
    unavailable,
)

#: Below this many conversions (or non-conversions) that an arm expects by the data, exact tests take over. An arm that
#: truly expects ten, from where on the score test keeps its size, is estimated to expect seven or more (ten less one
#: standard deviation); with ten here, Fisher's test would decide a third of its looks, and be needlessly shy.
EXPECTED_AT_LEAST = 7.0


@dataclass(frozen=True)
class Proportion:
    """`successes` of `n` units."""

    n: int
    successes: int

    def __post_init__(self) -> None:
        if not 0 <= self.successes <= self.n:
            raise ValueError(f"{self.successes} successes of {self.n} units are not possible")

    @property
    def rate(self) -> float:
        return self.successes / self.n if self.n else math.nan


def compare_proportions(treatment: Proportion, control: Proportion, alpha: float = 0.05) -> Comparison:
    """Test equality of two rates, with intervals for their difference and their relative difference.

    Where an arm expects too few conversions (or too few without one) the p-value is the larger of Fisher's
    exact and the score test's, which keeps its size at or below alpha, and an interval that would exclude zero against
    that p-value is widened to it.
    """
    require_alpha(alpha)
    if not (treatment.n and control.n):
        return unavailable(Unavailable.EMPTY_ARM, alpha)
    z = normal.isf(alpha / 2)
    p_value = floor_p(normal.two_sided_p(score_statistic(treatment, control)))
    interval = difference_interval(treatment, control, z)
    relative = relative_difference(treatment, control, z)
    method = Method.SCORE
    if expected_in_smaller_arm(treatment, control) < EXPECTED_AT_LEAST:
        method = Method.EXACT
        p_value = max(p_value, fisher_p(treatment, control))
        if p_value >= alpha:
            interval = interval.widened_to(0.0)
            relative = RelativeDifference(relative.estimate, relative.interval.widened_to(0.0), relative.reason)
    return Comparison(
        treatment.rate - control.rate,
        unpooled_error(treatment, control),
        interval,
        p_value,
        relative,
        method,
        alpha,
    )


def expected_in_smaller_arm(one: Proportion, other: Proportion) -> float:
    """Conversions (or non-conversions, if rarer) that the smaller arm expects when the rates are equal."""
    pooled = (one.successes + other.successes) / (one.n + other.n)
    return min(one.n, other.n) * min(pooled, 1 - pooled)


def unpooled_error(one: Proportion, other: Proportion) -> float:
    return math.sqrt(one.rate * (1 - one.rate) / one.n + other.rate * (1 - other.rate) / other.n)


def score_statistic(treatment: Proportion, control: Proportion) -> float:
    """z of the pooled score test; 0 where nobody or everybody converted."""
    pooled = (treatment.successes + control.successes) / (treatment.n + control.n)
    variance = pooled * (1 - pooled) * (1 / treatment.n + 1 / control.n)
    return (treatment.rate - control.rate) / math.sqrt(variance) if variance > 0 else 0.0


def fisher_p(one: Proportion, other: Proportion) -> float:
    """Fisher's exact test, two-sided: the chance of all tables at most as likely as the observed one.

    Table weights follow from the mode by their ratios, so that nothing overflows or cancels; the tolerance for ties is
    SciPy's.
    """
    successes = one.successes + other.successes
    weights = _hypergeometric(one.n, other.n, successes)
    observed = weights.get(one.successes, 0.0) * (1 + 1e-14)
    tail = math.fsum(weight for weight in weights.values() if weight <= observed)
    return floor_p(tail / math.fsum(weights.values()))


def _hypergeometric(n1: int, n0: int, successes: int) -> dict[int, float]:
    """How likely the first arm has k of all successes, relative to the likeliest k; without what underflows."""
    low, high = max(0, successes - n0), min(n1, successes)
    mode = min(high, max(low, (successes + 1) * (n1 + 1) // (n1 + n0 + 2)))
    weights = {mode: 1.0}
    weight, k = 1.0, mode
    while k < high and weight > 0:
        weight *= (successes - k) * (n1 - k) / ((k + 1) * (n0 - successes + k + 1))
        k += 1
        weights[k] = weight
    weight, k = 1.0, mode
    while k > low and weight > 0:
        weight *= k * (n0 - successes + k) / ((successes - k + 1) * (n1 - k + 1))
        k -= 1
        weights[k] = weight
    return weights


def difference_interval(treatment: Proportion, control: Proportion, z: float) -> Interval:
    """Mee's score interval for the difference; `z` is the normal quantile of its level."""
    estimate = treatment.rate - control.rate

    def statistic(delta: float) -> float:
        rate = restricted_control_rate(treatment, control, delta)
        other = rate + delta
        variance = other * (1 - other) / treatment.n + rate * (1 - rate) / control.n
        return studentised(estimate - delta, variance)

    return invert(statistic, estimate, -1.0, 1.0, z)


def studentised(distance: float, variance: float) -> float:
    """Distance in standard errors; infinite for a distance that no variance explains."""
    if variance > 0:
        return distance / math.sqrt(variance)
    return 0.0 if distance == 0 else math.copysign(math.inf, distance)


def invert(statistic: Callable[[float], float], estimate: float, least: float, most: float, z: float) -> Interval:
    """The hypotheses within [least, most] that a decreasing statistic, 0 at the estimate, does not reject."""
    low = normal.bisect(lambda value: statistic(value) - z, least, estimate)
    high = normal.bisect(lambda value: statistic(value) + z, estimate, most)
    return Interval(low, high)


def restricted_control_rate(treatment: Proportion, control: Proportion, delta: float) -> float:
    """Maximum likelihood estimate of the control's rate when the rates differ by `delta`.

    Closed form of the cubic in Miettinen and Nurminen (1985), appendix I.
    """
    n1, n0, x0 = treatment.n, control.n, control.successes
    total, successes = n1 + n0, treatment.successes + control.successes
    l3 = float(total)
    l2 = (n1 + 2 * n0) * delta - total - successes
    l1 = (n0 * delta - total - 2 * x0) * delta + successes
    l0 = x0 * delta * (1 - delta)
    shift = l2 / (3 * l3)
    q = shift**3 - l1 * l2 / (6 * l3**2) + l0 / (2 * l3)
    p = math.copysign(math.sqrt(max(0.0, shift**2 - l1 / (3 * l3))), q)
    cosine = q / p**3 if p else 0.0
    angle = (math.pi + math.acos(max(-1.0, min(1.0, cosine)))) / 3
    return min(max(2 * p * math.cos(angle) - shift, 0.0, -delta), 1.0, 1.0 - delta)


def relative_difference(treatment: Proportion, control: Proportion, z: float) -> RelativeDifference:
    """Koopman's score interval for the ratio of the rates, minus one."""

    def statistic(log_ratio: float) -> float:
        ratio = math.exp(log_ratio)
        rate = restricted_base_rate(treatment, control, ratio)
        other = min(1.0, ratio * rate)
        variance = other * (1 - other) / treatment.n + ratio**2 * rate * (1 - rate) / control.n
        return studentised(treatment.rate - ratio * control.rate, variance)

    return invert_ratio(statistic, treatment.rate, control.rate, z)


def invert_ratio(
    statistic: Callable[[float], float], treatment: float, control: float, z: float, centre: float | None = None
) -> RelativeDifference:
    """The ratios of two rates, minus one, that a decreasing statistic of their logarithm does not reject.

    `centre` is the logarithm at which the statistic is 0, by default that of treatment / control.
    """
    if treatment == control == 0:
        return RelativeDifference(None, Interval(None, None), Unavailable.BASELINE_ZERO)
    low, high = -FAR, FAR
    if treatment and control:
        centre = math.log(treatment / control) if centre is None else centre
        bounds = invert(statistic, centre, low, high, z)
        return RelativeDifference(math.expm1(centre), Interval(*map(_expm1, (bounds.low, bounds.high))))
    if control:
        upper = normal.bisect(lambda value: statistic(value) + z, low, high)
        return RelativeDifference(-1.0, Interval(-1.0, math.expm1(upper)))
    lower = normal.bisect(lambda value: statistic(value) - z, low, high)
    return RelativeDifference(None, Interval(math.expm1(lower), None), Unavailable.BASELINE_ZERO)


FAR = 60.0  # e^60: a ratio beyond anything that counts of people can show


def _expm1(value: float | None) -> float | None:
    return None if value is None else math.expm1(value)


def restricted_base_rate(treatment: Proportion, control: Proportion, ratio: float) -> float:
    """Maximum likelihood estimate of the control's rate when the treatment's is `ratio` times it.

    The smaller root of the quadratic in Miettinen and Nurminen (1985), in the form that does not cancel.
    """
    successes = treatment.successes + control.successes
    a = (treatment.n + control.n) * ratio
    b = ratio * (treatment.n + control.successes) + treatment.successes + control.n
    root = math.sqrt(max(0.0, b * b - 4 * a * successes))
    return min(2 * successes / (b + root), 1.0, 1 / ratio)
