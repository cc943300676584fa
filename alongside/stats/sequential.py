"""Group-sequential boundaries by alpha spending (Lan and DeMets 1983).

Each look may spend part of alpha, whatever the number and times of the looks. The boundaries are found by the recursive
numerical integration of Armitage, McPherson and Rowe (1969), with Gauss-Legendre nodes over what is still inside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from alongside.stats import normal

Floats = NDArray[np.float64]
_FLOOR = -8.0  # nothing is below it on the z scale that would change the digits
_NODES = 240


class Spending(StrEnum):
    OBRIEN_FLEMING = "obrien_fleming"  # hardly anything early: final look almost as without looks
    POCOCK = "pocock"  # about equal boundaries


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
    if not fractions or any(b <= a for a, b in zip([0.0, *fractions], fractions, strict=False)) or fractions[-1] > 1:
        raise ValueError(f"information fractions must increase within (0, 1]: {list(fractions)}")
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    bounds: list[float] = []
    grid: Floats = np.zeros(1)
    mass: Floats = np.ones(1)
    before, used = 0.0, 0.0
    for fraction in fractions:
        step = math.sqrt(fraction - before)
        target = spent(kind, fraction, alpha)
        bounds.append(_boundary(grid, mass, step, math.sqrt(fraction), target - used))
        grid, mass = _advance(
            grid, mass, step, _FLOOR * math.sqrt(fraction), bounds[-1] * math.sqrt(fraction), nodes, weights
        )
        before, used = fraction, target
    return bounds


def _boundary(grid: Floats, mass: Floats, step: float, scale: float, spend: float) -> float:
    """The z at which the chance to cross now, not having crossed before, is `spend`."""
    from scipy.special import ndtr

    def excess(z: float) -> float:
        return float(mass @ ndtr((grid - z * scale) / step)) - spend

    return normal.bisect(excess, -10.0, 38.0)


def _advance(
    grid: Floats, mass: Floats, step: float, low: float, high: float, nodes: Floats, weights: Floats
) -> tuple[Floats, Floats]:
    """Density of the process at the next look on fresh nodes over what did not cross, times their weights."""
    half = (high - low) / 2
    fresh = low + half * (nodes + 1)
    density = np.exp(-(((fresh[:, None] - grid[None, :]) / step) ** 2) / 2) / (step * math.sqrt(2 * math.pi))
    return fresh, half * weights * (density @ mass)
