"""Closed loop: assignment, simulated patients with known probabilities, evaluation. Is the interval right?

Every number here is fixed by its seed. Patients' luck is keyed by patient and day, not by message (common random
numbers), as in the sandbox that plays the demo hospital.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from alongside.analysis import evaluate
from alongside.ledger import Ledger
from alongside.model.enums import Verdict
from alongside.outreach.experiments import assign
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
