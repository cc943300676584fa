"""How an experiment reads in a terminal: the numbers that the verdict rests on, in percentage points, on 80 columns."""

from __future__ import annotations

from typing import Any

import pytest

from alongside.analysis.concluding import conclude
from alongside.analysis.observing.observation import Observed
from alongside.analysis.result import ExperimentResult, Maturity
from alongside.cli.summary import show_experiment
from tests.analysis.test_report_parts import _sums
from tests.analysis.world import LAUNCH, definition, due


def _three_arms() -> ExperimentResult:
    """Two variants: what each has to show is more than it would be alone."""
    design = {"base_rate": 0.15, "minimum_effect": 0.08, "planned_days": 12, "alpha": 0.1}
    shares = {"control": 0.34, "personal": 0.33, "brief": 0.33}
    experiment = definition(variants=shares, margins={"unsubscribed": 0.03}, design=design)
    sums = {
        "booked_follow_up": {"control": _sums(60), "personal": _sums(82), "brief": _sums(60)},
        **{name: dict.fromkeys(shares, _sums(1)) for name in ("unsubscribed", "complained", "delivered")},
    }
    arms = dict.fromkeys(shares, 500)
    maturity = Maturity(LAUNCH, due(experiment), due(experiment), 1500, 0, 0)
    return conclude(
        experiment, Observed(arms, {"email": arms}, maturity, sums, arrivals={"email": {0: arms}}), due(experiment)
    )


def _shown(result: dict[str, Any], columns: int, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    patch.setenv("COLUMNS", str(columns))
    show_experiment(result["experiment"], result)
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_has_the_numbers_of_the_verdict(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = _three_arms()
    goal = result.goals[0]
    assert goal.comparison.p_value is not None
    assert goal.adjusted_p == pytest.approx(2 * goal.comparison.p_value)
    shown = _shown(result.to_json(), columns, monkeypatch, capsys)
    assert goal.adjusted.low is not None
    assert goal.adjusted.high is not None
    row = next(line for line in shown.splitlines() if "personal" in line and "booked_follow_up" in line)
    for text in (
        "+4.4 points",
        f"{goal.adjusted.low * 100:+.1f} … {goal.adjusted.high * 100:+.1f}",
        f"{goal.adjusted_p:.3f}",
    ):
        assert text in row
    assert ("+36.7%" in row) == (columns == 120)
    assert "90 % interval" in shown
    assert "guardrails of brief: unsubscribed" in shown
    assert max(map(len, shown.splitlines())) <= columns


def test_a_result_that_an_earlier_release_stored_is_shown_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = _three_arms().to_json()
    for item in result["comparisons"]:
        del item["kind"]
    assert "+0.044" in _shown(result, 80, monkeypatch, capsys)
