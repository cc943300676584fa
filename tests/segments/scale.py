"""A synthetic snapshot of any size, written by DuckDB: for measuring, and for comparing with hand-written SQL.

Rows are drawn independently, so it resembles a hospital in shape and volume only: per person some 30 readings, 6
visits, 10 interactions, 2 prescriptions and appointments.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from alongside.segments.columns import PERSON
from tests.segments.hospital import history_columns

_AS_OF = "TIMESTAMP '2026-03-01 00:00:00'"
_DEPARTMENTS = (
    "['cardiology', 'endocrinology', 'orthopaedics', 'obstetrics', 'oncology', 'gastroenterology', 'respiratory', "
    "'ophthalmology', 'general_practice', 'emergency', 'nephrology', 'rehabilitation']"
)
_SERVICES = "['follow_up', 'screening', 'vaccination', 'surgery', 'rehabilitation', 'antenatal', 'consultation']"
_TOPICS = "['hypertension', 'diabetes', 'joint_health', 'heart_health', 'nutrition', 'sleep', 'vaccination']"
_CONDITIONS = (
    "['hypertension', 'diabetes_type_2', 'prediabetes', 'hyperlipidemia', 'coronary_heart_disease', 'copd', "
    "'chronic_kidney_disease', 'knee_osteoarthritis', 'cataract', 'gallstones', 'pregnancy', 'heart_failure']"
)
_READINGS = (
    "['systolic_bp', 'diastolic_bp', 'heart_rate', 'body_weight', 'bmi', 'hba1c', 'fasting_glucose', "
    "'ldl_cholesterol', 'egfr', 'pain_severity']"
)
_PROCEDURES = (
    "['knee_replacement', 'cataract_surgery', 'colonoscopy', 'mammography', 'cholecystectomy', 'cesarean_section', "
    "'coronary_stent', 'rehabilitation_session']"
)
_MEDICATIONS = "['antihypertensive', 'metformin', 'insulin', 'statin', 'anticoagulant']"
_VACCINES = "['influenza_vaccine', 'covid19_vaccine', 'pneumococcal_vaccine']"


def _pick(options: str) -> str:
    return f"{options}[1 + CAST(floor(random() * len({options})) AS INTEGER)]"


def _some(options: str, share: float) -> str:
    return f"list_filter({options}, lambda x: random() < {share} + 0 * len(x))"


def _past(days: int) -> str:
    """A moment of the last `days`, recent ones more likely."""
    return f"{_AS_OF} - to_seconds(CAST(random() * random() * {days * 86400} AS BIGINT))"


_PERSON = {
    "is_patient": "TRUE",
    "gender": "CASE WHEN random() < 0.5 THEN 'female' ELSE 'male' END",
    "language": "CASE WHEN random() < 0.1 THEN 'en' ELSE 'zh_CN' END",
    "age": "CAST(random() * 95 AS INTEGER)",
    "days_to_birthday": "CAST(random() * 364 AS INTEGER)",
    "deceased": "random() < 0.03",
    "email_state": "CASE WHEN random() < 0.8 THEN 'valid' ELSE 'missing' END",
    "topics_off": f"CASE WHEN random() < 0.1 THEN [{_pick(_TOPICS)}] ELSE [] END",
    "registered_at": _past(3000),
    "last_encounter_at": f"CASE WHEN random() < 0.9 THEN {_past(900)} END",
    "last_discharge_at": f"CASE WHEN random() < 0.2 THEN {_past(300)} END",
    "encounters_12m": "CAST(random() * random() * 10 AS INTEGER)",
    "emergency_visits_12m": "CAST(random() * random() * 4 AS INTEGER)",
    "noshows_12m": "CAST(random() * random() * 4 AS INTEGER)",
    "inpatient_now": "random() < 0.01",
    "last_department": _pick(_DEPARTMENTS),
    "next_appointment_at": f"CASE WHEN random() < 0.2 THEN {_AS_OF} + to_hours(CAST(random() * 900 AS BIGINT)) END",
    "next_appointment_department": f"CASE WHEN random() < 0.2 THEN {_pick(_DEPARTMENTS)} END",
    "conditions": _some(_CONDITIONS, 0.15),
    "conditions_ever": _some(_CONDITIONS, 0.2),
    "medications": _some(_MEDICATIONS, 0.15),
    "procedures": _some(_PROCEDURES, 0.08),
    "interactions_30d": "CAST(random() * random() * 10 AS INTEGER)",
    "articles_read_90d": "CAST(random() * random() * 8 AS INTEGER)",
    "last_nps": "CASE WHEN random() < 0.3 THEN CAST(random() * 10 AS INTEGER) END",
}
#: table -> (rows a person, column -> SQL)
_HISTORIES: dict[str, tuple[float, dict[str, str]]] = {
    "condition": (
        1.5,
        {
            "concepts": f"[{_pick(_CONDITIONS)}]",
            "onset_at": _past(2000),
            "abated_at": f"CASE WHEN random() < 0.2 THEN {_past(500)} END",
        },
    ),
    "observation": (
        30,
        {
            "concepts": f"[{_pick(_READINGS)}]",
            "value": "random() * 200",
            "context": "['lab', 'clinic', 'home'][1 + CAST(floor(random() * 3) AS INTEGER)]",
            "effective_at": _past(900),
        },
    ),
    "procedure": (
        0.7,
        {
            "concepts": f"[{_pick(_PROCEDURES)}]",
            "status": "CASE WHEN random() < 0.9 THEN 'completed' ELSE 'not-done' END",
            "performed_at": _past(1500),
        },
    ),
    "medication_request": (
        2,
        {
            "concepts": f"[{_pick(_MEDICATIONS)}]",
            "status": "CASE WHEN random() < 0.7 THEN 'active' ELSE 'stopped' END",
            "days_supply": "CAST(10 + random() * 80 AS INTEGER)",
            "authored_at": _past(400),
        },
    ),
    "immunization": (0.8, {"concepts": f"[{_pick(_VACCINES)}]", "occurred_at": _past(900)}),
    "encounter": (6, {"class": "'AMB'", "department": _pick(_DEPARTMENTS), "started_at": _past(900)}),
    "interaction": (10, {"kind": "'article_read'", "topic": _pick(_TOPICS), "occurred_at": _past(300)}),
    "appointment": (
        2,
        {
            "service": _pick(_SERVICES),
            "status": "['booked', 'fulfilled', 'noshow', 'cancelled'][1 + CAST(floor(random() * 4) AS INTEGER)]",
            "booked_at": _past(60),
            "start_at": f"{_AS_OF} + to_hours(CAST((random() - 0.7) * 1400 AS BIGINT))",
        },
    ),
    "questionnaire_response": (
        0.4,
        {
            "questionnaire": "CASE WHEN random() < 0.5 THEN 'nps' ELSE 'visit_satisfaction' END",
            "score": "CAST(random() * 10 AS INTEGER)",
            "answered_at": _past(400),
        },
    ),
}


def write_hospital(folder: Path, people: int, threads: int = 1) -> Path:
    """Write `person` and every history that segments read; the same rows every time with one thread."""
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(config={"threads": threads}) as connection:
        connection.execute("SELECT setseed(0.42)")
        types = {name: column.sql_type for name, column in PERSON.items()}
        _write(connection, folder / "person.parquet", types, _PERSON, "printf('p%016x', hash(i))", people)
        for table, (each, columns) in _HISTORIES.items():
            owner = f"printf('p%016x', hash(CAST(floor(random() * {people}) AS BIGINT)))"
            path = folder / f"{table}.parquet"
            _write(connection, path, history_columns(table), columns, owner, int(people * each))
    return folder


def _write(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    types: dict[str, str],
    columns: dict[str, str],
    owner: str,
    count: int,
) -> None:
    known = {"person_id": owner, "source": "'his'", "source_id": "CAST(i AS VARCHAR)", **columns}
    if types.get("sources"):
        known.pop("source"), known.pop("source_id")
    listed = ", ".join(f"CAST({known.get(name, 'NULL')} AS {kind}) AS {name}" for name, kind in types.items())
    connection.execute(f"COPY (SELECT {listed} FROM range({count}) AS t(i)) TO '{path}' (FORMAT parquet)")
