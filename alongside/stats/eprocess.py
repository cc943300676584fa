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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Odds ratios that harm is thought to have, each with the same weight: from a tenth more to ten times.
ODDS_RATIOS = (1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
_CELLS = 200_000


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
    tables = list(strata)
    if not tables:
        return []
    slopes = np.log(np.asarray(odds_ratios, dtype=float))
    steps = np.concatenate([_log_ratios(part, slopes) for part in _parts(tables)])
    path = logsumexp(steps.cumsum(axis=0), axis=1) - math.log(len(slopes))
    return [float(value) for value in path]


def anytime_p(logarithms: Sequence[float]) -> float:
    """The p-value that holds at whatever moment one stops: 1 / the largest evidence so far, at most 1."""
    return math.exp(-max(0.0, max(logarithms, default=0.0)))


def _parts(tables: list[Stratum]) -> Iterator[list[Stratum]]:
    """Tables that are computed at once, in bounded memory: each has a column for every possible split of its events."""
    part: list[Stratum] = []
    widest = 1
    for table in tables:
        width = min(table.treatment, table.treatment_events + table.control_events) + 1
        if part and max(widest, width) * (len(part) + 1) > _CELLS:
            yield part
            part, widest = [], 1
        part.append(table)
        widest = max(widest, width)
    yield part


def _log_ratios(tables: list[Stratum], slopes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of each table's likelihood ratio for each odds ratio, `len(tables)` by `len(slopes)`."""
    import numpy as np
    from scipy.special import gammaln, logsumexp

    columns = np.array(
        [(t.treatment, t.control, t.treatment_events, t.treatment_events + t.control_events) for t in tables], float
    )
    treated, control, seen, events = columns.T[:, :, None]
    split = np.arange(np.minimum(treated, events).max() + 1)[None, :]  # events in the treatment arm
    possible = (split <= treated) & (split <= events) & (events - split <= control)
    # Impossible splits are moved to a possible one before the logarithms, and weigh nothing after them.
    safe = np.where(possible, split, seen)
    weights = -(
        gammaln(safe + 1)
        + gammaln(treated - safe + 1)
        + gammaln(events - safe + 1)
        + gammaln(control - events + safe + 1)
    )
    weights = np.where(possible, weights - np.where(possible, weights, -np.inf).max(axis=1, keepdims=True), -np.inf)
    ratios = [
        slope * seen[:, 0] - (logsumexp(weights + slope * split, axis=1) - logsumexp(weights, axis=1))
        for slope in slopes
    ]
    return np.stack(ratios, axis=1)
