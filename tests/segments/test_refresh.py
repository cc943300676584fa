"""Membership from one snapshot to the next: who belongs, since when, who entered and left."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from alongside.model.errors import DataInvalid, StoreUnavailable
from alongside.segments import Catalogue, RefreshReport, refresh
from tests.segments.conftest import Written
from tests.segments.hospital import AS_OF, Draft, ago, rows

DAY = timedelta(days=1)
FIRST = ago()


class Night:
    """Runs one refresh after the other, each against the one before."""

    def __init__(self, folder: Path, connection: duckdb.DuckDBPyConnection) -> None:
        self.folder = folder
        self.connection = connection
        self.number = -1
        self.previous: Path | None = None

    def run(self, catalogue: Catalogue, ages: dict[str, int | None], blocked: tuple[str, ...] = ()) -> RefreshReport:
        self.number += 1
        draft = Draft(self.folder / str(self.number))
        for person, age in ages.items():
            draft.person(person, age=age)
        tables = draft.write()
        as_of = AS_OF + self.number * DAY
        report = refresh(catalogue, tables, tables, self.previous, as_of, self.connection, blocked)
        self.previous = tables
        return report

    def table(self, name: str) -> list[tuple[object, ...]]:
        assert self.previous is not None
        return rows(self.previous / f"{name}.parquet")


@pytest.fixture
def night(tmp_path: Path, duck: duckdb.DuckDBPyConnection) -> Night:
    return Night(tmp_path / "nights", duck)


@pytest.fixture
def seniors(written: Written) -> Catalogue:
    return written.segment("seniors", "age >= 60").load()


def test_the_first_night_everybody_enters(night: Night, seniors: Catalogue) -> None:
    report = night.run(seniors, {"a": 70, "b": 50, "c": None})
    assert night.table("membership") == [("seniors", "a", FIRST)]
    assert night.table("membership_change") == [("seniors", "a", "entered")]
    assert report.to_json() == {
        "as_of": "2026-03-01T00:00:00+00:00",
        "persons": 3,
        "tags": {},
        "segments": {"seniors": {"members": 1, "entered": 1, "left": 0}},
        "stopped": [],
        "removed_segments": [],
    }
    json.dumps(report.to_json())


def test_since_is_kept_while_somebody_stays_and_starts_anew_after_a_break(night: Night, seniors: Catalogue) -> None:
    night.run(seniors, {"stays": 70, "goes": 70, "comes": 50})
    report = night.run(seniors, {"stays": 70, "goes": 50, "comes": 70})
    assert night.table("membership") == [("seniors", "comes", FIRST + DAY), ("seniors", "stays", FIRST)]
    assert night.table("membership_change") == [("seniors", "comes", "entered"), ("seniors", "goes", "left")]
    assert (report.segments["seniors"].entered, report.segments["seniors"].left) == (1, 1)
    night.run(seniors, {"stays": 70, "goes": 70, "comes": 70})
    assert ("seniors", "goes", FIRST + 2 * DAY) in night.table("membership")


def test_who_is_no_longer_known_has_left(night: Night, seniors: Catalogue) -> None:
    night.run(seniors, {"a": 70, "b": 70})
    night.run(seniors, {"a": 70})
    assert night.table("membership_change") == [("seniors", "b", "left")]


def test_the_same_night_again_gives_the_same_rows(night: Night, seniors: Catalogue) -> None:
    night.run(seniors, {"a": 70, "b": 50})
    before, tables = night.previous, night.folder / "again"
    night.run(seniors, {"a": 50, "b": 70})
    assert night.previous is not None
    tables.mkdir()
    refresh(seniors, night.previous, tables, before, AS_OF + DAY, night.connection)
    for name in ("tag", "membership", "membership_change", "membership_stopped"):
        assert rows(tables / f"{name}.parquet") == night.table(name)


def test_segments_build_on_tags_and_on_each_other(night: Night, written: Written) -> None:
    written.tag("phase", value="case when age >= 60 then 'old' else 'young' end").tag("odd", when="age % 2 = 1")
    written.segment("old", "tag('phase') = 'old'").segment("old_odd", "in_segment('old') and has_tag('odd')")
    written.segment("rest", "age > 0", exclude="in_segment('old_odd') or age > 80")
    report = night.run(written.load(), {"a": 61, "b": 62, "c": 33, "d": 90, "e": None})
    members = [(segment, person) for segment, person, _ in night.table("membership")]
    assert members == [
        *[("old", name) for name in "abd"],
        ("old_odd", "a"),
        ("rest", "b"),
        ("rest", "c"),
    ]
    assert night.table("tag") == [
        ("a", True, "old"),
        ("b", False, "old"),
        ("c", True, "young"),
        ("d", False, "old"),
        ("e", False, "young"),
    ]
    assert report.tags == {"odd": 2, "phase": 5}


def test_an_exclusion_that_is_null_excludes_nobody(night: Night, written: Written) -> None:
    catalogue = written.segment("s", "age > 3", exclude="last_nps < 7").load()
    night.run(catalogue, {"a": 70})
    assert [row[1] for row in night.table("membership")] == ["a"]


class TestStopped:
    """A field that failed data quality stops what reads it, and nothing else."""

    @pytest.fixture
    def catalogue(self, written: Written) -> Catalogue:
        written.tag("old", when="age >= 60").tag("reader", value="articles_read_90d")
        written.segment("seniors", "has_tag('old')").segment("grand", "in_segment('seniors') and age >= 80")
        return written.segment("everybody", "not deceased").load()

    def test_exactly_what_reads_the_field_stops_and_names_it(self, night: Night, catalogue: Catalogue) -> None:
        night.run(catalogue, {"a": 70, "b": 85})
        report = night.run(catalogue, {"a": 50, "b": 50}, blocked=("patient.birth_date", "observation.value"))
        assert [(item.kind, item.name, item.fields) for item in report.stopped] == [
            ("segment", "grand", ("patient.birth_date",)),
            ("segment", "seniors", ("patient.birth_date",)),
            ("tag", "old", ("patient.birth_date",)),
        ]
        assert report.stopped_segments == {"grand", "seniors"}
        assert {row[0] for row in night.table("membership")} == {"everybody"}
        assert night.table("membership_change") == []
        assert night.table("tag") == [("a", None, 0), ("b", None, 0)]

    def test_since_survives_any_number_of_stopped_nights(self, night: Night, catalogue: Catalogue) -> None:
        night.run(catalogue, {"a": 70, "b": 85})
        for _ in range(3):
            night.run(catalogue, {"a": 70, "b": 85}, blocked=("patient.birth_date",))
        assert night.table("membership_stopped") == [
            ("grand", "b", FIRST),
            ("seniors", "a", FIRST),
            ("seniors", "b", FIRST),
        ]
        night.run(catalogue, {"a": 70, "b": 50, "c": 70})
        assert [row for row in night.table("membership") if row[0] != "everybody"] == [
            ("seniors", "a", FIRST),
            ("seniors", "c", FIRST + 4 * DAY),
        ]
        assert [row for row in night.table("membership_change") if row[0] != "everybody"] == [
            ("grand", "b", "left"),
            ("seniors", "b", "left"),
            ("seniors", "c", "entered"),
        ]
        assert night.table("membership_stopped") == []

    def test_a_whole_table_can_fail(self, night: Night, catalogue: Catalogue) -> None:
        for name in ("interaction", "interaction.*"):
            report = night.run(catalogue, {"a": 70}, blocked=(name,))
            assert [item.name for item in report.stopped] == ["reader"]

    def test_everything_stopped_is_still_a_snapshot(self, night: Night, catalogue: Catalogue) -> None:
        report = night.run(catalogue, {"a": 70}, blocked=("patient", "interaction"))
        assert report.persons == 1
        assert report.segments == {}
        assert night.table("membership") == []


def test_a_segment_that_was_taken_out_is_reported_and_forgotten(night: Night, written: Written) -> None:
    written.segment("kept", "age > 3").segment("gone", "age > 3")
    night.run(written.load(), {"a": 70})
    (written.root / "config" / "segments" / "gone.yaml").unlink()
    report = night.run(written.load(), {"a": 70})
    assert report.removed == ("gone",)
    assert night.table("membership_change") == []
    assert {row[0] for row in night.table("membership")} == {"kept"}


def test_a_hospital_with_nobody_and_no_segments(night: Night, written: Written) -> None:
    assert night.run(written.load(), {}).persons == 0
    assert night.table("membership") == []
    written.segment("seniors", "age >= 60 and latest('hba1c') > 7")
    assert night.run(written.load(), {}).segments["seniors"].members == 0


def test_parts_of_the_hospital_give_the_same_as_the_whole(
    written: Written, duck: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    written.segment("high", "latest('systolic_bp') >= 140 and average('systolic_bp', 30) > 120")
    written.segment("seen", "in_segment('high') and visited('cardiology', 9)")
    catalogue = written.load()
    parts: list[list[tuple[object, ...]]] = []
    for part, numbers in {"whole": range(60), "even": range(0, 60, 2), "odd": range(1, 60, 2)}.items():
        draft = Draft(tmp_path / part)
        for number in numbers:
            person = f"p{number}"
            draft.person(person, age=number)
            draft.reading(person, "systolic_bp", 100 + number, ago(number % 40))
            draft.reading(person, "systolic_bp", 130 + number % 20, ago(number % 7))
            draft.event("encounter", person, department="cardiology", started_at=ago(number % 20))
        tables = draft.write()
        refresh(catalogue, tables, tables, None, AS_OF, duck)
        parts.append(rows(tables / "membership.parquet"))
    assert parts[0]
    assert parts[0] == sorted(parts[1] + parts[2])


def test_the_connection_is_left_as_it_was_found(night: Night, seniors: Catalogue) -> None:
    night.run(seniors, {"a": 70})
    assert night.connection.execute("SELECT count(*) FROM duckdb_tables()").fetchone() == (0,)
    assert night.connection.execute("SELECT count(*) FROM duckdb_views() WHERE NOT internal").fetchone() == (0,)


def test_a_missing_table_a_missing_column_and_an_unwritable_folder_are_told_in_words(
    written: Written, duck: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    catalogue = written.segment("s", "visited('cardiology', 3) and age > 3").load()
    tables = Draft(tmp_path / "tables").person("secret-patient").write()
    with pytest.raises(StoreUnavailable, match="previous snapshot stays current"):
        refresh(catalogue, tables, tmp_path / "nowhere", None, AS_OF, duck)
    duckdb.sql("SELECT 'secret-patient' AS person_id").write_parquet(str(tables / "encounter.parquet"))
    with pytest.raises(DataInvalid, match="lacks a column") as raised:
        refresh(catalogue, tables, tables, None, AS_OF, duck)
    assert "secret" not in str(raised.value)
    (tables / "encounter.parquet").unlink()
    with pytest.raises(StoreUnavailable):
        refresh(catalogue, tables, tables, None, AS_OF, duck)


def test_a_calculation_that_overflows_names_no_value(night: Night, written: Written) -> None:
    catalogue = written.segment("s", "age * 2147483647 > 3").load()
    with pytest.raises(DataInvalid, match="does not fit a calculation") as raised:
        night.run(catalogue, {"a": 73})
    assert "73" not in str(raised.value)
    assert raised.value.__suppress_context__
