"""Closed loop: assignment, simulated patients with known probabilities, evaluation. Is the interval right, and zero?

Every number here is fixed by its seed. Patients' luck is keyed by patient and day, not by message (common random
numbers), as in the sandbox that plays the demo hospital.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from alongside.analysis import evaluate
from alongside.analysis.comparing import ArmSums
from alongside.analysis.evaluation import conclude
from alongside.analysis.observation import Observed
from alongside.analysis.result import Maturity
from alongside.ledger import Ledger
from alongside.model.enums import Verdict
from alongside.outreach.experiments import ExperimentDefinition, assign
from alongside.sandbox.sendgrid.behaviour import books, draw
from alongside.sandbox.sendgrid.responses import Booking, Rates
from tests.analysis.world import LAUNCH, World, definition, due, people

SECRET = b"closed loop secret of 32 bytes.."
PEOPLE = people(800)
BASE, BETTER = 0.15, 0.24


def _rates(probability: float) -> Rates:
    return Rates(open=0.6, click=0.4, book=Booking(service="follow_up", probability=probability))


def test_over_200_hospitals_the_interval_covers_the_simulated_truth(tmp_path: Path):
    """The whole way each time: keyed assignment, ledger, snapshot table, set-based sums, interval."""
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    covered = shipped = 0
    for seed in range(200):
        experiment = definition(name=f"loop_{seed}", margins={})
        world = World(ledger, tmp_path / str(seed), experiment)
        arms = dict(zip(PEOPLE, assign(SECRET, experiment, PEOPLE).to_pylist(), strict=True))
        world.assign(arms)
        rates = {"control": _rates(BASE), "personal": _rates(BETTER)}
        luck = {person: draw(seed, person, date(2026, 3, 1)) for person in PEOPLE}
        booked = [person for person, arm in arms.items() if books(rates[arm], luck[person])]
        world.book(booked, LAUNCH + timedelta(days=1))
        result = evaluate(experiment, ledger, world.tables, due(experiment), world.warehouse)
        covered += result.goals[0].comparison.interval.holds(BETTER - BASE)
        shipped += result.verdict is Verdict.SHIP
    ledger.engine.dispose()
    assert 0.93 <= covered / 200 <= 0.97
    assert 0.80 <= shipped / 200 <= 0.97  # the design's power for this effect is .89


def _observe(experiment: ExperimentDefinition, seed: int, rates: dict[str, float]) -> Observed:
    """Arms by the real assignment, outcomes by one uniform a person."""
    indices = assign(SECRET, experiment, PEOPLE).indices.to_numpy()
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
        experiment = definition(name=f"many_{seed}", margins={})
        result = conclude(experiment, _observe(experiment, seed, rates), due(experiment))
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
        result = conclude(experiment, _observe(experiment, seed, rates), due(experiment))
        false += any(goal.significant for goal in result.goals)
    assert 0.02 <= false / 500 <= 0.075
