"""Does the effect differ between groups of people? Subgroups declared before launch, and one test of equal effects.

Looking into many subgroups finds some effect by chance, so the intervals are simultaneous: all of them hold at once
with chance 1 - alpha. Whether subgroups differ *from each other* is another question than which of them is significant
by itself; it is answered by Cochran's (1954) Q, with I^2 for how much of the scatter is more than chance (Higgins and
Thompson 2002, "Quantifying heterogeneity in a meta-analysis", Statistics in Medicine 21:1539-1558).

Q takes the standard errors for known. Where they come from few units it rejects too often (eight subgroups with ten
units an arm: .091 at level .05); with the degrees of freedom of each effect, Welch's (1951) F keeps .048.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from alongside.stats.multiplicity import holm, holm_levels
from alongside.stats.results import Comparison, Unavailable, floor_p, require_alpha

Arm = TypeVar("Arm")


class Simultaneous(StrEnum):
    """How the subgroups' level is divided."""

    BONFERRONI = "bonferroni"  # intervals that hold together
    HOLM = "holm"  # finds more; intervals agree with its decisions, each by itself (see `multiplicity.holm_interval`)


@dataclass(frozen=True)
class Effect:
    """An estimated effect, its standard error, and the degrees of freedom of that (infinite when it is known)."""

    estimate: float
    standard_error: float
    degrees: float = math.inf


@dataclass(frozen=True)
class Heterogeneity:
    """Cochran's test that effects are equal.

    Attributes
    ----------
    q : weighted sum of squared distances from the common effect
    degrees : effects minus one
    p_value : never exactly 0; by Welch's F where standard errors have degrees of freedom
    i_squared : share of the scatter that is more than chance, 0 to 1
    common : the effects' mean, weighted by precision
    left_out : effects without a standard error, or with one of zero
    """

    q: float | None
    degrees: int
    p_value: float | None
    i_squared: float | None
    common: float | None
    left_out: tuple[str, ...]
    reason: Unavailable | None = None


@dataclass(frozen=True)
class Subgroups:
    """Each subgroup's comparison at its simultaneous level, adjusted p-values, and the test of equal effects.

    `comparisons[name].alpha` is the level of its interval; an adjusted p-value below the overall alpha, a p-value below
    that level and an interval without zero are the same. An adjusted p-value is None where there is none to adjust.
    """

    comparisons: dict[str, Comparison]
    adjusted: dict[str, float | None]
    heterogeneity: Heterogeneity


def compare_subgroups(
    subgroups: Mapping[str, tuple[Arm, Arm]],
    compare: Callable[[Arm, Arm, float], Comparison],
    alpha: float = 0.05,
    simultaneous: Simultaneous = Simultaneous.BONFERRONI,
) -> Subgroups:
    """Compare treatment with control in every subgroup, given as (treatment, control).

    Subgroups without a result count in the correction: they were declared.

    Parameters
    ----------
    compare : such as `compare_proportions`, `compare_means`, `compare_ratios` or `compare_clusters`
    """
    require_alpha(alpha)
    first = {name: compare(*arms, alpha) for name, arms in subgroups.items()}
    raw = [1.0 if result.p_value is None else result.p_value for result in first.values()]
    if simultaneous is Simultaneous.HOLM:
        levels, adjusted = holm_levels(raw, alpha), holm(raw)
    else:
        levels, adjusted = [alpha / max(1, len(raw))] * len(raw), [min(1.0, p * len(raw)) for p in raw]
    comparisons = {name: compare(*arms, level) for (name, arms), level in zip(subgroups.items(), levels, strict=True)}
    return Subgroups(
        comparisons,
        {name: None if first[name].p_value is None else p for name, p in zip(first, adjusted, strict=True)},
        equal_effects({name: effect_of(result) for name, result in first.items()}),
    )


def effect_of(comparison: Comparison) -> Effect:
    """The effect that a comparison estimated; NaN where it could not."""
    if comparison.difference is None or comparison.standard_error is None:
        return Effect(math.nan, math.nan)
    degrees = math.inf if comparison.degrees is None else comparison.degrees
    return Effect(comparison.difference, comparison.standard_error, degrees)


def equal_effects(effects: Mapping[str, Effect]) -> Heterogeneity:
    """Cochran's Q over the effects that have a standard error; the others are named."""
    told = {name: effect for name, effect in effects.items() if _usable(effect)}
    left_out = tuple(name for name in effects if name not in told)
    degrees = len(told) - 1
    if degrees < 1:
        reason = Unavailable.NO_VARIATION if left_out else Unavailable.TOO_FEW_UNITS
        return Heterogeneity(None, max(0, degrees), None, None, None, left_out, reason)
    # In units of the smallest error, so that neither tiny nor huge ones leave the range of numbers.
    unit = min(effect.standard_error for effect in told.values())
    values = [effect.estimate / unit for effect in told.values()]
    weights = [(unit / effect.standard_error) ** 2 for effect in told.values()]
    total = math.fsum(weights)
    common = sum(weight * value for weight, value in zip(weights, values, strict=True)) / total
    distances = [value - common for value in values]
    q = sum(weight * distance * distance for weight, distance in zip(weights, distances, strict=True))
    if not math.isfinite(q):
        return Heterogeneity(None, degrees, None, None, None, left_out, Unavailable.NOT_FINITE)
    shares = [weight / total for weight in weights]
    p_value = _p_value(q, shares, [effect.degrees for effect in told.values()])
    i_squared = max(0.0, 1 - degrees / q) if q > 0 else 0.0
    return Heterogeneity(q, degrees, p_value, i_squared, common * unit, left_out)


def _usable(effect: Effect) -> bool:
    return math.isfinite(effect.estimate) and math.isfinite(effect.standard_error) and effect.standard_error > 0


def _p_value(q: float, shares: list[float], degrees: list[float]) -> float:
    """Upper tail of Q; Welch (1951), "On the comparison of several mean values", Biometrika 38:330-336."""
    from scipy import special

    between = len(shares) - 1
    estimated = math.fsum((1 - share) ** 2 / own for share, own in zip(shares, degrees, strict=True))
    if estimated == 0:
        return floor_p(float(special.chdtrc(between, q)))
    scale = (between + 1) ** 2 - 1
    f = q / between / (1 + 2 * (between - 1) / scale * estimated)
    return floor_p(float(special.fdtrc(between, scale / (3 * estimated), f)))
