"""Which promises are held against which worlds, and how closely."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.calibration.dependent import Adaptive, Households, Strata
from benchmarks.calibration.quantiles import Quantiles
from benchmarks.calibration.verdicts import Outcome, judge
from benchmarks.calibration.watches import Harm, Ratio
from benchmarks.calibration.worlds import Arrivals, Rates, Spend

EVEN = Arrivals.even
FALSE_AT_MOST, FALSE_AT_LEAST = 0.055, 0.045
POWER_AT_LEAST = 0.96
COVERAGE = (0.93, 0.97)
MISMATCH_AT_MOST = 0.0015
HARM_AT_MOST = 0.05
#: From so many expected conversions in each arm on, a test may not be needlessly shy either.
ENOUGH = 10.0

#: No effect, looked at every day for four weeks.
NO_EFFECT: tuple[Rates | Spend, ...] = (
    Rates("15 %, 200 a day and arm", EVEN(200, 200), 0.15),
    Rates("50 %, 30 a day and arm", EVEN(30, 30), 0.5),
    Rates("5 %, 10 : 90 arms", EVEN(360, 40), 0.05),
    Rates("5 %, 90 : 10 arms", EVEN(40, 360), 0.05),
    Rates("1 %, 200 a day and arm", EVEN(200, 200), 0.01),
    Rates("1 %, 10 : 90 arms", EVEN(360, 40), 0.01),
    Rates("0.2 %, 2,000 an arm in all", EVEN(71, 71), 0.002),
    Rates("0.2 %, 2,000 a day and arm", EVEN(2000, 2000), 0.002),
    Rates("5 %, most people on the first day", Arrivals((2000, *(30,) * 27), (2000, *(30,) * 27)), 0.05),
    Spend("skewed amounts, 40 a day and arm", EVEN(40, 40)),
    Spend("very skewed amounts, 200 a day and arm", EVEN(200, 200), 0.1, 1.5),
    Spend("skewed amounts, 2 : 1 arms", EVEN(80, 40)),
)

#: An effect that the design's power is .8 for, or nearly.
EFFECT: tuple[Rates | Spend, ...] = (
    Rates("15 % to 17 %, 200 a day and arm", EVEN(200, 200), 0.15, 0.02),
    Rates("1 % to 1.4 %, 400 a day and arm", EVEN(400, 400), 0.01, 0.004),
    Rates("5 % to 7 %, 10 : 90 arms", EVEN(450, 50), 0.05, 0.02),
    Spend("skewed amounts, 20 % more", EVEN(150, 150), effect=0.2),
)

QUANTILES = (
    Quantiles("median of skewed values, 40 a day and arm", EVEN(40, 40), 0.5),
    Quantiles("ninth decile of skewed values, 60 a day", EVEN(60, 60), 0.9),
    Quantiles("wait of a third, 45 % end, 40 a day and arm", EVEN(40, 40), 0.33, unseen=0.88),
    Quantiles("median, 10 : 90 arms", EVEN(180, 20), 0.5),
    Quantiles("median, 25 % more", EVEN(40, 40), 0.5, factor=1.25),
)

RATIOS = (
    Ratio("50 : 50, 400 a day", 400, 0.5, 0.5),
    Ratio("10 : 90, 400 a day", 400, 0.1, 0.1),
    Ratio("50 : 50, 40 a day", 40, 0.5, 0.5),
)
BROKEN_RATIO = Ratio("48 : 52 instead of 50 : 50, 1,000 a day", 1000, 0.5, 0.48)

HARMLESS = (
    Harm("0.5 % leave, 200 a day and arm", EVEN(200, 200), 0.005),
    Harm("2 % leave, 10 : 90 arms", EVEN(360, 40), 0.02),
    Harm("the variant halves it, 2 % leave", EVEN(200, 200), 0.02, 0.5),
)
HOUSEHOLDS = (
    Households("400 households an arm, 1 to 4 people", 400, (1, 2, 3, 4), 0.2, 0.3),
    Households("20 clinics an arm, 10 to 80 people", 20, (10, 20, 40, 80), 0.2, 0.05),
)
STRATA = (
    Strata("six clinics of 60 people, 5 % to 55 %", (60,) * 6, (0.05, 0.15, 0.25, 0.35, 0.45, 0.55)),
    Strata("40 parts of 6 people, 10 % and 50 %", (6,) * 40, (0.1, 0.5) * 20),
    Strata("five parts of 20 to 320 people, amounts", (20, 40, 80, 160, 320), None),
    Strata("six clinics of 60 people, 10 points more", (60,) * 6, (0.05, 0.15, 0.25, 0.35, 0.45, 0.55), 0.1),
)
BANDITS = (
    Adaptive("10 runs of 200, 15 % in both", 200, 10, (0.15, 0.15)),
    Adaptive("10 runs of 200, 15 % rising to 35 % in both", 200, 10, (0.15, 0.15), 0.2),
)
#: Bias of a bandit's difference: at most this much of a rate.
BIAS_AT_MOST = 0.002

HARMFUL = Harm("the variant triples it, 0.5 % leave", EVEN(200, 200), 0.005, 3.0)


@dataclass(frozen=True)
class Figure:
    """One simulated share against what it must keep to.

    Attributes
    ----------
    least, most : bounds, None where there is none; `slack` is added for the luck of this many runs
    beside : what the same data say with the usual method, where that is telling
    """

    section: str
    cell: str
    value: float
    runs: int
    least: float | None
    most: float | None
    beside: float | None = None

    @property
    def slack(self) -> float:
        """Two standard errors of a share this size; none for a bias, whose bound leaves room for it."""
        if self.section == "bias":
            return 0.0
        return 2 * math.sqrt(max(self.value * (1 - self.value), 1e-4) / self.runs)

    @property
    def kept(self) -> bool:
        above = self.least is None or self.value >= self.least - self.slack
        return above and (self.most is None or self.value <= self.most + self.slack)


def measure(runs: int, tell: Callable[[str], None] = lambda text: None) -> list[Figure]:
    """Every figure, each over this many runs (coverage and evidence of harm over a fifth of them, but 500 at least)."""
    few = max(min(runs, 500), runs // 5)
    found: list[Figure] = []
    for seed, world in enumerate(NO_EFFECT):
        tell(f"no effect: {world.name}")
        found += _false(world, judge(world, runs, seed, few))
    for seed, world in enumerate(EFFECT, start=100):
        tell(f"effect: {world.name}")
        outcome = judge(world, runs, seed, few)
        found.append(Figure("power", world.name, outcome.in_direction / outcome.once, runs, POWER_AT_LEAST, None))
        found.append(Figure("coverage", world.name, outcome.covered or 0.0, few, *COVERAGE))
        found.append(Figure("people used", world.name, outcome.used, runs, None, None))
    for seed, quantile in enumerate(QUANTILES, start=150):
        tell(f"quantile: {quantile.name}")
        some = min(few, 500)  # each of its p-values is found by bisection
        ours, naive, covered = quantile.claims(runs, seed, some)
        if quantile.factor == 1.0:
            found.append(Figure("false claims", quantile.name, ours, runs, None, FALSE_AT_MOST, naive))
        found.append(Figure("coverage", quantile.name, covered, some, *COVERAGE))
    for seed, ratio in enumerate((*RATIOS, BROKEN_RATIO), start=200):
        tell(f"sample ratio: {ratio.name}")
        ours, daily = ratio.alarms(runs if ratio is not BROKEN_RATIO else few, seed)
        most = None if ratio is BROKEN_RATIO else MISMATCH_AT_MOST
        found.append(Figure("sample ratio", ratio.name, ours, runs, None, most, daily))
    for seed, harm in enumerate((*HARMLESS, HARMFUL), start=300):
        tell(f"harm: {harm.name}")
        most = None if harm is HARMFUL else HARM_AT_MOST
        found.append(Figure("harm", harm.name, harm.stops(few, seed), few, None, most))
    return [*found, *_dependent(few, tell)]


def _dependent(runs: int, tell: Callable[[str], None]) -> list[Figure]:
    found = []
    for seed, homes in enumerate(HOUSEHOLDS, start=400):
        tell(f"clusters: {homes.name}")
        ours, naive = homes.false_claims(runs, seed)
        found.append(Figure("clusters", homes.name, ours, runs, None, FALSE_AT_MOST, naive))
    for seed, strata in enumerate(STRATA, start=450):
        tell(f"strata: {strata.name}")
        ours, plain, covered = strata.outcome(runs, seed)
        most = FALSE_AT_MOST if not strata.effect else None  # a claim is right there
        found.append(Figure("strata", strata.name, ours, runs, None, most, plain))
        found.append(Figure("coverage", strata.name, covered, runs, *COVERAGE))
    for seed, bandit in enumerate(BANDITS, start=500):
        tell(f"bandit: {bandit.name}")
        ours, naive, bias, plain_bias = bandit.outcome(runs, seed)
        found.append(Figure("bandit", bandit.name, ours, runs, None, FALSE_AT_MOST, naive))
        found.append(Figure("bias", bandit.name, abs(bias), runs, None, BIAS_AT_MOST, abs(plain_bias)))
    return found


def _false(world: Rates | Spend, outcome: Outcome) -> list[Figure]:
    enough = isinstance(world, Rates) and world.fewest_expected >= ENOUGH
    least = FALSE_AT_LEAST if enough else None
    found = [Figure("false claims", world.name, outcome.claimed, outcome.runs, least, FALSE_AT_MOST, outcome.naive)]
    if enough or isinstance(world, Spend):
        few = max(min(outcome.runs, 500), outcome.runs // 5)
        found.append(Figure("coverage", world.name, outcome.covered or 0.0, few, *COVERAGE))
    return found
