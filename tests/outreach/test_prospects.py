"""Before launch: the curve of power, and the days that a verdict takes, against looks that are played out."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from alongside.outreach.experiments import ExperimentDefinition, Looks, days_to_verdict, design, power_curve
from alongside.outreach.experiments.definition import Guardrail
from alongside.outreach.experiments.metrics import Direction
from alongside.outreach.experiments.planning import comparison_level, looks_cost
from alongside.stats import normal
from alongside.stats.sequential import Look, two_sided_boundaries
from tests.analysis.world import definition as shipped


def _experiment(looks: Looks = Looks.DAILY, **changes: object) -> ExperimentDefinition:
    plan = {"base_rate": 0.15, "minimum_effect": 0.08, "planned_days": 12, "looks": looks, **changes}
    return shipped(margins={}, design=plan)


def test_the_curve_rises_from_a_false_claim_to_certainty_through_the_planned_power():
    experiment = _experiment()
    curve = power_curve(experiment, 860)
    assert len(curve) == 25
    assert (curve[0].effect, curve[-1].effect) == (0.0, pytest.approx(0.24))
    assert curve[0].power == pytest.approx(0.025)  # either direction has half of alpha
    assert all(one.power < other.power for one, other in pairwise(curve))
    assert curve[8].effect == pytest.approx(0.08)
    assert curve[8].power == pytest.approx(design(experiment, 860).power)


def test_a_rate_falls_to_nothing_at_most():
    experiment = _experiment()
    falling = experiment.goals[0].model_copy(update={"direction": Direction.LOWER})
    assert power_curve(experiment.model_copy(update={"goals": (falling,)}), 860)[-1].effect == pytest.approx(0.15)
    assert power_curve(_experiment(base_rate=0.9), 860)[-1].effect == pytest.approx(0.1)


def test_one_look_is_on_the_planned_day_whatever_the_effect():
    days = days_to_verdict(_experiment(Looks.FINAL), 860)
    assert days.with_effect == days.without == days.latest == 20


def test_nobody_decides_nothing_before_the_planned_day():
    days = days_to_verdict(_experiment(), 0)
    assert days.with_effect == days.without == days.latest == 20


def test_a_goal_of_a_day_waits_for_the_guardrails_week():
    experiment = _experiment()
    goal = experiment.goals[0].model_copy(update={"within_days": 1, "settle_hours": 12})
    week = goal.model_copy(update={"name": "slow", "within_days": 7})
    guardrail = Guardrail(metric=week, margin=0.01)
    quick = experiment.model_copy(update={"goals": (goal,), "guardrails": ()})
    slow = quick.model_copy(update={"guardrails": (guardrail,)})
    assert days_to_verdict(quick, 5000).no_win_before == 1.5
    assert days_to_verdict(slow, 5000).no_win_before == 7.5 > days_to_verdict(slow, 5000).with_effect


def test_hardly_anybody_decides_hardly_anything():
    """The chance that three people show it in small arms is so small that 1 less it is 1."""
    plan = {"base_rate": 0.95, "minimum_effect": 0.05, "planned_days": 12, "looks": "daily"}
    shares = {"control": 0.9, "one": 0.05, "other": 0.05}
    days = days_to_verdict(shipped(margins={}, variants=shares, design=plan), 3)
    assert 19 < days.with_effect <= days.latest


@pytest.mark.parametrize(("now", "per_day"), [(0, 70.0), (400, 40.0), (860, 0.0)])
def test_days_to_a_verdict_are_those_of_looks_that_are_played_out(now: int, per_day: float):
    experiment = _experiment()
    people = int(now + 12 * per_day)
    alpha = comparison_level(experiment)
    z = (normal.isf(alpha / 2) + normal.isf(1 - design(experiment, now, per_day).power)) * looks_cost(experiment) ** 0.5
    needed = design(experiment, now, per_day).people_needed
    days = days_to_verdict(experiment, now, per_day)
    assert days.with_effect == pytest.approx(_played(z, now, per_day, people, needed, sides=1), abs=0.12)
    assert days.without == pytest.approx(_played(0.0, now, per_day, people, needed, sides=2), abs=0.05)
    assert days.with_effect < days.without <= days.latest


def _played(z: float, now: int, per_day: float, people: int, needed: int, sides: int) -> float:
    """Mean day of the first crossing over many courses of a Brownian motion with this drift; the twentieth without."""
    random, paths = np.random.default_rng(5), 20_000
    position, ended = np.zeros(paths), np.full(paths, np.nan)
    before, looks = 0.0, []
    for day in range(1, 21):
        known = now + per_day * min(day - 8, 12) if day >= 8 else 0.0
        if known == 0:
            continue
        enrolled = now + per_day * min(day, 12)
        over = 1.0 if day == 20 else min(0.99, known / max(needed, enrolled * 12 / min(day, 12)))
        if known > before:
            step = (known - before) / people
            position += z * step + random.normal(0, step**0.5, paths)
        elif looks:
            looks.pop()
        looks.append(Look(known, max(over, looks[-1].fraction if looks else 0.0)))
        before = known
        scaled = position / (known / people) ** 0.5
        reached = scaled if sides == 1 else np.abs(scaled)
        crossed = (reached >= two_sided_boundaries(looks, 0.05)[-1]) & np.isnan(ended)
        ended[crossed] = day
    return float(np.nan_to_num(ended, nan=20.0).mean())
