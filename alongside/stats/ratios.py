"""Two ratios of sums over units, such as clicks per message of each person: the delta method.

The unit of assignment is the person, but the ratio's denominator (messages, visits, days) differs between persons, so
that neither Welch's test of the persons' own ratios (another estimand) nor a test that takes messages as independent
(too small a variance) is right. The ratio r = sum(y) / sum(x) behaves like the mean of the linearised values
(y - r * x) / mean(x): Deng, Knoblich and Lu (2018), "Applying the delta method in metric analytics", KDD 24:233-242,
equation 4; Cochran (1977), "Sampling techniques", chapter 6. From there on it is Welch's test with Fieller's interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from alongside.stats.means import Estimate, from_estimate, satterthwaite
from alongside.stats.results import Comparison, Method, Unavailable, require_alpha, unavailable

#: Beyond this coefficient of variation of the mean denominator the ratio is too skewed for a normal approximation.
#: Cochran (1977, section 6.3) asks for .1. Simulated false rejections at level .05: .052 at .09, .056 at .135, .064
#: at .2, .075 at .23.
UNCERTAIN_BEYOND = 0.15

#: A residual variance below this share of its terms is what rounding leaves of an exact proportionality.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class RatioArm:
    """`n` units with numerator y and denominator x; sample variances and covariance (divisor n - 1; NaN below two).

    A database gives them as `count(*)`, `avg(y)`, `avg(x)`, `var_samp(y)`, `var_samp(x)`, `covar_samp(y, x)`. Units
    without any denominator (nobody sent them a message) belong in with x = 0 and y = 0.
    """

    n: int
    mean_y: float
    mean_x: float
    variance_y: float
    variance_x: float
    covariance: float

    @classmethod
    def of(cls, y: Sequence[float], x: Sequence[float]) -> RatioArm:
        """Sufficient statistics of plain numbers, one numerator and one denominator per unit."""
        import numpy as np

        if len(y) != len(x):
            raise ValueError(f"{len(y)} numerators do not belong to {len(x)} denominators")
        if not len(y):
            return cls(0, math.nan, math.nan, math.nan, math.nan, math.nan)
        data = np.asarray([y, x], dtype=float)
        with np.errstate(invalid="ignore", over="ignore"):
            mean_y, mean_x = map(float, data.mean(axis=1))
            if len(y) == 1:
                return cls(1, mean_y, mean_x, math.nan, math.nan, math.nan)
            spread = np.cov(data)
        return cls(len(y), mean_y, mean_x, float(spread[0, 0]), float(spread[1, 1]), float(spread[0, 1]))

    @property
    def ratio(self) -> float:
        """Sum of numerators over sum of denominators; NaN without a denominator."""
        return self.mean_y / self.mean_x if self.n and self.mean_x else math.nan

    @property
    def variance(self) -> float:
        """Estimated variance of the ratio, by the delta method."""
        x = self.mean_x
        own, shared = self.variance_y / x / x, self.ratio * (self.covariance / x / x)
        other = self.ratio * self.ratio * (self.variance_x / x / x)
        total = own - 2 * shared + other
        return total / self.n if total > _ROUNDING * (own + other) else 0.0

    @property
    def denominator_variation(self) -> float:
        """Coefficient of variation of the mean denominator."""
        return math.sqrt(self.variance_x / self.n) / abs(self.mean_x)


def compare_ratios(treatment: RatioArm, control: RatioArm, alpha: float = 0.05) -> Comparison:
    """Welch's test of equal ratios, with its interval and Fieller's for the relative difference of the ratios."""
    require_alpha(alpha)
    if fault := _fault(treatment, control):
        return unavailable(fault, alpha, _plain_difference(treatment, control))
    v1, v0 = treatment.variance, control.variance
    difference = treatment.ratio - control.ratio
    if not math.isfinite(v1 + v0):
        return unavailable(Unavailable.NOT_FINITE, alpha, _plain_difference(treatment, control))
    if v1 + v0 == 0:
        return unavailable(Unavailable.NO_VARIATION, alpha, difference)
    degrees = satterthwaite((v1, treatment.n - 1), (v0, control.n - 1))
    estimate = Estimate(difference, control.ratio, v1 + v0, v0, -v0, degrees)
    return from_estimate(estimate, Method.DELTA, alpha)


def _fault(*arms: RatioArm) -> Unavailable | None:
    if any(arm.n == 0 for arm in arms):
        return Unavailable.EMPTY_ARM
    if not all(math.isfinite(value) for arm in arms for value in (arm.mean_y, arm.mean_x)):
        return Unavailable.NOT_FINITE
    if any(arm.n < 2 for arm in arms):
        return Unavailable.TOO_FEW_UNITS
    spreads = (value for arm in arms for value in (arm.variance_y, arm.variance_x, arm.covariance))
    if not all(math.isfinite(value) for value in spreads):
        return Unavailable.NOT_FINITE
    return _denominator_fault(*arms)


def _denominator_fault(*arms: RatioArm) -> Unavailable | None:
    if any(arm.mean_x == 0 for arm in arms):
        return Unavailable.DENOMINATOR_ZERO
    uncertain = any(arm.denominator_variation > UNCERTAIN_BEYOND for arm in arms)
    return Unavailable.DENOMINATOR_UNCERTAIN if uncertain else None


def _plain_difference(treatment: RatioArm, control: RatioArm) -> float | None:
    difference = treatment.ratio - control.ratio
    return difference if math.isfinite(difference) else None
