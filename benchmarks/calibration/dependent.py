"""Worlds whose people are not independent draws: households, and arms whose shares follow the results."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alongside.stats.bandit import arm_rates, compare_batches, thompson_shares
from alongside.stats.clusters import ClusterArm, compare_clusters
from alongside.stats.means import Mean, compare_means
from alongside.stats.proportions import Proportion, compare_proportions
from alongside.stats.stratification import compare_stratified_means, compare_stratified_proportions

ALPHA = 0.05


@dataclass(frozen=True)
class Households:
    """Whole households are assigned; their members resemble each other."""

    name: str
    clusters: int  # in each arm
    sizes: tuple[int, ...]  # drawn with equal chance
    rate: float
    alike: float  # intraclass correlation

    def false_claims(self, runs: int, seed: int) -> tuple[float, float]:
        """Share of runs with a difference at one look: by clusters, and as if people were independent."""
        random = np.random.default_rng(seed)
        found = [self._claims(random) for _ in range(runs)]
        return float(np.mean([one for one, _ in found])), float(np.mean([other for _, other in found]))

    def _claims(self, random: np.random.Generator) -> tuple[bool, bool]:
        arms, plain = [], []
        strength = 1 / self.alike - 1
        for _ in range(2):
            sizes = random.choice(self.sizes, self.clusters)
            own = random.beta(self.rate * strength, (1 - self.rate) * strength, self.clusters)
            totals = random.binomial(sizes, own)
            arms.append(ClusterArm.of(sizes.tolist(), totals.tolist()))
            plain.append(Proportion(int(sizes.sum()), int(totals.sum())))
        robust, naive = compare_clusters(*arms, ALPHA).p_value, compare_proportions(*plain, ALPHA).p_value
        return robust is not None and robust < ALPHA, naive is not None and naive < ALPHA


@dataclass(frozen=True)
class Strata:
    """People of parts that differ a lot (clinics, ages); everybody's arm is drawn alone, so that the parts' arms vary.

    Attributes
    ----------
    sizes : people of each part, in both arms together
    rates : of each part; None for amounts, whose mean is then the part's number
    effect : added to every rate or mean of the treatment
    """

    name: str
    sizes: tuple[int, ...]
    rates: tuple[float, ...] | None
    effect: float = 0.0

    def outcome(self, runs: int, seed: int) -> tuple[float, float, float]:
        """Share of runs with a claim: within parts, and without looking at them; share of intervals that hold."""
        random = np.random.default_rng(seed)
        found = np.array([self._once(random) for _ in range(runs)], dtype=float)
        claims, plain, holds = found.mean(axis=0)
        return float(claims), float(plain), float(holds)

    def _once(self, random: np.random.Generator) -> tuple[bool, bool, bool]:
        values: list[tuple[list[float], list[float]]] = []
        for part, size in enumerate(self.sizes):
            treated = random.random(size) < 0.5
            if self.rates is None:
                outcome = part + random.exponential(1.0, size) + self.effect * treated
            else:
                outcome = (random.random(size) < self.rates[part] + self.effect * treated).astype(float)
            values.append((outcome[treated].tolist(), outcome[~treated].tolist()))
        whole = [[value for pair in values for value in pair[arm]] for arm in (0, 1)]
        if self.rates is None:
            means = {str(part): (Mean.of(one), Mean.of(other)) for part, (one, other) in enumerate(values)}
            within = compare_stratified_means(means, ALPHA).comparison
            plain = compare_means(*(Mean.of(arm) for arm in whole), ALPHA)
        else:
            rates = {str(part): (_rate(one), _rate(other)) for part, (one, other) in enumerate(values)}
            within = compare_stratified_proportions(rates, ALPHA).comparison
            plain = compare_proportions(*(_rate(arm) for arm in whole), ALPHA)
        claims = [item.p_value is not None and item.p_value < ALPHA for item in (within, plain)]
        return claims[0], claims[1], within.interval.holds(self.effect)


def _rate(values: list[float]) -> Proportion:
    return Proportion(len(values), int(sum(values)))


@dataclass(frozen=True)
class Adaptive:
    """A bandit over some runs, whose rates may drift from run to run."""

    name: str
    a_run: int
    runs: int
    rates: tuple[float, float]
    drift: float = 0.0  # added to both rates over the whole time
    minimum_share: float = 0.1

    def outcome(self, runs: int, seed: int) -> tuple[float, float, float, float]:
        """Share of runs with a claim: batch by batch, and from plain totals; bias of the difference: the same two."""
        random = np.random.default_rng(seed)
        claims, errors = np.zeros((runs, 2)), np.zeros((runs, 2))
        for number in range(runs):
            batches = self._play(random)
            totals = [
                Proportion(sum(batch[arm].n for batch in batches), sum(batch[arm].successes for batch in batches))
                for arm in ("new", "old")
            ]
            found = compare_batches(batches, "new", "old", ALPHA).comparison, compare_proportions(*totals, ALPHA)
            claims[number] = [item.p_value is not None and item.p_value < ALPHA for item in found]
            rates = arm_rates(batches, ALPHA)
            truth = self.rates[0] - self.rates[1]
            ours = (rates["new"].rate or 0.0) - (rates["old"].rate or 0.0)
            errors[number] = ours - truth, totals[0].rate - totals[1].rate - truth
        return (*claims.mean(axis=0), *errors.mean(axis=0))

    def _play(self, random: np.random.Generator) -> list[dict[str, Proportion]]:
        batches: list[dict[str, Proportion]] = []
        sums = {"new": [0, 0], "old": [0, 0]}
        for run in range(self.runs):
            seen = {arm: Proportion(n, hits) for arm, (n, hits) in sums.items()}
            shares = thompson_shares(seen, self.minimum_share) if run else {"new": 0.5, "old": 0.5}
            new = int(random.binomial(self.a_run, shares["new"]))
            batch = {}
            for arm, people, rate in (("new", new, self.rates[0]), ("old", self.a_run - new, self.rates[1])):
                hits = int(random.binomial(people, rate + self.drift * run / self.runs))
                batch[arm] = Proportion(people, hits)
                sums[arm] = [sums[arm][0] + people, sums[arm][1] + hits]
            batches.append(batch)
        return batches
