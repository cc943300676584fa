"""How a plan reads: every gate that closes for somebody with its counts and its reason."""

from __future__ import annotations

import json
from datetime import date

import pytest

from alongside.cli.deliveries import _ramp_json, _show_ramps
from alongside.cli.output import show_table
from alongside.cli.plans import _plan_json, _show_held_back, _show_plan
from alongside.delivery.warming import HeldBack, Standing
from alongside.model.enums import Gate
from alongside.outreach.campaign_plan import CampaignPlan
from alongside.outreach.gates import SET_GATES
from alongside.outreach.why import meaning_of

PLAN = CampaignPlan(
    "flu_vaccine",
    "planned",
    funnel={"audience": 9, "eligible": 8, "gate:deceased": 1, "gate:no_consent": 3, "rendered": 5, "planned": 5},
    gates={"deceased": 1, "no_consent": 4},
    variants={"all": 5},
    config_hash="c" * 64,
    plan_hash="0123456789abcdef" * 4,
)


def test_every_gate_says_why(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    _show_plan(PLAN, samples=False)
    lines = capsys.readouterr().out.splitlines()
    deceased, consent = (next(line for line in lines if f"gate:{name}" in line) for name in PLAN.gates)
    assert "the patient has died" in deceased
    assert "no consent for this purpose and channel" in consent
    assert [cell.strip() for cell in consent.split("│")[2:4]] == ["3", "4"]
    assert PLAN.plan_hash[:12] in lines[-1]


def test_a_program_reads_the_reasons_too() -> None:
    found = _plan_json(PLAN)
    assert found["gates"] == PLAN.gates
    assert found["reasons"] == {name: meaning_of(name) for name in PLAN.gates}


def test_what_waits_for_a_new_sender_is_told_with_its_day(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    held = HeldBack("email", "care", 1200, 500, 700, date(2026, 12, 2))
    ramp = Standing("email", "care", ("care",), date(2026, 12, 1), 500, 480, 1200, date(2026, 12, 3))
    _show_held_back([PLAN], [[held]])
    _show_ramps([ramp])
    shown = capsys.readouterr().out
    assert all(words in shown for words in ("flu_vaccine", "700", "2026-12-02", "480", "2026-12-03"))
    assert json.loads(json.dumps(_plan_json(PLAN, [held])))["warm_up"][0]["until"] == "2026-12-02"
    assert json.loads(json.dumps(_ramp_json(ramp)))["through"] == "2026-12-03"
    _show_held_back([PLAN], [[]])
    assert capsys.readouterr().out == ""


def test_brackets_in_a_cell_are_no_style(capsys: pytest.CaptureFixture[str]) -> None:
    show_table("", ("condition",), [("list_contains(conditions, ['a'])",), ("[bold]",)])
    assert "list_contains(conditions, ['a'])" in (shown := capsys.readouterr().out)
    assert "[bold]" in shown


@pytest.mark.parametrize("gate", [gate.name for gate in (*SET_GATES, Gate.RENDER_FAILED, Gate.CLAIMS_LINT)])
def test_no_gate_of_a_plan_is_without_words(gate: str) -> None:
    assert meaning_of(gate) != gate.lower().replace("_", " ")
