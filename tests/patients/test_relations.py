"""Relatives of the extracts: who they are, that they are no patients, and that the log holds each statement once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alongside.ledger.relations import fact_of, relations_of
from alongside.model.enums import Decision, Relationship
from tests.patients.world import NOW, Row, World, patient

LONG_AGO = datetime(2025, 6, 1)  # noqa: DTZ001 - canonical moments are UTC without zone


def _relation(number: str = "r1", **changes: Any) -> Row:
    return {
        "source_id": number,
        "patient_source_id": "old",
        "relative_source_id": "daughter",
        "relationship": "child",
        "decision": "permit",
        "decided_at": LONG_AGO,
        **changes,
    }


@pytest.fixture
def family(world: World) -> World:
    world.resolve(
        patient("old", full_name="张样本", birth_date="1944-05-01", phone="19900001111"),
        patient("daughter", full_name="张示例", email="daughter@example.com", role="contact"),
        related_person=[_relation()],
    )
    return world


def test_each_statement_is_recorded_once(family: World) -> None:
    report = family.record_relations()
    assert (report.rows, report.recorded, report.unknown_people) == (1, 1, 0)
    assert family.record_relations(NOW + timedelta(days=1)).recorded == 0
    known = family.person_map()
    with family.ledger.reading() as connection:
        (found,) = relations_of(connection, [known["his", "old"]], NOW)
    assert (found.related_id, found.relationship) == (known["his", "daughter"], Relationship.CHILD)
    assert (found.decides, found.decision) == (None, Decision.PERMIT)


@pytest.mark.parametrize(("decides", "expected"), [("yes", True), ("no", False), (None, None)])
def test_sql_and_python_agree_on_what_one_statement_is(
    world: World, decides: str | None, expected: bool | None
) -> None:
    people = (patient("old", full_name="张样本"), patient("daughter", full_name="李示例"))
    world.resolve(*people, related_person=[_relation(decides=decides)])
    world.record_relations()
    (row,) = world.ledger.read_arrow("SELECT * FROM relation_event").to_pylist()
    assert row["decides"] is expected
    at = row["decided_at"].replace(tzinfo=UTC)
    said = (row["person_id"], row["related_id"], row["relationship"], row["decides"], row["decision"], at)
    assert row["fact"] == fact_of(*said, row["origin"])


def test_a_relative_is_no_patient_unless_a_system_treats_them(family: World) -> None:
    assert sorted(row["is_patient"] for row in family.persons()) == [False, True]
    family.resolve(
        patient("old", full_name="张样本", birth_date="1944-05-01", phone="19900001111"),
        patient("daughter", full_name="张示例", email="daughter@example.com", role="contact", mrn="M7"),
        patient("P7", "crm", full_name="张示例", email="daughter@example.com", mrn="M7"),
    )
    assert [row["is_patient"] for row in family.persons()] == [True, True]


def test_a_yes_of_tomorrow_waits_and_a_no_of_tomorrow_does_not(world: World) -> None:
    people = (patient("old", full_name="张样本"), patient("daughter", full_name="李示例"))
    tomorrow = (NOW + timedelta(days=1)).replace(tzinfo=None)
    world.resolve(*people, related_person=[_relation(decided_at=tomorrow)])
    assert world.record_relations().recorded == 0
    world.resolve(*people, related_person=[_relation(decided_at=tomorrow, decision="deny")])
    assert world.record_relations().recorded == 1


def test_a_relative_whom_no_extract_describes_is_counted(world: World) -> None:
    world.resolve(patient("old", full_name="张样本"), related_person=[_relation(relative_source_id="nobody")])
    report = world.record_relations()
    assert (report.recorded, report.unknown_people) == (0, 1)
