"""Sample-ratio check: did the arms get the shares that were planned? A mismatch means broken assignment or loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alongside.stats.results import floor_p

#: Below this p-value the result is void: outcomes of arms that are not comparable say nothing (Fabijan et al. 2019).
MISMATCH = 0.001


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
    if set(observed) != set(shares):
        raise ValueError(f"arms {sorted(observed)} do not match the planned ones {sorted(shares)}")
    if not shares or any(share <= 0 for share in shares.values()):
        raise ValueError("every arm needs a positive share")
    total, weight = sum(observed.values()), sum(shares.values())
    expected = {name: total * share / weight for name, share in shares.items()}
    if total == 0 or len(observed) < 2:
        return SampleRatio(dict(observed), expected, None)
    statistic = sum((observed[name] - expected[name]) ** 2 / expected[name] for name in observed)
    return SampleRatio(dict(observed), expected, chi_squared_p(statistic, len(observed) - 1))


def chi_squared_p(statistic: float, degrees: int) -> float:
    """Upper tail of the chi-squared distribution, never exactly 0."""
    from scipy import special

    return floor_p(float(special.chdtrc(degrees, statistic)))
