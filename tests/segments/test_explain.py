"""Why somebody belongs to a segment, or not."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from alongside.model.errors import Refused
from alongside.segments import Catalogue, explain
from tests.segments.conftest import Written
from tests.segments.hospital import AS_OF, Draft, ago


@pytest.fixture
def catalogue(written: Written) -> Catalogue:
    written.tag("old", when="age >= 60")
    written.segment("high", "latest('systolic_bp') >= 140")
    return written.segment(
        "due", "has_tag('old') and (in_segment('high') or visited('cardiology', 9))", exclude="booked('follow_up')"
    ).load()


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    draft = Draft(tmp_path / "tables").person("a", age=70).person("b", age=40)
    draft.reading("a", "systolic_bp", 152.0, ago(3)).reading("b", "systolic_bp", 90.0, ago(3))
    draft.event("encounter", "a", department="cardiology", started_at=ago(30))
    return draft.write()


def test_every_part_is_shown_with_its_value_down_to_the_facts(
    catalogue: Catalogue, tables: Path, duck: duckdb.DuckDBPyConnection
) -> None:
    found = explain(catalogue, "due", tables, "a", AS_OF, duck)
    assert [tuple(part) for part in found] == [
        ("segment due", True, 0),
        ("has_tag('old')", True, 1),
        ("tag old", True, 2),
        ("age >= 60", True, 3),
        ("age", 70, 4),
        ("in_segment('high') OR visited('cardiology', 9)", True, 1),
        ("in_segment('high')", True, 2),
        ("segment high", True, 3),
        ("latest('systolic_bp') >= 140", True, 4),
        ("latest('systolic_bp')", 152.0, 5),
        ("visited('cardiology', 9)", False, 2),
        ("booked('follow_up')", False, 1),
    ]


def test_who_does_not_belong_sees_which_part_failed(
    catalogue: Catalogue, tables: Path, duck: duckdb.DuckDBPyConnection
) -> None:
    values = {part.expression: part.value for part in explain(catalogue, "due", tables, "b", AS_OF, duck)}
    assert values["segment due"] is False
    assert values["age"] == 40
    assert values["in_segment('high')"] is False


@pytest.mark.parametrize("segment", ["hypertension_follow_up_due", "lapsed_patients", "new_mothers_day_42"])
def test_shipped_segments_can_be_explained(
    shipped: Catalogue, tables: Path, duck: duckdb.DuckDBPyConnection, segment: str
) -> None:
    found = explain(shipped, segment, tables, "a", AS_OF, duck)
    assert found[0] == (f"segment {segment}", False, 0)
    assert len(found) > 5


def test_unknown_people_and_segments_are_refused(
    catalogue: Catalogue, tables: Path, duck: duckdb.DuckDBPyConnection
) -> None:
    with pytest.raises(Refused, match="no such person"):
        explain(catalogue, "due", tables, "nobody", AS_OF, duck)
    with pytest.raises(Refused, match="did you mean 'high'"):
        explain(catalogue, "hihg", tables, "a", AS_OF, duck)
