"""For whom does it work? Effects by parts of the people that were named before the launch. They describe, and decide
nothing: among many parts one always looks special."""

from __future__ import annotations

from collections.abc import Mapping

from alongside.analysis.judging.comparing import comparer
from alongside.analysis.observing.sums import NOBODY, ArmSums, Sums
from alongside.analysis.result import Division, MetricInfo, Part
from alongside.stats.heterogeneity import compare_subgroups

#: More parts than a reader can hold; the smaller ones are taken together.
_MOST_PARTS = 12
OTHERS = "*"
#: Not a column of a person: when they were enrolled. Its parts stay in the order of time.
PERIOD = "period"


def divide(
    column: str, metric: MetricInfo, sums: Mapping[str, Sums], variant: str, control: str, alpha: float
) -> Division:
    """One variant against control in each part.

    Parameters
    ----------
    sums : by value of the column, then arm
    alpha : two-sided, for all parts together
    """
    pairs = {value: (arms.get(variant, NOBODY), arms.get(control, NOBODY)) for value, arms in sums.items()}
    if column != PERIOD:
        pairs = _largest(pairs)
    found = compare_subgroups(pairs, lambda one, other, level: comparer(metric, one, other)(level), alpha)
    parts = tuple(Part(value, one.n + other.n, found.comparisons[value]) for value, (one, other) in pairs.items())
    return Division(column, variant, metric, parts, found.heterogeneity.p_value)


def _largest(pairs: Mapping[str, tuple[ArmSums, ArmSums]]) -> dict[str, tuple[ArmSums, ArmSums]]:
    ordered = sorted(pairs.items(), key=lambda item: (-item[1][0].n - item[1][1].n, item[0]))
    kept, rest = dict(ordered[:_MOST_PARTS]), ordered[_MOST_PARTS:]
    if rest:
        one = other = NOBODY
        for _, (treated, controlled) in rest:
            one, other = one.plus(treated), other.plus(controlled)
        kept[OTHERS] = (one, other)
    return kept
