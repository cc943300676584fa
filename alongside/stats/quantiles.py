"""Two quantiles, such as the median number of days until a visit: distribution-free, from a few order statistics.

An arm's interval comes from order statistics whose ranks follow from the binomial distribution, interpolated between
neighbours (Hettmansperger and Sheather 1986 for the median; Nyblom 1992, "Note on interpolated order statistics",
Statistics and Probability Letters 14:129-131, for any quantile). The two arms' distances from estimate to bound are
combined as squares, each on its own side (recovery of variance estimates: Zou and Donner 2008, Statistics in Medicine
27:1693-1702; for the ratio Donner and Zou 2012, Statistical Methods in Medical Research 21:347-359). No density is
estimated, skewness stays, and a database hands out six values of each arm.

Simulated coverage of 95 % intervals (normal, lognormal, exponential and Pareto outcomes; quantiles .5, .75, .9; 30 to
500 units an arm): .950 to .975. Values with many ties, such as whole days, make the intervals wider than need be (.948
to 1): then the share within so many days is the better metric.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

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

#: A control whose bound is this near to zero, in units of its estimate, touches it but for rounding.
_ROUNDING = 1e-12


class Ordered(Protocol):
    """An arm's values in ascending order: a sorted list or array, with any NaN last."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> float: ...


@dataclass(frozen=True)
class Position:
    """Between two order statistics: `fraction` of the way from the one with this rank (from 1) to the next."""

    rank: int
    fraction: float

    @property
    def ranks(self) -> tuple[int, ...]:
        return (self.rank, self.rank + 1) if self.fraction > 0 else (self.rank,)

    def value(self, ranked: Mapping[int, float]) -> float:
        here = ranked[self.rank]
        if self.fraction == 0:
            return here
        following = ranked[self.rank + 1]
        return here if here == following else here + self.fraction * (following - here)


@dataclass(frozen=True)
class QuantileRanks:
    """Where the quantile `q` of `n` units and the bounds of its interval at level 1 - alpha stand.

    With too few units for this quantile and level, the positions are None and no ranks are needed.
    """

    n: int
    q: float
    alpha: float
    estimate: Position | None
    low: Position | None
    high: Position | None

    @property
    def needed(self) -> tuple[int, ...]:
        """Ranks, from 1 in ascending order of the values, that a database must fetch: at most six."""
        positions = (self.low, self.estimate, self.high)
        return tuple(sorted({rank for position in positions if position for rank in position.ranks}))


def quantile_ranks(n: int, q: float, alpha: float = 0.05) -> QuantileRanks:
    """Which order statistics of an arm tell its quantile `q`, 0 < q < 1, with an interval at level 1 - alpha.

    The estimate is `percentile_cont` of SQL and NumPy's default. An interval needs q^n and (1 - q)^n of at most
    alpha / 2: 6 units for a median at 95 %, 36 for the ninth decile.
    """
    require_alpha(alpha)
    if not 0 < q < 1:
        raise ValueError(f"a quantile lies between 0 and 1, not {q!r}")
    if n < 1 or max(n * math.log(q), n * math.log1p(-q)) > math.log(alpha / 2):
        return QuantileRanks(n, q, alpha, None, None, None)
    whole = math.floor((n - 1) * q)
    estimate = Position(whole + 1, (n - 1) * q - whole)
    low = _lower(n, q, alpha / 2)
    mirrored = _lower(n, 1 - q, alpha / 2)
    high = Position(n - mirrored.rank, 1 - mirrored.fraction)
    return QuantileRanks(n, q, alpha, estimate, low, high)


def _lower(n: int, q: float, tail: float) -> Position:
    """The position that lies above the quantile with this chance (Nyblom 1992, equation 2)."""
    from scipy import special

    low, high = 1, n  # the chance that order statistic k lies above is that of fewer than k units below
    while low < high:
        middle = (low + high + 1) // 2
        if special.bdtr(middle - 1, n, q) <= tail:
            low = middle
        else:
            high = middle - 1
    if low == n:
        return Position(n - 1, 1.0)
    here, following = float(special.bdtr(low - 1, n, q)), float(special.bdtr(low, n, q))
    share = (tail - here) / (following - here)
    weighed = (n - low) * q * share
    return Position(low, weighed / (weighed + low * (1 - q) * (1 - share)))


@dataclass(frozen=True)
class QuantileArm:
    """One arm's quantile and the bounds of its interval; NaN where there are too few units.

    Bounds may be infinite, when some units have no value yet (no visit so far) and count as infinite.
    """

    ranks: QuantileRanks
    estimate: float
    low: float
    high: float

    @classmethod
    def at(cls, ranks: QuantileRanks, ranked: Mapping[int, float]) -> QuantileArm:
        """From the values at `ranks.needed`: rank -> value."""
        if not (ranks.estimate and ranks.low and ranks.high):
            return cls(ranks, math.nan, math.nan, math.nan)
        estimate = ranks.estimate.value(ranked)
        low, high = min(estimate, ranks.low.value(ranked)), max(estimate, ranks.high.value(ranked))
        return cls(ranks, estimate, low, high)

    @classmethod
    def of(cls, values: Iterable[float], q: float, alpha: float = 0.05) -> QuantileArm:
        """From plain numbers in any order; one NaN makes everything NaN."""
        data = sorted(float(value) for value in values)
        if any(math.isnan(value) for value in data):
            return cls(quantile_ranks(len(data), q, alpha), math.nan, math.nan, math.nan)
        return cls.of_ordered(data, q, alpha)

    @classmethod
    def of_ordered(cls, values: Ordered, q: float, alpha: float = 0.05) -> QuantileArm:
        """From numbers in ascending order."""
        ranks = quantile_ranks(len(values), q, alpha)
        return cls.at(ranks, {rank: float(values[rank - 1]) for rank in ranks.needed})


def compare_ordered(treatment: Ordered, control: Ordered, q: float, alpha: float = 0.05) -> Comparison:
    """The same from all values, with one p-value for every level: the smallest at which the interval excludes zero.

    Which values bound an interval depends on its level, so that `compare_quantiles` can only tell the p-value that
    belongs to its own. Where there are too few units for an interval at this level, it is unbounded, and nothing is
    claimed.
    """
    require_alpha(alpha)
    if any(len(values) and math.isnan(values[len(values) - 1]) for values in (treatment, control)):
        return unavailable(Unavailable.NOT_FINITE, alpha)
    found = _at_level(treatment, control, q, alpha)
    difference = found.difference
    if found.reason is Unavailable.TOO_FEW_UNITS:
        widest = _smallest_level(treatment, control, q)
        if widest >= 1:
            return found
        found = _at_level(treatment, control, q, min(0.999, 1.001 * widest))
        if found.reason is not None:
            return replace(found, alpha=alpha)
        nothing = Interval(None, None)
        relative = replace(found.relative, interval=nothing)
        p_value = max(alpha, _p_value(treatment, control, q, found.difference or 0.0))
        return replace(found, interval=nothing, relative=relative, p_value=p_value, alpha=alpha)
    if found.reason is not None or not difference:
        return found
    return replace(found, p_value=_p_value(treatment, control, q, difference))


def _at_level(treatment: Ordered, control: Ordered, q: float, alpha: float) -> Comparison:
    return compare_quantiles(*(QuantileArm.of_ordered(values, q, alpha) for values in (treatment, control)))


def _smallest_level(treatment: Ordered, control: Ordered, q: float) -> float:
    """The alpha below which the smaller arm has no interval."""
    return float(2 * max(q, 1 - q) ** min(len(treatment), len(control)))


def _p_value(treatment: Ordered, control: Ordered, q: float, difference: float) -> float:
    """Where the interval that shrinks with its level leaves zero; intervals of smaller levels hold it."""
    if not difference:
        return 1.0
    least = max(1e-300, 1.001 * _smallest_level(treatment, control, q))

    def excludes(z: float) -> float:
        """1 while the interval of this z excludes zero, then -1."""
        alpha = min(1 - 1e-12, max(least, normal.two_sided_p(z)))
        one, other = (QuantileArm.of_ordered(values, q, alpha) for values in (treatment, control))
        below = math.hypot(one.estimate - one.low, other.high - other.estimate)
        above = math.hypot(one.high - one.estimate, other.estimate - other.low)
        return 1.0 if abs(difference) > (below if difference > 0 else above) else -1.0

    furthest = normal.isf(least / 2)
    return floor_p(max(least, normal.two_sided_p(normal.bisect(excludes, 0.0, furthest))))


@dataclass(frozen=True)
class _Side:
    """An estimate and how far below and above it reach its bounds, per unit of z."""

    estimate: float
    below: float
    above: float

    def mirrored(self) -> _Side:
        return _Side(-self.estimate, self.above, self.below)


def quantile_of(values: Ordered, q: float) -> float:
    """The quantile of ascending values, as `percentile_cont` of SQL; NaN of none."""
    if not len(values):
        return math.nan
    whole = math.floor((len(values) - 1) * q)
    position = Position(whole + 1, (len(values) - 1) * q - whole)
    return position.value({rank: float(values[rank - 1]) for rank in position.ranks})


def compare_quantiles(treatment: QuantileArm, control: QuantileArm) -> Comparison:
    """Treatment's quantile minus control's, at the level that the arms' ranks were made for.

    The p-value comes from the distances at that level, so that it and both intervals agree there. Where the values
    around both quantiles are tied there is no distance to judge a difference by: no variation.
    """
    ranks = treatment.ranks
    if (ranks.q, ranks.alpha) != (control.ranks.q, control.ranks.alpha):
        raise ValueError("the arms' ranks belong to different quantiles or levels")
    if fault := _fault(treatment, control):
        return unavailable(fault, ranks.alpha)
    z = normal.isf(ranks.alpha / 2)
    one, other = _side(treatment, z), _side(control, z)
    difference = one.estimate - other.estimate
    below, above = math.hypot(one.below, other.above), math.hypot(one.above, other.below)
    towards_zero = below if difference > 0 else above
    if towards_zero == 0 and (difference != 0 or below == 0):
        return unavailable(Unavailable.NO_VARIATION, ranks.alpha, difference)
    interval = Interval(_finite(difference - z * below), _finite(difference + z * above))
    p_value = floor_p(normal.two_sided_p(difference / towards_zero)) if difference else 1.0
    error = _finite((below + above) / 2)
    return Comparison(difference, error, interval, p_value, _relative(one, other, z), Method.QUANTILE, ranks.alpha)


def _fault(*arms: QuantileArm) -> Unavailable | None:
    if any(arm.ranks.n == 0 for arm in arms):
        return Unavailable.EMPTY_ARM
    if any(not arm.ranks.needed for arm in arms):
        return Unavailable.TOO_FEW_UNITS
    if any(math.isnan(arm.low) or math.isnan(arm.high) or not math.isfinite(arm.estimate) for arm in arms):
        return Unavailable.NOT_FINITE
    difference = arms[0].estimate - arms[1].estimate
    return None if math.isfinite(difference) else Unavailable.NOT_FINITE


def _side(arm: QuantileArm, z: float) -> _Side:
    return _Side(arm.estimate, (arm.estimate - arm.low) / z, (arm.high - arm.estimate) / z)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _relative(one: _Side, other: _Side, z: float) -> RelativeDifference:
    """The ratios r for which `treatment - r * control` is not distinct from zero, minus one."""
    if other.estimate == 0:
        return RelativeDifference(None, Interval(None, None), Unavailable.BASELINE_ZERO)
    if other.estimate < 0:
        one, other = one.mirrored(), other.mirrored()
    # In units of the baseline, so that tiny or huge numbers neither under- nor overflow.
    unit = other.estimate
    one = _Side(one.estimate / unit, one.below / unit, one.above / unit)
    other = _Side(1.0, other.below / unit, other.above / unit)
    if not math.isfinite(one.estimate):
        return RelativeDifference(None, Interval(None, None), Unavailable.NOT_FINITE)
    slack = 1.0 - z * other.below
    if slack <= _ROUNDING or not math.isfinite(other.above):
        reason = Unavailable.BASELINE_UNCERTAIN
        return RelativeDifference(one.estimate - 1, Interval(None, None), reason)
    low = _lower_ratio(one, other, z, slack)
    # From above, the ratio is the lower one of the mirrored treatment.
    high = _lower_ratio(one.mirrored(), other, z, slack)
    interval = Interval(_finite(low - 1), _finite(-high - 1))
    return RelativeDifference(one.estimate - 1, interval)


def _lower_ratio(one: _Side, other: _Side, z: float, slack: float) -> float:
    """The smallest ratio r not rejected, the control's estimate being 1 and its lower bound `slack`, above 0."""

    def excess(r: float) -> float:
        distance = other.above * r if r >= 0 else other.below * -r
        return one.estimate - r - z * math.hypot(one.below, distance)

    if not math.isfinite(one.below):
        return -math.inf
    least = min(0.0, one.estimate - z * one.below) / slack
    return normal.bisect(excess, least, one.estimate)
