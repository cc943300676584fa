"""Sample-ratio check: did the arms get the shares that were planned? A mismatch means broken assignment or loss.

`sample_ratio` looks once (a file of a finished experiment). `running_sample_ratio` may look every day: its p-value is
the inverse of an exact e-process, the Dirichlet-multinomial mixture of Lindon and Malek (2022), so that the chance of
ever alarming falsely is at most the level, where a daily chi-squared at .001 alarms falsely in 1 % of experiments.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alongside.stats.results import floor_p

#: Below this p-value the result is void: outcomes of arms that are not comparable say nothing (Fabijan et al. 2019).
MISMATCH = 0.001

#: How many imaginary people stand behind the planned shares in each part of the mixture: few of them see a gross
#: mismatch at once, many see a small one among hundreds of thousands.
_CONCENTRATIONS = (20.0, 200.0, 2_000.0, 20_000.0, 200_000.0)


@dataclass(frozen=True)
class SampleRatio:
    """Counts against planned shares; `p_value` is None when there is nobody yet."""

    observed: dict[str, int]
    expected: dict[str, float]
    p_value: float | None

    @property
    def mismatch(self) -> bool:
        return self.p_value is not None and self.p_value < MISMATCH


def sample_ratio(observed: Mapping[str, int], shares: Mapping[str, float]) -> SampleRatio:
    """Pearson's chi-squared against the shares (any positive weights; they need not sum to 1).

    Raises
    ------
    ValueError : the names differ, or a share is not positive
    """
    expected = _expected(observed, shares)
    if sum(observed.values()) == 0 or len(observed) < 2:
        return SampleRatio(dict(observed), expected, None)
    statistic = sum((observed[name] - expected[name]) ** 2 / expected[name] for name in observed)
    return SampleRatio(dict(observed), expected, chi_squared_p(statistic, len(observed) - 1))


def running_sample_ratio(looks: Sequence[Mapping[str, int]], shares: Mapping[str, float]) -> SampleRatio:
    """The same question asked at every look; `p_value` holds at whatever look one stops.

    Parameters
    ----------
    looks : counts by arm at each look, cumulative, oldest first; the last are those of now
    shares : as of `sample_ratio`

    Raises
    ------
    ValueError : no look; the names differ, or a share is not positive
    """
    if not looks:
        raise ValueError("a check needs at least one look")
    expected = [_expected(look, shares) for look in looks][-1]
    if sum(looks[-1].values()) == 0 or len(shares) < 2:
        return SampleRatio(dict(looks[-1]), expected, None)
    strongest = max(0.0, *(_log_evidence(look, shares) for look in looks))
    return SampleRatio(dict(looks[-1]), expected, floor_p(math.exp(-strongest)))


def batched_sample_ratio(batches: Sequence[tuple[Mapping[str, int], Mapping[str, float]]]) -> SampleRatio:
    """The question asked after each batch where every batch has its own planned shares (a bandit's).

    Parameters
    ----------
    batches : counts of the batch's own people by arm, and its planned shares; oldest first

    Raises
    ------
    ValueError : no batch; names that differ, or a share that is not positive
    """
    if not batches:
        raise ValueError("a check needs at least one batch")
    observed: dict[str, int] = {}
    expected: dict[str, float] = {}
    running = strongest = 0.0
    for counts, shares in batches:
        for name, count in _expected(counts, shares).items():
            expected[name] = expected.get(name, 0.0) + count
            observed[name] = observed.get(name, 0) + counts[name]
        running += _log_evidence(counts, shares)
        strongest = max(strongest, running)
    people = sum(observed.values())
    return SampleRatio(observed, expected, floor_p(math.exp(-strongest)) if people and len(observed) > 1 else None)


def _expected(observed: Mapping[str, int], shares: Mapping[str, float]) -> dict[str, float]:
    if set(observed) != set(shares):
        raise ValueError(f"arms {sorted(observed)} do not match the planned ones {sorted(shares)}")
    if not shares or any(share <= 0 for share in shares.values()):
        raise ValueError("every arm needs a positive share")
    total, weight = sum(observed.values()), sum(shares.values())
    return {name: total * share / weight for name, share in shares.items()}


def _log_evidence(counts: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """Logarithm of the mixture's likelihood ratio against the planned shares."""
    weight, total = sum(shares.values()), sum(counts.values())
    parts = []
    for concentration in _CONCENTRATIONS:
        ratio = math.lgamma(concentration) - math.lgamma(concentration + total)
        for name, count in counts.items():
            share = shares[name] / weight
            prior = concentration * share
            ratio += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
        parts.append(ratio)
    largest = max(parts)
    return largest + math.log(math.fsum(math.exp(part - largest) for part in parts) / len(parts))


def chi_squared_p(statistic: float, degrees: int) -> float:
    """Upper tail of the chi-squared distribution, never exactly 0."""
    from scipy import special

    return floor_p(float(special.chdtrc(degrees, statistic)))
