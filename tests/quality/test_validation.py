"""Great Expectations on DuckDB: counts that agree with plain SQL, a complete quarantine, fields that stop."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from alongside.quality import QualityReport, load_suites, validate
from alongside.quality.duckgx import ValidationFailed, argument_fault
from alongside.quality.duckmetrics import row_condition
from alongside.quality.suites import Expectation, Meta, Suite
from alongside.settings import Project
from alongside.warehouse import Warehouse
from tests.conftest import ROOT
from tests.quality.staging import OBSERVATIONS, PATIENTS, write_staging

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def validated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, QualityReport]:
    folder = tmp_path_factory.mktemp("quality")
    staging = write_staging(folder / "canonical")
    report = validate(
        staging, load_suites(Project.at(ROOT)), [], AS_OF, folder / "clean", Warehouse(folder / "var", "1GB", 2)
    )
    return folder, report


def _unexpected(report: QualityReport, rule: str) -> int:
    return next(check.unexpected for check in report.checks if check.id == rule)


def _rows(path: Path, what: str = "count(*)", where: str = "TRUE") -> int:
    return int(duckdb.sql(f"SELECT {what} FROM read_parquet('{path}') WHERE {where}").fetchall()[0][0])


@pytest.mark.parametrize(
    ("rule", "rows"),
    [
        ("observation-plausible", 7),
        ("observation-of-a-known-patient", 3),
        ("observation-not-in-the-future", 2),
        ("birth-date-plausible", 2),
        ("gender-known-word", 4),
        ("pregnancy-not-in-men", 1),
    ],
)
def test_counts_are_those_of_the_planted_faults(validated: tuple[Path, QualityReport], rule: str, rows: int) -> None:
    assert _unexpected(validated[1], rule) == rows


def test_removed_rows_are_gone_and_everything_else_stays(validated: tuple[Path, QualityReport]) -> None:
    folder, report = validated
    assert report.rows["observation"] == (OBSERVATIONS, OBSERVATIONS - 12)
    assert _rows(folder / "clean/observation.parquet") == OBSERVATIONS - 12
    assert _rows(folder / "clean/observation.parquet", where="value = 700") == 0


def test_removed_values_leave_their_rows(validated: tuple[Path, QualityReport]) -> None:
    clean = validated[0] / "clean/patient.parquet"
    assert _rows(clean) == PATIENTS
    assert _rows(clean, where="birth_date IS NULL") == 2
    assert _rows(clean, where="gender IS NULL") == 4


def test_quarantine_is_complete_and_holds_no_value(validated: tuple[Path, QualityReport]) -> None:
    folder, report = validated
    quarantine = folder / "clean/quarantine.parquet"
    assert _rows(quarantine) == report.quarantined == 7 + 3 + 2 + 2 + 4 + 1
    assert _rows(quarantine, where="source_row IS NULL OR reason IS NULL OR source_file IS NULL") == 0
    everything = str(duckdb.sql(f"SELECT * FROM read_parquet('{quarantine}')").fetchall())
    assert "700" not in everything
    assert "@example.com" not in everything


def test_a_first_snapshot_has_nothing_to_drift_from(validated: tuple[Path, QualityReport]) -> None:
    report = validated[1]
    assert report.failed_fields == {}
    assert {check.skipped for check in report.checks if check.id == "observation-volume"} == {
        "no earlier snapshot to compare with"
    }


def test_a_shrunken_table_stops_all_its_fields(validated: tuple[Path, QualityReport], tmp_path: Path) -> None:
    staging = write_staging(tmp_path / "canonical", observations=OBSERVATIONS // 2)
    suites = load_suites(Project.at(ROOT))
    report = validate(staging, suites, [validated[1]], AS_OF, tmp_path / "clean", Warehouse(tmp_path, "1GB", 2))
    assert report.failed_fields["observation.value"] == "observation-volume"
    assert {name.split(".")[0] for name in report.failed_fields} == {"observation"}


def test_null_drift_stops_only_the_field_that_drifted(validated: tuple[Path, QualityReport], tmp_path: Path) -> None:
    staging = write_staging(tmp_path / "canonical", null_unit_share=0.5)
    suites = load_suites(Project.at(ROOT))
    report = validate(staging, suites, [validated[1]], AS_OF, tmp_path / "clean", Warehouse(tmp_path, "1GB", 2))
    assert report.failed_fields == {"observation.unit": "observation-unit-null-drift"}


def test_a_silent_source_stops_its_busy_tables(validated: tuple[Path, QualityReport], tmp_path: Path) -> None:
    staging = write_staging(tmp_path / "canonical", extract="2026-02-10")
    suites = load_suites(Project.at(ROOT))
    report = validate(staging, suites, [validated[1]], AS_OF, tmp_path / "clean", Warehouse(tmp_path, "1GB", 2))
    assert report.failed_fields["observation.effective_at"] == "observation-fresh"
    assert report.scorecards[0].timeliness < 0.25
    assert report.scorecards[0].trend("timeliness") < -0.5


def test_report_survives_the_manifest(validated: tuple[Path, QualityReport]) -> None:
    import json

    report = validated[1]
    assert QualityReport.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_scorecard_counts_rows_once(validated: tuple[Path, QualityReport]) -> None:
    card = validated[1].scorecards[0]
    assert card.source == "his"
    assert card.rows == PATIENTS + OBSERVATIONS + 1
    assert card.consistency == pytest.approx(1 - 4 / card.rows)
    assert card.uniqueness == 1.0


def test_every_shipped_expectation_is_one_that_great_expectations_accepts() -> None:
    faults = {
        item.meta.id: fault
        for suite in load_suites(Project.at(ROOT)).values()
        for item in suite.expectations
        if "$PARAMETER" not in str(item.kwargs) and (fault := argument_fault(item))
    }
    assert faults == {}


def _rows_check(name: str, query: str, *, column: str = "") -> Expectation:
    """A check by a query; with `column`, that it is never null."""
    type_ = "expect_column_values_to_not_be_null" if column else "unexpected_rows_expectation"
    return Expectation(
        type=type_,
        kwargs={"column": column} if column else {"unexpected_rows_query": query},
        severity="critical",
        meta=Meta(id=name, dimension="validity", on_failure="report", fields=[column or "gender"]),
    )


def test_an_expectation_that_cannot_be_computed_says_which(tmp_path: Path) -> None:
    staging = write_staging(tmp_path / "canonical")
    suite = Suite(
        table="patient",
        expectations=[
            _rows_check("sound", "SELECT * FROM {batch} WHERE gender = 'M'"),
            _rows_check("broken", "SELECT * FROM {batch} WHERE no_such_column = 1"),
            _rows_check("sound-too", "", column="email"),
        ],
    )
    with pytest.raises(ValidationFailed, match=r"expectations/patient.yaml: 'broken' cannot be computed"):
        validate(staging, {"patient": suite}, [], AS_OF, tmp_path / "clean", Warehouse(tmp_path, "1GB", 2))


def test_a_query_of_any_shape_counts_what_it_returns(tmp_path: Path) -> None:
    queries = {
        "plain": "SELECT * FROM {batch} WHERE gender = 'M' OR full_name LIKE '100%:x'",
        "semicolon": "SELECT * FROM {batch} WHERE gender = 'M';",
        "lower-case": "select * from {batch}\nwhere gender = 'M'",
        "alias": "SELECT b.* FROM {batch} AS b WHERE b.gender = 'M'",
        "limit": "SELECT * FROM {batch} WHERE gender = 'M' LIMIT 2",
        "union": "SELECT * FROM {batch} WHERE gender = 'M' UNION ALL SELECT * FROM {batch} WHERE gender IS NULL",
        "window": "SELECT * FROM {batch} QUALIFY row_number() OVER (ORDER BY source_id) <= 5",
        "correlated": "SELECT * FROM {batch} WHERE NOT EXISTS (SELECT 1 FROM observation AS o "
        "WHERE o.patient_source_id = patient.source_id)",
        "null": "SELECT * FROM {batch} WHERE national_id = 'x'",
    }
    staging = write_staging(tmp_path / "canonical", observations=100)
    suite = Suite(table="patient", expectations=[_rows_check(name, query) for name, query in queries.items()])
    report = validate(staging, {"patient": suite}, [], AS_OF, tmp_path / "clean", Warehouse(tmp_path, "1GB", 2))
    for table in ("patient", "observation"):
        duckdb.sql(f"CREATE OR REPLACE VIEW {table} AS SELECT * FROM read_parquet('{staging / table}.parquet')")
    for name, query in queries.items():
        expected = duckdb.sql(query.replace("{batch}", "patient")).fetchall()
        assert _unexpected(report, name) == len(expected), name
    assert report.quarantined == sum(check.unexpected for check in report.checks) > 100


@pytest.mark.parametrize(
    ("query", "condition"),
    [
        ("SELECT * FROM {batch} WHERE a = 1 AND b ~ ';' ", "a = 1 AND b ~ ';' "),
        ("SELECT * FROM {batch} WHERE NOT EXISTS (SELECT 1 FROM t LIMIT 1)", "NOT EXISTS (SELECT 1 FROM t LIMIT 1)"),
        ("SELECT * FROM {batch} WHERE a = 1 LIMIT 5", None),
        ("SELECT * FROM {batch} WHERE a = 1 GROUP BY ALL", None),
        ("SELECT * FROM {batch} WHERE a = 1 UNION SELECT * FROM {batch} WHERE b", None),
        ("SELECT * FROM {batch} WHERE a = 1 -- note", None),
        ("SELECT * FROM {batch} AS b WHERE b.a = 1", None),
        ("SELECT DISTINCT * FROM {batch} WHERE a", None),
        ("SELECT * FROM {batch} WHERE ((", None),
    ],
)
def test_only_a_plain_condition_joins_the_common_scan(query: str, condition: str | None) -> None:
    assert row_condition(query) == condition


def test_a_table_is_counted_in_a_handful_of_statements_and_no_value_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Great Expectations alone sends some five a check, and reads failing values that nobody asked for."""
    from duckdb_engine import CursorWrapper

    statements: list[str] = []
    execute = CursorWrapper.execute

    def recorded(self: CursorWrapper, statement: str, *given: object, **named: object) -> None:
        statements.append(statement)
        execute(self, statement, *given, **named)

    monkeypatch.setattr(CursorWrapper, "execute", recorded)
    suites = {name: suite for name, suite in load_suites(Project.at(ROOT)).items() if name == "observation"}
    staging = write_staging(tmp_path / "canonical")
    report = validate(staging, suites, [], AS_OF, tmp_path / "clean", Warehouse(tmp_path, "1GB", 2))
    asked = [statement for statement in statements if statement.startswith("SELECT") and "observation" in statement]
    assert len(report.checks) == 11
    assert len(asked) <= 4, asked
    assert not [statement for statement in asked if "count" not in statement]


def test_a_table_without_removals_is_the_readers_own_file(validated: tuple[Path, QualityReport]) -> None:
    folder, report = validated
    assert (folder / "clean/appointment.parquet").read_bytes() == (
        folder / "canonical/appointment.parquet"
    ).read_bytes()
    assert report.rows["condition"] == (1, 0)
