"""Thompson sampling in batches, and an analysis that the adaptation does not bias.

The share of each arm in the next batch follows the chance that it is the best (Thompson 1933, Biometrika 25:285-294),
above a minimum for every arm: without one, an arm that was unlucky early is never looked at again. Within a batch
shares stay, so that a batch is a randomised experiment by itself.

An arm that was lucky gets more units afterwards and one that was unlucky keeps its low rate, so plain totals are biased
and the plain test rejects too often, most when rates drift from batch to batch. Two things stay valid:

- a rate averaged over batches with weights that were fixed in advance (the batches' sizes). Within a batch all units of
  an arm have the same propensity, so that the inverse-propensity-weighted mean (Hajek's) is the batch's plain mean, and
  the analysis needs no shares;
- a sum of each batch's own z with such weights: given the past each is standard normal, whatever made the shares
  (Zhang, Janson and Murphy 2020, "Inference for batched bandits", NeurIPS 33:9818-9829; their batchwise least squares).

False rejections at level .05 (6,000 simulations, least share .1 unless said):

| batches | rates | totals | averaged over batches | sum of z |
| --- | --- | --- | --- | --- |
| 10 of 100 | .15 | .064 | .038 | .050 |
| 25 of 100, least share .05 | .10 | .067 | .032 | .048 |
| 10 of 200 | .15, drifting | .089 | .039 | .049 |

The sum of z also finds more (.10 against .15 in 10 batches of 200: power .69 against .60), so comparisons use it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from alongside.stats import normal
from alongside.stats.proportions import (
    EXPECTED_AT_LEAST,
    FAR,
    Proportion,
    expected_in_smaller_arm,
    invert,
    invert_ratio,
    studentised,
)
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
from alongside.stats.stratification import Stratum, difference_variance, ratio_variance

#: One batch: arm -> what happened to its units.
Batch = Mapping[str, Proportion]

#: Levels of each posterior at which the integrand is cut into pieces; beyond the outer ones nothing is left.
_CUTS = (1e-12, 1e-8, 1e-5, 1e-3, 0.02, 0.15, 0.5, 0.85, 0.98, 1 - 1e-3, 1 - 1e-5, 1 - 1e-8, 1 - 1e-12)


def thompson_shares(
    arms: Mapping[str, Proportion], minimum_share: float, prior: tuple[float, float] = (1.0, 1.0)
) -> dict[str, float]:
    """Shares of the next batch: each arm's chance to be the best, mixed with the minimum for all.

    Deterministic. Where a lower rate is better, give the units without the event as successes.

    Parameters
    ----------
    arms : totals so far, at least two arms
    minimum_share : above 0, at most 1 / number of arms
    prior : of Beta; both numbers at least 1

    Raises
    ------
    ValueError : for other numbers
    """
    if len(arms) < 2 or not 0 < minimum_share <= 1 / len(arms):
        raise ValueError(f"{len(arms)} arms cannot have a minimum share of {minimum_share!r}")
    free = 1 - len(arms) * minimum_share
    return {name: minimum_share + free * chance for name, chance in chance_best(arms, prior).items()}


def chance_best(arms: Mapping[str, Proportion], prior: tuple[float, float] = (1.0, 1.0)) -> dict[str, float]:
    """Posterior chance of each arm to have the highest rate, by Gauss-Legendre quadrature; adds up to 1."""
    import numpy as np
    from scipy import special

    if not min(prior) >= 1:
        raise ValueError(f"the prior's numbers are at least 1, not {prior}")
    a = np.array([prior[0] + arm.successes for arm in arms.values()], dtype=float)[:, None]
    b = np.array([prior[1] + arm.n - arm.successes for arm in arms.values()], dtype=float)[:, None]
    cuts = np.unique(np.concatenate([[0.0, 1.0], special.betaincinv(a, b, np.array(_CUTS)).ravel()]))
    nodes, weights = np.polynomial.legendre.leggauss(16)
    half = np.diff(cuts)[:, None] / 2
    x = (cuts[:-1, None] + half + half * nodes).ravel()
    density = np.exp(special.xlogy(a - 1, x) + special.xlog1py(b - 1, -x) - special.betaln(a, b))
    below = special.betainc(a, b, x)
    pieces = density * (half * weights).ravel()
    others = [np.prod(np.delete(below, index, axis=0), axis=0) for index in range(len(a))]
    chances = np.array([piece @ other for piece, other in zip(pieces, others, strict=True)])
    return dict(zip(arms, (chances / chances.sum()).tolist(), strict=True))


@dataclass(frozen=True)
class ArmRate:
    """An arm's rate averaged over batches, each weighted by its units in all arms; None with its reason."""

    rate: float | None
    interval: Interval
    reason: Unavailable | None = None


def arm_rates(batches: Sequence[Batch], alpha: float = 0.05) -> dict[str, ArmRate]:
    """Rates that the adaptation does not bias, of every arm that occurs, with Wilson's (1927) score intervals.

    Where rates drift, this is the rate that the arm would have had with everybody in it. An arm without units in some
    batch has no such rate. Batches should be large enough: at least 10 units expected at the minimum share.
    """
    require_alpha(alpha)
    batches = [batch for batch in batches if _units(batch)]
    names = dict.fromkeys(name for batch in batches for name in batch)
    return {name: _arm_rate(name, batches, normal.isf(alpha / 2)) for name in names}


def _units(batch: Batch) -> int:
    return sum(arm.n for arm in batch.values())


def _arm_rate(name: str, batches: Sequence[Batch], z: float) -> ArmRate:
    arms = [batch.get(name, Proportion(0, 0)) for batch in batches]
    if any(arm.n == 0 for arm in arms):
        return ArmRate(None, Interval(None, None), Unavailable.EMPTY_ARM)
    total = sum(_units(batch) for batch in batches)
    weights = [_units(batch) / total for batch in batches]
    rate = math.fsum(weight * arm.rate for weight, arm in zip(weights, arms, strict=True))
    per_unit = math.fsum(weight * weight / arm.n for weight, arm in zip(weights, arms, strict=True))
    # Wilson's interval for a sample of 1 / per_unit units.
    reach = z * z * per_unit
    centre, spread = rate + reach / 2, z * math.sqrt(per_unit * rate * (1 - rate) + per_unit * reach / 4)
    return ArmRate(rate, Interval(max(0.0, (centre - spread) / (1 + reach)), min(1.0, (centre + spread) / (1 + reach))))


@dataclass(frozen=True)
class BatchedComparison:
    """Treatment against control over `batches` batches, in `empty` of which one of the two had no units.

    Those count as a z of 0: leaving them out would let the past decide about the weights.
    """

    comparison: Comparison
    batches: int
    empty: int


@dataclass(frozen=True)
class _Weighed:
    """The batches in which both arms have units, the root of their units in all arms, and the norm of all batches'."""

    tables: tuple[Stratum, ...]
    roots: tuple[float, ...]
    norm: float

    def difference_z(self, delta: float) -> float:
        """z of the hypothesis that the rates differ by `delta` in every batch."""
        return self._sum(
            studentised(table.treatment.rate - table.control.rate - delta, difference_variance(table, delta))
            for table in self.tables
        )

    def ratio_z(self, log_ratio: float) -> float:
        """z of the hypothesis that the rates have this ratio in every batch."""
        ratio = math.exp(log_ratio)
        return self._sum(
            studentised(table.treatment.rate - ratio * table.control.rate, ratio_variance(table, ratio))
            for table in self.tables
        )

    def _sum(self, values: Iterable[float]) -> float:
        return math.fsum(root * value for root, value in zip(self.roots, values, strict=True)) / self.norm


def compare_batches(batches: Sequence[Batch], treatment: str, control: str, alpha: float = 0.05) -> BatchedComparison:
    """Test equal rates over batches whose shares followed earlier results; both intervals are its inversion.

    The statistic is the sum of each batch's score z, weighted by the root of the batch's units in all arms: valid when
    the batches' sizes do not depend on results. The difference (and the ratio) is taken for the same in every batch;
    the rates may drift. The estimate is the value whose z is 0.
    """
    require_alpha(alpha)
    batches = [batch for batch in batches if _units(batch)]
    empty = Proportion(0, 0)
    pairs = [(batch.get(treatment, empty), batch.get(control, empty)) for batch in batches]
    both = [index for index, pair in enumerate(pairs) if pair[0].n and pair[1].n]

    def result(comparison: Comparison) -> BatchedComparison:
        return BatchedComparison(comparison, len(batches), len(batches) - len(both))

    if not both:
        return result(unavailable(Unavailable.EMPTY_ARM, alpha))
    whole = [_total([pair[arm] for pair in pairs]) for arm in (0, 1)]
    if expected_in_smaller_arm(*whole) < EXPECTED_AT_LEAST:
        return result(unavailable(Unavailable.TOO_FEW_CONVERSIONS, alpha))
    roots = [math.sqrt(_units(batch)) for batch in batches]
    tables = tuple(Stratum(*pairs[index], 1.0) for index in both)
    return result(_inverted(_Weighed(tables, tuple(roots[index] for index in both), math.hypot(*roots)), alpha))


def _total(arms: Sequence[Proportion]) -> Proportion:
    return Proportion(sum(arm.n for arm in arms), sum(arm.successes for arm in arms))


def _inverted(weighed: _Weighed, alpha: float) -> Comparison:
    z = normal.isf(alpha / 2)
    difference = normal.bisect(weighed.difference_z, -1.0, 1.0)
    interval = invert(weighed.difference_z, difference, -1.0, 1.0, z)
    error = None if interval.low is None or interval.high is None else (interval.high - interval.low) / (2 * z)
    p_value = floor_p(normal.two_sided_p(weighed.difference_z(0.0)))
    return Comparison(difference, error, interval, p_value, _relative(weighed, z), Method.BATCHES, alpha)


def _relative(weighed: _Weighed, z: float) -> RelativeDifference:
    treatment = _total([table.treatment for table in weighed.tables])
    control = _total([table.control for table in weighed.tables])
    centre = normal.bisect(weighed.ratio_z, -FAR, FAR)
    return invert_ratio(weighed.ratio_z, treatment.rate, control.rate, z, centre)
