"""Comparisons of arms whose unit is the household or the clinic.

People of one cluster are alike, so that the clusters are what is independent: means, rates and ratios are compared by
`stats.clusters`. Where events are so few that no variance can be estimated from them, the clusters that have any are
counted and compared exactly: whoever wonders about three complaints wonders about three households.
"""

from __future__ import annotations

from alongside.analysis.observing.sums import ClusterSums
from alongside.stats import Comparison
from alongside.stats.clusters import compare_clusters
from alongside.stats.proportions import EXPECTED_AT_LEAST, Proportion, compare_proportions


def compare_rates(treatment: ClusterSums, control: ClusterSums, alpha: float) -> Comparison:
    """Rates per person; with few events (or few people without one) per cluster instead, by the exact test."""
    if _fewest(treatment, control, lacking=False) < EXPECTED_AT_LEAST:
        one, other = (Proportion(item.arm.clusters, item.affected) for item in (treatment, control))
        return compare_proportions(one, other, alpha)
    if _fewest(treatment, control, lacking=True) < EXPECTED_AT_LEAST:
        one, other = (Proportion(item.arm.clusters, item.whole) for item in (treatment, control))
        return compare_proportions(one, other, alpha)
    return compare_clusters(treatment.arm, control.arm, alpha)


def per_cluster(treatment: ClusterSums, control: ClusterSums) -> bool:
    """Whether `compare_rates` compares clusters for want of events."""
    return any(_fewest(treatment, control, lacking=lacking) < EXPECTED_AT_LEAST for lacking in (False, True))


def _fewest(treatment: ClusterSums, control: ClusterSums, *, lacking: bool) -> float:
    """People with the event, or lacking it, that the smaller arm expects when the arms are alike."""
    people, events = treatment.people + control.people, treatment.events + control.events
    counted = people - events if lacking else events
    return min(treatment.people, control.people) * counted / people if people else 0.0
