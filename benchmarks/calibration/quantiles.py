"""Worlds whose goal is a quantile: medians and ninth deciles of skewed values, and waits that some never end."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from alongside.analysis.judging.looking import at_ending, z_of
from alongside.stats import normal, sequential
from alongside.stats.quantiles import Position, compare_ordered, quantile_ranks
from benchmarks.calibration.worlds import Arrivals, Counts, Floats

ALPHA = 0.05


@dataclass(frozen=True)
class Quantiles:
    """Log-normal values; above `unseen` nobody knows them, so that they count as infinite (a visit that never was)."""

    name: str
    arrivals: Arrivals
    q: float
    sigma: float = 1.0
    factor: float = 1.0  # of the treatment's values
    unseen: float = np.inf

    @property
    def difference(self) -> float:
        return float((self.factor - 1) * np.exp(self.sigma * normal.isf(1 - self.q)))

    def claims(self, runs: int, seed: int, covering: int) -> tuple[float, float, float]:
        """Share of runs that claim a difference: with daily looks, and when every look is made as if it were the only
        one; and the share of intervals at the end of the first `covering` runs that hold the truth."""
        random, chunk = np.random.default_rng(seed), 500
        parts = [self._play(random, min(chunk, runs - start), covering - start) for start in range(0, runs, chunk)]
        ours, naive, held = (np.concatenate([part[number] for part in parts]) for number in range(3))
        return float(ours.mean()), float(naive.mean()), float(held.mean())

    def _play(self, random: np.random.Generator, runs: int, covering: int) -> tuple[Floats, Floats, Floats]:
        arms = (
            self._draw(random, runs, self.arrivals.treatment, self.factor),
            self._draw(random, runs, self.arrivals.control, 1.0),
        )
        counts = np.cumsum(self.arrivals.treatment), np.cumsum(self.arrivals.control)
        looks = self.arrivals.looks
        bounds = sequential.two_sided_boundaries(looks, ALPHA)
        ends, naive = np.full(runs, len(looks)), np.zeros(runs, dtype=bool)
        for number, bound in enumerate(bounds):
            seen = [np.sort(arm[:, : count[number]], axis=1) for arm, count in zip(arms, counts, strict=True)]
            claimed = _excludes(seen[0], seen[1], self.q, normal.two_sided_p(bound)) & (ends == len(looks))
            ends[claimed] = number
            naive |= _excludes(seen[0], seen[1], self.q, ALPHA)
        ended = np.where(ends < len(looks), ends, len(looks) - 1)[: max(0, covering)]
        held = [self._held([arm[run] for arm in arms], counts, int(look)) for run, look in enumerate(ended)]
        return ends < len(looks), naive, np.array(held, dtype=float)

    def _draw(self, random: np.random.Generator, runs: int, people: tuple[int, ...], factor: float) -> Floats:
        values = random.lognormal(0.0, self.sigma, (runs, sum(people))) * factor
        values[values > self.unseen] = np.inf
        return values

    def _held(self, arms: list[Floats], counts: tuple[Counts, Counts], look: int) -> bool:
        """Whether the engine's interval where an experiment ended holds the truth."""
        ordered = [np.sort(arm[: count[look]]) for arm, count in zip(arms, counts, strict=True)]
        compare = partial(compare_ordered, ordered[0], ordered[1], self.q)
        plain = compare(ALPHA)
        z = z_of(plain, 1) or 0.0
        ending = sequential.ending(self.arrivals.looks[: look + 1], z, ALPHA)
        return at_ending(compare, plain, ending).interval.holds(self.difference)


def _excludes(treatment: Floats, control: Floats, q: float, level: float) -> Floats:
    """For all runs at once, whether the interval of this level leaves zero out."""
    sides = []
    for values in (treatment, control):
        ranks = quantile_ranks(values.shape[1], q, max(level, 1e-300))
        if not (ranks.estimate and ranks.low and ranks.high):
            return np.zeros(len(values), dtype=bool)
        sides.append([_at(values, position) for position in (ranks.low, ranks.estimate, ranks.high)])
    (low, middle, high), (other_low, other, other_high) = sides
    with np.errstate(invalid="ignore"):  # infinite less infinite says nothing, and claims nothing
        difference = middle - other
        below, above = np.hypot(middle - low, other_high - other), np.hypot(high - middle, other - other_low)
    return np.abs(difference) > np.where(difference > 0, below, above)


def _at(values: Floats, position: Position) -> Floats:
    here = values[:, position.rank - 1]
    if position.fraction == 0:
        return here
    following = values[:, position.rank]
    with np.errstate(invalid="ignore"):
        between = here + position.fraction * (following - here)
    return np.where(here == following, here, between)
