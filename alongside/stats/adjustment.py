"""Regression adjustment by one covariate measured before assignment: less variance, same estimand.

Lin (2013): each arm's outcome is regressed on the covariate by itself and the two lines are compared at the covariate's
overall mean. That equals the treatment coefficient of ordinary least squares with a centred covariate and its
interaction, with HC2 variance (MacKinnon and White 1985), and is CUPED (Deng et al. 2013) with one slope per arm. The
sums can come from a database: one pass for the moments, one for the weighted residuals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from alongside.stats.means import Estimate, all_alike, beyond_rounding, from_estimate, satterthwaite
from alongside.stats.results import Comparison, Method, Unavailable, require_alpha, unavailable


@dataclass(frozen=True)
class Moments:
    """One arm: outcome y and covariate x. Sums are of squares and products around the arm's own means."""

    n: int
    mean_y: float
    mean_x: float
    sum_yy: float
    sum_xx: float
    sum_xy: float

    @property
    def slope(self) -> float:
        """Least-squares slope of y on x; 0 where the covariate does not vary in this arm."""
        return self.sum_xy / self.sum_xx if self.sum_xx > 0 else 0.0


@dataclass(frozen=True)
class Residuals:
    """One arm's sums of w, w * (x - mean_x) and w * (x - mean_x)^2 with w = residual^2 / (1 - leverage).

    The residual is y - mean_y - slope * (x - mean_x), the leverage 1 / n + (x - mean_x)^2 / sum_xx. A unit whose
    leverage is 1 has residual 0 and counts 0.
    """

    w: float
    wx: float
    wxx: float


@dataclass(frozen=True)
class AdjustedArm:
    moments: Moments
    residuals: Residuals


def arm_of(y: Sequence[float], x: Sequence[float]) -> AdjustedArm:
    """An arm's sums from plain numbers."""
    import numpy as np

    outcome, covariate = np.asarray(y, dtype=float), np.asarray(x, dtype=float)
    dy, dx = outcome - outcome.mean(), covariate - covariate.mean()
    moments = Moments(
        len(outcome), float(outcome.mean()), float(covariate.mean()), float(dy @ dy), float(dx @ dx), float(dx @ dy)
    )
    spread = moments.sum_xx if moments.sum_xx > 0 else math.inf
    slack = 1 - 1 / moments.n - dx**2 / spread
    weight = np.divide((dy - moments.slope * dx) ** 2, slack, out=np.zeros_like(dy), where=slack > 1e-12)
    return AdjustedArm(moments, Residuals(float(weight.sum()), float(weight @ dx), float(weight @ dx**2)))


def compare_adjusted(
    treatment: AdjustedArm, control: AdjustedArm, overall_mean: float, alpha: float = 0.05
) -> Comparison:
    """Difference of the arms' adjusted means at `overall_mean`, the covariate's mean over every arm.

    Degrees of freedom are Satterthwaite's over the arms' n - 2, so that a covariate that explains nothing gives
    nearly Welch's result.
    """
    require_alpha(alpha)
    if fault := _fault(treatment, control):
        return unavailable(fault, alpha)
    baseline, v0 = _adjusted_mean(control, overall_mean)
    mean, v1 = _adjusted_mean(treatment, overall_mean)
    if v0 + v1 == 0:
        return all_alike(mean, baseline, alpha)
    degrees = satterthwaite((v1, treatment.moments.n - 2), (v0, control.moments.n - 2))
    estimate = Estimate(mean - baseline, baseline, v0 + v1, v0, -v0, degrees)
    return from_estimate(estimate, Method.ADJUSTED, alpha)


def _fault(*arms: AdjustedArm) -> Unavailable | None:
    if any(arm.moments.n == 0 for arm in arms):
        return Unavailable.EMPTY_ARM
    if any(arm.moments.n < 3 for arm in arms):
        return Unavailable.TOO_FEW_UNITS
    sums = [value for arm in arms for value in (arm.moments.mean_y, arm.moments.mean_x, arm.residuals.w)]
    return None if all(math.isfinite(value) for value in sums) else Unavailable.NOT_FINITE


def _adjusted_mean(arm: AdjustedArm, at: float) -> tuple[float, float]:
    """The arm's line at the covariate value `at`, and its HC2 variance."""
    moments, residuals = arm.moments, arm.residuals
    distance = at - moments.mean_x
    reach = distance / moments.sum_xx if moments.sum_xx > 0 else 0.0
    one = 1 / moments.n
    variance = one * one * residuals.w + 2 * one * reach * residuals.wx + reach * reach * residuals.wxx
    mean = moments.mean_y + moments.slope * distance
    # Where the covariate tells the outcome exactly, rounding is all that is left.
    return mean, beyond_rounding(variance * moments.n, moments.mean_y) / moments.n
