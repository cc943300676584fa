"""How many units an experiment needs, and what it can detect. Normal approximation, two-sided.

Units are independent; `clusters.design_effect` is the factor where they are not.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from alongside.stats import normal

#: More units than people live: the effect cannot be detected by any experiment.
_MOST = 1e12


def power_proportions(n: float, p0: float, p1: float, alpha: float = 0.05, ratio: float = 1.0) -> float:
    """Power of the pooled score test with `n` units in control and `n * ratio` in treatment.

    Fleiss, Levin and Paik (2003), without continuity correction; for equal arms R's `power.prop.test`.
    """
    _require_rates(p0, p1)
    z = _critical(alpha)
    pooled = (p0 + ratio * p1) / (1 + ratio)
    under_null = math.sqrt(pooled * (1 - pooled) * (1 + 1 / ratio))
    under_effect = math.sqrt(p0 * (1 - p0) + p1 * (1 - p1) / ratio)
    if under_effect == 0:
        return 1.0 if math.sqrt(n) * abs(p1 - p0) > z * under_null else 0.0
    return normal.cdf((math.sqrt(n) * abs(p1 - p0) - z * under_null) / under_effect)


def sample_size_proportions(p0: float, p1: float, power: float, alpha: float = 0.05, ratio: float = 1.0) -> float:
    """Units in control (not rounded) that give this power; infinite when the rates are equal."""
    _require_rates(p0, p1)
    z = _critical(alpha)
    if p0 == p1:
        return math.inf
    pooled = (p0 + ratio * p1) / (1 + ratio)
    under_null = math.sqrt(pooled * (1 - pooled) * (1 + 1 / ratio))
    under_effect = math.sqrt(p0 * (1 - p0) + p1 * (1 - p1) / ratio)
    return ((z * under_null + normal.isf(1 - power) * under_effect) / (p1 - p0)) ** 2


def detectable_rate(n: float, p0: float, power: float, alpha: float = 0.05, ratio: float = 1.0) -> float | None:
    """Smallest absolute increase over `p0` found with this power; None when even a rate of 1 would not be."""
    if power_proportions(n, p0, 1.0, alpha, ratio) < power:
        return None
    return _smallest(lambda effect: power_proportions(n, p0, min(1.0, p0 + effect), alpha, ratio), power, 1.0 - p0)


def power_means(n: float, effect: float, deviation: float, alpha: float = 0.05, ratio: float = 1.0) -> float:
    """Power for a difference of means, `deviation` being the standard deviation of a unit in either arm."""
    error = deviation * math.sqrt((1 + 1 / ratio) / n)
    return normal.cdf(abs(effect) / error - _critical(alpha)) if error > 0 else float(effect != 0)


def sample_size_means(effect: float, deviation: float, power: float, alpha: float = 0.05, ratio: float = 1.0) -> float:
    """Units in control (not rounded) that give this power; infinite for no effect."""
    if effect == 0:
        return math.inf
    quantiles = _critical(alpha) + normal.isf(1 - power)
    return (quantiles * deviation / effect) ** 2 * (1 + 1 / ratio)


def detectable_mean(n: float, deviation: float, power: float, alpha: float = 0.05, ratio: float = 1.0) -> float:
    """Smallest difference of means found with this power."""
    return (_critical(alpha) + normal.isf(1 - power)) * deviation * math.sqrt((1 + 1 / ratio) / n)


def spread_of_quantile(q: float) -> float:
    """How many times the standard error of the mean that of the quantile `q` is, where values are normal.

    The asymptotic variance q (1 - q) / (n f^2) of a sample quantile, with the normal density f there (Serfling 1980,
    "Approximation theorems of mathematical statistics", 2.3.3): 1.25 for the median, 1.71 for the ninth decile.
    """
    if not 0 < q < 1:
        raise ValueError(f"a quantile lies between 0 and 1, not {q!r}")
    return math.sqrt(q * (1 - q)) / normal.pdf(normal.isf(q))


def power_non_inferiority(n: float, rate: float, margin: float, alpha: float = 0.05, ratio: float = 1.0) -> float:
    """Chance that the interval for the difference stays within `margin` when both arms truly have this rate.

    A rate near 0 or 1 has a score interval of about z^2 / n even without any event: then the margin must exceed that.
    """
    z = _critical(alpha)
    if margin <= 0:
        return 0.0
    smaller = n * min(1.0, ratio)
    if smaller * min(rate, 1 - rate) < 1:
        return float(margin > z * z / (smaller + z * z))
    error = math.sqrt(rate * (1 - rate) * (1 + 1 / ratio) / n)
    return normal.cdf(margin / error - z)


def _critical(alpha: float) -> float:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is a probability between 0 and 1, not {alpha!r}")
    return normal.isf(alpha / 2)


def _require_rates(*rates: float) -> None:
    if not all(0 <= rate <= 1 for rate in rates):
        raise ValueError(f"rates lie between 0 and 1: {rates}")


def _smallest(power_at: Callable[[float], float], power: float, most: float) -> float:
    return normal.bisect(lambda effect: power - power_at(effect), 0.0, most)
