"""The other clocks: evidence of harm and the sample-ratio check, looked at every day."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alongside.stats import eprocess
from alongside.stats.eprocess import Stratum
from alongside.stats.sample_ratio import chi_squared_p, running_sample_ratio
from benchmarks.calibration.worlds import Arrivals

ALPHA = 0.05


@dataclass(frozen=True)
class Harm:
    """People leave at some rate, the variant's more often by a factor."""

    name: str
    arrivals: Arrivals
    rate: float
    factor: float = 1.0
    days: int = 7  # of the window, over which leaving is spread evenly

    def stops(self, runs: int, seed: int) -> float:
        """Share of runs that are stopped at some day."""
        random = np.random.default_rng(seed)
        return sum(self._stops(random) for _ in range(runs)) / runs

    def _stops(self, random: np.random.Generator) -> bool:
        daily = [self.rate * factor / self.days for factor in (self.factor, 1.0)]
        tables: list[tuple[int, Stratum]] = []
        for cohort, sizes in enumerate(zip(self.arrivals.treatment, self.arrivals.control, strict=True)):
            one, other = sizes
            for day in range(self.days):
                left = [int(random.binomial(n, p)) for n, p in zip((one, other), daily, strict=True)]
                if sum(left):
                    tables.append((cohort + day, Stratum(one, other, *left)))
                one, other = one - left[0], other - left[1]
        evidence = eprocess.log_evidence(table for _, table in sorted(tables, key=lambda item: item[0]))
        return max(evidence, default=0.0) >= math.log(1 / ALPHA)


@dataclass(frozen=True)
class Ratio:
    """Arms whose true shares may differ from the planned ones."""

    name: str
    a_day: int
    planned: float
    true: float
    days: int = 28

    def alarms(self, runs: int, seed: int) -> tuple[float, float]:
        """Share of runs with an alarm at some day: of the running check, and of a chi-squared every day."""
        random = np.random.default_rng(seed)
        ours = daily = 0
        people = self.a_day * np.arange(1, self.days + 1)
        for _ in range(runs):
            first = random.binomial(self.a_day, self.true, self.days).cumsum()
            looks = [{"a": int(n), "b": int(all_ - n)} for n, all_ in zip(first, people, strict=True)]
            ours += running_sample_ratio(looks, {"a": self.planned, "b": 1 - self.planned}).mismatch
            expected = people * self.planned
            statistic = ((first - expected) ** 2 / (expected * (1 - self.planned))).max()
            daily += chi_squared_p(float(statistic), 1) < 0.001
        return ours / runs, daily / runs
