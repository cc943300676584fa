"""Several hypotheses at once: adjusted p-values that keep the chance of any false claim at alpha."""

from __future__ import annotations

from collections.abc import Sequence

from alongside.stats.results import Interval


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down adjusted p-values, in the order given; valid under any dependence."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = largest
    return adjusted


def hommel(p_values: Sequence[float]) -> list[float]:
    """Hommel's (1988) adjusted p-values by Wright's (1992) algorithm; needs positively dependent tests."""
    count = len(p_values)
    order = sorted(range(count), key=p_values.__getitem__)
    ranked = [p_values[index] for index in order]
    if count < 2:
        return list(p_values)
    bound = min(count * p / (rank + 1) for rank, p in enumerate(ranked))
    best = [bound] * count
    for size in range(count - 1, 1, -1):
        head = count - size + 1
        least = min(size * ranked[head + i] / (2 + i) for i in range(size - 1))
        lower = [min(size * p, least) for p in ranked[:head]]
        candidate = lower + [lower[-1]] * (count - head)
        best = [max(old, new) for old, new in zip(best, candidate, strict=True)]
    adjusted = [0.0] * count
    for index, p, value in zip(order, ranked, best, strict=True):
        adjusted[index] = max(p, value)
    return adjusted


def holm_interval(simultaneous: Interval, difference: float | None, claimed: bool) -> Interval:
    """What may be said of a difference together with all others of its family, in agreement with Holm's decision.

    Bonferroni's interval, which holds together with those of the others; where Holm claims a difference that it leaves
    open, it ends at zero, which is then excluded: the direction is shown, its size is not (Guilbaud 2008, "Simultaneous
    confidence regions corresponding to Holm's step-down procedure", Biometrical Journal 50:678-692). Intervals at
    Holm's own levels are narrower, and hold together too rarely: three of them in 91 % of cases where all effects are
    large.

    Parameters
    ----------
    simultaneous : at level alpha / m
    claimed : Holm's adjusted p-value is below alpha
    """
    if not claimed or not difference or not simultaneous.holds(0.0):
        return simultaneous
    return Interval(0.0, simultaneous.high) if difference > 0 else Interval(simultaneous.low, 0.0)


def holm_levels(p_values: Sequence[float], alpha: float) -> list[float]:
    """Per hypothesis the alpha whose two-sided interval excludes the null exactly when Holm rejects it.

    The hypothesis rejected at step k has alpha / (m - k + 1), and all that are not rejected share the level at which
    the procedure stopped. The intervals agree with the decisions; one hypothesis alone keeps alpha.
    """
    count = len(p_values)
    order = sorted(range(count), key=p_values.__getitem__)
    levels, remaining, stopped = [0.0] * count, count, False
    for index in order:
        level = alpha / remaining
        stopped = stopped or p_values[index] >= level
        levels[index] = level
        if not stopped:
            remaining -= 1
    return levels
