"""FHIR R4: bundles of transactions, single resources, bulk NDJSON, and the odd shapes between them."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from alongside.model.errors import DataInvalid
from alongside.sources import IngestReport
from tests.sources.conftest import Hospital

Resource = dict[str, Any]
SUBJECT = {"reference": "Patient/p1"}
MARKETING = [{"system": "x", "code": "HMARKT"}]
OLD_NAME = {"use": "old", "text": "x"}
SEVEN = {"value": 7.10, "unit": "%"}


def coding(system: str, code: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": code}]}


LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"


def read(hospital: Hospital, *resources: Any) -> IngestReport:
    """Ingest these resources, one file each."""
    for index, resource in enumerate(resources):
        hospital.put(f"fhir/{index:03d}.json", json.dumps(resource, ensure_ascii=False))
    return hospital.read("fhir_r4", given={"fhir_r4": hospital.project.var / "fhir"})


def observation(**more: Any) -> Resource:
    base = {"resourceType": "Observation", "id": "o1", "status": "final", "code": coding(LOINC, "4548-4")}
    return base | {"subject": SUBJECT, "effectiveDateTime": "2026-01-02T08:00:00+08:00"} | more


def why(hospital: Hospital) -> list[tuple[str, str, str]]:
    return [(row["table_name"], row["field"], row["rule"]) for row in hospital.quarantine()]


def test_references_of_a_transaction_are_resolved(shipped: Hospital) -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": "urn:uuid:aaa",
                "resource": {"resourceType": "Patient", "birthDate": "1960-01-02"},
                "request": {"method": "POST", "url": "Patient"},
            },
            {
                "fullUrl": "urn:uuid:bbb",
                "resource": observation(subject={"reference": "urn:uuid:aaa"}, valueQuantity=SEVEN),
                "request": {"method": "POST", "url": "Observation"},
            },
        ],
    }
    assert read(shipped, bundle).kept == 2
    assert shipped.rows("patient", "source_id") == [{"source_id": "aaa"}]
    [row] = shipped.rows("observation")
    assert (row["patient_source_id"], row["source_row"], row["value"], row["concepts"]) == ("aaa", 2, 7.1, ["hba1c"])


@pytest.mark.parametrize(
    "reference", ["Patient/p1", "http://his.example/fhir/Patient/p1", "Patient/p1/_history/3", "urn:uuid:p1"]
)
def test_every_form_of_reference_means_the_same_patient(shipped: Hospital, reference: str) -> None:
    read(shipped, observation(subject={"reference": reference}, valueQuantity=SEVEN))
    assert shipped.rows("observation", "patient_source_id") == [{"patient_source_id": "p1"}]


def test_components_are_rows_of_their_own(shipped: Hospital) -> None:
    pressure = observation(
        code=coding(LOINC, "85354-9"),
        component=[
            {"code": coding(LOINC, "8480-6"), "valueQuantity": {"value": 152, "unit": "mmHg"}},
            {"code": coding(LOINC, "8462-4"), "valueQuantity": {"value": 12.0, "unit": "kPa"}},
        ],
    )
    report = read(shipped, pressure)
    assert report.source("fhir_r4").resources_read == 1
    assert [(row["source_id"], row["concepts"], row["value"], row["unit"]) for row in shipped.rows("observation")] == [
        ("o1#1", ["systolic_bp"], 152.0, "mm[Hg]"),
        ("o1#2", ["diastolic_bp"], 90.00744, "mm[Hg]"),
    ]


def test_a_result_below_the_limit_of_detection_is_no_number(shipped: Hospital) -> None:
    read(shipped, observation(valueQuantity={"value": 5, "comparator": "<", "unit": "%"}))
    assert shipped.rows("observation", "value, value_text") == [{"value": None, "value_text": "< 5 %"}]


def test_ndjson_is_read_line_by_line(shipped: Hospital) -> None:
    lines = [
        json.dumps({"resourceType": "Patient", "id": "p1"}),
        "{broken",
        "",
        json.dumps({"resourceType": "Practitioner", "id": "d1"}),
        json.dumps(["no resource"]),
        json.dumps({"resourceType": "Patient", "id": "p2", "gender": "robot"}),
    ]
    shipped.put("fhir/Patient.ndjson.gz", gzip.compress("\n".join(lines).encode()))
    report = read(shipped)
    source = report.source("fhir_r4")
    assert (source.resources_read, dict(source.resources_not_used)) == (5, {"Practitioner": 1})
    assert sorted((row["source_row"], row["rule"]) for row in shipped.quarantine()) == [
        *((2, "not_fhir"), (4, "not_fhir"), (5, "unknown_value"))
    ]
    assert report.kept == 2


@pytest.mark.parametrize(
    ("resource", "refusal"),
    [
        ({"resourceType": "Patient", "id": "p", "birthDate": "soon"}, ("patient", "", "invalid_resource")),
        ({"resourceType": "Patient", "id": "p", "unheard": 1}, ("patient", "", "invalid_resource")),
        ({"resourceType": "Patient", "id": "p", "birthDate": "1960"}, ("patient", "birth_date", "partial_date")),
        (observation(status="entered-in-error"), ("observation", "status", "not_usable")),
        (observation(subject={"reference": "Group/g1"}), ("observation", "patient_source_id", "not_a_patient")),
        (observation(subject=None), ("observation", "patient_source_id", "missing_required")),
        (observation(), ("observation", "value", "no_value")),
        (observation(valueQuantity={"value": 7, "unit": "g"}), ("observation", "unit", "unknown_unit")),
        (
            {"resourceType": "Condition", "id": "c", "subject": SUBJECT, "code": coding(SNOMED, "38341003"),
             "recordedDate": "2020-01-01", "verificationStatus": coding("x", "refuted")},
            ("condition", "verificationStatus", "not_usable"),
        ),
        (
            {"resourceType": "Consent", "id": "c", "status": "active", "scope": coding("x", "patient-privacy"),
             "category": [coding("x", "y")], "patient": SUBJECT, "dateTime": "2026-01-01",
             "policyRule": coding("x", "OPTIN")},
            ("consent", "provision", "not_understood"),
        ),
        ({"no": "resource"}, ("resource", "", "not_fhir")),
        ([1, 2], ("resource", "", "not_fhir")),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_with_its_reason(
    shipped: Hospital, resource: Any, refusal: tuple[str, str, str]
) -> None:
    report = read(shipped, resource)
    assert why(shipped) == [refusal]
    assert report.rows_read == report.kept + report.rejected == 1


def test_a_reason_names_the_place_and_not_the_value(shipped: Hospital) -> None:
    read(shipped, {"resourceType": "Patient", "id": "p", "birthDate": "canary-19600102"})
    [row] = shipped.quarantine()
    assert "Patient.birthDate" in row["reason"]
    assert "canary" not in str(row)


def test_an_ended_condition_without_its_day_is_not_active(shipped: Hospital) -> None:
    resource = {
        **{"resourceType": "Condition", "id": "c", "subject": SUBJECT, "code": coding(SNOMED, "38341003")},
        **{"clinicalStatus": coding("x", "resolved"), "onsetDateTime": "2012", "recordedDate": "2020-05-06"},
    }
    read(shipped, resource)
    [row] = shipped.rows("condition")
    assert (str(row["onset_at"]), str(row["abated_at"])) == ("2012-01-01 00:00:00", "2020-05-06 00:00:00")


def test_a_death_without_a_date_is_still_a_death(shipped: Hospital) -> None:
    read(shipped, {"resourceType": "Patient", "id": "p", "deceasedBoolean": True})
    assert [row["deceased_at"] is not None for row in shipped.rows("patient")] == [True]


def test_names_are_written_as_their_people_write_them(shipped: Hospital) -> None:
    read(
        shipped,
        {
            "resourceType": "Patient",
            "id": "p1",
            "name": [OLD_NAME, {"family": "欧阳", "given": ["娜娜"]}],
        },
        {"resourceType": "Patient", "id": "p2", "name": [{"family": "de la Cruz", "given": ["Ana", "María"]}]},
        {"resourceType": "Patient", "id": "p3", "name": [{"use": "official", "text": "王"}]},
    )
    names = {row["source_id"]: row["full_name"] for row in shipped.rows("patient")}
    assert names == {"p1": "欧阳娜娜", "p2": "Ana María de la Cruz", "p3": "王"}


def test_a_plain_consent_is_understood_by_purpose(shipped: Hospital) -> None:
    consent = {
        **{"resourceType": "Consent", "id": "k", "status": "active", "scope": coding("x", "patient-privacy")},
        **{"category": [coding("x", "y")], "patient": SUBJECT, "dateTime": "2026-01-01T10:00:00Z"},
        "policyRule": coding("x", "OPTIN"),
        "provision": {"type": "deny", "purpose": [{"system": "x", "code": "HMARKT"}, {"system": "x", "code": "TREAT"}]},
    }
    read(shipped, consent)
    assert [(row["purpose"], row["channel"], row["decision"]) for row in shipped.rows("consent")] == [
        *(("marketing", "*", "deny"), ("care", "*", "deny"))
    ]


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"status": "inactive"}, [None]),
        ({"status": "entered-in-error"}, [None]),
        ({"provision": {"type": "permit", "purpose": MARKETING, "period": {"start": "2026-01-01"}}}, [None]),
        ({"dateTime": None}, ["permit"]),
        ({"status": "draft"}, []),
        ({"provision": {"type": "permit", "purpose": [{"system": "x", "code": "FAMRQT"}]}}, []),
    ],
)
def test_a_consent_that_is_more_than_a_decision_is_kept_undecided(
    shipped: Hospital, change: dict[str, Any], kept: list[str | None]
) -> None:
    consent = {
        **{"resourceType": "Consent", "id": "k", "status": "active", "scope": coding("x", "patient-privacy")},
        **{"category": [coding("x", "y")], "patient": SUBJECT, "dateTime": "2026-01-01T10:00:00Z"},
        **{"policyRule": coding("x", "OPTIN"), "provision": {"type": "permit", "purpose": MARKETING}},
    }
    read(shipped, {name: value for name, value in (consent | change).items() if value is not None})
    assert [row["decision"] for row in shipped.rows("consent")] == kept
    assert len(why(shipped)) == 1


def test_a_coding_with_a_known_meaning_is_preferred(shipped: Hospital) -> None:
    both = {"coding": [{"system": "urn:oid:1.2", "code": "99"}, {"system": SNOMED, "code": "38341003"}]}
    condition = {"resourceType": "Condition", "id": "c", "subject": SUBJECT, "code": both, "recordedDate": "2020-01-01"}
    read(shipped, condition)
    [row] = shipped.rows("condition")
    assert (row["system"], row["code"], row["concepts"]) == ("snomed", "38341003", ["hypertension"])


def test_one_broken_file_of_many_is_quarantined(shipped: Hospital) -> None:
    shipped.put("fhir/zz.json", "{")
    report = read(shipped, {"resourceType": "Patient", "id": "p"})
    source = report.source("fhir_r4")
    assert (source.files, source.files_rejected, report.kept) == (2, 1, 1)
    [row] = shipped.quarantine()
    assert (row["source_file"], row["rule"]) == ("zz.json", "file_unreadable")


def test_a_folder_without_one_readable_file_stops_the_run(shipped: Hospital) -> None:
    shipped.put("fhir/zz.json", "{")
    with pytest.raises(DataInvalid, match="not valid JSON"):
        read(shipped)


def test_a_resource_that_stands_in_two_files_is_kept_once(shipped: Hospital) -> None:
    patient = {"resourceType": "Patient", "id": "p"}
    report = read(shipped, patient, patient | {"gender": "female"})
    assert (report.kept, report.count("duplicate_id")) == (1, 1)
    assert shipped.rows("patient", "gender") == [{"gender": "female"}]


RELATED = {"resourceType": "RelatedPerson", "id": "r1", "patient": SUBJECT}


@pytest.mark.parametrize(
    ("changes", "relationship", "decision", "day"),
    [
        ({"relationship": [coding("v3", "MTH")], "period": {"start": "2024-05-01"}}, "mother", None, "2024-05-01"),
        ({"relationship": [coding("v3", "PRN")], "gender": "male"}, "father", None, "1900-01-01"),
        ({"relationship": [coding("v2", "N"), coding("v3", "DAUC")]}, "child", None, "1900-01-01"),
        ({"relationship": [coding("v3", "NBOR")]}, "other", None, "1900-01-01"),
        ({}, "other", None, "1900-01-01"),
        (
            {"relationship": [coding("v3", "WIFE")], "active": False, "period": {"end": "2025-01-02"}},
            *("spouse", "deny", "2025-01-02"),
        ),
    ],
)
def test_a_related_person_is_somebody_who_can_be_written_to_and_no_patient(
    shipped: Hospital, changes: Resource, relationship: str, decision: str | None, day: str
) -> None:
    contact = {"telecom": [{"system": "email", "value": "r@example.com"}], "name": [{"text": "李示例"}]}
    read(shipped, {"resourceType": "Patient", "id": "p1"}, RELATED | contact | changes)
    (relation,) = shipped.rows("related_person")
    assert (relation["patient_source_id"], relation["relative_source_id"]) == ("p1", "RelatedPerson/r1")
    assert (relation["relationship"], relation["decision"]) == (relationship, decision)
    assert str(relation["decided_at"]).startswith(day)
    roles = {row["source_id"]: (row["role"], row["email"]) for row in shipped.rows("patient")}
    assert roles == {"p1": (None, None), "RelatedPerson/r1": ("contact", "r@example.com")}


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        ([{"use": "old", "city": "Oldtown"}, {"use": "home", "city": "Newtown"}], "Newtown"),
        ([{"type": "physical", "city": "Visit"}, {"type": "postal", "city": "Post"}], "Post"),
        ([{"type": "physical", "city": "Visit"}], "Visit"),
        ([{"use": "old", "city": "Oldtown"}], None),
    ],
)
def test_letters_go_where_somebody_lives_now(
    shipped: Hospital, addresses: list[dict[str, str]], expected: str | None
) -> None:
    line = {"line": ["1 Sample Street", "Flat 2"], "postalCode": "00000", "state": "ZZ", "country": "US"}
    read(shipped, {"resourceType": "Patient", "id": "p1", "address": [{**line, **one} for one in addresses]})
    [row] = shipped.rows("patient", "address_line, city, state, postal_code, country")
    known = ("1 Sample Street, Flat 2", expected, "ZZ", "00000", "US")
    assert tuple(row.values()) == (known if expected else (None,) * 5)
