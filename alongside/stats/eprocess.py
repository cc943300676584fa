"""Evidence against "the variant does no harm" that may be looked at after every event: an exact e-process.

People are grouped into strata within which the arms are exchangeable if the variant does no harm: those assigned on
the same day and still without the event, on one day of their window (or, for harm that consists in nothing happening,
those whose window closes together). Given how many events a stratum saw, the number in the variant's arm is then
hypergeometric, whatever the rate and however unequal the arms. Each stratum multiplies the evidence by the likelihood
ratio of an odds ratio psi > 1 against 1 (Fisher's noncentral hypergeometric distribution); several psi are averaged.

Under no harm, and also under benefit, the product is a non-negative supermartingale that starts at 1, so the chance
that it ever reaches 1 / alpha is at most alpha (Ville 1939), without asymptotics, for any number of looks. This is the
anytime-valid logrank test (ter Schure, Perez-Ortiz, Ly and Grunwald 2024) on tables of days, with a mixture in place of
one alternative.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Odds ratios that harm is thought to have, each with the same weight: from a tenth more to ten times.
ODDS_RATIOS = (1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)


@dataclass(frozen=True)
class Stratum:
    """People at risk in either arm, and how many of them had the event."""

    treatment: int
    control: int
    treatment_events: int
    control_events: int

    def __post_init__(self) -> None:
        within = 0 <= self.treatment_events <= self.treatment and 0 <= self.control_events <= self.control
        if not within:
            raise ValueError(f"events must lie between 0 and the people at risk: {self}")


def log_evidence(strata: Iterable[Stratum], odds_ratios: Sequence[float] = ODDS_RATIOS) -> list[float]:
    """Natural logarithm of the e-value after each stratum, in their order; e >= 1 / alpha rejects "no harm" at alpha.

    Parameters
    ----------
    strata : in the order of time
    odds_ratios : alternatives greater than 1, weighted equally; chosen before the data

    Raises
    ------
    ValueError : an odds ratio that is no harm
    """
    import numpy as np
    from scipy.special import logsumexp

    if not odds_ratios or min(odds_ratios) <= 1:
        raise ValueError(f"harm has odds ratios above 1, not {list(odds_ratios)}")
    slopes = np.log(np.asarray(odds_ratios, dtype=float))
    running = np.zeros(len(slopes))
    path = []
    for stratum in strata:
        support, weights = _hypergeometric(stratum)
        if len(support) > 1:  # else the table could only be what it is, and says nothing
            under_harm = logsumexp(weights[None, :] + slopes[:, None] * support[None, :], axis=1)
            running = running + slopes * stratum.treatment_events - (under_harm - logsumexp(weights))
        path.append(float(logsumexp(running)) - math.log(len(slopes)))
    return path


def anytime_p(logarithms: Sequence[float]) -> float:
    """The p-value that holds at whatever moment one stops: 1 / the largest evidence so far, at most 1."""
    return math.exp(-max(0.0, max(logarithms, default=0.0)))


def _hypergeometric(stratum: Stratum) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Possible numbers of events in the treatment arm, and the logarithm of how likely each is, up to a constant."""
    import numpy as np
    from scipy.special import gammaln

    events = stratum.treatment_events + stratum.control_events
    support = np.arange(max(0, events - stratum.control), min(stratum.treatment, events) + 1, dtype=float)
    others = events - support
    weights = -(
        gammaln(support + 1)
        + gammaln(stratum.treatment - support + 1)
        + gammaln(others + 1)
        + gammaln(stratum.control - others + 1)
    )
    return support, weights - weights.max()
