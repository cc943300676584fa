"""Lineage: which canonical fields a tag, a segment or a variable depends on."""

from __future__ import annotations

import re

import pytest

from alongside.model.canonical import TABLES
from alongside.segments import Catalogue, compile_variables
from alongside.segments.columns import PERSON
from alongside.segments.features import MEASURES
from tests.conftest import ROOT
from tests.segments.conftest import Written


def documented_person_columns() -> list[str]:
    """Names in the table of `person.parquet` in docs/architecture.md."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    section = text.split("`tables/person.parquet`")[1].split("\n\n")[1]
    cells = [line.split("|")[1] for line in section.splitlines()[2:]]
    return [name.strip() for cell in cells for name in cell.split(",")]


def test_every_person_column_has_its_lineage_and_none_is_invented() -> None:
    assert sorted(PERSON) == sorted(documented_person_columns())
    assert all(column.reads for column in PERSON.values())


def test_lineage_names_fields_that_exist() -> None:
    known = {f"{table.name}.{column}" for table in TABLES.values() for column in table.column_names}
    for column in PERSON.values():
        assert column.reads <= known, column.name


@pytest.mark.parametrize(
    ("expression", "fields"),
    [
        ("age > 3", {"patient.birth_date"}),
        ("email_state = 'valid'", {"patient.email"}),
        ("deceased", {"patient.deceased_at"}),
        ("last_encounter_at is null", {"encounter.started_at", "encounter.patient_source_id"}),
        (
            "has_condition('hypertension')",
            {
                *("condition.concepts", "condition.code", "condition.system"),
                *("condition.onset_at", "condition.abated_at", "condition.patient_source_id"),
            },
        ),
        (
            "latest('hba1c', 'lab') > 7",
            {
                *("observation.concepts", "observation.code", "observation.system", "observation.patient_source_id"),
                *("observation.value", "observation.unit", "observation.context", "observation.effective_at"),
            },
        ),
        (
            "booked('follow_up')",
            {
                *("appointment.service", "appointment.status", "appointment.start_at", "appointment.booked_at"),
                "appointment.patient_source_id",
            },
        ),
        ("today() > date '2020-01-01'", set()),
    ],
)
def test_what_an_expression_reads(written: Written, expression: str, fields: set[str]) -> None:
    catalogue = written.segment("s", expression).load()
    assert catalogue.reads("segment", "s") == fields
    assert compile_variables({"v": expression}, catalogue).reads == fields


def test_reading_goes_through_tags_and_segments(written: Written) -> None:
    written.tag("old", when="age >= 60").segment("a", "has_tag('old')")
    written.segment("b", "in_segment('a') and gender = 'male'")
    catalogue = written.load()
    both = {"patient.birth_date", "patient.gender"}
    assert catalogue.reads("segment", "b") == both
    assert compile_variables({"v": "in_segment('b')"}, catalogue).reads == both


def test_what_a_segment_excludes_is_read_too(written: Written) -> None:
    catalogue = written.segment("a", "age > 3", exclude="gender = 'male'").load()
    assert catalogue.reads("segment", "a") == {"patient.birth_date", "patient.gender"}


def test_every_measure_reads_fields_that_exist() -> None:
    from alongside.segments.features import Feature

    known = {f"{table.name}.{column}" for table in TABLES.values() for column in table.column_names}
    for name in MEASURES:
        assert Feature(name, "x", "home" if name.startswith("reading") else "").reads <= known, name


def test_one_failed_field_stops_exactly_its_readers_in_the_shipped_catalogue(shipped: Catalogue) -> None:
    stopped = shipped.stopped_by(["medication_request.days_supply"])
    assert sorted(stopped) == [("segment", "medication_refill_due"), ("tag", "needs_refill")]
    assert set(stopped.values()) == {("medication_request.days_supply",)}
    assert shipped.stopped_by(["consent.decision", "preference.channel"]) == {}


def test_a_version_changes_with_meaning_only(written: Written) -> None:
    written.tag("old", when="age >= 60").segment("a", "has_tag('old')").segment("b", "age > 3")
    before = written.load()
    path = written.root / "config" / "tags" / "tags.yaml"
    path.write_text(path.read_text("utf-8").replace("60", "65").replace("words", "other words"), "utf-8")
    written.segment("b", "age\n>  3")
    after = written.load()
    assert before.version("segment", "a") != after.version("segment", "a")
    assert before.version("segment", "b") == after.version("segment", "b")
    assert re.fullmatch(r"[0-9a-f]{12}", after.version("tag", "old"))
