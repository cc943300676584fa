"""Simulated experiments, thousands at a time: what each arm has seen by each look, for every run.

A world knows its truth. Outcomes are drawn per person or, where that is the same, per day and arm.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from alongside.stats.sequential import Look

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Arrivals:
    """People of each arm by day; a look follows each day."""

    control: tuple[int, ...]
    treatment: tuple[int, ...]

    @classmethod
    def even(cls, control: int, treatment: int, days: int = 28) -> Arrivals:
        """So many a day."""
        return cls((control,) * days, (treatment,) * days)

    @property
    def looks(self) -> tuple[Look, ...]:
        """Information and alpha's time as the engine counts them: people known of people expected."""
        control, treatment = np.cumsum(self.control), np.cumsum(self.treatment)
        information = control * treatment / (control + treatment)
        share = (control + treatment) / (control[-1] + treatment[-1])
        return tuple(
            Look(float(known), 1.0 if last else min(0.99, float(part)))
            for known, part, last in zip(information, share, [False] * (len(share) - 1) + [True], strict=True)
        )


@dataclass(frozen=True)
class Rates:
    """Binary outcomes."""

    name: str
    arrivals: Arrivals
    rate: float
    effect: float = 0.0

    @property
    def fewest_expected(self) -> float:
        """Conversions that the smaller arm expects in the end."""
        return min(sum(self.arrivals.control), sum(self.arrivals.treatment)) * self.rate

    def play(self, random: np.random.Generator, runs: int) -> Rated:
        control = random.binomial(self.arrivals.control, self.rate, (runs, len(self.arrivals.control)))
        treatment = random.binomial(
            self.arrivals.treatment, self.rate + self.effect, (runs, len(self.arrivals.treatment))
        )
        return Rated(self, control.cumsum(axis=1), treatment.cumsum(axis=1))


@dataclass(frozen=True)
class Rated:
    """Conversions by run and look, cumulative."""

    world: Rates
    control: Counts
    treatment: Counts
    n_control: Counts = field(init=False)
    n_treatment: Counts = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_control", np.cumsum(self.world.arrivals.control))
        object.__setattr__(self, "n_treatment", np.cumsum(self.world.arrivals.treatment))

    def z(self) -> Floats:
        """Of the pooled score test, by run and look."""
        one, other = self.treatment / self.n_treatment, self.control / self.n_control
        pooled = (self.treatment + self.control) / (self.n_treatment + self.n_control)
        variance = pooled * (1 - pooled) * (1 / self.n_treatment + 1 / self.n_control)
        return np.divide(one - other, np.sqrt(variance), out=np.zeros_like(one), where=variance > 0)


@dataclass(frozen=True)
class Spend:
    """Amounts of which most are zero and some are very large: what people spend, or days in hospital."""

    name: str
    arrivals: Arrivals
    share: float = 0.3
    sigma: float = 1.0
    effect: float = 0.0  # relative

    @property
    def difference(self) -> float:
        return float(self.effect * self.share * np.exp(self.sigma**2 / 2))

    def play(self, random: np.random.Generator, runs: int) -> Spent:
        sums = [
            self._sums(random, runs, people, 1.0 + effect)
            for people, effect in ((self.arrivals.control, 0.0), (self.arrivals.treatment, self.effect))
        ]
        return Spent(self, *sums)

    def _sums(self, random: np.random.Generator, runs: int, people: tuple[int, ...], factor: float) -> Floats:
        """n, sum and sum of squares by run and look."""
        found = np.empty((3, runs, len(people)))
        for day, count in enumerate(people):
            spends = random.random((runs, count)) < self.share
            values = np.where(spends, random.lognormal(0.0, self.sigma, (runs, count)) * factor, 0.0)
            found[0, :, day], found[1, :, day], found[2, :, day] = count, values.sum(axis=1), (values**2).sum(axis=1)
        return found.cumsum(axis=2)


@dataclass(frozen=True)
class Spent:
    world: Spend
    control: Floats
    treatment: Floats

    def z(self) -> Floats:
        """The normal quantile of Welch's p-value, by run and look."""
        from scipy import special

        means, errors, degrees = [], [], []
        for n, total, squares in (self.treatment, self.control):
            variance = (squares - total**2 / n) / (n - 1)
            means.append(total / n)
            errors.append(variance / n)
            degrees.append(n - 1)
        spread = errors[0] + errors[1]
        freedom = spread**2 / (errors[0] ** 2 / degrees[0] + errors[1] ** 2 / degrees[1])
        t = (means[0] - means[1]) / np.sqrt(spread)
        return np.sign(t) * -special.ndtri(special.stdtr(freedom, -np.abs(t)))
