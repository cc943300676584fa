"""Message variables: the same language, any single value, for the people of a plan."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from alongside.model.errors import ConfigurationInvalid
from alongside.segments import Catalogue, Place, check_variables, compile_variables, in_document, refresh
from alongside.settings import read_document
from tests.segments.conftest import Written
from tests.segments.hospital import AS_OF, Draft, ago


@pytest.fixture
def catalogue(written: Written) -> Catalogue:
    written.tag("phase", value="case when age >= 60 then 'old' else 'young' end").tag("old", when="age >= 60")
    return written.segment("seniors", "age >= 60").load()


@pytest.fixture
def tables(tmp_path: Path, catalogue: Catalogue, duck: duckdb.DuckDBPyConnection) -> Path:
    draft = Draft(tmp_path / "tables")
    for person, age in {"a": 70, "b": 50, "c": 65}.items():
        draft.person(person, age=age, last_department="cardiology", last_encounter_at=ago(30))
    draft.reading("a", "systolic_bp", 152.0, ago(3)).reading("c", "systolic_bp", 131.0, ago(9))
    tables = draft.write()
    refresh(catalogue, tables, tables, None, AS_OF, duck)
    return tables


def test_values_of_every_type_for_the_people_asked_for(
    catalogue: Catalogue, tables: Path, duck: duckdb.DuckDBPyConnection
) -> None:
    compiled = compile_variables(
        {
            "age": "age",
            "last_systolic": "latest('systolic_bp')",
            "department": "last_department",
            "last_visit": "last_encounter_at",
            "phase": "tag('phase')",
            "is_senior": "in_segment('seniors') and has_tag('old')",
        },
        catalogue,
    )
    table = compiled.evaluate(duck, tables, AS_OF, duck.sql("SELECT * FROM (VALUES ('a'), ('b')) t(person_id)"))
    assert table.column_names == ["person_id", *compiled.trees]
    found = sorted(table.to_pylist(), key=lambda row: row["person_id"])
    assert found == [
        {
            "person_id": "a",
            "age": 70,
            "last_systolic": 152.0,
            "department": "cardiology",
            "last_visit": ago(30),
            "phase": "old",
            "is_senior": True,
        },
        {
            "person_id": "b",
            "age": 50,
            "last_systolic": None,
            "department": "cardiology",
            "last_visit": ago(30),
            "phase": "young",
            "is_senior": False,
        },
    ]


def test_the_sql_can_be_built_into_another_query(
    catalogue: Catalogue, tables: Path, duck: duckdb.DuckDBPyConnection
) -> None:
    duck.execute("CREATE TEMP TABLE audience AS SELECT 'c' AS person_id")
    query = compile_variables({"bp": "latest('systolic_bp')"}, catalogue).select_sql(tables, AS_OF, "audience")
    assert duck.execute(f"SELECT * FROM ({query})").fetchall() == [("c", 131.0)]


def test_no_variables_still_name_the_people(
    catalogue: Catalogue, tables: Path, duck: duckdb.DuckDBPyConnection
) -> None:
    table = compile_variables({}, catalogue).evaluate(duck, tables, AS_OF)
    assert sorted(table["person_id"].to_pylist()) == ["a", "b", "c"]


def test_faults_name_file_line_and_field(catalogue: Catalogue, tmp_path: Path) -> None:
    path = tmp_path / "message.yaml"
    path.write_text(
        "purpose: care\n"
        "variables:\n"
        "  bp: {value: latest('systolic_bp')}\n"
        "  wrong:\n"
        "    value: aeg\n"
        "  list:\n"
        "    value: >\n"
        "      conditions\n",
        "utf-8",
    )
    document = read_document(path)
    expressions = {name: body["value"] for name, body in document.data["variables"].items()}
    found = check_variables(expressions, catalogue, in_document(document, "variables", leaf="value"))
    assert [(Path(item.path).name, item.line, item.field) for item in found] == [
        ("message.yaml", 5, "variables.wrong.value"),
        ("message.yaml", 7, "variables.list.value"),
    ]
    assert found[0].remedy == "did you mean 'age'?"
    assert "single value" in found[1].remedy


def test_places_may_come_from_a_function_and_conditions_must_be_true_or_false(catalogue: Catalogue) -> None:
    where = {"fulfilled_when": Place("campaign.yaml", 9, "fulfilled_when")}
    (found,) = check_variables({"fulfilled_when": "age"}, catalogue, where.__getitem__, condition=True)
    assert str(found).startswith("campaign.yaml:9: fulfilled_when: must be true or false, but is a number")
    assert check_variables({"fulfilled_when": "booked('surgery')"}, catalogue, condition=True) == []


def test_compiling_refuses_what_checking_reports(catalogue: Catalogue) -> None:
    with pytest.raises(ConfigurationInvalid, match="did you mean 'age'"):
        compile_variables({"x": "aeg"}, catalogue)
