"""Who lives with whom, and who is treated where, as the picture of the patients has it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import duckdb
import pyarrow as pa
import pytest

from alongside.outreach.experiments import Unit, cluster_id
from alongside.outreach.units import (
    LARGEST_HOUSEHOLD,
    clinics_with_an_arm,
    households_with_an_arm,
    load_units,
    units_of_people,
)

SECRET = b"k" * 32
Person = tuple[str, str | None, str | None, str | None]  # person_id, postal, e-mail and phone blind


@pytest.fixture
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE person (person_id VARCHAR, postal_blind VARCHAR, email_blind VARCHAR, phone_blind VARCHAR,"
            " deceased BOOLEAN, next_appointment_department VARCHAR, last_department VARCHAR)"
        )
        yield connection


def _people(duck: duckdb.DuckDBPyConnection, *people: Person, dead: str = "") -> None:
    for person, *blinds in people:
        duck.execute("INSERT INTO person VALUES (?, ?, ?, ?, ?, NULL, NULL)", [person, *blinds, person == dead])


def _units(duck: duckdb.DuckDBPyConnection, unit: Unit = Unit.HOUSEHOLD) -> dict[str, str]:
    load_units(duck, unit)
    return dict(duck.execute("SELECT person_id, unit FROM own_unit").fetchall())


def test_people_who_share_an_address_a_mailbox_or_a_number_are_a_household(duck: duckdb.DuckDBPyConnection) -> None:
    _people(duck, ("a", "h1", "e1", None), ("b", "h1", None, "f2"), ("c", None, "e3", None), ("d", None, "e3", "f4"))
    _people(duck, ("e", "h5", "e5", "f5"))
    assert _units(duck) == {"a": "a", "b": "a", "c": "c", "d": "c", "e": "e"}


def test_a_household_reaches_as_far_as_its_bonds(duck: duckdb.DuckDBPyConnection) -> None:
    """A chain in which each knows only the next, the smallest id at its far end."""
    chain: list[Person] = [("z", "h1", None, None), ("y", "h1", "e1", None), ("x", None, "e1", "f1")]
    _people(duck, *chain, ("w", "h2", None, "f1"), ("a", "h2", None, None))
    assert set(_units(duck).values()) == {"a"}


def test_an_address_of_many_is_no_household(duck: duckdb.DuckDBPyConnection) -> None:
    """A home for the old or the switchboard of a firm; a phone that two of them share still is."""
    residents = [f"p{number:02}" for number in range(LARGEST_HOUSEHOLD + 1)]
    _people(duck, *((one, "home", None, "f1" if one in ("p01", "p04") else None) for one in residents))
    units = _units(duck)
    assert units == {one: "p01" if one == "p04" else one for one in residents}
    duck.execute("DELETE FROM person WHERE person_id = 'p00'")
    assert set(_units(duck).values()) == {"p01"}


def test_who_has_died_binds_nobody(duck: duckdb.DuckDBPyConnection) -> None:
    _people(duck, ("a", "h1", None, None), ("b", "h1", "e1", None), ("c", None, "e1", None), dead="b")
    assert _units(duck) == {"a": "a", "b": "b", "c": "c"}


def test_a_clinic_is_the_next_appointments_else_the_last_encounters(duck: duckdb.DuckDBPyConnection) -> None:
    rows = [("a", "Eye", "Heart"), ("b", None, "Heart"), ("c", None, None)]
    for person, following, last in rows:
        duck.execute("INSERT INTO person VALUES (?, NULL, NULL, NULL, FALSE, ?, ?)", [person, following, last])
    assert _units(duck, Unit.CLINIC) == {"a": "Eye", "b": "Heart"}


def _armed(*rows: tuple[str, str, str | None, int]) -> pa.Table:
    """person, variant, cluster and the day of their assignment."""
    names = ("person_id", "variant", "cluster_id")
    columns = {name: pa.array([row[place] for row in rows], pa.string()) for place, name in enumerate(names)}
    days = [datetime(2026, 3, row[3]) for row in rows]  # noqa: DTZ001  # as Arrow brings it: UTC without zone
    return pa.table({**columns, "assigned_at": pa.array(days, pa.timestamp("us"))})


def test_of_two_arms_in_a_household_the_first_is_the_newcomers(duck: duckdb.DuckDBPyConnection) -> None:
    """Two homes became one; whoever joins them later follows who was there first."""
    _people(duck, ("a", "h1", None, None), ("b", "h1", None, None), ("c", "h1", None, None), ("d", "h2", None, None))
    load_units(duck, Unit.HOUSEHOLD)
    found = households_with_an_arm(duck, _armed(("b", "personal", "c2", 2), ("c", "control", "c1", 1)))
    assert found.to_pylist() == [{"unit": "a", "variant": "control", "cluster_id": "c1"}]
    assert sorted(units_of_people(duck, pa.array(["b", "d"])).to_pylist()) == ["a", "d"]


def test_a_clinic_keeps_its_arm_when_its_people_move_on(duck: duckdb.DuckDBPyConnection) -> None:
    for person, department in (("a", "Eye"), ("b", "Heart"), ("c", "Skin")):
        duck.execute("INSERT INTO person VALUES (?, NULL, NULL, NULL, FALSE, NULL, ?)", [person, department])
    load_units(duck, Unit.CLINIC)
    heart = cluster_id(SECRET, "wording", "Heart")
    found = clinics_with_an_arm(duck, _armed(("a", "personal", heart, 1)), SECRET, "wording")  # a has moved to Eye
    assert found.to_pylist() == [{"unit": "Heart", "variant": "personal", "cluster_id": heart}]
