"""Hospitals that nobody here invented: every record that our readers report is counted again by other means."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.sources.conftest import Hospital

pytestmark = pytest.mark.peer_data

FILES = {
    "patients": "patient",
    "encounters": "encounter",
    "conditions": "condition",
    "observations": "observation",
    "procedures": "procedure",
    "medications": "medication_request",
    "immunizations": "immunization",
    "allergies": "allergy_intolerance",
}
RESOURCES = {
    "Patient": "patient",
    "RelatedPerson": "related_person",
    "Encounter": "encounter",
    "Condition": "condition",
    "Procedure": "procedure",
    "MedicationRequest": "medication_request",
    "Immunization": "immunization",
    "AllergyIntolerance": "allergy_intolerance",
    "Appointment": "appointment",
    "Consent": "consent",
    "QuestionnaireResponse": "questionnaire_response",
}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def entries_of(folder: Path) -> list[dict[str, Any]]:
    bundles = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
    return [entry["resource"] for bundle in bundles for entry in bundle["entry"]]


def test_all_of_synthea_csv_arrives(shipped: Hospital, peer_data: Path) -> None:
    folder = peer_data / "synthea_csv"
    report = shipped.read("synthea_csv", given={"synthea_csv": folder})
    for file, table in FILES.items():
        expected = len(rows_of(folder / f"{file}.csv"))
        counts = report.table("synthea_csv", table)
        assert (table, counts.rows_read, counts.kept) == (table, expected, expected)
        assert len(shipped.rows(table)) == expected
    assert report.rejects == ()


def test_synthea_csv_means_what_it_says(shipped: Hospital, peer_data: Path) -> None:
    folder = peer_data / "synthea_csv"
    shipped.read("synthea_csv", given={"synthea_csv": folder})
    observations = rows_of(folder / "observations.csv")
    systolic = sorted(float(row["VALUE"]) for row in observations if row["CODE"] == "8480-6")
    assert sorted(row["value"] for row in measured(shipped, "systolic_bp")) == systolic
    cholesterol = sorted(round(float(row["VALUE"]) * 0.02586, 6) for row in observations if row["CODE"] == "2093-3")
    kept = measured(shipped, "total_cholesterol")
    assert sorted(row["value"] for row in kept) == cholesterol
    assert {row["unit"] for row in kept} == {"mmol/L"}
    smoking = [row for row in observations if row["CODE"] == "72166-2"]
    assert Counter(row["value_text"] for row in measured(shipped, "smoking_status")) == Counter(
        row["VALUE"] for row in smoking
    )
    ill = {row["PATIENT"] for row in rows_of(folder / "conditions.csv") if row["CODE"] == "59621000"}
    found = {row["patient_source_id"] for row in shipped.rows("condition") if "hypertension" in row["concepts"]}
    assert found == ill
    dead = sum(bool(row["DEATHDATE"]) for row in rows_of(folder / "patients.csv"))
    assert sum(row["deceased_at"] is not None for row in shipped.rows("patient")) == dead


def test_all_of_synthea_fhir_arrives(shipped: Hospital, peer_data: Path) -> None:
    folder = peer_data / "synthea_fhir_r4"
    report = shipped.read("fhir_r4", given={"fhir_r4": folder})
    resources = entries_of(folder)
    kinds = Counter(resource["resourceType"] for resource in resources)
    for kind, table in RESOURCES.items():
        assert (table, report.table("fhir_r4", table).kept) == (table, kinds[kind])
    panels = [item for item in resources if item["resourceType"] == "Observation"]
    expected = sum(len(item.get("component", [])) or 1 for item in panels)
    assert report.table("fhir_r4", "observation").kept == expected
    used = {*RESOURCES, "Observation"}
    source = report.source("fhir_r4")
    assert dict(source.resources_not_used) == {kind: count for kind, count in kinds.items() if kind not in used}
    assert source.resources_read == len(resources)
    assert report.rejects == ()


def test_every_synthea_row_belongs_to_a_patient_that_arrived(shipped: Hospital, peer_data: Path) -> None:
    given = {"synthea_csv": peer_data / "synthea_csv", "fhir_r4": peer_data / "synthea_fhir_r4"}
    shipped.read("synthea_csv", "fhir_r4", given=given)
    known = {(row["source"], row["source_id"]) for row in shipped.rows("patient")}
    for table in ("encounter", "condition", "observation", "procedure", "medication_request", "immunization"):
        rows = shipped.rows(table, "source, patient_source_id", "1, 2")
        assert {(row["source"], row["patient_source_id"]) for row in rows} <= known
    met = {(row["source"], row["source_id"]) for row in shipped.rows("encounter", "source, source_id")}
    visits = shipped.rows("condition", "source, encounter_source_id AS visit", "1, 2")
    assert {(row["source"], row["visit"]) for row in visits} <= met


def test_every_official_example_is_used_not_used_or_quarantined(shipped: Hospital, peer_data: Path) -> None:
    folder = peer_data / "hl7_fhir_r4_examples"
    report = shipped.read("fhir_r4", given={"fhir_r4": folder})
    kind_of = {path.name: json.loads(path.read_text("utf-8"))["resourceType"] for path in folder.glob("*.json")}
    assert len(kind_of) == report.source("fhir_r4").resources_read == report.source("fhir_r4").files

    tables = {*RESOURCES.values(), "observation"}
    used = {row["source_file"] for table in tables for row in shipped.rows(table, "source_file", "1")}
    refused = {row["source_file"] for row in shipped.quarantine()}
    other = {name for name, kind in kind_of.items() if kind not in {*RESOURCES, "Observation"}}
    assert used | refused | other == set(kind_of)
    assert not other & (used | refused)
    not_used = dict(report.source("fhir_r4").resources_not_used)
    assert not_used == Counter(kind_of[name] for name in other)
    assert all(row["reason"] for row in shipped.quarantine())
    assert len(used) >= 90, "most of what has a table is understood"


def measured(hospital: Hospital, concept: str) -> list[dict[str, Any]]:
    return [row for row in hospital.rows("observation") if concept in row["concepts"]]
