"""The demo hospital's first dump: its files, its life and its dirt."""

from __future__ import annotations

import csv
import gzip
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import phonenumbers
import pyarrow.parquet as pq
import pytest

from alongside.model.addresses import normalise
from alongside.sandbox.hospital import HospitalReport, generate
from alongside.sandbox.hospital.clinical import NAMES
from alongside.sandbox.hospital.dirt import CLEAN
from alongside.sandbox.hospital.dump import chunk_of
from alongside.sandbox.hospital.extracts import EXTRACTS
from alongside.sandbox.hospital.hospital import Hospital

START = date(2026, 2, 28)
#: The hospital's agreement with whoever reads its files, written out here a second time on purpose.
COLUMNS = {
    "his.patients": "patient_no,name,sex,birth_date,id_card,mobile,email,address,district,city,postcode,language,"
    "registered_at,deceased_at",
    "his.visits": "visit_no,patient_no,visit_type,dept,doctor_no,start_time,end_time,icd10,diagnosis",
    "his.diagnoses": "diagnosis_no,visit_no,patient_no,icd10,diagnosis,diagnosed_at,resolved_at",
    "his.prescriptions": "order_no,visit_no,patient_no,atc,drug,days,ordered_at,stopped_at,status",
    "his.operations": "operation_no,visit_no,patient_no,op_code,op_name,operated_at,status",
    "his.appointments": "appointment_no,patient_no,dept,service,doctor_no,booked_at,start_at,status",
    "his.vaccinations": "record_no,patient_no,vaccine_code,vaccine,given_at",
    "his.allergies": "allergy_no,patient_no,allergen_code,allergen,recorded_at",
    "his.vitals": "vital_no,visit_no,patient_no,item,value,unit,measured_at",
    "lis.patients": "lis_pid,mrn,name,sex,birth_date",
    "lis.results": "result_no,lis_pid,visit_no,item_code,item_name,value,unit,reported_at",
    "crm.relatives": (
        "relation_id,contact_id,relation,relative_id,name,gender,phone,email,language,guardian,may_be_told,since"
    ),
    "crm.relative_consents": "consent_id,relative_id,purpose,channel,decision,decided_at,evidence",
    "crm.contacts": "contact_id,mrn,name,gender,birth_date,phone,email,city,language,wechat_openid,created_at",
    "crm.consents": "consent_id,contact_id,purpose,channel,decision,decided_at,evidence",
    "crm.preferences": "pref_id,contact_id,channel,language,quiet_from,quiet_to,topics_off,updated_at",
    "crm.surveys": "response_id,contact_id,survey,score,answered_at",
    "app_events.users": "user_id,mrn,phone,email,name,birth_date,push_token,created_at",
    "app_events.events": "event_id,user_id,kind,topic,occurred_at,duration_seconds",
    "app_events.readings": "reading_id,user_id,item,value,unit,measured_at",
}
Rows = list[dict[str, Any]]


def read(root: Path, name: str, day: date = START) -> Rows:
    """An extract's rows, read with nothing of the generator's own code but the file's place."""
    path = EXTRACTS[name].path(root, day)
    if path.suffix == ".parquet":
        return list(pq.read_table(path).to_pylist())
    if path.suffix == ".gz":
        text = gzip.decompress(path.read_bytes()).decode("utf-8")
    else:
        text = path.read_bytes().decode("gb18030" if name.startswith("lis") else "utf-8-sig")
    return list(csv.DictReader(text.splitlines(), delimiter="|" if name.startswith("lis") else ","))


def digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> HospitalReport:
    return generate(tmp_path_factory.mktemp("hospital"))


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> HospitalReport:
    return generate(tmp_path_factory.mktemp("clean"), patients=3_000, dirt=CLEAN)


@pytest.fixture(scope="module")
def life(clean: HospitalReport) -> Iterator[duckdb.DuckDBPyConnection]:
    """The clean hospital's extracts as tables `his_visits`, ..., all columns as text."""
    connection = duckdb.connect()
    for name in COLUMNS:
        path = EXTRACTS[name].path(clean.root, START)
        source = f"read_parquet('{path}')" if path.suffix == ".parquet" else f"read_csv('{path}', all_varchar = true)"
        if name.startswith("lis"):
            plain = path.with_suffix(".utf8")
            plain.write_text(path.read_bytes().decode("gb18030"), "utf-8")
            source = f"read_csv('{plain}', all_varchar = true, delim = '|')"
        connection.execute(f"CREATE TABLE {name.replace('.', '_')} AS FROM {source}")
    yield connection
    connection.close()


def count(life: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = life.execute(sql).fetchone()
    assert row is not None
    return int(row[0])


# --------------------------------------------------------------------------------------------------------- files
@pytest.mark.parametrize("name", COLUMNS)
def test_every_extract_has_exactly_the_agreed_columns(made: HospitalReport, name: str) -> None:
    path = EXTRACTS[name].path(made.root, START)
    if path.suffix == ".parquet":
        header = pq.read_schema(path).names
    else:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        header = raw.decode("gb18030" if name.startswith("lis") else "utf-8-sig").splitlines()[0]
        header = header.split("|" if name.startswith("lis") else ",")
    assert header == COLUMNS[name].split(",")
    assert made.rows[name] == len(read(made.root, name)) > 0


def test_files_are_encoded_as_each_system_does_it(made: HospitalReport) -> None:
    his = EXTRACTS["his.patients"].path(made.root, START).read_bytes()
    lis = EXTRACTS["lis.patients"].path(made.root, START).read_bytes()
    assert his.startswith(b"\xef\xbb\xbf")
    assert not lis.startswith(b"\xef\xbb\xbf")
    with pytest.raises(UnicodeDecodeError):
        lis.decode("utf-8")


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        generate(tmp_path / name, patients=300, seed=seed)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert digest(tmp_path / "a") != digest(tmp_path / "c")


def test_the_size_of_the_chunks_changes_no_row(tmp_path: Path) -> None:
    generate(tmp_path / "one", patients=700, chunk=700)
    generate(tmp_path / "many", patients=700, chunk=90)
    for name in COLUMNS:
        one, many = read(tmp_path / "one", name), read(tmp_path / "many", name)
        assert sorted(map(str, one)) == sorted(map(str, many)), name


def test_a_chunk_holds_its_own_people_whatever_the_hospitals_size() -> None:
    """Memory is bounded because a chunk's work depends on the chunk alone."""
    index = np.arange(4_000, 4_200, dtype=np.int64)
    small = chunk_of(Hospital(5_000, 1, START), index)
    huge = chunk_of(Hospital(10_000_000, 1, START), index)
    assert {name: table.num_rows for name, table in small.extracts.items()} == {
        name: table.num_rows for name, table in huge.extracts.items()
    }
    assert all(small.extracts[name].equals(huge.extracts[name]) for name in small.extracts)


_PEAK = """
import resource, sys, tempfile
from pathlib import Path
from alongside.sandbox.hospital import generate
generate(Path(tempfile.mkdtemp(dir=sys.argv[1])), patients=int(sys.argv[2]), chunk=1000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_eight_times_the_patients_need_hardly_more_memory(tmp_path: Path) -> None:
    peaks = []
    for patients in (1_000, 8_000):
        done = subprocess.run(
            [sys.executable, "-c", _PEAK, str(tmp_path), str(patients)], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout))
    assert peaks[1] < peaks[0] * 1.35


def test_progress_is_told_after_each_chunk(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    generate(tmp_path, patients=250, chunk=100, progress=lambda done, total: told.append((done, total)))
    assert told == [(100, 250), (200, 250), (250, 250)]


def test_a_new_hospital_leaves_no_day_of_the_old_one(tmp_path: Path) -> None:
    stale = tmp_path / "his" / "2026-03-09"
    stale.mkdir(parents=True)
    generate(tmp_path, patients=50)
    assert sorted(path.name for path in (tmp_path / "his").iterdir()) == ["2026-02-28"]


@pytest.mark.parametrize("patients", [0, -1, 10_000_001])
def test_an_impossible_size_is_refused(tmp_path: Path, patients: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 10,000,000"):
        generate(tmp_path, patients=patients)


def test_a_hospital_of_one_patient_works(tmp_path: Path) -> None:
    assert generate(tmp_path, patients=1).rows["his.patients"] >= 1


# ------------------------------------------------------------------------------------------------- nobody is real
def test_nobody_can_be_reached_by_what_stands_in_the_files(made: HospitalReport) -> None:
    people = pq.read_table(made.truth / "people" / "2026-02-28.parquet")
    emails = [email for email in people["email"].to_pylist() + people["old_email"].to_pylist() if email]
    assert all(email.split("@")[1] in {"example.com", "example.org", "example.net", "mail.example"} for email in emails)
    phones = people["phone"].to_pylist()
    assert all(phone.startswith("1990000") for phone in phones)
    assert len(set(phones)) == len(phones)
    assert phonenumbers.is_valid_number(phonenumbers.parse(phones[17], "CN"))
    cards = [row["id_card"] for row in read(made.root, "his.patients") if row["id_card"]]
    assert all(card.startswith("999999") and len(card) == 18 for card in cards)


@pytest.mark.parametrize(
    ("name", "column", "kind", "share"),
    [("crm.contacts", "wechat_openid", "openid", 0.5), ("app_events.users", "push_token", "device_token", 0.6)],
)
def test_some_follow_the_account_and_some_let_the_app_notify_them(
    made: HospitalReport, name: str, column: str, kind: str, share: float
) -> None:
    rows = read(made.root, name)
    given = [row[column] for row in rows if row[column]]
    assert len(given) / len(rows) == pytest.approx(share, abs=0.06)
    assert all(normalise(kind, value) == value for value in given)
    # Two contacts of one person, which the CRM has, follow as one.
    assert len(set(given)) >= 0.95 * len(given)


def test_identity_numbers_are_unique_but_for_people_registered_twice(made: HospitalReport) -> None:
    records = pq.read_table(made.truth / "records" / "2026-02-28.parquet").to_pylist()
    person = {row["source_id"]: row["person"] for row in records if row["source"] == "his"}
    owner: dict[str, str] = {}
    for row in read(made.root, "his.patients"):
        if row["id_card"]:
            assert owner.setdefault(row["id_card"], person[row["patient_no"]]) == person[row["patient_no"]]


# ----------------------------------------------------------------------------------------------------------- life
SHARES = {
    "hypertension": (0.29, 0.37),
    "diabetes_type_2": (0.09, 0.15),
    "prediabetes": (0.05, 0.11),
    "hyperlipidemia": (0.15, 0.24),
    "coronary_heart_disease": (0.03, 0.08),
    "heart_failure": (0.005, 0.03),
    "atrial_fibrillation": (0.01, 0.03),
    "stroke": (0.02, 0.05),
    "copd": (0.03, 0.07),
    "asthma": (0.015, 0.04),
    "chronic_kidney_disease": (0.02, 0.06),
    "knee_osteoarthritis": (0.08, 0.16),
    "osteoporosis": (0.07, 0.14),
    "obesity": (0.09, 0.20),
    "pregnancy": (0.015, 0.04),
    "breast_cancer": (0.004, 0.015),
    "colorectal_cancer": (0.002, 0.009),
    "depression": (0.02, 0.045),
    "cataract": (0.07, 0.14),
    "gallstones": (0.035, 0.08),
}


@pytest.mark.parametrize("condition", NAMES)
def test_conditions_are_as_common_as_in_such_a_hospital(made: HospitalReport, condition: str) -> None:
    people = pq.read_table(made.truth / "people" / "2026-02-28.parquet", columns=["conditions"])
    share = sum(condition in row for row in people["conditions"].to_pylist()) / len(people)
    low, high = SHARES[condition]
    assert low <= share <= high


def test_a_campaign_for_hypertension_can_reach_a_thousand_people(made: HospitalReport) -> None:
    people = pq.read_table(made.truth / "people" / "2026-02-28.parquet").to_pylist()
    latest: dict[tuple[str, str], tuple[str, str]] = {}
    for row in read(made.root, "crm.consents"):
        key = (row["contact_id"], row["purpose"])
        latest[key] = max(latest.get(key, ("", "")), (row["decided_at"], row["decision"]))
    reachable = [
        row
        for row in people
        if "hypertension" in row["conditions"]
        and row["email"]
        and not row["deceased_at"]
        and row["crm_ids"]
        and all(
            latest.get((row["crm_ids"][0], purpose), ("", ""))[1] == "permit" for purpose in ("care", "cross_border")
        )
    ]
    assert 1_000 <= len(reachable) <= 1_500


@pytest.mark.parametrize(
    ("purpose", "share"),
    [("care", 0.88), ("education", 0.70), ("survey", 0.60), ("marketing", 0.45), ("cross_border", 0.85)],
)
def test_consents_are_given_as_often_as_declared(made: HospitalReport, purpose: str, share: float) -> None:
    contacts = {row["contact_id"] for row in read(made.root, "crm.contacts")}
    consents = [row for row in read(made.root, "crm.consents") if row["purpose"] == purpose]
    agreed = {row["contact_id"] for row in consents if row["decision"] == "permit"}
    assert len(agreed) / len(contacts) == pytest.approx(share, abs=0.03)
    withdrawn = [row for row in consents if row["decision"] == "deny" and row["contact_id"] in agreed]
    assert 0 < len(withdrawn) / len(agreed) < 0.06


def test_english_is_preferred_by_those_with_foreign_names(life: duckdb.DuckDBPyConnection) -> None:
    share = count(life, "SELECT round(1000 * avg((language = 'en')::int)) FROM his_patients") / 1000
    assert share == pytest.approx(0.07, abs=0.02)
    assert (
        count(life, "SELECT count(*) FROM his_patients WHERE (language = 'en') <> regexp_matches(name, '[a-z]')") == 0
    )


#: Each selects what must not exist in a hospital whose clerks never err.
IMPOSSIBLE = {
    "pregnant men": "his_diagnoses JOIN his_patients USING (patient_no) WHERE icd10 LIKE 'Z34%' AND sex = '男'",
    "pregnancy outside 20-44": (
        "his_diagnoses JOIN his_patients USING (patient_no) WHERE icd10 LIKE 'Z34%' "
        "AND date_diff('day', birth_date::date, diagnosed_at::timestamp::date) / 365.25 NOT BETWEEN 18 AND 44"
    ),
    "caesarean sections of men": (
        "his_operations JOIN his_patients USING (patient_no) WHERE op_code IN ('OP-CS', 'OP-MAM') AND sex = '男'"
    ),
    "knee replacements without osteoarthritis before": (
        "his_operations o WHERE op_code = 'OP-TKR' AND NOT EXISTS (FROM his_diagnoses d WHERE "
        "d.patient_no = o.patient_no AND d.icd10 LIKE 'M17%' AND d.diagnosed_at < o.operated_at)"
    ),
    "knee replacements of the young": (
        "his_operations JOIN his_patients USING (patient_no) WHERE op_code = 'OP-TKR' "
        "AND date_diff('day', birth_date::date, operated_at::timestamp::date) / 365.25 < 55"
    ),
    "visits before birth": (
        "his_visits JOIN his_patients USING (patient_no) WHERE start_time::timestamp < birth_date::date"
    ),
    "visits before registration": "his_visits JOIN his_patients USING (patient_no) WHERE start_time < registered_at",
    "visits after death": "his_visits JOIN his_patients USING (patient_no) WHERE start_time > deceased_at",
    "visits that end before they start": "his_visits WHERE end_time < start_time",
    "visits after the extract": "his_visits WHERE start_time > '2026-02-28 02:00:00'",
    "out-patients who never leave": (
        "his_visits WHERE end_time IS NULL AND visit_type <> '住院' AND start_time < '2026-02-27'"
    ),
    "diagnoses resolved before they were made": "his_diagnoses WHERE resolved_at < diagnosed_at",
    "children with blood-pressure tablets": (
        "his_prescriptions JOIN his_patients USING (patient_no) WHERE atc LIKE 'C0%' "
        "AND date_diff('year', birth_date::date, ordered_at::timestamp::date) < 16"
    ),
    "statins without a reason": (
        "his_prescriptions p WHERE atc = 'C10AA05' AND NOT EXISTS (FROM his_diagnoses d WHERE "
        "d.patient_no = p.patient_no AND (d.icd10 LIKE 'E78%' OR d.icd10 LIKE 'I25%' OR d.icd10 LIKE 'I63%'))"
    ),
    "negative supplies": "his_prescriptions WHERE days::int <= 0",
    "appointments booked after they took place": "his_appointments WHERE booked_at > start_at",
    "booked appointments in the past": "his_appointments WHERE status = '已预约' AND start_at < '2026-02-28 02:00:00'",
    "kept appointments in the future": (
        "his_appointments WHERE status NOT IN ('已预约', '已取消') AND start_at > '2026-02-28 02:00:00'"
    ),
    "results of strangers": "lis_results WHERE lis_pid NOT IN (SELECT lis_pid FROM lis_patients)",
    "results before the visit": "lis_results JOIN his_visits USING (visit_no) WHERE reported_at < start_time",
    "diastolic above systolic": (
        "his_vitals a JOIN his_vitals b USING (visit_no) WHERE a.item = 'SBP' AND b.item = 'DBP' "
        "AND a.value::double <= b.value::double"
    ),
    "consents of strangers": "crm_consents WHERE contact_id NOT IN (SELECT contact_id FROM crm_contacts)",
    "consents of no relatives": (
        "crm_relative_consents WHERE relative_id NOT IN (SELECT relative_id FROM crm_relatives)"
    ),
    "relatives of strangers": "crm_relatives WHERE contact_id NOT IN (SELECT contact_id FROM crm_contacts)",
    "children without a parent among their relatives": (
        "crm_relatives JOIN crm_contacts USING (contact_id) WHERE birth_date > '2013-01-01' "
        "AND relation NOT IN ('母亲', '父亲')"
    ),
    "consents before the contact": "crm_consents JOIN crm_contacts USING (contact_id) WHERE decided_at < created_at",
    "events of strangers": "app_events_events WHERE user_id NOT IN (SELECT user_id FROM app_events_users)",
    "readings before the account": (
        "app_events_readings JOIN app_events_users USING (user_id) WHERE measured_at < created_at"
    ),
    "anything in the app after the extract": "app_events_events WHERE occurred_at > '2026-02-28 02:00:00'",
    "visits that stand twice": "(SELECT visit_no FROM his_visits GROUP BY ALL HAVING count(*) > 1)",
    "appointments that stand twice": "(SELECT appointment_no FROM his_appointments GROUP BY ALL HAVING count(*) > 1)",
    "diagnoses that stand twice": "(SELECT diagnosis_no FROM his_diagnoses GROUP BY ALL HAVING count(*) > 1)",
    "operations that stand twice": "(SELECT operation_no FROM his_operations GROUP BY ALL HAVING count(*) > 1)",
    "orders that stand twice": "(SELECT order_no FROM his_prescriptions GROUP BY ALL HAVING count(*) > 1)",
    "results that stand twice": "(SELECT result_no FROM lis_results GROUP BY ALL HAVING count(*) > 1)",
    "readings that stand twice": "(SELECT reading_id FROM app_events_readings GROUP BY ALL HAVING count(*) > 1)",
    "events that stand twice": "(SELECT event_id FROM app_events_events GROUP BY ALL HAVING count(*) > 1)",
    "vaccinations that stand twice": "(SELECT record_no FROM his_vaccinations GROUP BY ALL HAVING count(*) > 1)",
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_without_dirt_there_are_no(life: duckdb.DuckDBPyConnection, what: str) -> None:
    assert count(life, f"SELECT count(*) FROM {IMPOSSIBLE[what]}") == 0


#: (left, right): the left average must be clearly above the right one.
RELATIONS = {
    "treatment lowers blood pressure": (
        "SELECT avg(value::double) FROM his_vitals JOIN his_diagnoses d USING (visit_no) "
        "WHERE item = 'SBP' AND d.icd10 = 'I10' AND diagnosed_at > '2021'",
        "SELECT avg(value::double) + 5 FROM his_vitals v JOIN his_prescriptions p USING (patient_no) "
        "WHERE item = 'SBP' AND p.atc = 'C08CA01' AND measured_at::timestamp > ordered_at::timestamp + INTERVAL 30 DAY",
    ),
    "diabetes raises HbA1c": (
        "SELECT avg(value::double) FROM lis_results WHERE item_code = 'GHB' AND lis_pid IN "
        "(SELECT lis_pid FROM lis_patients JOIN his_diagnoses d ON mrn = d.patient_no WHERE d.icd10 = 'E11.9')",
        "SELECT avg(value::double) + 1 FROM lis_results WHERE item_code = 'GHB' AND lis_pid NOT IN "
        "(SELECT lis_pid FROM lis_patients JOIN his_diagnoses d ON mrn = d.patient_no WHERE d.icd10 = 'E11.9')",
    ),
    "kidneys filter less with kidney disease": (
        "SELECT avg(value::double) FROM lis_results WHERE item_code = 'EGFR' AND lis_pid NOT IN "
        "(SELECT lis_pid FROM lis_patients JOIN his_diagnoses d ON mrn = d.patient_no WHERE d.icd10 = 'N18.3')",
        "SELECT avg(value::double) + 25 FROM lis_results WHERE item_code = 'EGFR' AND lis_pid IN "
        "(SELECT lis_pid FROM lis_patients JOIN his_diagnoses d ON mrn = d.patient_no WHERE d.icd10 = 'N18.3')",
    ),
    "the dead were older": (
        "SELECT avg(2026 - birth_date[:4]::int) FROM his_patients WHERE deceased_at IS NOT NULL",
        "SELECT avg(2026 - birth_date[:4]::int) + 15 FROM his_patients WHERE deceased_at IS NULL",
    ),
}


@pytest.mark.parametrize("what", RELATIONS)
def test_illness_treatment_and_values_hang_together(life: duckdb.DuckDBPyConnection, what: str) -> None:
    more, less = (count(life, sql) for sql in RELATIONS[what])
    assert more > less


def test_some_are_in_bed_and_many_have_not_been_seen_for_months(life: duckdb.DuckDBPyConnection) -> None:
    in_bed = count(life, "SELECT count(*) FROM his_visits WHERE end_time IS NULL")
    assert 1 <= in_bed <= 40
    overdue = """
        SELECT round(100 * avg((last < TIMESTAMP '2026-02-28' - INTERVAL 90 DAY)::int)) FROM (
            SELECT patient_no, max(start_time)::timestamp AS last FROM his_visits
            WHERE patient_no IN (SELECT patient_no FROM his_diagnoses WHERE icd10 = 'I10') GROUP BY ALL)"""
    assert 30 <= count(life, overdue) <= 65


def test_expecting_mothers_have_their_next_visit_booked(life: duckdb.DuckDBPyConnection) -> None:
    expecting = count(life, "SELECT count(*) FROM his_diagnoses WHERE icd10 LIKE 'Z34%' AND resolved_at IS NULL")
    booked = count(life, "SELECT count(*) FROM his_appointments WHERE service = 'antenatal' AND status = '已预约'")
    assert 0.6 * expecting <= booked <= expecting
