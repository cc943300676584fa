"""Faults of sources and concepts, told with file, line, field and the nearest name, before anything is read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from alongside.model.errors import ConfigurationInvalid, Refused
from alongside.settings import Project
from alongside.sources import check, load_concepts, load_sources, source_roots
from alongside.sources.expressions import ExpressionInvalid, columns_of
from tests.sources.conftest import ROOT, Hospital

SOURCE = """format: csv
root: reg
time_zone: Asia/Shanghai
tables:
  consent:
    - file: consents.csv
      id: nr
      columns:
        patient_source_id: who
        purpose: purpose
        channel: {value: "*"}
        decision: {column: decision, values: {是: permit, 否: deny}}
        decided_at: at
"""


def faults(hospital: Hospital) -> list[str]:
    return [str(finding).removeprefix(f"{hospital.project.config}/") for finding in check(hospital.project)]


def test_what_is_shipped_is_in_order() -> None:
    project = Project.at(ROOT)
    assert check(project) == []
    assert {"his", "lis", "crm", "app_events", "synthea_csv", "fhir_r4"} <= set(load_sources(project))


def test_checking_needs_neither_duckdb_nor_fhir() -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom alongside.settings import Project\nfrom alongside import sources\n"
        f"sources.check(Project.at(Path({str(ROOT)!r})))\n"
        "print([name for name in ('duckdb', 'pyarrow', 'fhir', 'numpy', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("columns:", "colums:", "sources/reg.yaml:8: tables.consent.0.colums: is not a known field"),
        ("purpose: purpose", "purposes: purpose", "sources/reg.yaml:10: tables.consent.0.columns.purposes: "
         "is not a canonical column that a mapping fills (did you mean 'purpose'?)"),
        ("        decided_at: at\n", "", "sources/reg.yaml:8: tables.consent.0.columns: "
         "'decided_at' is required and not mapped (map it)"),
        ("permit", "permitt", "sources/reg.yaml:12: tables.consent.0.columns.decision.values.是: "
         "'permitt' is not a consent.decision (did you mean 'permit'?)"),
        ("  consent:", "  consents:", "sources/reg.yaml:5: tables.consents: is not a canonical table "
         "(did you mean 'consent'?)"),
        ("format: csv", "format: csw", "sources/reg.yaml:1: format: 'csw' is not allowed (did you mean 'csv'?)"),
        ("Asia/Shanghai", "Asia/Peking", "sources/reg.yaml:3: time_zone: 'Asia/Peking' is not an IANA time zone"),
        ("id: nr", "id: no", "sources/reg.yaml:7: tables.consent.0.id: a bare no, yes, on or off"),
        ("purpose: purpose", "purpose: {sql: 'getenv(a)'}", "sources/reg.yaml:10: tables.consent.0.columns.purpose"),
        ("root: reg", "root: ../other", "sources/reg.yaml:2: root: '../other' must be a relative path"),
        ("file: consents.csv", "file: /etc/passwd", "sources/reg.yaml:6: tables.consent.0.file: '/etc/passwd' must be"),
        ("root: reg", "load: incremental", "sources/reg.yaml:1: load incremental needs layout dated"),
        ("format: csv", "format: fhir_r4", "sources/reg.yaml:1: format fhir_r4 needs 'files' and no 'tables'"),
        ('{value: "*"}', '{value: "*", column: c}',
         "sources/reg.yaml:11: tables.consent.0.columns.channel: needs exactly one"),
    ],
)  # fmt: skip
def test_a_fault_names_file_line_field_and_nearest_name(hospital: Hospital, old: str, new: str, fault: str) -> None:
    hospital.config("reg", SOURCE.replace(old, new))
    told = faults(hospital)
    assert any(line.startswith(fault) for line in told), told
    with pytest.raises(ConfigurationInvalid):
        load_sources(hospital.project)


def test_all_faults_of_all_files_are_told_together(hospital: Hospital) -> None:
    hospital.config("reg", SOURCE.replace("purpose: purpose", "purposes: purpose"))
    hospital.config("bad", "format: [")
    assert {line.split(":")[0] for line in faults(hospital)} == {"sources/reg.yaml", "sources/bad.yaml"}


def test_two_files_of_one_table_need_prefixes(hospital: Hospital) -> None:
    hospital.config("reg", SOURCE + SOURCE.split("  consent:\n")[1])
    assert any("same id_prefix as file 1" in line for line in faults(hospital))


def test_a_local_code_system_that_nobody_knows_is_a_warning(shipped: Hospital) -> None:
    path = shipped.project.config / "sources" / "lis.yaml"
    path.write_text(path.read_text("utf-8").replace("local:lis", "local:lsi"), "utf-8")
    [finding] = check(shipped.project)
    assert (finding.severity, finding.remedy) == ("warning", "did you mean 'local:lis'?")
    assert "lis" in load_sources(shipped.project)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('["9279-1"]', "[9279]", "must stand in quotes"),
        ("loinc:", "lonic:", "'lonic' is not a known code system; did you mean 'loinc'?"),
        ("unit: /min", "unit: /minute", "unit '/minute' is not listed"),
        ("plausible: [4, 80]", "plausible: [80, 4]", "'plausible' is [lowest, highest]"),
        ("respiratory_rate:", "hba1c:", "is already the name of a observation concept"),
        ('["9279-1"]', '["4548-4"]', "loinc 4548-4 also means hba1c"),
    ],
)
def test_faults_of_concepts(hospital: Hospital, old: str, new: str, fault: str) -> None:
    own = """kind: observation
concepts:
  respiratory_rate:
    label: {zh_CN: 呼吸频率, en: Respiratory rate}
    unit: /min
    plausible: [4, 80]
    codes:
      loinc: ["9279-1"]
"""
    path = hospital.project.config / "concepts" / "own.yaml"
    path.write_text(own, "utf-8")
    assert faults(hospital) == []
    path.write_text(own.replace(old, new), "utf-8")
    assert any(fault in line for line in faults(hospital)), faults(hospital)


def test_concepts_answer_for_segments_and_alerts() -> None:
    concepts = load_concepts(Project.at(ROOT))
    assert "hypertension" in concepts.names("condition")
    assert "hypertension" not in concepts.names("observation")
    assert concepts.names("allergy") < concepts.names()
    assert concepts.observation("fasting_glucose").unit == "mmol/L"
    assert concepts.of_code("condition", "icd10", "I10.x00") == ("hypertension",)
    assert concepts.of_code("condition", "icd10", "E78.9") == ()
    with pytest.raises(KeyError):
        concepts.observation("hypertension")


@pytest.mark.parametrize(
    "text",
    ["a, b", "(SELECT 1)", "read_text('x')", "a) FROM x --", "sum(a)", "a; DROP TABLE x", "t.a", "getenv('HOME')",
     "row_number() OVER ()", "*", "", "CASE WHEN", "current_setting('x')", "$1", "now()"],
)  # fmt: skip
def test_expressions_stay_within_their_record(text: str) -> None:
    with pytest.raises(ExpressionInvalid):
        columns_of(text)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("concat_ws(' ', FIRST, LAST)", {"FIRST", "LAST"}),
        ("CASE WHEN a = 'x' THEN b ELSE lower(a) END", {"a", "b"}),
        ("TRY_CAST(a AS DOUBLE) * 2 || 'x'", {"a"}),
        ("a -- a comment\n|| b", {"a", "b"}),
        ("strftime(try_strptime(a, '%d.%m.%Y'), '%Y-%m-%d')", {"a"}),
        ("'constant'", set()),
    ],
)
def test_expressions_tell_what_they_read(text: str, columns: set[str]) -> None:
    assert set(columns_of(text)) == columns


def test_roots_are_given_or_default(shipped: Hospital, tmp_path: Path) -> None:
    sources = load_sources(shipped.project)
    chosen = {"his": sources["his"], "fhir_r4": sources["fhir_r4"]}
    roots = source_roots(shipped.project, chosen, {"fhir_r4": tmp_path})
    assert roots == {"his": shipped.project.var / "hospital" / "his", "fhir_r4": tmp_path}
    with pytest.raises(Refused, match=r"no source 'hiss'.*did you mean 'his'"):
        source_roots(shipped.project, chosen, {"hiss": tmp_path})
