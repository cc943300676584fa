"""Post-stratification: differences within strata (clinics, age bands), combined with the strata's overall shares.

Assignment balances the arms over strata on average only; weighing each stratum's own difference by its share of all
units removes what chance left, without a model (Miratrix, Sekhon and Yu 2013, "Adjusting treatment effect estimates by
post-stratification in randomized experiments", JRSS B 75:369-396). The strata must be known before assignment.

Means: Welch's variance in each stratum, Satterthwaite's degrees of freedom over all of them. Rates: the stratified
score test of Miettinen and Nurminen (1985), "Comparative analysis of two rates", Statistics in Medicine 4:213-226, with
these weights and their factor N / (N - 1), which keeps its size even in strata of six units (.050, without it .074);
both intervals are its inversion.

A stratum with too few units is never dropped: it is pooled with others, smallest first, and the result names it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from alongside.stats import normal
from alongside.stats.means import (
    Estimate,
    Mean,
    all_alike,
    beyond_rounding,
    compare_means,
    from_estimate,
    satterthwaite,
)
from alongside.stats.proportions import (
    EXPECTED_AT_LEAST,
    Proportion,
    compare_proportions,
    expected_in_smaller_arm,
    invert,
    invert_ratio,
    restricted_base_rate,
    restricted_control_rate,
    studentised,
)
from alongside.stats.results import (
    Comparison,
    Method,
    Unavailable,
    floor_p,
    require_alpha,
    unavailable,
)


class _Counted(Protocol):
    @property
    def n(self) -> int: ...


Arm = TypeVar("Arm", bound=_Counted)
Pair = tuple[Arm, Arm]


@dataclass(frozen=True)
class Stratified:
    """A comparison within strata.

    Attributes
    ----------
    strata : the strata that were compared by themselves, with their weights; `pooled` ones together have the rest
    pooled : strata that had too few units and were compared as one, with those that lent them theirs
    """

    comparison: Comparison
    strata: dict[str, float]
    pooled: tuple[str, ...]


@dataclass(frozen=True)
class Stratum:
    """One stratum's rates and the weight of its difference; weights add up to 1."""

    treatment: Proportion
    control: Proportion
    weight: float

    @property
    def factor(self) -> float:
        """Miettinen and Nurminen's N / (N - 1): the pooled rate is estimated from these N units."""
        units = self.treatment.n + self.control.n
        return units / (units - 1)


def compare_stratified_means(
    strata: Mapping[str, Pair[Mean]], alpha: float = 0.05, weights: Mapping[str, float] | None = None
) -> Stratified:
    """Difference of means, treatment minus control, over strata given as (treatment, control).

    Strata with fewer than two units in an arm are pooled. `weights` are the strata's units in all arms where there are
    more than these two; by default those of the two.
    """
    require_alpha(alpha)
    groups = _pool(strata, _units(strata, weights), 2, _merge_means)
    if len(groups.pairs) < 2:
        return groups.result(compare_means(*_merge_means([*strata.values()]), alpha))
    if _not_finite([arm for pair in groups.pairs for arm in pair]):
        return groups.result(unavailable(Unavailable.NOT_FINITE, alpha))
    treatment, parts1 = _weighed([one for one, _ in groups.pairs], groups.weights)
    control, parts0 = _weighed([other for _, other in groups.pairs], groups.weights)
    v1, v0 = (math.fsum(variance for variance, _ in parts) for parts in (parts1, parts0))
    if v1 + v0 == 0:
        return groups.result(all_alike(treatment, control, alpha))
    degrees = satterthwaite(*parts1, *parts0)
    estimate = Estimate(treatment - control, control, v1 + v0, v0, -v0, degrees)
    return groups.result(from_estimate(estimate, Method.STRATIFIED, alpha))


def _weighed(arms: Sequence[Mean], weights: Sequence[float]) -> tuple[float, list[tuple[float, float]]]:
    """The weighted mean, and each stratum's part of its variance with the degrees of freedom."""
    pairs = list(zip(arms, weights, strict=True))
    mean = math.fsum(weight * arm.mean for arm, weight in pairs)
    variances = [weight * weight * beyond_rounding(arm.variance, arm.mean) / arm.n for arm, weight in pairs]
    return mean, [(variance, arm.n - 1.0) for variance, (arm, _) in zip(variances, pairs, strict=True)]


def compare_stratified_proportions(
    strata: Mapping[str, Pair[Proportion]], alpha: float = 0.05, weights: Mapping[str, float] | None = None
) -> Stratified:
    """Difference of rates, treatment minus control, over strata given as (treatment, control).

    Strata with an empty arm are pooled; where the arms together expect too few conversions everything is, into
    one exact test. `weights` as in `compare_stratified_means`.
    """
    require_alpha(alpha)
    whole = _merge_proportions([*strata.values()])
    few = min(arm.n for arm in whole) > 0 and expected_in_smaller_arm(*whole) < EXPECTED_AT_LEAST
    least = math.inf if few else 1
    groups = _pool(strata, _units(strata, weights), least, _merge_proportions)
    if len(groups.pairs) < 2:
        return groups.result(compare_proportions(*whole, alpha))
    tables = [Stratum(*pair, weight) for pair, weight in zip(groups.pairs, groups.weights, strict=True)]
    return groups.result(combined_score(tables, alpha))


def combined_score(tables: Sequence[Stratum], alpha: float) -> Comparison:
    """The stratified score test and its inversions; every arm of every stratum has at least one unit."""
    z = normal.isf(alpha / 2)
    treatment = math.fsum(table.weight * table.treatment.rate for table in tables)
    control = math.fsum(table.weight * table.control.rate for table in tables)
    difference = treatment - control

    def statistic(delta: float) -> float:
        return studentised(difference - delta, math.fsum(difference_variance(table, delta) for table in tables))

    def ratio_statistic(log_ratio: float) -> float:
        ratio = math.exp(log_ratio)
        variance = math.fsum(ratio_variance(table, ratio) for table in tables)
        return studentised(treatment - ratio * control, variance)

    error = math.sqrt(math.fsum(_unpooled(table) for table in tables))
    interval = invert(statistic, difference, -1.0, 1.0, z)
    p_value = floor_p(normal.two_sided_p(statistic(0.0)))
    relative = invert_ratio(ratio_statistic, treatment, control, z)
    return Comparison(difference, error, interval, p_value, relative, Method.STRATIFIED, alpha)


def difference_variance(table: Stratum, delta: float) -> float:
    """Of the weighted difference when the rates differ by `delta`."""
    rate = restricted_control_rate(table.treatment, table.control, delta)
    other = rate + delta
    spread = other * (1 - other) / table.treatment.n + rate * (1 - rate) / table.control.n
    return table.weight**2 * table.factor * max(0.0, spread)


def _unpooled(table: Stratum) -> float:
    one, other = table.treatment, table.control
    spread = one.rate * (1 - one.rate) / one.n + other.rate * (1 - other.rate) / other.n
    return table.weight**2 * table.factor * spread


def ratio_variance(table: Stratum, ratio: float) -> float:
    """Of the weighted `treatment - ratio * control` when the rates have this ratio."""
    rate = restricted_base_rate(table.treatment, table.control, ratio)
    other = min(1.0, ratio * rate)
    spread = other * (1 - other) / table.treatment.n + ratio**2 * rate * (1 - rate) / table.control.n
    return table.weight**2 * table.factor * spread


@dataclass(frozen=True)
class _Groups(Generic[Arm]):
    """What is compared by itself, last what was pooled."""

    pairs: list[Pair[Arm]]
    weights: list[float]
    strata: dict[str, float]
    pooled: tuple[str, ...]

    def result(self, comparison: Comparison) -> Stratified:
        return Stratified(comparison, self.strata, self.pooled)


def _pool(
    strata: Mapping[str, Pair[Arm]],
    units: Mapping[str, float],
    least: float,
    merge: Callable[[Sequence[Pair[Arm]]], Pair[Arm]],
) -> _Groups[Arm]:
    """Pool strata with fewer than `least` units in an arm, with the smallest others until both arms have as many."""
    pooled = [name for name, pair in strata.items() if _smaller(pair) < least]
    alone = sorted((name for name in strata if name not in pooled), key=lambda name: units[name])
    while pooled and alone and _smaller(merge([strata[name] for name in pooled])) < least:
        pooled.append(alone.pop(0))
    total = math.fsum(units.values()) or 1.0
    weights = {name: units[name] / total for name in strata if name not in pooled}
    pairs, rest = [strata[name] for name in weights], []
    if pooled:
        pairs.append(merge([strata[name] for name in pooled]))
        rest.append(math.fsum(units[name] for name in pooled) / total)
    return _Groups(pairs, [*weights.values(), *rest], weights, tuple(pooled))


def _smaller(pair: Pair[Arm]) -> int:
    return min(pair[0].n, pair[1].n)


def _units(strata: Mapping[str, Pair[Arm]], weights: Mapping[str, float] | None) -> dict[str, float]:
    if weights is None:
        return {name: float(one.n + other.n) for name, (one, other) in strata.items()}
    if set(weights) != set(strata) or not all(0 <= weight < math.inf for weight in weights.values()):
        raise ValueError(f"every stratum has one weight of 0 or more: {sorted(weights)} for {sorted(strata)}")
    return dict(weights)


def _merge_proportions(pairs: Sequence[Pair[Proportion]]) -> Pair[Proportion]:
    one, other = (
        Proportion(sum(pair[arm].n for pair in pairs), sum(pair[arm].successes for pair in pairs)) for arm in (0, 1)
    )
    return one, other


def _merge_means(pairs: Sequence[Pair[Mean]]) -> Pair[Mean]:
    return _merged([one for one, _ in pairs]), _merged([other for _, other in pairs])


def _merged(arms: Sequence[Mean]) -> Mean:
    """The mean and variance of all units together."""
    arms = [arm for arm in arms if arm.n]
    if len(arms) == 1:
        return arms[0]
    n = sum(arm.n for arm in arms)
    if n == 0:
        return Mean(0, math.nan, math.nan)
    mean = sum(arm.n * arm.mean for arm in arms) / n
    within = sum((arm.n - 1) * arm.variance for arm in arms if arm.n > 1)
    distances = [arm.mean - mean for arm in arms]  # multiplied, because a power raises where it overflows
    between = sum(arm.n * distance * distance for arm, distance in zip(arms, distances, strict=True))
    return Mean(n, mean, (within + between) / (n - 1))


def _not_finite(arms: Sequence[Mean]) -> bool:
    return not all(math.isfinite(value) for arm in arms for value in (arm.mean, arm.variance))
