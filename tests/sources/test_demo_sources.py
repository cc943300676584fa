"""The shipped mappings of the demo hospital, on small extracts written by hand to their file specification."""

from __future__ import annotations

import gzip
from datetime import date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.sources.conftest import Hospital

DAY = "2026-02-28"

PATIENT_HEADER = (
    "patient_no,name,sex,birth_date,id_card,mobile,email,address,district,city,postcode,language,registered_at,"
    "deceased_at"
)
HIS = {
    "patients": PATIENT_HEADER
    + """
P1,王芳,女,1960/01/02,,１３８ 0000 0000,wang@example.com,示范路1号,东区,青禾市,999001,zh,2020-05-06 08:00:00,
P2,Li Lei,男,19850302,,,,,,,,en,2021-01-01 00:00:00,2025-12-31 23:30:00
P3,欧阳娜娜,未知,,,,,,,,,,,
""",
    "visits": """visit_no,patient_no,visit_type,dept,doctor_no,start_time,end_time,icd10,diagnosis
V1,P1,门诊,cardiology,D1,2026-02-01 09:00:00,2026-02-01 09:20:00,I10,原发性高血压
V2,P2,住院,骨科,D2,2026-02-20 09:00:00,,M17.9,膝骨关节炎
V3,P2,急诊,皮肤科,D2,2026-02-20 09:00:00,,,
V4,P2,上门,骨科,D2,2026-02-20 09:00:00,,,
""",
    "diagnoses": """diagnosis_no,visit_no,patient_no,icd10,diagnosis,diagnosed_at,resolved_at
G1,V1,P1,I10.x00x002,高血压,2026-02-01 09:10:00,
G2,V2,P2,M17.9,膝骨关节炎,2026-02-20 10:00:00,
G3,V2,P2,Q99.9,罕见,2026-02-20 10:00:00,
""",
    "prescriptions": """order_no,visit_no,patient_no,atc,drug,days,ordered_at,stopped_at,status
O1,V1,P1,C09AA02,依那普利,30,2026-02-01 09:15:00,,有效
O2,V1,P1,A10BA02,二甲双胍,-5,2026-02-01 09:15:00,2026-02-10 00:00:00,停用
""",
    "operations": """operation_no,visit_no,patient_no,op_code,op_name,operated_at,status
S1,V2,P2,OP-TKR,膝关节置换,2026-02-21 08:00:00,已完成
""",
    "appointments": """appointment_no,patient_no,dept,service,doctor_no,booked_at,start_at,status
A1,P1,cardiology,follow_up,D1,2026-02-01 09:30:00,2026-03-05 09:00:00,已预约
A2,P1,cardiology,follow_up,D1,2026-01-01 09:30:00,2026-01-05 09:00:00,爽约
""",
    "vaccinations": """record_no,patient_no,vaccine_code,vaccine,given_at
R1,P1,VAC-FLU,流感疫苗,2025-10-10 10:00:00
""",
    "allergies": """allergy_no,patient_no,allergen_code,allergen,recorded_at
L1,P1,ALG-PEN,青霉素,2020-05-06 08:00:00
""",
    "vitals": """vital_no,visit_no,patient_no,item,value,unit,measured_at
T1,V1,P1,SBP,152,mm[Hg],2026-02-01 09:05:00
T2,V1,P1,SBP,700,mm[Hg],2026-02-01 09:05:00
T3,V1,P1,WT,,kg,2026-02-01 09:05:00
""",
}
LIS = {
    "patients": "lis_pid|mrn|name|sex|birth_date\nL9|P1|王芳|女|1960-01-02\n",
    "results": (
        "result_no|lis_pid|visit_no|item_code|item_name|value|unit|reported_at\n"
        "N1|L9|V1|GLU|空腹血糖|126|mg/dL|2026-02-01 11:00:00\n"
        "N2|L9|V1|GHB|糖化血红蛋白|溶血|%|2026-02-01 11:00:00\n"
    ),
}
APP = {
    "users": (
        "user_id,mrn,phone,email,name,birth_date,push_token,created_at\nU1,,,,王芳,1960-01-02,,2025-01-01 00:00:00\n"
    ),
    "events": (
        "event_id,user_id,kind,topic,occurred_at,duration_seconds\n"
        "E1,U1,article_read,hypertension,2026-02-27 21:00:00,95\nE2,U1,login,,2026-02-27 20:59:00,\n"
    ),
    "readings": "reading_id,user_id,item,value,unit,measured_at\nH1,U1,SBP,148,mm[Hg],2026-02-27 07:00:00\n",
}
CRM = {
    "contacts": [
        {"contact_id": "C1", "mrn": None, "name": "王芳", "gender": "F", "birth_date": "1960-01-02", "phone": None,
         "email": "wang@example.com", "city": None, "language": "zh",
         "wechat_openid": "oQh_000000000000000000000001", "created_at": "2024-01-01 00:00:00"},
    ],
    "relatives": [
        {"relation_id": "R1", "contact_id": "C1", "relation": "子女", "relative_id": "C9", "name": "李明",
         "gender": "M", "phone": None, "email": "ming@example.com", "language": "zh", "guardian": None,
         "may_be_told": "是", "since": "2024-01-01 08:00:00"},
    ],
    "relative_consents": [
        {"consent_id": "K9", "relative_id": "C9", "purpose": "care", "channel": "*", "decision": "permit",
         "decided_at": "2024-01-01 00:00:00", "evidence": "登记表"},
    ],
    "consents": [
        {"consent_id": "K1", "contact_id": "C1", "purpose": "care", "channel": "*", "decision": "permit",
         "decided_at": "2024-01-01 00:00:00", "evidence": "登记表"},
        {"consent_id": "K2", "contact_id": "C1", "purpose": "marketing", "channel": "email", "decision": "maybe",
         "decided_at": "2024-01-01 00:00:00", "evidence": None},
    ],
    "preferences": [
        {"pref_id": "F1", "contact_id": "C1", "channel": "email", "language": "zh", "quiet_from": "20:00",
         "quiet_to": "09:00", "topics_off": "sleep|nutrition", "updated_at": "2024-01-02 00:00:00"},
    ],
    "surveys": [
        {"response_id": "Q1", "contact_id": "C1", "survey": "nps", "score": 9.0, "answered_at": "2026-02-02 10:00:00"},
    ],
}  # fmt: skip


@pytest.fixture
def demo(shipped: Hospital) -> Hospital:
    for name, content in HIS.items():
        shipped.put(f"hospital/his/{DAY}/{name}.csv", content, "utf-8-sig")
    for name, content in LIS.items():
        shipped.put(f"hospital/lis/{DAY}/{name}.csv", content, "gb18030")
    for name, content in APP.items():
        shipped.put(f"hospital/app_events/{DAY}/{name}.csv.gz", gzip.compress(content.encode()))
    for name, rows in CRM.items():
        pq.write_table(pa.Table.from_pylist(rows), shipped.put(f"hospital/crm/{DAY}/{name}.parquet", b""))
    shipped.read("his", "lis", "crm", "app_events")
    return shipped


def one(hospital: Hospital, table: str, source: str, source_id: str) -> dict[str, object]:
    [row] = [row for row in hospital.rows(table) if (row["source"], row["source_id"]) == (source, source_id)]
    return row


def test_patients_of_all_four_systems(demo: Hospital) -> None:
    assert [(row["source"], row["source_id"]) for row in demo.rows("patient")] == [
        *(
            ("app_events", "U1"),
            ("crm", "C1"),
            ("crm", "relative:C9"),
            ("his", "P1"),
            ("his", "P2"),
            ("his", "P3"),
            ("lis", "L9"),
        )
    ]
    wang, li = one(demo, "patient", "his", "P1"), one(demo, "patient", "his", "P2")
    assert (wang["gender"], wang["birth_date"], wang["language"]) == ("female", date(1960, 1, 2), "zh_CN")
    assert wang["phone"] == "１３８ 0000 0000", "addresses stay as written: their repair is identity's affair"
    assert wang["mrn"] == one(demo, "patient", "lis", "L9")["mrn"] == "P1"
    assert li["birth_date"] == date(1985, 3, 2)
    assert li["deceased_at"] == datetime.fromisoformat("2025-12-31T15:30:00")
    assert one(demo, "patient", "his", "P3")["gender"] == "unknown"


def test_visits(demo: Hospital) -> None:
    found = {row["source_id"]: (row["class"], row["department"]) for row in demo.rows("encounter")}
    assert found == {
        "V1": ("AMB", "cardiology"),
        "V2": ("IMP", "orthopaedics"),
        "V3": ("EMER", "皮肤科"),
        "V4": (None, "orthopaedics"),
    }


def test_clinical_meaning(demo: Hospital) -> None:
    assert one(demo, "condition", "his", "G1")["concepts"] == ["hypertension"], "the national version's longer codes"
    assert one(demo, "condition", "his", "G3")["concepts"] == []
    assert one(demo, "medication_request", "his", "O1")["concepts"] == ["antihypertensive"]
    assert one(demo, "procedure", "his", "S1")["concepts"] == ["knee_replacement"]
    assert one(demo, "immunization", "his", "R1")["concepts"] == ["influenza_vaccine"]
    assert one(demo, "allergy_intolerance", "his", "L1")["concepts"] == ["penicillin_allergy"]


def test_measurements_of_clinic_laboratory_and_home(demo: Hospital) -> None:
    found = {row["source_id"]: (row["value"], row["unit"], row["context"]) for row in demo.rows("observation")}
    assert found == {
        "H1": (148.0, "mm[Hg]", "home"),
        "T1": (152.0, "mm[Hg]", "clinic"),
        "N1": (6.993, "mmol/L", "lab"),
    }
    refused = {(row["source"], row["rule"]) for row in demo.quarantine() if row["table_name"] == "observation"}
    assert refused == {("his", "impossible_value"), ("his", "no_value"), ("lis", "unreadable_number")}


def test_decisions_preferences_answers_and_clicks(demo: Hospital) -> None:
    assert [(row["source_id"], row["decision"]) for row in demo.rows("consent")] == [
        *(
            ("K1", "permit"),
            ("K2", None),
            ("relative:K9", "permit"),
        )  # a consent in unknown words is kept undecided: it may be a withdrawal
    ]
    assert one(demo, "preference", "crm", "F1")["topics_off"] == "sleep|nutrition"
    assert one(demo, "questionnaire_response", "crm", "Q1")["score"] == 9.0
    assert one(demo, "interaction", "app_events", "E1")["duration_seconds"] == 95.0
    assert one(demo, "appointment", "his", "A2")["status"] == "noshow"


def test_a_decision_in_unknown_words_is_never_guessed(demo: Hospital) -> None:
    [row] = [row for row in demo.quarantine() if row["table_name"] == "consent"]
    assert (row["field"], row["rule"], row["action"]) == ("decision", "unknown_value", "value_removed")


def test_relatives_are_people_of_their_own_who_are_no_patients(demo: Hospital) -> None:
    relative = one(demo, "patient", "crm", "relative:C9")
    assert (relative["full_name"], relative["role"], relative["mrn"]) == ("李明", "contact", None)
    relation = one(demo, "related_person", "crm", "R1")
    assert (relation["patient_source_id"], relation["relative_source_id"]) == ("C1", relative["source_id"])
    assert (relation["relationship"], relation["decides"], relation["decision"]) == ("child", None, "permit")
    assert one(demo, "consent", "crm", "relative:K9")["patient_source_id"] == relative["source_id"]
