"""What a comparison says. Frozen, plain numbers; a number that cannot be given is None with a named reason."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum

#: A p-value that underflows is reported as this, never as 0: no data make a hypothesis impossible.
SMALLEST_P = sys.float_info.min


class Unavailable(StrEnum):
    """Why something cannot be computed, or only on one side."""

    EMPTY_ARM = "empty_arm"
    TOO_FEW_UNITS = "too_few_units"  # no variance can be estimated
    TOO_FEW_CONVERSIONS = "too_few_conversions"  # (or non-conversions) for any method that would be valid here
    TOO_FEW_CLUSTERS = "too_few_clusters"  # few, or one so large that it decides alone
    NO_VARIATION = "no_variation"  # every unit has the same value: there is nothing to test against
    NOT_FINITE = "not_finite"  # an infinite or NaN value stands in the data
    BASELINE_ZERO = "baseline_zero"  # no ratio to a control of zero
    BASELINE_UNCERTAIN = "baseline_uncertain"  # the control's mean is not distinct from zero: the ratio is unbounded
    DENOMINATOR_ZERO = "denominator_zero"  # a ratio metric whose denominators sum to zero in an arm
    DENOMINATOR_UNCERTAIN = "denominator_uncertain"  # too few denominators, or all with a few units: ratio too skewed


class Method(StrEnum):
    """How the p-value was made."""

    SCORE = "score"  # pooled two-proportion score test
    EXACT = "exact"  # Fisher's, because few conversions are expected
    WELCH = "welch"
    ADJUSTED = "adjusted"  # Lin's regression adjustment with HC2 variance
    DELTA = "delta"  # ratio of sums, linearised
    CLUSTER = "cluster"  # cluster-robust: households or clinics were assigned, not persons
    QUANTILE = "quantile"  # from order statistics
    STRATIFIED = "stratified"  # differences within strata, combined
    BATCHES = "batches"  # batches whose shares followed earlier results
    NONE = "none"


@dataclass(frozen=True)
class Interval:
    """Two-sided interval; a bound of None is unbounded on that side."""

    low: float | None
    high: float | None

    def holds(self, value: float) -> bool:
        return (self.low is None or self.low <= value) and (self.high is None or value <= self.high)

    def widened_to(self, value: float) -> Interval:
        """The smallest interval that holds both this one and the value."""
        low = self.low if self.low is None else min(self.low, value)
        high = self.high if self.high is None else max(self.high, value)
        return Interval(low, high)


@dataclass(frozen=True)
class RelativeDifference:
    """(treatment - control) / control, as a fraction: 0.1 is +10 %."""

    estimate: float | None
    interval: Interval
    reason: Unavailable | None = None


@dataclass(frozen=True)
class Comparison:
    """Treatment against control.

    The interval for the difference, the one for the relative difference and the p-value belong to one test: both
    intervals exclude zero exactly when `p_value < alpha`.

    Attributes
    ----------
    difference : treatment minus control, in the metric's unit
    standard_error : estimated standard error of that difference (not the one under the null hypothesis)
    p_value : two-sided, never exactly 0
    reason : why numbers are missing; None when all are there
    degrees : degrees of freedom of the standard error where the test is a t test
    """

    difference: float | None
    standard_error: float | None
    interval: Interval
    p_value: float | None
    relative: RelativeDifference
    method: Method
    alpha: float
    reason: Unavailable | None = None
    degrees: float | None = None


def unavailable(reason: Unavailable, alpha: float, difference: float | None = None) -> Comparison:
    """A comparison that cannot be made, and why."""
    nothing = Interval(None, None)
    relative = RelativeDifference(None, nothing, reason)
    return Comparison(difference, None, nothing, None, relative, Method.NONE, alpha, reason)


def require_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is a probability between 0 and 1, not {alpha!r}")


def floor_p(p: float) -> float:
    """A p-value within (0, 1]."""
    return min(1.0, max(p, SMALLEST_P))
