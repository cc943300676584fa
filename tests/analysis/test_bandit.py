"""A bandit in the closed loop: shares move to the better variant, and the comparison is not fooled by it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from alongside.analysis import evaluate, section
from alongside.ledger import Ledger, experiments
from alongside.model.enums import Locale, Verdict
from alongside.outreach.experiments import ExperimentDefinition, assign
from tests.analysis.world import LAUNCH, World, definition, due, people

SECRET = b"closed loop secret of 32 bytes.."
RATES = {"control": 0.15, "good": 0.30, "bad": 0.10}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.engine.dispose()


def _bandit() -> ExperimentDefinition:
    design = {"base_rate": 0.15, "minimum_effect": 0.08, "planned_days": 60}
    shares = {"control": 0.34, "good": 0.33, "bad": 0.33}
    return definition(margins={}, variants=shares, design=design, bandit={"minimum_share": 0.1})


def _play(world: World, runs: int, luck: np.random.Generator) -> list[dict[str, float]]:
    """A run a week: assign by the shares in force, book at once, evaluate."""
    used = []
    for week in range(runs):
        at = LAUNCH + timedelta(days=9 * week)
        with world.ledger.begin() as connection:
            shares = experiments.shares_at(connection, world.experiment.name, at) or world.experiment.shares
        used.append(shares)
        new = people(300, f"w{week}x")
        arms = dict(zip(new, assign(SECRET, world.experiment.with_shares(shares), new).to_pylist(), strict=True))
        world.assign(arms, at)
        world.book([person for person, arm in arms.items() if luck.random() < RATES[arm]], at + timedelta(days=1))
        evaluate(
            world.experiment, world.ledger, world.tables, at + timedelta(days=8, hours=12), world.warehouse,
            run_id=f"run-{week}",
        )  # fmt: skip
    return used


def test_shares_move_to_the_better_variant_and_the_verdict_is_right(store: Ledger, tmp_path: Path):
    world = World(store, tmp_path, _bandit())
    used = _play(world, 6, np.random.default_rng(3))
    assert used[0]["good"] == pytest.approx(0.33)
    assert used[-1]["good"] > 0.7
    assert min(min(shares.values()) for shares in used) >= 0.1 - 1e-9
    result = evaluate(world.experiment, store, world.tables, due(world.experiment), world.warehouse)
    assert not result.sample_ratio.mismatch
    assert (result.verdict, result.winner) == (Verdict.SHIP, "good")
    goal = next(item for item in result.goals if item.variant == "good")
    assert goal.comparison.method == "batches"
    assert goal.comparison.interval.holds(RATES["good"] - RATES["control"])


def test_people_who_do_not_follow_the_shares_void_it(store: Ledger, tmp_path: Path):
    """All arms as large as the declared shares, although the shares had moved."""
    world = World(store, tmp_path, _bandit())
    _play(world, 3, np.random.default_rng(3))
    late = people(600, "late")
    world.assign(
        {person: ("control", "good", "bad")[n % 3] for n, person in enumerate(late)}, LAUNCH + timedelta(days=40)
    )
    result = evaluate(world.experiment, store, world.tables, due(world.experiment), world.warehouse)
    assert result.verdict is Verdict.INVALID


def test_a_retry_finds_the_same_shares(store: Ledger, tmp_path: Path):
    world = World(store, tmp_path, _bandit())
    _play(world, 2, np.random.default_rng(3))
    at = LAUNCH + timedelta(days=17, hours=12)  # the moment of the second evaluation
    with store.begin() as connection:
        before = experiments.shares_at(connection, "wording", at)
        after = experiments.shares_at(connection, "wording", at + timedelta(seconds=1))
    assert before != after


def test_the_report_says_what_the_next_run_does(store: Ledger, tmp_path: Path):
    world = World(store, tmp_path, _bandit())
    _play(world, 2, np.random.default_rng(3))
    result = evaluate(world.experiment, store, world.tables, LAUNCH + timedelta(days=20), world.warehouse)
    assert sum(result.to_json()["next_shares"].values()) == pytest.approx(1)
    for locale in Locale:
        assert any("good " in remark and "%" in remark for remark in section(result, locale).remarks)
