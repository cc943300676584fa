"""Sums of an experiment: what a database gives per arm, metric and look, and how they add up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from alongside.analysis.result import ArmMetric, MetricInfo
from alongside.outreach.experiments.metrics import MetricKind
from alongside.stats.adjustment import AdjustedArm
from alongside.stats.clusters import ClusterArm
from alongside.stats.quantiles import quantile_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ClusterSums:
    """One arm's sums over its clusters.

    Attributes
    ----------
    people : with a value
    events : of a rate: people who have it
    affected : clusters with anything in them
    whole : clusters in which everybody has it
    """

    arm: ClusterArm
    people: int
    events: float
    affected: int
    whole: int


@dataclass(frozen=True)
class ArmSums:
    """What a database gives per arm and metric: enough for every test. `total` is the sum of the values.

    `beside_mean`, `beside_variance` and `covariance` belong to a second value of each person: what a ratio is counted
    per, or the same measured before assignment. `clusters` are sums over households or clinics, where those were
    assigned; a cluster's people come on different days, so that these do not add up from look to look. `values` are all
    of them in ascending order, where a quantile is asked for: which ones it needs depends on the level.
    """

    n: int
    total: float
    mean: float
    variance: float
    missing: int = 0
    beside_mean: float = 0.0
    beside_variance: float = 0.0
    covariance: float = 0.0
    adjusted: AdjustedArm | None = None
    clusters: ClusterSums | None = None
    values: NDArray[np.float64] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of_values(cls, values: NDArray[np.float64], missing: int) -> ArmSums:
        """Of a metric that asks for a quantile; infinite values have no mean."""
        return cls(len(values), 0.0, math.nan, math.nan, missing, values=values)

    def plus(self, other: ArmSums) -> ArmSums:
        """Both together (Chan, Golub and LeVeque 1983). Adjusted sums do not add up, and are left behind."""
        missing = self.missing + other.missing
        if not self.n or not other.n:
            filled = self if self.n else other
            return replace(filled, missing=missing, adjusted=None)
        if self.values is not None and other.values is not None:
            return ArmSums.of_values(_merged(self.values, other.values), missing)
        n = self.n + other.n
        y, x = other.mean - self.mean, other.beside_mean - self.beside_mean

        def spread(one: float, two: float, distance: float) -> float:
            """Sample (co)variance of both from either's own, and the product of the means' distances."""
            own = sum(part * (arm.n - 1) for part, arm in ((one, self), (two, other)) if arm.n > 1)
            return (own + distance * self.n * other.n / n) / (n - 1)

        return ArmSums(
            n,
            self.total + other.total,
            self.mean + y * other.n / n,
            spread(self.variance, other.variance, y * y),
            missing,
            self.beside_mean + x * other.n / n,
            spread(self.beside_variance, other.beside_variance, x * x),
            spread(self.covariance, other.covariance, x * y),
        )

    def as_metric(self, metric: MetricInfo) -> ArmMetric:
        mean = self.mean
        if metric.quantile is not None and self.values is not None:
            mean = quantile_of(self.values, metric.quantile)
        if metric.kind is MetricKind.RATIO:
            mean = self.mean / self.beside_mean if self.beside_mean else math.nan
        return ArmMetric(self.n, mean if self.n and math.isfinite(mean) else None, self.missing)


def _merged(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    # A stable sort finds the two ascending runs and merges them in one pass.
    return np.sort(np.concatenate([one, other]), kind="stable")


NOBODY = ArmSums(0, 0.0, math.nan, math.nan)
Sums = Mapping[str, ArmSums]  # by arm
Course = Sequence[tuple[int, Sums]]  # (look, what became known since the look before), in order


def summed(course: Course) -> Sums:
    """Everything that a course brought, by arm."""
    found: dict[str, ArmSums] = {}
    for _, sums in course:
        for arm, part in sums.items():
            found[arm] = found.get(arm, NOBODY).plus(part)
    return found
