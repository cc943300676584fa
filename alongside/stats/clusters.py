"""Two means or rates whose unit of assignment is a cluster: a household, a doctor's list, a clinic.

Members of one cluster resemble each other, so the clusters are what is independent. An arm's mean per person is the
ratio of the clusters' totals to their sizes, whose variance comes from the clusters' residuals (linearisation, the
cluster-robust "sandwich"; Liang and Zeger 1986; Cochran 1977, chapter 6).

With few or uneven clusters the usual factor G / (G - 1) and G - 1 degrees of freedom reject too often. Both use Kish's
effective number of clusters, (sum m)^2 / sum m^2, in place of G here (after Carter, Schnepel and Steigerwald 2017,
"Asymptotic behavior of a t-test robust to cluster heterogeneity", Review of Economics and Statistics 99:698-709): that
makes the variance unbiased for independent members whatever the sizes, and changes nothing for clusters of one size.
False rejections at level .05, 4,000 simulations of a rate or more:

| clusters | variation of size | with G | with the effective number |
| --- | --- | --- | --- |
| 8 : 8 | .6 | .065 | .048 |
| 12 : 12 | .8 | .070 | .050 |
| 30 : 30 | 1.0 | .060 | .052 |
| 12 : 30 | .5 | .063 | .057 |
| 12 : 36 | 1.2 | .094 | .067 |
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from alongside.stats.means import Estimate, from_estimate, satterthwaite
from alongside.stats.results import Comparison, Method, Unavailable, require_alpha, unavailable

#: Effective clusters an arm must have. Below, a few clusters' luck is the result: no data could show that the t
#: distribution fits, and randomisation does not balance the arms (Leyrat and others 2018, IJE 47:321-331).
CLUSTERS_AT_LEAST = 6.0

#: A residual variance below this share of its terms is what rounding leaves of clusters that are all alike.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class ClusterArm:
    """One arm's sums over its clusters, each of `size` members whose outcomes add up to `total`.

    Attributes
    ----------
    clusters : number of clusters with at least one member
    size, total : sums of sizes and of totals
    size_squared, total_squared, product : sums of size^2, total^2, size * total
    """

    clusters: int
    size: float
    total: float
    size_squared: float
    total_squared: float
    product: float

    @classmethod
    def of(cls, sizes: Iterable[float], totals: Iterable[float]) -> ClusterArm:
        """Sums from plain numbers, one size and one total per cluster; clusters without members do not count."""
        pairs = [(float(m), float(t)) for m, t in zip(sizes, totals, strict=True) if m != 0 or t != 0]
        if any(m <= 0 for m, _ in pairs):
            raise ValueError("a cluster has no fewer than 0 members, and without members no total")
        return cls(
            len(pairs),
            math.fsum(m for m, _ in pairs),
            _sum(t for _, t in pairs),
            math.fsum(m * m for m, _ in pairs),
            _sum(t * t for _, t in pairs),
            _sum(m * t for m, t in pairs),
        )

    @property
    def mean(self) -> float:
        """Mean per member; NaN without any."""
        return self.total / self.size if self.size else math.nan

    @property
    def effective(self) -> float:
        """Kish's effective number of clusters: all of them when they have one size, fewer when some are large."""
        return self.size**2 / self.size_squared if self.size else 0.0

    @property
    def variance(self) -> float:
        """Estimated variance of the mean."""
        mean = self.mean
        own, other = self.total_squared, mean * mean * self.size_squared
        residual = own - 2 * mean * self.product + other
        if residual <= _ROUNDING * (own + other):
            return 0.0
        return residual / self.size**2 * self.effective / (self.effective - 1)


def _sum(values: Iterable[float]) -> float:
    """A sum that is NaN or infinite, not an error, when a value is."""
    return float(sum(values))


def _square(value: float) -> float:
    """Infinite where `value**2` would raise."""
    return value * value


def compare_clusters(treatment: ClusterArm, control: ClusterArm, alpha: float = 0.05) -> Comparison:
    """Cluster-robust t test of equal means per member, with its interval and Fieller's for the relative difference."""
    require_alpha(alpha)
    if fault := _fault(treatment, control):
        return unavailable(fault, alpha, _plain_difference(treatment, control))
    v1, v0 = treatment.variance, control.variance
    difference = treatment.mean - control.mean
    if v1 + v0 == 0:
        return unavailable(Unavailable.NO_VARIATION, alpha, difference)
    degrees = satterthwaite((v1, treatment.effective - 1), (v0, control.effective - 1))
    return from_estimate(Estimate(difference, control.mean, v1 + v0, v0, -v0, degrees), Method.CLUSTER, alpha)


def _fault(*arms: ClusterArm) -> Unavailable | None:
    if any(arm.clusters == 0 or arm.size == 0 for arm in arms):
        return Unavailable.EMPTY_ARM
    sums = [value for arm in arms for value in (arm.size, arm.total, arm.size_squared, arm.total_squared, arm.product)]
    if not all(math.isfinite(value) for value in sums):
        return Unavailable.NOT_FINITE
    if any(arm.effective < CLUSTERS_AT_LEAST * (1 - 1e-9) for arm in arms):
        return Unavailable.TOO_FEW_CLUSTERS
    return None


def _plain_difference(treatment: ClusterArm, control: ClusterArm) -> float | None:
    difference = treatment.mean - control.mean
    return difference if math.isfinite(difference) else None


@dataclass(frozen=True)
class ClusterVariation:
    """One group's sums for the variation within and between its clusters.

    Attributes
    ----------
    clusters, size, total, size_squared : as in `ClusterArm`
    unit_squared : sum over members of outcome^2 (for a rate, the number of successes)
    total_squared_by_size : sum over clusters of total^2 / size
    """

    clusters: int
    size: float
    total: float
    size_squared: float
    unit_squared: float
    total_squared_by_size: float

    @classmethod
    def of(cls, clusters: Sequence[Sequence[float]]) -> ClusterVariation:
        """Sums from the members' outcomes, one sequence per cluster."""
        members = [cluster for cluster in clusters if len(cluster)]
        return cls(
            len(members),
            float(sum(len(cluster) for cluster in members)),
            _sum(_sum(cluster) for cluster in members),
            float(sum(len(cluster) ** 2 for cluster in members)),
            _sum(value * value for cluster in members for value in cluster),
            _sum(_square(_sum(cluster)) / len(cluster) for cluster in members),
        )


@dataclass(frozen=True)
class Correlation:
    """Intraclass correlation; negative where members resemble each other less than chance. None with its reason."""

    estimate: float | None
    reason: Unavailable | None = None


def intraclass_correlation(*groups: ClusterVariation) -> Correlation:
    """Analysis-of-variance estimate (Donner and Klar 2000, "Design and analysis of cluster randomization trials").

    Several groups (the arms) are pooled within, so that a difference between them does not count as resemblance. For
    planning, take 0 for a negative one.
    """
    groups = tuple(group for group in groups if group.clusters)
    if not groups:
        return Correlation(None, Unavailable.EMPTY_ARM)
    between = sum(group.total_squared_by_size - _square(group.total) / group.size for group in groups)
    within = sum(group.unit_squared - group.total_squared_by_size for group in groups)
    clusters = sum(group.clusters for group in groups)
    between_degrees, within_degrees = clusters - len(groups), sum(group.size for group in groups) - clusters
    if between_degrees < 1 or within_degrees < 1:
        return Correlation(None, Unavailable.TOO_FEW_UNITS)
    if not math.isfinite(between + within):
        return Correlation(None, Unavailable.NOT_FINITE)
    largest = sum(group.unit_squared for group in groups)
    if between + within <= _ROUNDING * largest:
        return Correlation(None, Unavailable.NO_VARIATION)
    size = sum(group.size - group.size_squared / group.size for group in groups) / between_degrees
    above, below = max(0.0, between) / between_degrees, max(0.0, within) / within_degrees
    return Correlation(max(-1.0, min(1.0, (above - below) / (above + (size - 1) * below))))


def design_effect(mean_size: float, cv_size: float, icc: float) -> float:
    """Factor on the number of units when they come in clusters; at least 1 for a correlation of 0 or more.

    1 + ((cv^2 + 1) * mean_size - 1) * icc: Eldridge, Ashby and Kerry (2006), "Sample size for cluster randomized
    trials: effect of coefficient of variation of cluster size", International Journal of Epidemiology 35:1292-1300.

    Parameters
    ----------
    mean_size : members per cluster, at least 1
    cv_size : standard deviation of the clusters' sizes divided by their mean; 0 for clusters of one size
    icc : intraclass correlation, up to 1
    """
    if not (mean_size >= 1 and cv_size >= 0 and icc <= 1):
        raise ValueError(f"no clusters have mean size {mean_size}, variation {cv_size} and correlation {icc}")
    return 1 + ((cv_size**2 + 1) * mean_size - 1) * icc


def clusters_needed(units: float, mean_size: float, cv_size: float, icc: float) -> float:
    """Clusters (not rounded) worth `units` independent units; never fewer than the comparison asks for.

    `units` is what `power.sample_size_proportions` or `power.sample_size_means` says. The t distribution asks for
    about one cluster an arm more (Hayes and Moulton 2017, "Cluster randomised trials", section 7.2), included here.
    """
    clusters = units * design_effect(mean_size, cv_size, icc) / mean_size + 1
    return max(clusters, CLUSTERS_AT_LEAST * (1 + cv_size**2))
