"""From files to canonical tables: types, times, numbers, units, meanings, incremental extracts."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alongside.model.canonical import QUARANTINE, TABLES
from alongside.model.errors import DataInvalid, Refused
from tests.sources.conftest import Hospital

HEADER = "no,name,sex,born,since\n"
Patients = Callable[..., Hospital]


def utc(text: str) -> datetime:
    """A moment as canonical tables keep it: UTC without a zone."""
    return datetime.fromisoformat(text)


RESULTS = """
format: csv
root: lis
time_zone: Asia/Shanghai
units: {{"个/分": "/min"}}
tables:
  observation:
    - file: results.csv
      id: nr
      columns:
        patient_source_id: pid
        system: {{value: "{system}"}}
        code: item
        display: item
        value: value
        value_text: text
        unit: unit
        context: {{value: lab}}
        effective_at: at
"""


@pytest.fixture
def laboratory(hospital: Hospital) -> Callable[..., Hospital]:
    """A source `lab` whose results.csv holds these (item, value, text, unit)."""

    def build(*results: tuple[str, str, str, str], system: str = "local:lis") -> Hospital:
        hospital.config("lab", RESULTS.format(system=system))
        lines = [f"{index},p1,{','.join(result)},2026-02-01 09:30:00" for index, result in enumerate(results, 1)]
        hospital.put("lis/results.csv", "\n".join(["nr,pid,item,value,text,unit,at", *lines]) + "\n")
        return hospital

    return build


# ------------------------------------------------------------------------------------------------ shape of the output
def test_every_canonical_table_is_written_with_its_exact_columns(patients: Patients) -> None:
    hospital = patients(HEADER + "1,王芳,女,1960-01-02,2025-05-06 07:08:09\n")
    hospital.read("reg")
    for table in TABLES.values():
        described = Hospital.sql(f"DESCRIBE SELECT * FROM '{hospital.out / table.name}.parquet'")
        assert [(row["column_name"], row["column_type"]) for row in described] == [
            (column.name, column.type) for column in table.columns
        ]
    described = Hospital.sql(f"DESCRIBE SELECT * FROM '{hospital.out / 'quarantine'}.parquet'")
    assert tuple(row["column_name"] for row in described) == QUARANTINE.names


def test_rows_say_where_they_came_from(patients: Patients) -> None:
    hospital = patients(HEADER + "1,a,女,,\n2,b,男,,\n")
    hospital.read("reg")
    assert hospital.rows("patient", "source, source_id, extract_date, source_file, source_row") == [
        {"source": "reg", "source_id": "1", "extract_date": None, "source_file": "patients.csv", "source_row": 1},
        {"source": "reg", "source_id": "2", "extract_date": None, "source_file": "patients.csv", "source_row": 2},
    ]


def test_only_the_account_itself_may_read_the_output(patients: Patients) -> None:
    hospital = patients(HEADER)
    hospital.read("reg")
    assert hospital.out.stat().st_mode & 0o777 == 0o700
    assert not [path for path in hospital.out.iterdir() if path.suffix != ".parquet"], "nothing is left in between"


def test_the_report_is_plain_json(patients: Patients) -> None:
    report = patients(HEADER + "1,a,X,,\n").read("reg")
    plain = json.loads(json.dumps(report.to_json()))
    assert plain["totals"] == {"rows_read": 1, "kept": 1, "rejected": 0}
    assert plain["rejects"] == [
        {"source": "reg", "table": "patient", "field": "gender", "rule": "unknown_value", "action": "value_removed",
         "count": 1}
    ]  # fmt: skip


# --------------------------------------------------------------------------------------------- dates, times, numbers
@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1960-01-02", date(1960, 1, 2)),
        ("1960/1/2", date(1960, 1, 2)),
        ("19600102", date(1960, 1, 2)),
        ("1960.01.02", date(1960, 1, 2)),
        ("1960年1月2日", date(1960, 1, 2)),
        ("１９６０－０１－０２", date(1960, 1, 2)),
        ("　1960-01-02 ", date(1960, 1, 2)),
        ("1960-01-02 00:00:00", date(1960, 1, 2)),
        ("1960-01-02T00:30:00+08:00", date(1960, 1, 2)),
        ("2024-02-29", date(2024, 2, 29)),
        ("2025-02-29", None),
        ("60-01-02", None),
        ("196001", None),
        ("today", None),
    ],
)
def test_birth_dates_in_the_forms_of_real_extracts(patients: Patients, written: str, meant: date | None) -> None:
    hospital = patients(HEADER + f"1,a,女,{written},\n")
    hospital.read("reg")
    assert hospital.rows("patient", "birth_date") == [{"birth_date": meant}]


@pytest.mark.parametrize(
    ("zone", "written", "meant"),
    [
        ("Asia/Shanghai", "2026-03-01 08:00:00", utc("2026-03-01T00:00")),
        ("Asia/Shanghai", "2026-03-01 00:30", utc("2026-02-28T16:30")),
        ("Asia/Shanghai", "2026/3/1", utc("2026-02-28T16:00")),
        ("Asia/Shanghai", "20260301080000", utc("2026-03-01T00:00")),
        ("Asia/Shanghai", "２０２６－０３－０１　０８：００：００", utc("2026-03-01T00:00")),
        ("Asia/Shanghai", "2026-03-01T08:00:00Z", utc("2026-03-01T08:00")),
        ("Asia/Shanghai", "2026-03-01T08:00:00.250+01:00", utc("2026-03-01T07:00:00.250000")),
        ("Asia/Shanghai", "2026-03-01T08:00:00-0500", utc("2026-03-01T13:00")),
        ("Europe/Berlin", "2026-07-01 08:00:00", utc("2026-07-01T06:00")),
        ("Europe/Berlin", "2026-01-01 08:00:00", utc("2026-01-01T07:00")),
        ("UTC", "2026-03-01 08:00:00", utc("2026-03-01T08:00")),
    ],
)
def test_times_become_utc(patients: Patients, zone: str, written: str, meant: datetime) -> None:
    hospital = patients(HEADER + f"1,a,女,,{written}\n")
    config = hospital.project.config / "sources" / "reg.yaml"
    config.write_text(config.read_text("utf-8").replace("Asia/Shanghai", zone), "utf-8")
    hospital.read("reg")
    assert hospital.rows("patient", "registered_at") == [{"registered_at": meant}]


def test_a_form_of_its_own_is_declared_and_not_guessed(patients: Patients) -> None:
    hospital = patients(HEADER + "1,a,女,02.03.1960,\n", more='date_formats: ["%d.%m.%Y"]')
    hospital.read("reg")
    assert hospital.rows("patient", "birth_date") == [{"birth_date": date(1960, 3, 2)}]


@pytest.mark.parametrize("name", ["王", "欧阳娜娜", "Miñoz de la Cruz", "O'Neil", "👩‍⚕️ 测试", "𠮷野", 'a "b" c'])
def test_names_arrive_as_written(patients: Patients, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    hospital = patients(HEADER + f"1,{quoted},女,,\n")
    hospital.read("reg")
    assert hospital.rows("patient", "full_name") == [{"full_name": name}]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["1", "2", "3", "", "\ufffd"]),
            st.sampled_from(["王", "", "a\ufffdb", "x" * 40_000]),
            st.sampled_from(["男", "女", "", "?"]),
            st.sampled_from(["1960-01-02", "", "soon"]),
            st.sampled_from(["", "extra,cell", "2026-01-01 00:00:00"]),
        ),
        max_size=30,
    )
)
def test_every_record_is_kept_or_refused_with_a_reason(patients: Patients, records: list[tuple[str, ...]]) -> None:
    hospital = patients(HEADER + "".join(",".join(record) + "\n" for record in records))
    counts = hospital.read("reg").table("reg", "patient")
    assert counts.rows_read == len(records) == counts.kept + counts.rejected
    removed = {row["source_row"] for row in hospital.quarantine() if row["action"] == "row_removed"}
    kept = {row["source_row"] for row in hospital.rows("patient")}
    assert kept | removed == set(range(1, len(records) + 1))
    assert not kept & removed


# ----------------------------------------------------------------------------------------------- units and meanings
@pytest.mark.parametrize(
    ("item", "value", "unit", "kept", "canonical"),
    [
        ("GLU", "5.6", "mmol/L", 5.6, "mmol/L"),
        ("GLU", "100", "mg/dL", 5.55, "mmol/L"),
        ("GLU", "５．６", "mmol／L", 5.6, "mmol/L"),
        ("GHB", "53", "mmol/mol", 7.00044, "%"),
        ("CREA", "1.0", "MG/DL", 88.42, "umol/L"),
        ("CREA", "80", "μmol/L", 80.0, "umol/L"),
        ("HGB", "13.5", "g/dL", 135.0, "g/L"),
        ("EGFR", "90", "mL/min/1.73m²", 90.0, "mL/min/{1.73_m2}"),
        ("XYZ", "7", "个/分", 7.0, "/min"),
        ("XYZ", "7", "furlong", 7.0, "furlong"),
    ],
)
def test_numbers_are_kept_in_the_concepts_unit(
    laboratory: Callable[..., Hospital], item: str, value: str, unit: str, kept: float, canonical: str
) -> None:
    hospital = laboratory((item, value, "", unit))
    hospital.read("lab")
    assert hospital.rows("observation", "value, unit") == [{"value": kept, "unit": canonical}]


@pytest.mark.parametrize(
    ("item", "value", "unit", "field", "rule"),
    [
        ("GLU", "5.6", "g/L", "unit", "unknown_unit"),
        ("GLU", "5.6", "", "unit", "unknown_unit"),
        ("GLU", "1e400", "mmol/L", "value", "unreadable_number"),
        ("GLU", "nan", "mmol/L", "value", "unreadable_number"),
        ("GLU", "1_000", "mmol/L", "value", "unreadable_number"),
        ("GLU", "5,6", "mmol/L", "", "wrong_column_count"),
        ("GLU", "<5", "mmol/L", "value", "unreadable_number"),
        ("GLU", "", "mmol/L", "value", "no_value"),
        ("GLU", "700", "mmol/L", "value", "impossible_value"),
        ("GLU", "-1", "mmol/L", "value", "impossible_value"),
        ("GHB", "88", "%", "value", "impossible_value"),
    ],
)
def test_numbers_that_cannot_be_trusted_are_refused(
    laboratory: Callable[..., Hospital], item: str, value: str, unit: str, field: str, rule: str
) -> None:
    hospital = laboratory((item, value, "", unit))
    report = hospital.read("lab")
    [row] = hospital.quarantine()
    assert (row["field"], row["rule"], row["action"]) == (field, rule, "row_removed")
    assert (report.rows_read, report.kept, report.rejected) == (1, 0, 1)


def test_a_result_in_words_keeps_its_words(laboratory: Callable[..., Hospital]) -> None:
    hospital = laboratory(("XYZ", "", "阴性", ""))
    hospital.read("lab")
    assert hospital.rows("observation", "value, value_text") == [{"value": None, "value_text": "阴性"}]


def test_codes_get_their_meaning_and_unknown_ones_are_counted(laboratory: Callable[..., Hospital]) -> None:
    hospital = laboratory(("GLU", "5", "", "mmol/L"), ("NEW", "5", "", "x"), ("NEW", "6", "", "x"))
    report = hospital.read("lab")
    assert [row["concepts"] for row in hospital.rows("observation", "concepts")] == [["fasting_glucose"], [], []]
    [code] = report.unmapped
    assert (code.source, code.table, code.system, code.code, code.rows) == ("lab", "observation", "local:lis", "NEW", 2)
    assert (report.source("lab").unmapped_codes, report.source("lab").unmapped_rows) == (1, 2)


def test_a_meaning_belongs_to_its_system(laboratory: Callable[..., Hospital]) -> None:
    hospital = laboratory(("GLU", "5", "", "mmol/L"), system="local:his")
    hospital.read("lab")
    assert hospital.rows("observation", "concepts") == [{"concepts": []}]


# ------------------------------------------------------------------------------------------------ mapping expressions
EXPRESSIONS = """
format: csv
root: x
time_zone: UTC
tables:
  patient:
    - file: p.csv
      id: {sql: "md5(concat_ws('|', a, b))"}
      columns:
        full_name: {sql: "concat_ws(' ', a, b)"}
        mrn: {sql: "CAST(CAST(a AS INTEGER) + 1 AS VARCHAR)"}
        city: {column: b, values: {SH: Shanghai}, others: keep}
        district: {column: b, values: {SH: Pudong}, others: drop}
        country: {value: CN}
"""


def test_expressions_value_maps_and_constants(hospital: Hospital) -> None:
    hospital.config("x", EXPRESSIONS)
    hospital.put("x/p.csv", "a,b\n1,SH\n2,BJ\n,\n")
    hospital.read("x")
    rows = hospital.rows("patient", "full_name, mrn, city, district, country", "source_row")
    assert rows[0] == {"full_name": "1 SH", "mrn": "2", "city": "Shanghai", "district": "Pudong", "country": "CN"}
    assert rows[1] == {"full_name": "2 BJ", "mrn": "3", "city": "BJ", "district": None, "country": "CN"}
    assert rows[2]["full_name"] is None


def test_an_expression_that_fails_on_a_record_costs_that_value(hospital: Hospital) -> None:
    hospital.config("x", EXPRESSIONS)
    hospital.put("x/p.csv", "a,b\n1,SH\none,SH\n")
    report = hospital.read("x")
    assert (report.kept, report.count("expression_failed")) == (2, 1)
    assert [row["mrn"] for row in hospital.rows("patient", "mrn", "source_row")] == ["2", None]


def test_typed_parquet_reads_like_text(hospital: Hospital) -> None:
    hospital.config("x", PARQUET)
    frame = pa.table(
        {
            "id": pa.array([7], pa.int64()),
            "born": pa.array([date(1960, 1, 2)]),
            "at": pa.array([datetime(2026, 3, 1, 8, 0, tzinfo=UTC)], pa.timestamp("us", "Asia/Shanghai")),
            "local": pa.array([utc("2026-03-01T08:00")], pa.timestamp("ns")),
            "topics": pa.array([["sleep", "nutrition"]]),
            "sex": pa.array(["M"]).dictionary_encode(),
        }
    )
    path = hospital.put("x/p.parquet", b"")
    pq.write_table(frame, path)
    hospital.read("x")
    [row] = hospital.rows("patient", "source_id, birth_date, deceased_at, registered_at, gender, full_name")
    assert row == {
        "source_id": "7",
        "birth_date": date(1960, 1, 2),
        "deceased_at": utc("2026-03-01T08:00"),
        "registered_at": utc("2026-03-01T00:00"),
        "gender": "male",
        "full_name": "sleep|nutrition",
    }


PARQUET = """
format: parquet
root: x
time_zone: Asia/Shanghai
tables:
  patient:
    - file: "*.parquet"
      id: id
      columns:
        birth_date: born
        deceased_at: at
        registered_at: local
        gender: {column: sex, values: {M: male}}
        full_name: topics
"""


# --------------------------------------------------------------------------------------------- extracts day by day
DAILY = "layout: dated\nload: {load}"


def day(hospital: Hospital, when: str, *records: str) -> None:
    hospital.put(f"extract/{when}/patients.csv", HEADER + "".join(f"{record}\n" for record in records))


def as_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_later_extract_replaces_and_an_unread_day_does_not(patients: Patients) -> None:
    hospital = patients(None, more=DAILY.format(load="incremental"))
    day(hospital, "2026-02-28", "1,old,女,,", "2,stays,女,,")
    day(hospital, "2026-03-01", "1,new,女,,")
    day(hospital, "2026-03-02", "1,future,女,,")
    report = hospital.read("reg", as_of=as_of("2026-03-01T08:00+08:00"))
    counts = report.table("reg", "patient")
    assert (counts.rows_read, counts.kept, counts.superseded, counts.rejected) == (3, 2, 1, 0)
    assert [(row["full_name"], row["extract_date"]) for row in hospital.rows("patient")] == [
        ("new", date(2026, 3, 1)),
        ("stays", date(2026, 2, 28)),
    ]
    assert report.source("reg").extracts == ("2026-02-28", "2026-03-01")
    assert report.source("reg").extracts_ahead == 1
    assert hospital.quarantine() == [], "what a later extract replaced is no fault"


@pytest.mark.parametrize(("moment", "days"), [("2026-02-28T15:59:59+00:00", 1), ("2026-02-28T16:00:00+00:00", 2)])
def test_the_day_changes_at_local_midnight(patients: Patients, moment: str, days: int) -> None:
    hospital = patients(None, more=DAILY.format(load="incremental"))
    day(hospital, "2026-02-28", "1,a,女,,")
    day(hospital, "2026-03-01", "2,b,女,,")
    assert hospital.read("reg", as_of=as_of(moment)).kept == days


def test_a_broken_correction_does_not_replace_what_is_good(patients: Patients) -> None:
    hospital = patients(None, more=DAILY.format(load="incremental"))
    day(hospital, "2026-02-28", "1,good,女,,")
    day(hospital, "2026-03-01", "1,short")
    report = hospital.read("reg")
    assert (report.kept, report.rejected) == (1, 1)


def test_a_fault_that_was_corrected_later_is_no_longer_told(patients: Patients) -> None:
    hospital = patients(None, more=DAILY.format(load="incremental"))
    day(hospital, "2026-02-28", "1,a,X,,")
    day(hospital, "2026-03-01", "1,a,女,,")
    report = hospital.read("reg")
    assert (report.table("reg", "patient").superseded, report.rejects) == (1, ())


def test_full_dumps_use_the_newest_only(patients: Patients) -> None:
    hospital = patients(None, more=DAILY.format(load="full"))
    day(hospital, "2026-02-28", "1,a,女,,", "2,b,女,,")
    day(hospital, "2026-03-01", "1,a,女,,")
    assert hospital.read("reg").kept == 1


def test_before_the_first_extract_there_is_nothing_to_read(patients: Patients) -> None:
    hospital = patients(None, more=DAILY.format(load="incremental"))
    day(hospital, "2026-02-28", "1,a,女,,")
    with pytest.raises(DataInvalid, match="no extract of 2026-02-27 or before: the first of 1 is 2026-02-28"):
        hospital.read("reg", as_of=as_of("2026-02-27T08:00+08:00"))


def test_a_day_without_the_file_and_a_misnamed_folder_are_reported(patients: Patients) -> None:
    hospital = patients(None, more=DAILY.format(load="incremental"))
    day(hospital, "2026-02-28", "1,a,女,,")
    hospital.put("extract/2026-03-01/readme.txt", "x")
    hospital.put("extract/2026-3-01/patients.csv", HEADER)
    source = hospital.read("reg").source("reg")
    assert source.missing_files == ("2026-03-01/patients.csv",)
    assert source.folders_ignored == ("2026-3-01",)


def test_a_moment_without_a_zone_is_refused(patients: Patients) -> None:
    hospital = patients(HEADER)
    with pytest.raises(ValueError, match="time zone"):
        hospital.read("reg", as_of=datetime(2026, 3, 1))  # noqa: DTZ001 - the fault that is tested


def test_a_source_without_a_folder_must_be_told_one(shipped: Hospital) -> None:
    with pytest.raises(Refused, match=r"synthea_csv has no default folder.*--source synthea_csv=PATH"):
        shipped.read("synthea_csv")


def test_two_files_of_one_table_keep_their_numbers_apart(hospital: Hospital) -> None:
    half = RESULTS.format(system="local:lis").split("tables:")[1]
    second = (
        half.split("observation:\n")[1]
        .replace("results.csv", "more.csv")
        .replace("id: nr", "id: nr\n      id_prefix: m-")
    )
    hospital.config("lab", RESULTS.format(system="local:lis") + second)
    for file in ("results.csv", "more.csv"):
        hospital.put(f"lis/{file}", "nr,pid,item,value,text,unit,at\n1,p,GLU,5,,mmol/L,2026-01-01\n")
    assert hospital.read("lab").kept == 2
    assert [row["source_id"] for row in hospital.rows("observation")] == ["1", "m-1"]


def test_numbers_of_records_hold_across_blocks(patients: Patients, monkeypatch: pytest.MonkeyPatch) -> None:
    """Malformed records anywhere, and a block that holds only a few: each kept row still names its own line."""
    monkeypatch.setattr("alongside.sources.tabular.BLOCK_BYTES", 256)
    lines = [f"{number},n,女,," if number % 7 else f"{number},broken" for number in range(1, 400)]
    hospital = patients(HEADER + "\n".join(lines) + "\n")
    report = hospital.read("reg")
    assert (report.rows_read, report.rejected) == (399, 399 // 7)
    assert all(int(row["source_id"]) == row["source_row"] for row in hospital.rows("patient"))
    assert {row["source_row"] for row in hospital.quarantine()} == set(range(7, 400, 7))
