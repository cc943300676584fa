"""Coverage of the interval and size of the test over many experiments, each with the real assignment.

Every number here is fixed by its seed.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from alongside.analysis.concluding import conclude
from alongside.analysis.observing.observation import Observed
from alongside.analysis.observing.sums import ArmSums
from alongside.analysis.result import Maturity
from alongside.outreach.experiments import ExperimentDefinition, assign
from tests.analysis.world import LAUNCH, definition, due, people

SECRET = b"closed loop secret of 32 bytes.."
PEOPLE = people(800)
BASE, BETTER = 0.15, 0.24


@cache
def _many(seed: int) -> tuple[ExperimentDefinition, npt.NDArray[np.intp]]:
    """One of the two-arm experiments and its arms: truth and null are tried on the same."""
    experiment = definition(name=f"many_{seed}", margins={})
    return experiment, _arms(experiment)


def _arms(experiment: ExperimentDefinition) -> npt.NDArray[np.intp]:
    return assign(SECRET, experiment, PEOPLE).indices.to_numpy()


def _observe(
    experiment: ExperimentDefinition, indices: npt.NDArray[np.intp], seed: int, rates: dict[str, float]
) -> Observed:
    """Outcomes by one uniform a person."""
    luck = np.random.default_rng(seed).random(len(PEOPLE))
    sums, units = {}, {}
    for index, (name, rate) in enumerate(rates.items()):
        booked = luck[indices == index] < rate
        n, total = len(booked), int(booked.sum())
        units[name] = n
        sums[name] = ArmSums(n, total, total / n, total * (n - total) / n / (n - 1))
    when = experiment.verdict_due(LAUNCH)
    maturity = Maturity(LAUNCH, experiment.enrolment_ends(LAUNCH), when, len(PEOPLE), 0, 0)
    return Observed(units, {}, maturity, {"booked_follow_up": sums})


def _run(seeds: int, rates: dict[str, float]) -> tuple[float, float, float]:
    """Shares of intervals that cover the truth, of relative intervals that do, and of rejections."""
    covered = relative = rejected = 0
    truth = rates["personal"] - rates["control"]
    for seed in range(seeds):
        experiment, indices = _many(seed)
        result = conclude(experiment, _observe(experiment, indices, seed, rates), due(experiment))
        comparison = result.goals[0].comparison
        covered += comparison.interval.holds(truth)
        relative += comparison.relative.interval.holds(truth / rates["control"])
        rejected += comparison.p_value < 0.05
    return covered / seeds, relative / seeds, rejected / seeds


def test_coverage_over_1000_seeds_is_near_its_level():
    """Monte Carlo error is .0069: .95 within three of them."""
    covered, relative, rejected = _run(1000, {"control": BASE, "personal": BETTER})
    assert covered == pytest.approx(0.95, abs=0.02)
    assert relative == pytest.approx(0.95, abs=0.02)
    assert rejected == pytest.approx(0.89, abs=0.03)


def test_without_a_difference_hardly_more_than_one_in_twenty_is_called_one():
    covered, _, rejected = _run(1000, {"control": BASE, "personal": BASE})
    assert rejected == pytest.approx(0.05, abs=0.02)
    assert covered == pytest.approx(1 - rejected)


def test_three_arms_keep_the_chance_of_any_false_claim():
    """A/A/A under Holm."""
    rates = {"control": BASE, "personal": BASE, "short": BASE}
    shares = {"control": 0.34, "personal": 0.33, "short": 0.33}
    false = 0
    for seed in range(500):
        experiment = definition(name=f"three_{seed}", margins={}, variants=shares)
        result = conclude(experiment, _observe(experiment, _arms(experiment), seed, rates), due(experiment))
        false += any(goal.significant for goal in result.goals)
    assert 0.02 <= false / 500 <= 0.075
