"""Looking repeatedly without fooling oneself: group-sequential tests by alpha spending (Lan and DeMets 1983).

Each look may spend part of alpha, whatever the number and times of the looks, as long as outcomes do not choose them.
A look then has a *level*: the two-sided alpha at which an ordinary test or interval at this look keeps alpha over all
looks. Whatever test makes the p-value (score, Welch, exact, adjusted), the repeated p-value and the repeated interval
(Jennison and Turnbull 2000, chapter 9) follow from the level alone, and agree with each other.

The boundaries are found by the recursive numerical integration of Armitage, McPherson and Rowe (1969) with
Gauss-Legendre nodes over what has not crossed. Power under an effect needs no second integration: the density of the
process under drift theta is that under none times exp(theta * s - theta^2 * information / 2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from alongside.stats import normal
from alongside.stats.results import SMALLEST_P, require_alpha

Floats = NDArray[np.float64]
_FLOOR = -8.0  # nothing is below it on the z scale that would change the digits
_FAR = 10.0  # where the process may be under the largest effect that is asked about
_NEVER = 38.0  # beyond any z whose tail is a number
_SMOOTH = 2.5  # nodes for each standard deviation of a look's step: eight digits of a boundary
_FEWEST, _MOST = 48, 960


class Spending(StrEnum):
    OBRIEN_FLEMING = "obrien_fleming"  # hardly anything early: final look almost as without looks
    POCOCK = "pocock"  # about equal boundaries


@dataclass(frozen=True)
class Look:
    """One look at the data.

    Attributes
    ----------
    information : what is known by then, in any unit (units of control, for example); 1 / variance of the estimate
    fraction : share of alpha's time that is over, within [0, 1]; 1 spends all that is left
    """

    information: float
    fraction: float


def spent(kind: Spending, fraction: float, alpha: float) -> float:
    """One-sided alpha spent when this fraction of the information is in."""
    if fraction <= 0:
        return 0.0
    fraction = min(fraction, 1.0)
    if kind is Spending.POCOCK:
        return alpha * math.log1p((math.e - 1) * fraction)
    return 2 * normal.sf(normal.isf(alpha / 2) / math.sqrt(fraction))


def boundaries(
    fractions: Sequence[float], alpha: float = 0.025, kind: Spending = Spending.OBRIEN_FLEMING
) -> list[float]:
    """Upper z boundaries of one-sided `alpha` at looks with these increasing information fractions (at most 1).

    Raises
    ------
    ValueError : fractions that do not increase within (0, 1]
    """
    walk = _walk(tuple(Look(fraction, fraction) for fraction in fractions), alpha, kind, one_sided=True)
    return [step.bound for step in walk]


def two_sided_boundaries(
    looks: Sequence[Look], alpha: float = 0.05, kind: Spending = Spending.OBRIEN_FLEMING
) -> list[float]:
    """z at which each look rejects in either direction; very large where a look may spend nothing.

    Raises
    ------
    ValueError : no look, information that does not increase, fractions that decrease or leave [0, 1]
    """
    require_alpha(alpha)
    return [step.bound for step in _walk(tuple(looks), alpha / 2, kind, one_sided=False)]


def level(looks: Sequence[Look], alpha: float = 0.05, kind: Spending = Spending.OBRIEN_FLEMING) -> float:
    """Two-sided level of the last of these looks: what a plain test may use now for `alpha` over all looks.

    Never 0, so that an interval exists even where nothing may be claimed yet.
    """
    return max(normal.two_sided_p(two_sided_boundaries(looks, alpha, kind)[-1]), SMALLEST_P)


def repeated_p(looks: Sequence[Look], p_value: float, kind: Spending = Spending.OBRIEN_FLEMING) -> float:
    """The smallest alpha at which the last look would reject, given the plain two-sided p-value of its own data.

    Below alpha exactly when `p_value` is below `level(looks, alpha)`, to the digits of the search.
    """

    from scipy.optimize import brentq

    wanted = math.log(max(p_value, SMALLEST_P))

    def excess(logarithm: float) -> float:
        return math.log(level(looks, math.exp(logarithm), kind)) - wanted

    # A level never exceeds its alpha, so that the answer is at least the plain p-value.
    low, high = wanted, math.log(1 - 1e-9)
    if low >= high or excess(high) <= 0:
        return 1.0
    if excess(low) >= 0:
        return math.exp(low)
    return math.exp(float(brentq(excess, low, high, xtol=1e-8, rtol=1e-8)))


@dataclass(frozen=True)
class Ending:
    """What an experiment that ends with its last look says, stage by stage.

    Attributes
    ----------
    below, above : normal quantiles with which a plain interval's lower and upper bound become those of this ending
    median : expected z of the effect that a median-unbiased estimate gives; nearer to none than z after an early end
    """

    below: float
    above: float
    median: float


def ending(looks: Sequence[Look], z: float, alpha: float = 0.05, kind: Spending = Spending.OBRIEN_FLEMING) -> Ending:
    """The exact interval and estimate after stopping at the last look, having crossed no boundary before it.

    In the stagewise ordering (Armitage 1957; Jennison and Turnbull 2000, section 8.4) an earlier crossing is more
    extreme than a later one, and at one look the larger z. The interval holds the effects under which what happened
    is not among the most extreme alpha / 2 on either side, and excludes none exactly when the last look crosses.

    Parameters
    ----------
    z : of the plain test at the last look
    """
    require_alpha(alpha)
    from scipy.special import ndtr

    steps = _walk(tuple(looks), alpha / 2, kind, one_sided=False)

    def as_extreme(expected: float) -> float:
        """Chance of an end at least as far up, when z is expected to be this at the last look."""
        chance = 0.0
        for step in steps:
            edge = z if step is steps[-1] else step.edge
            tilt = np.exp(expected * step.grid - expected**2 * step.before / 2)
            chance += float((step.mass * tilt) @ ndtr((step.grid + expected * step.width**2 - edge) / step.width))
        return chance

    low, median, high = (_expected(as_extreme, z, chance) for chance in (alpha / 2, 0.5, 1 - alpha / 2))
    return Ending(z - low, high - z, median)


def _expected(as_extreme: Callable[[float], float], z: float, chance: float) -> float:
    """The expected z at which an end as extreme as this one has that chance."""
    from scipy.optimize import brentq

    low, high = z - 12, z + 6
    if as_extreme(low) >= chance:
        return low
    if as_extreme(high) <= chance:
        return high
    return float(brentq(lambda expected: as_extreme(expected) - chance, low, high, xtol=1e-9))


@dataclass(frozen=True)
class Power:
    """What repeated looks find when the effect is real.

    `by_look`: chance to have found it at that look or before; `information`: expected when the first finding ends it,
    as a share of all.
    """

    by_look: tuple[float, ...]
    information: float

    @property
    def overall(self) -> float:
        return self.by_look[-1]


def power(
    looks: Sequence[Look], expected_z: float, alpha: float = 0.05, kind: Spending = Spending.OBRIEN_FLEMING
) -> Power:
    """Power of the two-sided test in the effect's direction.

    Parameters
    ----------
    expected_z : expected z statistic at the last look, if nobody looked before: effect / standard error
    """
    require_alpha(alpha)
    from scipy.special import ndtr

    found, running, information = 0.0, [], 0.0
    for step in _walk(tuple(looks), alpha / 2, kind, one_sided=False):
        tilt = np.exp(expected_z * step.grid - expected_z**2 * step.before / 2)
        reach = (step.edge - step.grid - expected_z * step.width**2) / step.width
        crossing = float((step.mass * tilt) @ ndtr(-reach))
        information += crossing * (step.before + step.width**2)
        found = min(1.0, found + crossing)
        running.append(found)
    return Power(tuple(running), information + (1 - found))


@dataclass(frozen=True)
class _Step:
    """One look: where the process stood before (nodes and their weights), and the boundary that it meets.

    The process is scaled so that its variance at the last look is 1; `before` is the information already in,
    `width` the square root of what this look adds, `edge` the boundary on that scale.
    """

    grid: Floats
    mass: Floats
    before: float
    width: float
    bound: float
    edge: float


@lru_cache(maxsize=512)
def _walk(looks: tuple[Look, ...], one_side: float, kind: Spending, one_sided: bool) -> tuple[_Step, ...]:
    _require_order(looks)
    whole = looks[-1].information
    steps: list[_Step] = []
    grid: Floats = np.zeros(1)
    mass: Floats = np.ones(1)
    before, used = 0.0, 0.0
    for look in looks:
        now = look.information / whole
        width, scale = math.sqrt(now - before), math.sqrt(now)
        target = spent(kind, look.fraction, one_side)
        bound = _boundary(grid, mass, width, scale, target - used)
        steps.append(_Step(grid, mass, before, width, bound, bound * scale))
        low = _FLOOR if one_sided else -min(bound, _FAR)
        grid, mass = _advance(grid, mass, width, low * scale, min(bound, _FAR) * scale)
        before, used = now, target
    return tuple(steps)


def _require_order(looks: Sequence[Look]) -> None:
    increasing = all(one < other for one, other in pairwise([0.0, *(look.information for look in looks)]))
    monotone = all(one <= other for one, other in pairwise([0.0, *(look.fraction for look in looks)]))
    if not looks or not increasing or not monotone or looks[-1].fraction > 1:
        raise ValueError(f"information must increase, and fractions must not decrease within [0, 1]: {list(looks)}")


def _boundary(grid: Floats, mass: Floats, width: float, scale: float, spend: float) -> float:
    """The z at which the chance to cross now, not having crossed before, is `spend`."""
    from scipy.special import ndtr

    if spend <= 0:
        return _NEVER

    def excess(z: float) -> float:
        return float(mass @ ndtr((grid - z * scale) / width)) - spend

    return normal.bisect(excess, -10.0, _NEVER)


def _advance(grid: Floats, mass: Floats, width: float, low: float, high: float) -> tuple[Floats, Floats]:
    """Density of the process at this look on fresh nodes over what did not cross, times their weights."""
    half = (high - low) / 2
    nodes, weights = _legendre(min(_MOST, max(_FEWEST, math.ceil(_SMOOTH * (high - low) / width))))
    fresh = low + half * (nodes + 1)
    density = np.exp(-(((fresh[:, None] - grid[None, :]) / width) ** 2) / 2) / (width * math.sqrt(2 * math.pi))
    return fresh, half * weights * (density @ mass)


@lru_cache(maxsize=64)
def _legendre(count: int) -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(-(-count // 16) * 16)
    return nodes, weights
