"""What each function answers, on real Parquet tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.segments.conftest import Evaluate
from tests.segments.hospital import Draft, ago, utc


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One busy patient `p`, and `q` with an empty history."""
    draft = Draft(tmp_path_factory.mktemp("busy"))
    draft.person(
        "p",
        age=66,
        gender="male",
        city="青禾",
        conditions=["hypertension"],
        conditions_ever=["copd", "hypertension"],
        medications=["metformin"],
        procedures=["knee_replacement"],
        allergies=["penicillin_allergy"],
        last_encounter_at=ago(10),
        next_appointment_at=ago(-3),
        last_nps=9.0,
    )
    draft.person("q")
    draft.event("condition", "p", concept="hypertension", onset_at=ago(400), abated_at=ago(350))
    draft.event("condition", "p", concept="hypertension", onset_at=ago(90))
    draft.event("condition", "p", concept="hypertension", onset_at=ago(20))
    draft.event("procedure", "p", concept="knee_replacement", performed_at=ago(40))
    draft.event("procedure", "p", concept="knee_replacement", performed_at=ago(5), status="not-done")
    draft.event("procedure", "p", concept="knee_replacement", performed_at=ago(-5), status="preparation")
    draft.event("immunization", "p", concept="influenza_vaccine", occurred_at=ago(200))
    draft.event("medication_request", "p", concept="metformin", authored_at=ago(20), days_supply=30)
    draft.event("medication_request", "p", concept="metformin", authored_at=ago(25), days_supply=28)
    draft.event("medication_request", "p", concept="metformin", authored_at=ago(1), days_supply=90, status="stopped")
    draft.event("medication_request", "p", concept="insulin", authored_at=ago(40), days_supply=30)
    for value, days in ((8.4, 200), (7.1, 100), (7.9, 30)):
        draft.reading("p", "hba1c", value, ago(days), "lab")
    draft.reading("p", "hba1c", None, ago(1), "lab", value_text="haemolysed")
    draft.reading("p", "hba1c", 99.0, ago(-1), "lab")
    for value, days, place in ((150, 3, "clinic"), (132, 2, "home"), (138, 1, "home"), (170, 30, "home")):
        draft.reading("p", "systolic_bp", value, ago(days), place)
    draft.reading("p", "smoking_status", None, ago(50), value_text="current")
    draft.reading("p", "smoking_status", None, ago(500), value_text="never")
    draft.event("encounter", "p", department="cardiology", started_at=ago(10))
    draft.event("interaction", "p", kind="article_read", topic="sleep", occurred_at=ago(4))
    draft.event("appointment", "p", service="surgery", booked_at=ago(9), start_at=ago(-3))
    draft.event("appointment", "p", service="surgery", booked_at=ago(9), start_at=ago(-1), status="cancelled")
    draft.event("appointment", "p", service="follow_up", booked_at=ago(60), start_at=ago(30), status="fulfilled")
    draft.event("appointment", "p", service="follow_up", booked_at=ago(60), start_at=ago(6), status="noshow")
    draft.event("questionnaire_response", "p", questionnaire="nps", score=4, answered_at=ago(300))
    draft.event("questionnaire_response", "p", questionnaire="nps", score=9, answered_at=ago(15))
    return draft.write()


@pytest.mark.parametrize(
    ("expression", "busy", "empty"),
    [
        ("has_condition('hypertension')", True, False),
        ("has_condition('copd')", False, False),
        ("had_condition('copd')", True, False),
        ("days_since_diagnosis('hypertension')", 90, None),
        ("has_medication('metformin')", True, False),
        ("medication_days_left('metformin')", 10, None),
        ("medication_days_left('insulin')", -10, None),
        ("has_allergy('penicillin_allergy')", True, False),
        ("had_procedure('knee_replacement')", True, False),
        ("had_procedure('knee_replacement', 40)", True, False),
        ("had_procedure('knee_replacement', 39)", False, False),
        ("had_procedure('colonoscopy', 3650)", False, False),
        ("days_since_procedure('knee_replacement')", 40, None),
        ("had_immunization('influenza_vaccine')", True, False),
        ("had_immunization('influenza_vaccine', 199)", False, False),
        ("latest('hba1c')", 7.9, None),
        ("latest('hba1c', 'home')", None, None),
        ("latest_days('hba1c')", 30, None),
        ("previous('hba1c')", 7.1, None),
        ("previous('systolic_bp', 'home')", 132, None),
        ("previous('systolic_bp', 'clinic')", None, None),
        ("latest_text('smoking_status')", "current", None),
        ("average('systolic_bp', 7, 'home')", 135, None),
        ("average('systolic_bp', 7)", 140, None),
        ("lowest('systolic_bp', 7)", 132, None),
        ("highest('systolic_bp', 60)", 170, None),
        ("count_readings('systolic_bp', 7, 'home')", 2, 0),
        ("count_readings('systolic_bp', 365)", 4, 0),
        ("visited('cardiology', 10)", True, False),
        ("visited('cardiology', 9)", False, False),
        ("days_since_visit('cardiology')", 10, None),
        ("days_since_visit('oncology')", None, None),
        ("interacted('sleep', 7)", True, False),
        ("interacted('sleep', 3)", False, False),
        ("booked('surgery')", True, False),
        ("booked('surgery', 3)", True, False),
        ("booked('surgery', 2)", False, False),
        ("booked('follow_up')", False, False),
        ("days_until_booked('surgery')", 3, None),
        ("attended('follow_up', 30)", True, False),
        ("attended('follow_up', 29)", False, False),
        ("missed('follow_up', 7)", True, False),
        ("answered('nps', 30)", True, False),
        ("answered('nps', 14)", False, False),
        ("latest_score('nps')", 9, None),
        ("days_since(last_encounter_at)", 10, None),
        ("days_until(next_appointment_at)", 3, None),
        ("days_until(last_encounter_at)", -10, None),
        ("today()", ago(hours=8), ago(hours=8)),
        ("month(today())", 3, 3),
        ("date '2026-03-01' = today()", True, True),
        ("hour(last_encounter_at)", 8, None),
        ("age / 0", None, None),
        ("age % 0 > 1", False, False),
        ("cast(city as integer)", None, None),
        ("len(conditions)", 1, 0),
        ("coalesce(last_nps, -1)", 9, -1),
        ("city || '/' || gender", "青禾/male", None),
        ("not (latest('hba1c') > 7)", False, False),
        ("if(gender = 'male', 'Mr', 'Ms')", "Mr", "Ms"),
        ("starts_with(city, '青') and city like '%禾'", True, False),
        ("(age + 4) * 2 - age / 2", 107, 83),
    ],
)
def test_answers(evaluate: Evaluate, tables: Path, expression: str, busy: object, empty: object) -> None:
    assert evaluate(expression, tables) == {"p": busy, "q": empty}


def test_days_are_the_hospitals_calendar_days(evaluate: Evaluate, tmp_path: Path) -> None:
    """08:00 in Shanghai: yesterday 23:50 is one day ago, today 00:10 is none, though both are hours away."""
    draft = Draft(tmp_path / "tables")
    draft.person("yesterday", last_encounter_at=ago(hours=8, days=0.01))
    draft.person("today", last_encounter_at=ago(hours=7.8))
    draft.person("last_moment", last_encounter_at=ago(hours=8))
    tables = draft.write()
    assert evaluate("days_since(last_encounter_at)", tables) == {"yesterday": 1, "today": 0, "last_moment": 0}


def test_days_follow_a_zone_whose_clocks_change(written: object, evaluate: Evaluate, tmp_path: Path) -> None:
    path = written.root / "config" / "alongside.yaml"  # type: ignore[attr-defined]
    path.write_text(path.read_text("utf-8").replace("Asia/Shanghai", "Europe/Berlin"), "utf-8")
    # In July Berlin is two hours ahead of UTC: 22:30 UTC is already the next day there; in January it is not.
    tables = (
        Draft(tmp_path / "tables")
        .person("summer", last_encounter_at=utc("2025-07-01 22:30"))
        .person("winter", last_encounter_at=utc("2025-12-01 22:30"))
        .write()
    )
    assert evaluate("day(last_encounter_at)", tables) == {"summer": 2, "winter": 1}
    assert evaluate("days_since(last_encounter_at)", tables) == {"summer": 242, "winter": 90}


def test_of_two_readings_at_one_instant_the_larger_counts_whatever_the_order(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    for number, values in enumerate(([150.0, 120.0], [120.0, 150.0])):
        draft = Draft(tmp_path / str(number)).person("p")
        for value in values:
            draft.reading("p", "systolic_bp", value, ago(1))
        draft.reading("p", "systolic_bp", 110.0, ago(2))
        tables = draft.write()
        assert evaluate("latest('systolic_bp')", tables) == {"p": 150}
        assert evaluate("previous('systolic_bp')", tables) == {"p": 110}


@pytest.mark.parametrize("value", [1e300, -1e300, float("inf"), float("nan"), 0.0])
def test_a_monstrous_value_does_not_end_the_run(evaluate: Evaluate, tmp_path: Path, value: float) -> None:
    tables = Draft(tmp_path / "tables").person("p").reading("p", "hba1c", value, ago(1)).write()
    assert evaluate("latest('hba1c') is null", tables) == {"p": False}
    assert evaluate("medication_days_left('metformin')", tables) == {"p": None}


def test_a_row_with_two_meanings_counts_for_both(evaluate: Evaluate, tmp_path: Path) -> None:
    draft = Draft(tmp_path / "tables").person("p")
    draft.event("procedure", "p", concepts=["knee_replacement", "colonoscopy"], performed_at=ago(3))
    draft.event("procedure", "p", concepts=[], performed_at=ago(2))
    draft.event("procedure", "p", concepts=None, performed_at=ago(1))
    tables = draft.write()
    both = "days_since_procedure('knee_replacement') + days_since_procedure('colonoscopy')"
    assert evaluate(both, tables) == {"p": 6}


def test_what_is_booked_or_recorded_after_the_moment_is_unknown_yet(evaluate: Evaluate, tmp_path: Path) -> None:
    draft = Draft(tmp_path / "tables").person("p")
    draft.event("appointment", "p", service="surgery", booked_at=ago(-1), start_at=ago(-3))
    draft.event("encounter", "p", department="cardiology", started_at=ago(-1))
    tables = draft.write()
    assert evaluate("booked('surgery') or visited('cardiology', 30)", tables) == {"p": False}


def test_names_with_quotes_are_values_not_code(evaluate: Evaluate, tmp_path: Path) -> None:
    draft = Draft(tmp_path / "tables").person("p", city="o'clock")
    draft.event("encounter", "p", department="o'clock", started_at=ago(1))
    tables = draft.write()
    assert evaluate("visited('o''clock', 3) and city = 'o''clock'", tables) == {"p": True}
