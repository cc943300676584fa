"""What is written down at a visit: the HIS's and the laboratory's event tables, with their faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alongside.sandbox.hospital import clinical as c
from alongside.sandbox.hospital import physiology as body
from alongside.sandbox.hospital.contacts import moment_text, padded
from alongside.sandbox.hospital.draws import Flags, Floats, Ints
from alongside.sandbox.hospital.hospital import Hospital
from alongside.sandbox.hospital.people import DAY, NEVER, People
from alongside.sandbox.hospital.records import identifier
from alongside.sandbox.hospital.visits import Program, Visits

_CENTURY = 36_525 * DAY
#: What stands where nobody can map it any more.
_FORGOTTEN = ("ZZZ.99", "X-2003", "999.9A", "待编码")


@dataclass(frozen=True)
class Orders:
    """Prescriptions as they are meant; `visit` is the number of the visit at which they were written."""

    who: Ints
    visit: Ints
    drug: Ints
    days: Ints
    ordered: Ints  # second
    stopped: Ints  # second, NEVER unless stopped early
    second: Flags

    def take(self, rows: Ints | Flags) -> Orders:
        return Orders(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def visit_id(number: Ints) -> Any:
    return pc.binary_join_element_wise("V", padded(number, 12), "")


def doctor(department: Ints, index: Ints) -> Any:
    """Patients keep their doctor within a department."""
    number = department * 100 + (index * 31 + department * 7) % c.DOCTORS_PER_DEPARTMENT + 1
    return pc.binary_join_element_wise("D", padded(np.asarray(number, dtype=np.int64), 4), "")


def word(words: tuple[str, ...], position: Ints) -> Any:
    return pa.array(words).take(pa.array(position))


def patient_id(people: People, who: Ints, second: Flags) -> Any:
    return identifier("his", people.index[who], second.astype(np.int64))


def repeated(hospital: Hospital, label: str, key: Ints) -> Ints:
    """Row positions in which a few rows stand twice, one after the other."""
    twice = hospital.draws.chance(f"repeat/{label}", hospital.dirt.id_repeated, key)
    return np.repeat(np.arange(len(key)), 1 + twice)


# ---------------------------------------------------------------------------------------------------- visits
def visits_table(hospital: Hospital, people: People, visits: Visits, cut: int) -> pa.Table:
    """visits.csv; an end after `cut` has not happened yet."""
    draws, dirt = hospital.draws, hospital.dirt
    rows = repeated(hospital, "visits", visits.number)
    visits = visits.take(rows)
    number, index = visits.number, people.index[visits.who]
    future = draws.chance("visit/future", dirt.time_future, number)
    ended = visits.end < cut
    backwards = draws.chance("visit/backwards", dirt.end_before_start, number) & ended & ~future
    start = visits.start + np.where(future, _CENTURY, 0)
    end = np.where(ended, visits.end + np.where(future, _CENTURY, 0), NEVER)
    department = np.where(
        visits.kind == c.EMERGENCY, c.DEPARTMENTS.index("emergency"), c.DEPARTMENT_OF_REASON[visits.reason]
    )
    return pa.table(
        {
            "visit_no": visit_id(number),
            "patient_no": patient_id(people, visits.who, visits.second),
            "visit_type": word(c.VISIT_TYPES, visits.kind),
            "dept": word(c.DEPARTMENT_TEXTS, department),
            "doctor_no": doctor(department, index),
            "start_time": moment_text(start),
            "end_time": moment_text(np.where(backwards, start - 3_600, end)),
            "icd10": word(tuple(reason.icd10 for reason in c.REASONS), visits.reason),
            "diagnosis": word(tuple(reason.text for reason in c.REASONS), visits.reason),
        }
    )


# ------------------------------------------------------------------------------------------------- diagnoses
def diagnoses_table(hospital: Hospital, people: People, visits: Visits, cut: int) -> pa.Table:
    """diagnoses.csv: lasting conditions at the visit that found them, acute ones at their own visit."""
    return pa.concat_tables([_lasting(hospital, people, visits, cut), _acute_diagnoses(hospital, people, visits, cut)])


def found(people: People, visits: Visits) -> tuple[Ints, Ints]:
    """(visit row, condition) pairs: which visit found which condition."""
    at_diagnosis = np.flatnonzero(visits.program == Program.DIAGNOSIS)
    at_first = np.flatnonzero(visits.program == Program.REGISTRATION)
    before = people.onsets()[:, visits.who[at_first]] <= people.registered[visits.who[at_first]] // DAY
    condition, row = np.nonzero(before)
    rows = np.concatenate([at_diagnosis, at_first[row]])
    conditions = np.concatenate([visits.reason[at_diagnosis], condition])
    order = np.lexsort((conditions, rows))
    return rows[order], conditions[order]


def _lasting(hospital: Hospital, people: People, visits: Visits, cut: int) -> pa.Table:
    rows, condition = found(people, visits)
    who, when = visits.who[rows], visits.start[rows]
    delivered = np.where(people.delivery[who] < NEVER, people.delivery[who] * DAY + 22 * 3600, NEVER)
    over = np.where((condition == c.NUMBER["pregnancy"]) & (delivered < cut), delivered, NEVER)
    key = people.index[who] * 100 + condition
    before = hospital.draws.chance("diagnosis/before", hospital.dirt.before_birth, key)
    return pa.table(
        {
            "diagnosis_no": lasting_id(people.index[who], condition),
            "visit_no": visit_id(visits.number[rows]),
            "patient_no": patient_id(people, who, visits.second[rows]),
            "icd10": _code(hospital, key, condition),
            "diagnosis": word(tuple(reason.text for reason in c.REASONS), condition),
            "diagnosed_at": moment_text(np.where(before, (people.birth[who] - 400) * DAY, when)),
            "resolved_at": moment_text(over),
        }
    )


def lasting_id(index: Ints, condition: Ints | int) -> Any:
    return pc.binary_join_element_wise("DC", padded(index * 100 + condition, 12), "")


def _code(hospital: Hospital, key: Ints, reason: Ints) -> Any:
    unknown = hospital.draws.chance("code/unknown", hospital.dirt.code_unknown, key)
    codes = word(tuple(item.icd10 for item in c.REASONS), reason)
    return pc.if_else(pa.array(unknown), word(_FORGOTTEN, key % len(_FORGOTTEN)), codes)


def _acute_diagnoses(hospital: Hospital, people: People, visits: Visits, cut: int) -> pa.Table:
    acute = (visits.reason >= c.FIRST_ACUTE) & (visits.reason < c.FIRST_OTHER)
    visits = visits.take(acute)
    days = np.array([reason.days for reason in c.REASONS])[visits.reason]
    # Few hospitals close an acute problem in their records; the other half stays open.
    closed = hospital.draws.chance("diagnosis/closed", 0.5, visits.number)
    over = visits.start + days * DAY
    return pa.table(
        {
            "diagnosis_no": pc.binary_join_element_wise("DA", padded(visits.number, 12), ""),
            "visit_no": visit_id(visits.number),
            "patient_no": patient_id(people, visits.who, visits.second),
            "icd10": _code(hospital, visits.number, visits.reason),
            "diagnosis": word(tuple(reason.text for reason in c.REASONS), visits.reason),
            "diagnosed_at": moment_text(visits.start),
            "resolved_at": moment_text(np.where(closed & (over < cut), over, NEVER)),
        }
    )


# ---------------------------------------------------------------------------------------------------- vitals
_MEASURED = (
    Program.REGISTRATION,
    Program.DIAGNOSIS,
    Program.FOLLOW_UP,
    Program.CHECKUP,
    Program.STAY,
    Program.ANTENATAL,
)


def vitals_table(hospital: Hospital, people: People, visits: Visits) -> pa.Table:
    """vitals.csv: blood pressure and pulse at most visits from seven years on, weight and height at some."""
    draws = hospital.draws
    visits = visits.take(np.isin(visits.program, _MEASURED))
    who, when, number = visits.who, visits.start, visits.number
    upper = body.systolic(draws, people, who, when, number)
    heavy = body.weight(draws, people, who, when, number)
    height = people.height[who]
    values = np.stack(
        [
            upper,
            body.diastolic(draws, people, who, number, upper),
            body.heart_rate(draws, people, who, number),
            heavy,
            height,
            np.round(heavy / (height / 100) ** 2, 1),
        ]
    )
    thorough = np.isin(visits.program, (Program.REGISTRATION, Program.CHECKUP))
    weighed = thorough | (visits.program == Program.ANTENATAL) | draws.chance("vital/weighed", 0.3, number)
    pressure = (people.age[who] >= 7) & draws.chance("vital/pressure", 0.95, number)
    wanted = np.stack([pressure, pressure, pressure & draws.chance("vital/pulse", 0.8, number), weighed, thorough])
    wanted = np.concatenate([wanted, thorough[None] & (people.age[who] >= 18)])
    row, item = np.nonzero(wanted.T)
    key = number[row] * 10 + item
    value = values[item, row]
    spoiled = _spoiled(hospital, "vital", key, value, item)
    twice = repeated(hospital, "vitals", key)
    table = pa.table(
        {
            "vital_no": pc.binary_join_element_wise("W", padded(key, 13), ""),
            "visit_no": visit_id(number[row]),
            "patient_no": patient_id(people, who[row], visits.second[row]),
            "item": word(tuple(each.code for each in c.VITAL_ITEMS), item),
            "value": spoiled,
            "unit": word(tuple(each.unit for each in c.VITAL_ITEMS), item),
            "measured_at": moment_text(when[row] + 300),
        }
    )
    return table.take(pa.array(twice))


#: Impossible values by item, as slipped keys leave them.
_SLIPS_VITAL = np.array([700.0, 8.0, 720.0, 705.0, 1.7, 240.0])


def _spoiled(hospital: Hospital, label: str, key: Ints, value: Floats, item: Ints) -> Any:
    draws, dirt = hospital.draws, hospital.dirt
    wild = draws.chance(f"{label}/impossible", dirt.vital_impossible, key)
    none = draws.chance(f"{label}/missing", dirt.vital_missing, key)
    text = pa.array(np.where(wild, _SLIPS_VITAL[item], value)).cast(pa.string())
    return pc.if_else(pa.array(none), None, text)


# ----------------------------------------------------------------------------------------------- laboratory
def results_table(hospital: Hospital, people: People, visits: Visits, in_lis: Flags, cut: int) -> pa.Table:
    """results.csv of the laboratory, for those whom it knows."""
    draws = hospital.draws
    often = np.zeros(len(Program))
    for program, share in (
        (Program.REGISTRATION, 0.35),
        (Program.DIAGNOSIS, 0.9),
        (Program.FOLLOW_UP, 0.5),
        (Program.CHECKUP, 1.0),
        (Program.STAY, 0.95),
        (Program.ANTENATAL, 0.7),
        (Program.ACUTE, 0.15),
    ):
        often[program] = share
    sampled = in_lis[visits.who] & draws.chance("lab/sampled", often[visits.program], visits.number)
    visits = visits.take(sampled)
    values, wanted = _panel(hospital, people, visits)
    row, item = np.nonzero(wanted.T)
    number, who = visits.number[row], visits.who[row]
    key = number * 10 + item
    delay = draws.between("lab/delay", 3_600, 8 * 3_600, visits.number)[row]
    reported = np.minimum(visits.start[row] + delay, cut - 60)
    other = (item == 1) & draws.chance("lab/mg_dl", hospital.dirt.glucose_mg_dl, key)
    units = word(tuple(each.unit for each in c.LAB_ITEMS), item)
    table = pa.table(
        {
            "result_no": pc.binary_join_element_wise("R", padded(key, 13), ""),
            "lis_pid": identifier("lis", people.index[who], visits.second[row].astype(np.int64)),
            "visit_no": visit_id(number),
            "item_code": word(tuple(each.code for each in c.LAB_ITEMS), item),
            "item_name": word(tuple(each.text for each in c.LAB_ITEMS), item),
            "value": _lab_text(
                hospital, key, item, np.where(other, np.round(values[item, row] * 18), values[item, row])
            ),
            "unit": pc.if_else(pa.array(other), "mg/dL", units),
            "reported_at": moment_text(reported),
        }
    )
    return table.take(pa.array(repeated(hospital, "results", key)))


def _panel(hospital: Hospital, people: People, visits: Visits) -> tuple[Floats, Flags]:
    """Values and whether they were ordered, shape (items, visits)."""
    draws, who, when, number = hospital.draws, visits.who, visits.start, visits.number
    low = body.ldl(draws, people, who, when, number)
    filtration = body.egfr(draws, people, who, when, number)
    values = np.stack(
        [
            body.hba1c(draws, people, who, when, number),
            body.fasting_glucose(draws, people, who, when, number),
            low,
            body.total_cholesterol(draws, people, who, number, low),
            body.creatinine(people, who, filtration),
            filtration,
            body.hemoglobin(draws, people, who, when, number),
        ]
    )
    sugar = people.has_any(("diabetes_type_2", "prediabetes"))[who]
    vessels = people.has_any(("hypertension", "hyperlipidemia", "coronary_heart_disease", "stroke"))[who]
    kidney = people.has("chronic_kidney_disease")[who] | sugar | people.has("hypertension")[who]
    full = np.isin(visits.program, (Program.CHECKUP, Program.STAY))
    adult = people.age[who] >= 18
    lipids = adult & (vessels | (full & (people.age[who] >= 30)))
    renal = adult & (kidney | full)
    glucose = adult & (sugar | full | (visits.program == Program.ANTENATAL) | vessels)
    blood = full | (visits.program == Program.ANTENATAL) | ~adult | draws.chance("lab/blood", 0.4, number)
    wanted = np.stack([sugar | (full & (people.age[who] >= 45)), glucose, lipids, lipids, renal, renal, blood])
    return values, wanted


_SLIPS_LAB = np.array([88.0, 560.0, 99.0, -4.2, 0.0, 999.0, 1400.0])


def _lab_text(hospital: Hospital, key: Ints, item: Ints, value: Floats) -> Any:
    draws, dirt = hospital.draws, hospital.dirt
    wild = draws.chance("lab/impossible", dirt.lab_impossible, key)
    text = pa.array(np.where(wild, _SLIPS_LAB[item], value)).cast(pa.string())
    words = draws.chance("lab/text", dirt.lab_text, key)
    none = draws.chance("lab/missing", dirt.lab_missing, key)
    return pc.if_else(pa.array(none), None, pc.if_else(pa.array(words), "标本溶血", text))


# -------------------------------------------------------------------------------------------- prescriptions
_PRESCRIBING = (Program.REGISTRATION, Program.DIAGNOSIS, Program.FOLLOW_UP, Program.STAY)
_SUPPLIES = (14, 28, 30, 60, 90)


def orders_of(hospital: Hospital, people: People, visits: Visits) -> Orders:
    """What was prescribed at these visits."""
    draws = hospital.draws
    visits = visits.take(np.isin(visits.program, _PRESCRIBING))
    day = visits.start // DAY
    wanted = np.empty((len(c.DRUGS), len(visits)), dtype=np.bool_)
    for number in range(len(c.DRUGS)):
        some, since = body.takes(draws, people, number)
        wanted[number] = some[visits.who] & (day >= since[visits.who])
    row, drug = np.nonzero(wanted.T)
    key = visits.number[row] * 10 + drug
    days = np.array(_SUPPLIES)[draws.pick("order/days", (0.05, 0.2, 0.4, 0.2, 0.15), visits.number[row])]
    ordered = visits.start[row] + 1_200
    early = draws.chance("order/stopped", 0.02, key)
    stopped = np.where(early, ordered + (days * DAY * draws.uniform("order/when", key)).astype(np.int64), NEVER)
    return Orders(visits.who[row], visits.number[row], drug, days, ordered, stopped, visits.second[row])


def runs_out(orders: Orders) -> Ints:
    """Second at which an order ends by itself or is stopped."""
    return np.asarray(np.minimum(orders.ordered + orders.days * DAY, orders.stopped))


def orders_table(hospital: Hospital, people: People, orders: Orders, cut: int) -> pa.Table:
    """prescriptions.csv as it stands at `cut`."""
    key = orders.visit * 10 + orders.drug
    over = runs_out(orders) < cut
    stopped = np.where(orders.stopped < cut, orders.stopped, NEVER)
    status = np.where(stopped < NEVER, 1, np.where(over, 2, 0))
    negative = hospital.draws.chance("order/negative", hospital.dirt.days_negative, key)
    return pa.table(
        {
            "order_no": pc.binary_join_element_wise("RX", padded(key, 13), ""),
            "visit_no": visit_id(orders.visit),
            "patient_no": patient_id(people, orders.who, orders.second),
            "atc": word(tuple(drug.atc for drug in c.DRUGS), orders.drug),
            "drug": word(tuple(drug.text for drug in c.DRUGS), orders.drug),
            "days": np.where(negative, -orders.days, orders.days),
            "ordered_at": moment_text(orders.ordered),
            "stopped_at": moment_text(stopped),
            "status": word(("有效", "停用", "完成"), status),
        }
    )


# ----------------------------------------------------------------------------------------------- operations
def operation_id(index: Ints, operation: Ints, visit: Ints, planned: Flags) -> Any:
    """Planned operations keep their number when they happen; sessions and screenings have their visit's."""
    own = pc.binary_join_element_wise("OP", padded(index * 100 + operation, 12), "")
    return pc.if_else(pa.array(planned), own, pc.binary_join_element_wise("OV", padded(visit, 12), ""))


def operations_table(hospital: Hospital, people: People, visits: Visits) -> pa.Table:
    """operations.csv: what was done at these visits."""
    visits = visits.take(visits.operation >= 0)
    who, operation = visits.who, visits.operation
    planned = np.asarray((visits.program == Program.OPERATION) & (operation != c.REHABILITATION_OP))
    return pa.table(
        {
            "operation_no": operation_id(people.index[who], operation, visits.number, planned),
            "visit_no": visit_id(visits.number),
            "patient_no": patient_id(people, who, visits.second),
            "op_code": word(tuple(item.code for item in c.OPERATIONS), operation),
            "op_name": word(tuple(item.text for item in c.OPERATIONS), operation),
            "operated_at": moment_text(visits.start + np.where(visits.kind == c.INPATIENT, 7_200, 900)),
            "status": word(("已完成",), np.zeros_like(who)),
        }
    )


def planned_operations(index: Ints, operation: Ints, start: Ints, cancelled: Flags) -> pa.Table:
    """operations.csv rows of operations that lie ahead, or that were called off."""
    nothing = np.zeros_like(index)
    return pa.table(
        {
            "operation_no": operation_id(index, operation, nothing, np.ones(len(index), dtype=np.bool_)),
            "visit_no": pa.nulls(len(index), pa.string()),
            "patient_no": identifier("his", index),
            "op_code": word(tuple(item.code for item in c.OPERATIONS), operation),
            "op_name": word(tuple(item.text for item in c.OPERATIONS), operation),
            "operated_at": moment_text(start),
            "status": word(("计划", "取消"), cancelled.astype(np.int64)),
        }
    )
