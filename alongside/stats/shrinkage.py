"""Translations of a result for readers: chances and expected losses, and a winner's effect without its luck.

Neither is a stopping rule nor a verdict. A flat prior looked at daily claims an effect in .457 of experiments without
any (level .05), and a shrunken estimate says nothing new about whether there is an effect.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from alongside.stats import normal
from alongside.stats.results import Interval, require_alpha

#: Selection this many standard errors below an estimate no longer moves it.
_FAR = 12.0

#: Beyond this boundary the tails leave the range of numbers; O'Brien and Fleming's first look of 28 has 10.
_LARGEST_BOUNDARY = 30.0


@dataclass(frozen=True)
class Posterior:
    """What is believed of an effect after the data, positive being better.

    Attributes
    ----------
    mean, deviation : of the normal posterior
    interval : central, with the chance asked for
    chance_better : chance that the effect is above 0
    loss_if_shipped : expected worsening, 0 where it is an improvement, when everybody gets the variant
    loss_if_kept : expected improvement that is forgone when control stays
    """

    mean: float
    deviation: float
    interval: Interval
    chance_better: float
    loss_if_shipped: float
    loss_if_kept: float


def posterior(
    estimate: float, standard_error: float, prior_deviation: float, prior_mean: float = 0.0, alpha: float = 0.05
) -> Posterior:
    """Normal estimate, normal prior, normal posterior (Gelman and others, "Bayesian data analysis", section 2.5).

    Parameters
    ----------
    estimate : treatment minus control; negated where lower is better
    prior_deviation : how large effects of such experiments usually are, in the metric's unit; infinite for a flat
        prior, which takes absurdly large effects for as likely as small ones
    alpha : 1 minus the chance of the interval

    Raises
    ------
    ValueError : for deviations that are not positive, or numbers that are not finite
    """
    require_alpha(alpha)
    _require_error(estimate, standard_error)
    if not (prior_deviation > 0 and math.isfinite(prior_mean)):
        raise ValueError(f"no prior has mean {prior_mean!r} and deviation {prior_deviation!r}")
    ratio = standard_error / prior_deviation
    weight = 1 / (1 + ratio * ratio)
    mean = weight * estimate + (1 - weight) * prior_mean
    deviation = standard_error * math.sqrt(weight)
    if deviation == 0:  # the prior is so narrow that nothing could move it
        return Posterior(mean, 0.0, Interval(mean, mean), _step(mean), max(0.0, -mean), max(0.0, mean))
    z, reach = mean / deviation, normal.isf(alpha / 2) * deviation
    return Posterior(
        mean,
        deviation,
        Interval(mean - reach, mean + reach),
        normal.cdf(z),
        deviation * _expected_shortfall(z),
        deviation * _expected_shortfall(-z),
    )


def _step(value: float) -> float:
    return 0.5 if value == 0 else float(value > 0)


def _expected_shortfall(z: float) -> float:
    """Mean of max(0, -x) for a normal x with mean z and variance 1."""
    return max(0.0, normal.pdf(z) - z * normal.sf(z))


def _require_error(estimate: float, standard_error: float) -> None:
    if not (math.isfinite(estimate) and 0 < standard_error < math.inf):
        raise ValueError(f"no estimate is {estimate!r} with standard error {standard_error!r}")


@dataclass(frozen=True)
class Shrunken:
    """An effect after correction for having been selected by its significance.

    `factor` is the corrected estimate divided by the plain one: between 0 and 1, 1 where nothing was selected.
    """

    estimate: float
    interval: Interval
    factor: float


def shrink_winner(estimate: float, standard_error: float, boundary: float, alpha: float = 0.05) -> Shrunken:
    """Correct a significant estimate for the winner's curse: only those that luck raised pass the boundary.

    Zhong and Prentice (2008), "Bias-reduced estimators and confidence intervals for odds ratios in genome-wide
    association studies", Biostatistics 9:621-634: the mean of the likelihood of the effect given |z| > boundary,
    divided by its integral (one of their estimators), with the central interval of the same curve. That is a posterior
    under a flat prior; the selection is symmetric, so its mean stays on the estimate's side of zero.

    With a boundary of 1.96 the mean error of winners, in standard errors, falls from 1.45 to .70 for a true effect of
    1, from .77 to .10 for 2, and turns from .27 to -.23 for 3; the maximum of the same curve corrects small effects
    more and overcorrects such as the last. The interval holds the effect in .88 to .98 of the winners, the plain one in
    0 to .97.

    An estimate within the boundary was not selected and stays as it is.

    Parameters
    ----------
    boundary : the |z| that counted as significant, at the look at which it did; above 0, at most 30

    Raises
    ------
    ValueError : for another boundary, an error that is not positive, or numbers that are not finite
    """
    require_alpha(alpha)
    _require_error(estimate, standard_error)
    if not 0 < boundary <= _LARGEST_BOUNDARY:
        raise ValueError(f"a boundary lies above 0 and is at most {_LARGEST_BOUNDARY:g}, not {boundary!r}")
    z = abs(estimate) / standard_error
    if z <= boundary or z > boundary + _FAR:
        reach = normal.isf(alpha / 2) * standard_error
        return Shrunken(estimate, Interval(estimate - reach, estimate + reach), 1.0)
    mean, low, high = (value * standard_error for value in _given_selection(z, boundary, alpha))
    interval = Interval(low, high) if estimate > 0 else Interval(-high, -low)
    factor = min(1.0, mean / abs(estimate))
    return Shrunken(factor * estimate, interval, factor)


def _given_selection(z: float, boundary: float, alpha: float) -> tuple[float, float, float]:
    """Mean and central interval of the likelihood of the effect given selection, in standard errors."""
    import numpy as np
    from scipy import special

    # The curve is analytic and ends at both sides: equal steps are exact far below rounding.
    effects = np.linspace(-boundary - _FAR, z + _FAR, 4000)
    selected = special.ndtr(effects - boundary) + special.ndtr(-effects - boundary)
    curve = np.exp(-((z - effects) ** 2) / 2) / selected
    curve /= curve.sum()
    below = np.cumsum(curve) - curve / 2
    low, high = np.interp([alpha / 2, 1 - alpha / 2], below, effects)
    return float(curve @ effects), float(low), float(high)
