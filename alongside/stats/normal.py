"""The standard normal distribution without SciPy: importing SciPy costs more than most commands take."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

_STANDARD = NormalDist()


def pdf(z: float) -> float:
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def cdf(z: float) -> float:
    return math.erfc(-z / math.sqrt(2)) / 2


def sf(z: float) -> float:
    """Upper tail, exact where `1 - cdf(z)` would cancel to 0."""
    return math.erfc(z / math.sqrt(2)) / 2


def isf(p: float) -> float:
    """The z with upper tail `p`, for 0 < p < 1."""
    return -_STANDARD.inv_cdf(p)


def two_sided_p(z: float) -> float:
    return math.erfc(abs(z) / math.sqrt(2))


def bisect(decreasing: Callable[[float], float], low: float, high: float) -> float:
    """The root of a decreasing function within [low, high]; the nearer end when it does not change sign."""
    if decreasing(low) <= 0:
        return low
    if decreasing(high) >= 0:
        return high
    for _ in range(200):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if decreasing(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
