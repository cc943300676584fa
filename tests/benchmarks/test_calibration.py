"""The calibration in small: enough runs to see a broken promise, few enough for every change."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.calibration.cells import (
    BANDITS,
    EFFECT,
    HARMFUL,
    HARMLESS,
    HOUSEHOLDS,
    NO_EFFECT,
    QUANTILES,
    RATIOS,
    STRATA,
    Figure,
)
from benchmarks.calibration.report import write
from benchmarks.calibration.verdicts import judge


@pytest.mark.parametrize("world", [NO_EFFECT[0], NO_EFFECT[5], NO_EFFECT[9]], ids=lambda world: world.name)
def test_daily_looks_claim_no_more_than_they_may(world):
    outcome = judge(world, 2_000, seed=1, covering=200)
    assert outcome.claimed <= 0.055 + 0.01
    assert outcome.naive > 3 * outcome.claimed
    assert 0.91 <= outcome.covered <= 0.99


def test_daily_looks_cost_little_power_and_end_early():
    outcome = judge(EFFECT[0], 1_000, seed=2, covering=200)
    assert outcome.in_direction > 0.95 * outcome.once > 0.7
    assert outcome.used < 0.85
    assert 0.90 <= outcome.covered <= 0.99


def test_arms_of_the_planned_size_raise_no_alarm():
    ours, daily = RATIOS[0].alarms(600, seed=3)
    assert ours <= 2 / 600
    assert daily > ours


def test_harm_is_stopped_and_harmlessness_is_not():
    assert HARMLESS[0].stops(150, seed=4) <= 0.07
    assert HARMFUL.stops(60, seed=5) > 0.9


def test_the_page_says_what_is_kept_and_what_is_not(tmp_path: Path):
    figures = [
        Figure("false claims", "a world", 0.05, 10_000, 0.045, 0.055, 0.27),
        Figure("coverage", "a world", 0.80, 2_000, 0.93, 0.97),
        Figure("harm", "real harm", 0.9, 100, None, None),
    ]
    write(figures, tmp_path / "calibration.md", "Made today")
    page = (tmp_path / "calibration.md").read_text("utf-8")
    assert "**1 of 2 promises kept**" in page
    assert "| a world | 0.8000 | 0.93 to 0.97 | 2,000 | **no** |" in page
    assert "| a world | 0.0500 | 0.2700 | 0.045 to 0.055 | 10,000 | yes |" in page
    assert (tmp_path / "images" / "calibration-coverage.svg").read_text("utf-8").count("<circle") == 1


def test_households_are_no_crowd_of_strangers():
    ours, naive = HOUSEHOLDS[1].false_claims(600, seed=6)
    assert ours <= 0.055 + 0.02
    assert naive > 3 * ours


def test_quantiles_and_parts_keep_their_level_in_small():
    ours, naive, covered = QUANTILES[0].claims(400, seed=8, covering=30)
    assert ours <= 0.055 + 0.022
    assert naive > 2 * ours
    assert covered >= 0.85
    ours, _, covered = STRATA[0].outcome(200, seed=9)
    assert ours <= 0.055 + 0.031
    assert covered >= 0.9


def test_a_bandit_whose_rates_drift_claims_no_more_than_it_may():
    ours, naive, bias, _ = BANDITS[1].outcome(150, seed=7)
    assert ours <= 0.055 + 0.04
    assert naive > 0.3
    assert abs(bias) < 0.01
