"""Great Expectations on DuckDB: counts that agree with plain SQL, a complete quarantine, fields that stop."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from alongside.quality import QualityReport, load_suites, validate
from alongside.quality.duckgx import ValidationFailed, argument_fault
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


def test_an_expectation_that_cannot_be_computed_says_which(tmp_path: Path) -> None:
    staging = write_staging(tmp_path / "canonical")
    broken = Expectation(
        type="unexpected_rows_expectation",
        kwargs={"unexpected_rows_query": "SELECT * FROM {batch} WHERE no_such_column = 1"},
        severity="critical",
        meta=Meta(id="broken", dimension="validity", on_failure="report"),
    )
    suites = {"patient": Suite(table="patient", expectations=[broken])}
    with pytest.raises(ValidationFailed, match=r"expectations/patient.yaml: 'broken' cannot be computed"):
        validate(staging, suites, [], AS_OF, tmp_path / "clean", Warehouse(tmp_path, "1GB", 2))
