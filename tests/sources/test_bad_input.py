"""What hospitals really deliver. Every fault is told with place and remedy; no record is lost without a word."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from alongside.model.errors import DataInvalid
from tests.sources.conftest import Hospital

HEADER = "no,name,sex,born,since\n"
GOOD = "1,王芳,女,1960-01-02,2025-05-06 07:08:09\n"
Patients = Callable[..., Hospital]


def refused(hospital: Hospital) -> list[tuple[str, int | None, str, str, str]]:
    return [
        (row["source_file"], row["source_row"], row["field"], row["rule"], row["action"])
        for row in hospital.quarantine()
    ]


def test_a_semicolon_file_read_as_commas_says_so(patients: Patients) -> None:
    hospital = patients((HEADER + GOOD).replace(",", ";"))
    with pytest.raises(DataInvalid, match=r"patients\.csv.*one column.*semicolon.*'delimiter'"):
        hospital.read("reg")
    assert not (hospital.out / "patient.parquet").exists(), "nothing of a refused ingest may be left behind"


def test_a_byte_order_mark_is_not_part_of_the_first_name(patients: Patients) -> None:
    hospital = patients("\ufeff" + HEADER + GOOD)
    assert hospital.read("reg").kept == 1
    assert hospital.rows("patient", "source_id, full_name") == [{"source_id": "1", "full_name": "王芳"}]


def test_gb18030_read_as_utf8_names_the_encoding(patients: Patients) -> None:
    hospital = patients(HEADER + GOOD * 3, encoding="gb18030")
    with pytest.raises(DataInvalid, match=r"not utf-8, it reads as gb18030.*encoding: gb18030"):
        hospital.read("reg")


def test_utf8_read_as_gb18030_names_the_encoding(patients: Patients) -> None:
    hospital = patients(HEADER + GOOD, more="encoding: gb18030")
    with pytest.raises(DataInvalid, match="not gb18030, it reads as utf-8"):
        hospital.read("reg")


def test_the_word_that_is_valid_in_both_encodings_is_read_as_configured(patients: Patients) -> None:
    """莫默 in GB18030 is, byte for byte, also two letters of another alphabet in UTF-8."""
    assert "莫默女".encode("gb18030").decode("utf-8")
    hospital = patients(HEADER + "1,莫默,女,,\n", more="encoding: gb18030", encoding="gb18030")
    hospital.read("reg")
    assert hospital.rows("patient", "full_name") == [{"full_name": "莫默"}]


def test_a_few_bad_bytes_cost_their_value_and_not_the_file(patients: Patients) -> None:
    bad = b"2," + b"\xff\xfe" + ",男,1970-01-01,\n".encode()
    hospital = patients((HEADER + GOOD).encode() + bad)
    report = hospital.read("reg")
    assert (report.rows_read, report.kept, report.count("undecodable")) == (2, 2, 1)
    assert [row["full_name"] for row in hospital.rows("patient")] == ["王芳", None]
    assert refused(hospital) == [("patients.csv", 2, "full_name", "undecodable", "value_removed")]


def test_a_truncated_gzip_stops_the_run_for_patients(patients: Patients) -> None:
    hospital = patients(None, more="compression: gzip")
    packed = gzip.compress((HEADER + GOOD * 5000).encode())
    hospital.put("extract/patients.csv", packed[: len(packed) // 2])
    with pytest.raises(DataInvalid, match=r"patients\.csv: the compressed file is truncated\. Resend it"):
        hospital.read("reg")


def test_something_else_than_gzip_is_named(patients: Patients) -> None:
    hospital = patients(HEADER + GOOD, more="compression: gzip")
    with pytest.raises(DataInvalid, match="not intact gzip"):
        hospital.read("reg")


def test_an_empty_file_is_not_a_day_without_patients(patients: Patients) -> None:
    with pytest.raises(DataInvalid, match="empty, it has not even a header"):
        patients("").read("reg")


def test_a_header_without_records_is_a_quiet_day(patients: Patients) -> None:
    hospital = patients(HEADER)
    report = hospital.read("reg")
    assert (report.rows_read, report.table("reg", "patient").files) == (0, 1)
    assert hospital.rows("patient") == []


def test_a_missing_folder_and_a_missing_file_are_told_apart(patients: Patients) -> None:
    hospital = patients(None)
    with pytest.raises(DataInvalid, match=r"folder of source reg does not exist.*--source reg=PATH"):
        hospital.read("reg")
    hospital.put("extract/patient.csv", HEADER)
    with pytest.raises(DataInvalid, match=r"no file 'patients\.csv'; did you mean 'patient\.csv'"):
        hospital.read("reg")


def test_a_missing_column_names_the_nearest(patients: Patients) -> None:
    hospital = patients((HEADER + GOOD).replace("born", "borne"))
    with pytest.raises(DataInvalid, match=r"column 'born' is missing from the header.*Did you mean 'borne'"):
        hospital.read("reg")


def test_a_doubled_column_is_not_guessed(patients: Patients) -> None:
    hospital = patients("no,name,name,sex,born,since\n1,a,b,女,,\n")
    with pytest.raises(DataInvalid, match="'name' stands twice"):
        hospital.read("reg")


def test_an_extra_column_is_left_out_and_reported(patients: Patients) -> None:
    hospital = patients(HEADER.replace("\n", ",ward\n") + GOOD.replace("\n", ",7\n"))
    report = hospital.read("reg")
    assert report.kept == 1
    assert report.source("reg").unused_columns == (("patients.csv", "ward"),)


def test_records_with_too_few_or_too_many_columns_keep_their_number(patients: Patients) -> None:
    hospital = patients(
        HEADER + GOOD + "2,李雷\n" + GOOD.replace("1", "3", 1) + "4,a,女,,,,\n" + GOOD.replace("1", "5", 1)
    )
    report = hospital.read("reg")
    assert (report.rows_read, report.kept, report.rejected) == (5, 3, 2)
    assert [(row["source_id"], row["source_row"]) for row in hospital.rows("patient")] == [("1", 1), ("3", 3), ("5", 5)]
    assert [item[:2] + item[3:] for item in refused(hospital)] == [
        ("patients.csv", 2, "wrong_column_count", "row_removed"),
        ("patients.csv", 4, "wrong_column_count", "row_removed"),
    ]


def test_a_quote_that_is_never_closed_tells_how_much_it_swallowed(patients: Patients) -> None:
    hospital = patients(HEADER + GOOD + '2,"李雷,男,1970-01-01,\n' + GOOD.replace("1", "3", 1) * 4)
    report = hospital.read("reg")
    assert (report.rows_read, report.kept) == (2, 1)
    [row] = hospital.quarantine()
    assert (row["rule"], row["source_row"]) == ("unclosed_quote", 2)
    assert "4 further lines" in row["reason"]


def test_a_cell_of_ten_megabytes_costs_its_value(patients: Patients) -> None:
    hospital = patients(HEADER + f"1,{'x' * (10 << 20)},女,,\n" + GOOD.replace("1", "2", 1))
    report = hospital.read("reg")
    assert (report.kept, report.count("cell_too_long")) == (2, 1)
    assert [row["full_name"] for row in hospital.rows("patient")] == [None, "王芳"]


def test_a_record_beyond_the_readers_memory_refuses_the_file(patients: Patients) -> None:
    hospital = patients(HEADER + f"1,{'x' * (40 << 20)},女,,\n" + GOOD)
    with pytest.raises(DataInvalid, match="longer than 16 MB"):
        hospital.read("reg")


def test_two_records_under_one_number_keep_the_last(patients: Patients) -> None:
    hospital = patients(HEADER + GOOD + "1,王芳芳,女,1960-01-02,\n")
    report = hospital.read("reg")
    assert (report.rows_read, report.kept, report.rejected) == (2, 1, 1)
    assert hospital.rows("patient", "full_name") == [{"full_name": "王芳芳"}]
    assert refused(hospital) == [("patients.csv", 1, "source_id", "duplicate_id", "row_removed")]


@pytest.mark.parametrize(
    ("record", "field", "rule", "action"),
    [
        (",王芳,女,1960-01-02,", "source_id", "missing_required", "row_removed"),
        ("1,王芳,X,1960-01-02,", "gender", "unknown_value", "value_removed"),
        ("1,王芳,女,1960-13-02,", "birth_date", "unreadable_date", "value_removed"),
        ("1,王芳,女,02/03/1960,", "birth_date", "unreadable_date", "value_removed"),
        ("1,王芳,女,1815-03-02,", "birth_date", "unreadable_date", "value_removed"),
        ("1,王芳,女,infinity,", "birth_date", "unreadable_date", "value_removed"),
        ("1,王芳,女,,2025-02-29 10:00:00", "registered_at", "unreadable_date", "value_removed"),
        ("1,王芳,女,,2025-02-28 25:00:00", "registered_at", "unreadable_date", "value_removed"),
        ("1,王芳,女,,9999-12-31 00:00:00", "registered_at", "unreadable_date", "value_removed"),
    ],
)
def test_values_that_cannot_be_read_are_quarantined(
    patients: Patients, record: str, field: str, rule: str, action: str
) -> None:
    hospital = patients(HEADER + record + "\n")
    report = hospital.read("reg")
    assert refused(hospital) == [("patients.csv", 1, field, rule, action)]
    assert report.rows_read == report.kept + report.rejected == 1


def test_no_refusal_repeats_what_the_patient_wrote(patients: Patients, capfd: pytest.CaptureFixture[str]) -> None:
    secret = "canary-7f3a"
    hospital = patients(
        HEADER + f'1,{secret}\ufffd,{secret},{secret},{secret}\n2,{secret}\n3,"{secret}\nx,,,\n{secret},,,,\n'
    )
    report = hospital.read("reg")
    assert report.count("unknown_value") == 1
    told = str(hospital.quarantine()) + str(report.to_json()) + "".join(capfd.readouterr())
    assert secret not in told


def test_the_key_of_a_refused_record_is_keyed(patients: Patients) -> None:
    hospital = patients(HEADER + "1,王芳,X,1960-13-02,\n")
    hospital.read("reg", secret=b"a" * 32)
    keys = [row["record_key"] for row in hospital.quarantine()]
    hospital.read("reg", secret=b"a" * 32)
    assert [row["record_key"] for row in hospital.quarantine()] == keys
    hospital.read("reg", secret=b"b" * 32)
    assert len(set(keys)) == 1, "two reasons of one record share its key"
    assert hospital.quarantine()[0]["record_key"] not in keys


def test_one_unreadable_file_of_many_is_quarantined_as_a_whole(hospital: Hospital) -> None:
    hospital.config("app", READINGS)
    good = gzip.compress(b"id,user,item,value,unit,at\nr1,u1,HR,70,bpm,2026-02-01 08:00:00\n")
    many = b"id,user,item,value,unit,at\n" + b"r2,u1,HR,70,bpm,2026-02-01 08:00:00\n" * 50_000
    hospital.put("app/a.csv.gz", good)
    hospital.put("app/b.csv.gz", gzip.compress(many)[:-20])
    report = hospital.read("app")
    counts = report.table("app", "observation")
    assert (counts.files, counts.files_rejected, counts.rows_read, counts.kept) == (2, 1, 1, 1)
    [row] = hospital.quarantine()
    assert (row["source_file"], row["source_row"], row["rule"]) == ("b.csv.gz", None, "file_unreadable")
    assert "truncated" in row["reason"]


READINGS = """
format: csv
root: app
time_zone: Asia/Shanghai
tables:
  observation:
    - file: "*.csv.gz"
      id: id
      columns:
        patient_source_id: user
        system: {value: "local:app"}
        code: item
        value: value
        unit: unit
        context: {value: home}
        effective_at: at
"""


def test_parquet_that_is_none_is_named(hospital: Hospital) -> None:
    hospital.config("crm", CONTACTS)
    hospital.put("crm/contacts.parquet", b"no,name\n1,a\n")
    with pytest.raises(DataInvalid, match="not intact Parquet"):
        hospital.read("crm")


CONTACTS = """
format: parquet
root: crm
time_zone: UTC
tables:
  patient:
    - file: contacts.parquet
      id: "no"
      columns: {full_name: name}
"""


def test_a_link_to_nowhere_is_a_missing_file(patients: Patients, tmp_path: Path) -> None:
    hospital = patients(None)
    target = hospital.project.var / "extract" / "patients.csv"
    target.parent.mkdir(parents=True)
    target.symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataInvalid, match=r"no file 'patients\.csv'"):
        hospital.read("reg")
