"""Two means: Welch's test with its interval, and Fieller's interval for the relative difference.

Fieller's set (Fieller 1954) holds the ratios that the same t statistic does not reject, so that the relative interval
excludes zero exactly when Welch's p-value is below alpha.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

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

#: A standard deviation below this share of its mean is what rounding leaves of values that are all alike: three
#: readings of 0.1 have a mean of 0.10000000000000002.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Mean:
    """`n` units with this mean and sample variance (divisor n - 1; NaN below two units)."""

    n: int
    mean: float
    variance: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Mean:
        """Sufficient statistics of plain numbers; databases give them without reading the numbers out."""
        import numpy as np

        data = np.asarray(list(values), dtype=float)
        if not data.size:
            return cls(0, math.nan, math.nan)
        with np.errstate(invalid="ignore", over="ignore"):
            variance = float(data.var(ddof=1)) if data.size > 1 else math.nan
            return cls(int(data.size), float(data.mean()), variance)


@dataclass(frozen=True)
class Estimate:
    """A difference and its baseline with their joint variance, and the degrees of freedom of its t statistic."""

    difference: float
    baseline: float
    variance: float
    baseline_variance: float
    covariance: float
    degrees: float


def compare_means(treatment: Mean, control: Mean, alpha: float = 0.05) -> Comparison:
    """Welch's test (1947) of equal means, with its interval and Fieller's for the relative difference."""
    require_alpha(alpha)
    if fault := _fault(treatment, control):
        return unavailable(fault, alpha, _plain_difference(treatment, control))
    v1, v0 = (beyond_rounding(arm.variance, arm.mean) / arm.n for arm in (treatment, control))
    difference = treatment.mean - control.mean
    if v1 + v0 == 0:
        return all_alike(treatment.mean, control.mean, alpha)
    degrees = satterthwaite((v1, treatment.n - 1), (v0, control.n - 1))
    estimate = Estimate(difference, control.mean, v1 + v0, v0, -v0, degrees)
    return from_estimate(estimate, Method.WELCH, alpha)


def beyond_rounding(variance: float, mean: float) -> float:
    """The variance, or 0 where it is no more than what rounding leaves around this mean."""
    return variance if variance > 0 and math.sqrt(variance) > ROUNDING * abs(mean) else 0.0


def all_alike(treatment: float, control: float, alpha: float) -> Comparison:
    """Means of arms without variation: nothing to test, and no difference where it would be rounding alone."""
    distinct = abs(treatment - control) > ROUNDING * max(abs(treatment), abs(control))
    return unavailable(Unavailable.NO_VARIATION, alpha, treatment - control if distinct else 0.0)


def _fault(*arms: Mean) -> Unavailable | None:
    if any(arm.n == 0 for arm in arms):
        return Unavailable.EMPTY_ARM
    if not all(math.isfinite(arm.mean) for arm in arms):
        return Unavailable.NOT_FINITE
    if any(arm.n < 2 for arm in arms):
        return Unavailable.TOO_FEW_UNITS
    if not all(math.isfinite(arm.variance) for arm in arms):
        return Unavailable.NOT_FINITE
    return None


def _plain_difference(treatment: Mean, control: Mean) -> float | None:
    difference = treatment.mean - control.mean if treatment.n and control.n else math.nan
    return difference if math.isfinite(difference) else None


def satterthwaite(*parts: tuple[float, float]) -> float:
    """Degrees of freedom of a sum of (variance, degrees) parts, scaled first so that tiny ones do not underflow."""
    largest = max(variance for variance, _ in parts)
    scaled = [(variance / largest, degrees) for variance, degrees in parts]
    return float(sum(v for v, _ in scaled) ** 2 / sum(v * v / degrees for v, degrees in scaled))


def from_estimate(estimate: Estimate, method: Method, alpha: float) -> Comparison:
    """The t test, interval and relative interval of an estimated difference."""
    from scipy import special

    error = math.sqrt(estimate.variance)
    t = estimate.difference / error
    quantile = -float(special.stdtrit(estimate.degrees, alpha / 2))
    interval = Interval(estimate.difference - quantile * error, estimate.difference + quantile * error)
    p_value = floor_p(2 * float(special.stdtr(estimate.degrees, -abs(t))))
    relative = fieller(estimate, quantile)
    return Comparison(estimate.difference, error, interval, p_value, relative, method, alpha, degrees=estimate.degrees)


def fieller(estimate: Estimate, quantile: float) -> RelativeDifference:
    """Fieller's interval for difference / baseline; unbounded unless the baseline itself is distinct from zero."""
    if estimate.baseline == 0:
        return RelativeDifference(None, Interval(None, None), Unavailable.BASELINE_ZERO)
    # In units of the baseline, so that no square of a tiny or huge number under- or overflows.
    unit = estimate.baseline
    a = estimate.difference / unit
    square = quantile**2
    leading = 1.0 - square * (estimate.baseline_variance / unit / unit)
    if leading <= 0:
        return RelativeDifference(a, Interval(None, None), Unavailable.BASELINE_UNCERTAIN)
    middle = a - square * (estimate.covariance / unit / unit)
    last = a * a - square * (estimate.variance / unit / unit)
    discriminant = middle * middle - leading * last
    if not math.isfinite(discriminant):  # a difference so many times its baseline that the square overflows
        return RelativeDifference(a, Interval(None, None), Unavailable.NOT_FINITE)
    root = math.sqrt(max(0.0, discriminant))
    return RelativeDifference(a, Interval((middle - root) / leading, (middle + root) / leading))
