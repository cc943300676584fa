"""The demo hospital's dirt is as common as declared, and its truth knows who is who."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from alongside.sandbox.hospital import HospitalReport, generate
from alongside.sandbox.hospital.dirt import DIRT, Dirt
from tests.sandbox.test_hospital import Rows
from tests.sandbox.test_hospital import read as read_file

read = lru_cache(maxsize=None)(read_file)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> HospitalReport:
    return generate(tmp_path_factory.mktemp("dirty"))


def share(rows: Rows, holds: Any) -> float:
    return sum(bool(holds(row)) for row in rows) / len(rows)


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


#: fault: (extract, which rows count as faulty, declared share, tolerance as a factor)
FAULTS: dict[str, tuple[str, Any, float]] = {
    "sex_unknown": ("his.patients", lambda row: row["sex"] == "未知", DIRT.sex_unknown),
    "language_missing": ("his.patients", lambda row: not row["language"], DIRT.language_missing * 0.93),
    "birth_missing": ("his.patients", lambda row: not row["birth_date"], DIRT.birth_missing),
    "birth_impossible": (
        "his.patients",
        lambda row: row["birth_date"] and not 1915 < int(row["birth_date"][:4]) <= 2026,
        DIRT.birth_impossible,
    ),
    "birth_other_format": (
        "his.patients",
        lambda row: row["birth_date"] and "-" not in row["birth_date"],
        DIRT.birth_other_format,
    ),
    "phone_invalid": ("crm.contacts", lambda row: len(row["phone"]) == 7, DIRT.phone_invalid),
    "phone_other_format": (
        "crm.contacts",
        lambda row: (
            len(row["phone"]) != 7
            and not (row["phone"].isascii() and row["phone"].isdigit() and len(row["phone"]) == 11)
        ),
        DIRT.phone_other_format,
    ),
    "address_missing": ("his.patients", lambda row: not row["address"], DIRT.address_missing),
    "address_unknown": ("his.patients", lambda row: row["address"] == "不详", DIRT.address_unknown),
    "address_in_one": ("his.patients", lambda row: not row["city"], DIRT.address_in_one),
    "postcode_missing": ("his.patients", lambda row: not row["postcode"], DIRT.postcode_missing),
    "postcode_invalid": (
        "his.patients",
        lambda row: row["postcode"] and len(row["postcode"]) == 5,
        DIRT.postcode_invalid * (1 - DIRT.postcode_missing),
    ),
    "vital_missing": ("his.vitals", lambda row: not row["value"], DIRT.vital_missing),
    "lab_missing": ("lis.results", lambda row: not row["value"], DIRT.lab_missing),
    "lab_text": ("lis.results", lambda row: row["value"] == "标本溶血", DIRT.lab_text),
    "lis_without_mrn": ("lis.patients", lambda row: not row["mrn"], DIRT.lis_without_mrn),
    "crm_without_mrn": ("crm.contacts", lambda row: not row["mrn"], DIRT.crm_without_mrn),
    "app_without_mrn": ("app_events.users", lambda row: not row["mrn"], DIRT.app_without_mrn),
    "days_negative": ("his.prescriptions", lambda row: int(row["days"]) < 0, DIRT.days_negative),
    "time_future": ("his.visits", lambda row: row["start_time"] > "2100", DIRT.time_future),
    "end_before_start": (
        "his.visits",
        lambda row: row["end_time"] and row["end_time"] < row["start_time"],
        DIRT.end_before_start,
    ),
    "code_unknown": (
        "his.diagnoses",
        lambda row: row["icd10"] in {"ZZZ.99", "X-2003", "999.9A", "待编码"},
        DIRT.code_unknown,
    ),
    "vital_impossible": (
        "his.vitals",
        lambda row: row["item"] == "SBP" and _number(row["value"]) == 700,
        DIRT.vital_impossible * 0.30,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_dirt_is_as_common_as_declared(made: HospitalReport, fault: str) -> None:
    extract, holds, declared = FAULTS[fault]
    rows = read(made.root, extract)
    spread = 4 * (declared * (1 - declared) / len(rows)) ** 0.5
    assert share(rows, holds) == pytest.approx(declared, abs=spread + 0.05 * declared)
    assert share(rows, holds) > 0


def test_glucose_comes_in_two_units(made: HospitalReport) -> None:
    glucose = [row for row in read(made.root, "lis.results") if row["item_code"] == "GLU"]
    other = [row for row in glucose if row["unit"] == "mg/dL"]
    assert len(other) / len(glucose) == pytest.approx(DIRT.glucose_mg_dl, abs=0.01)
    values = [value for row in other if (value := _number(row["value"])) is not None and value < 500]
    assert np.median(values) > 50


@pytest.mark.parametrize(
    ("extract", "key"), [("his.visits", "visit_no"), ("his.vitals", "vital_no"), ("lis.results", "result_no")]
)
def test_some_ids_stand_twice_in_one_extract(made: HospitalReport, extract: str, key: str) -> None:
    ids = [row[key] for row in read(made.root, extract)]
    assert 1 - len(set(ids)) / len(ids) == pytest.approx(DIRT.id_repeated, rel=0.4)


def test_people_stand_twice_within_a_system_and_differ_between_systems(made: HospitalReport) -> None:
    records = pq.read_table(made.truth / "records" / "2026-02-28.parquet").to_pylist()
    for source, declared in (("his", DIRT.his_second_record), ("crm", DIRT.crm_second_contact)):
        people = [row["person"] for row in records if row["source"] == source]
        assert len(people) / len(set(people)) - 1 == pytest.approx(declared, rel=0.35)
    person = {(row["source"], row["source_id"]): row["person"] for row in records}
    name = {person[("his", row["patient_no"])]: row["name"] for row in read(made.root, "his.patients")}
    contacts = read(made.root, "crm.contacts")
    differ = share(contacts, lambda row: row["name"] != name[person[("crm", row["contact_id"])]])
    assert 0.015 < differ < 0.06


def test_families_share_addresses_and_some_addresses_are_none(made: HospitalReport) -> None:
    emails = [row["email"] for row in read(made.root, "crm.contacts") if row["email"]]
    readable = [email.strip().lower() for email in emails]
    assert 0.02 < 1 - len(set(readable)) / len(readable) < 0.15
    broken = share(
        [{"email": email} for email in emails],
        lambda row: (
            " at " in row["email"] or "@@" in row["email"] or row["email"].endswith("@") or row["email"] == "无"
        ),
    )
    assert broken == pytest.approx(DIRT.email_invalid, abs=0.008)


def test_every_rate_of_dirt_is_described_in_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "demo-hospital.md").read_text("utf-8")
    assert [name for name in Dirt.__dataclass_fields__ if f"`{name}`" not in text] == []


# ---------------------------------------------------------------------------------------------------------- truth
def test_the_truth_names_every_record_of_every_system(made: HospitalReport) -> None:
    records = pq.read_table(made.truth / "records" / "2026-02-28.parquet").to_pylist()
    known = {(row["source"], row["source_id"]) for row in records}
    assert len(known) == len(records)
    for extract, key in (
        ("his.patients", "patient_no"),
        ("lis.patients", "lis_pid"),
        ("crm.contacts", "contact_id"),
        ("app_events.users", "user_id"),
    ):
        written = {(extract.split(".")[0], row[key]) for row in read(made.root, extract)}
        if extract == "crm.contacts":
            written |= {("crm", f"relative:{row['relative_id']}") for row in read(made.root, "crm.relatives")}
        assert written == {pair for pair in known if pair[0] == extract.split(".")[0]}


def test_the_hospital_remembers_its_parameters(made: HospitalReport) -> None:
    facts = json.loads((made.truth / "hospital.json").read_text("utf-8"))
    assert (facts["patients"], facts["seed"], facts["start"]) == (5_000, 20260228, "2026-02-28")
