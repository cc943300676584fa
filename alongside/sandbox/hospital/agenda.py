"""Appointments: those behind past visits, those nobody came to, and those that lie ahead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alongside.sandbox.hospital import clinical as c
from alongside.sandbox.hospital import visits as v
from alongside.sandbox.hospital.clinic import doctor, word
from alongside.sandbox.hospital.contacts import moment_text, padded
from alongside.sandbox.hospital.draws import Flags, Ints
from alongside.sandbox.hospital.hospital import Hospital
from alongside.sandbox.hospital.people import DAY, HISTORY_DAYS, NEVER, People
from alongside.sandbox.hospital.records import identifier
from alongside.sandbox.hospital.services import SERVICES
from alongside.sandbox.hospital.visits import Program, Visits

STATUSES = ("已预约", "已完成", "爽约", "已取消")
BOOKED, FULFILLED, NO_SHOW, CANCELLED = range(4)
FOLLOW_UP, SCREENING, VACCINATION, SURGERY, PRE_OP, REHABILITATION, ANTENATAL, CONSULTATION = range(8)

#: Per program: the service that was booked, and how many of the visits had an appointment.
_SERVICE = {
    Program.FOLLOW_UP: (FOLLOW_UP, 0.6),
    Program.CHECKUP: (SCREENING, 0.5),
    Program.ANTENATAL: (ANTENATAL, 0.95),
    Program.OPERATION: (SURGERY, 0.95),
    Program.REHABILITATION: (REHABILITATION, 1.0),
}


@dataclass(frozen=True)
class Appointments:
    """One row an appointment; `text` is its number in the HIS, `operation` what it is for (-1: none).

    Patients book under their first HIS number.
    """

    index: Ints  # person
    text: Any
    service: Ints
    reason: Ints  # clinical.REASONS
    booked: Ints  # second
    start: Ints  # second
    status: Ints
    operation: Ints  # clinical.OPERATIONS

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: Ints | Flags) -> Appointments:
        where = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        plain = {name: getattr(self, name)[where] for name in self.__dataclass_fields__ if name != "text"}
        return Appointments(text=self.text.take(pa.array(where)), **plain)

    def with_status(self, status: Ints) -> Appointments:
        return Appointments(
            self.index, self.text, self.service, self.reason, self.booked, self.start, status, self.operation
        )


def join(parts: list[Appointments]) -> Appointments:
    plain = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in Appointments.__dataclass_fields__
        if name != "text"
    }
    return Appointments(text=pa.concat_arrays([_flat(part.text) for part in parts]), **plain)


def _flat(text: Any) -> Any:
    return text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text


def make(
    people: People,
    who: Ints,
    number: Ints,
    service: Ints | int,
    reason: Ints,
    booked: Ints,
    start: Ints,
    status: int = BOOKED,
    operation: Ints | int = -1,
) -> Appointments:
    """Appointments of people by row position; nobody books before the hospital knows them."""
    shape = who.shape
    return Appointments(
        index=people.index[who],
        text=pc.binary_join_element_wise("A", padded(number, 13), ""),
        service=np.broadcast_to(np.asarray(service, dtype=np.int64), shape),
        reason=np.asarray(reason, dtype=np.int64),
        booked=np.maximum(booked, people.registered[who]),
        start=start,
        status=np.full(shape, status, dtype=np.int64),
        operation=np.broadcast_to(np.asarray(operation, dtype=np.int64), shape),
    )


def appointments_table(appointments: Appointments) -> pa.Table:
    """appointments.csv."""
    department = c.DEPARTMENT_OF_REASON[appointments.reason]
    return pa.table(
        {
            "appointment_no": appointments.text,
            "patient_no": identifier("his", appointments.index),
            "dept": word(c.DEPARTMENT_TEXTS, department),
            "service": word(SERVICES, appointments.service),
            "doctor_no": doctor(department, appointments.index),
            "booked_at": moment_text(appointments.booked),
            "start_at": moment_text(appointments.start),
            "status": word(STATUSES, appointments.status),
        }
    )


# ------------------------------------------------------------------------------------------------------ the past
def past(hospital: Hospital, people: People, visits: Visits) -> Appointments:
    """Kept, missed and cancelled appointments up to the dump."""
    missed = _not_kept(hospital, people, "missed", 0.13, 0.04, NO_SHOW, 1)
    cancelled = _not_kept(hospital, people, "cancelled", 0.08, 0.04, CANCELLED, 2)
    return join([_kept(hospital, people, visits), missed, cancelled])


def _kept(hospital: Hospital, people: People, visits: Visits) -> Appointments:
    draws = hospital.draws
    share, service = np.zeros(len(Program)), np.zeros(len(Program), dtype=np.int64)
    for program, (number, part) in _SERVICE.items():
        service[program], share[program] = number, part
    visits = visits.take(draws.chance("appointment/kept", share[visits.program], visits.number) & ~visits.second)
    screening = np.isin(visits.operation, (c.COLONOSCOPY_OP, c.MAMMOGRAPHY_OP))
    chosen = np.where(screening, SCREENING, service[visits.program])
    ahead = draws.between("appointment/ahead", 3_600, 14 * DAY, visits.number)
    return make(
        people,
        visits.who,
        visits.number * 10,
        chosen,
        visits.reason,
        visits.start - ahead,
        visits.start,
        FULFILLED,
        visits.operation,
    )


def _not_kept(
    hospital: Hospital, people: People, label: str, chronic: float, others: float, status: int, slot: int
) -> Appointments:
    draws = hospital.draws
    yearly = np.where(people.chronic, chronic, others) * (1.3 - 0.6 * people.adherence)
    who, step = v.unrolled(np.arange(len(people)), draws.poisson(f"{label}/count", yearly * 3, people.index))
    index = people.index[who]
    back = np.floor(draws.uniform(f"{label}/day", index, step) * HISTORY_DAYS).astype(np.int64)
    day = np.minimum(v.working_day(hospital.first_day - 1 - back), hospital.first_day - 1)
    start = day * DAY + v.clock(draws, label, index, step)
    keep = (start > people.registered[who] + DAY) & (start < np.minimum(people.deceased[who], hospital.first_cut))
    who, step, start, index = who[keep], step[keep], start[keep], index[keep]
    reason = chronic_or_acute(hospital, people, who, step, start // DAY, label)
    ahead = draws.between(f"{label}/ahead", 3_600, 20 * DAY, index, step)
    return make(people, who, index * 10_000 + step * 10 + slot, FOLLOW_UP, reason, start - ahead, start, status)


def chronic_or_acute(hospital: Hospital, people: People, who: Ints, step: Ints, day: Ints, label: str) -> Ints:
    """What somebody would come for."""
    managed = v.managed_reason(people, who, step, day)
    return np.where(managed >= 0, managed, v.acute_reason(hospital.draws, label, people.index[who], step))


# ---------------------------------------------------------------------------------------------------- the future
def future(hospital: Hospital, people: People) -> Appointments:
    """What stands in the books on the morning of the dump."""
    alive = people.deceased == NEVER
    return join(
        [
            _follow_ups(hospital, people, alive),
            _others(hospital, people, alive),
            *_surgery(hospital, people, alive),
            _antenatal(hospital, people, alive),
            _sessions(hospital, people, alive),
        ]
    )


def _booked(hospital: Hospital, label: str, index: Ints, step: Ints | int) -> Ints:
    return hospital.first_cut - hospital.draws.between(f"{label}/booked", 6 * 3_600, 25 * DAY, index, step)


def _ahead(hospital: Hospital, label: str, index: Ints, days: int) -> Ints:
    day = v.working_day(hospital.first_day + hospital.draws.between(f"{label}/ahead", 0, days, index))
    return day * DAY + v.clock(hospital.draws, label, index, 0)


def _follow_ups(hospital: Hospital, people: People, alive: Flags) -> Appointments:
    share = np.where(people.adherence >= v.AGREED, 0.28, np.where(people.adherence >= v.LOST, 0.1, 0.02))
    wanted = alive & people.chronic & hospital.draws.chance("next", share, people.index)
    who = np.flatnonzero(wanted)
    index, start = people.index[who], _ahead(hospital, "next", people.index[who], 45)
    reason = chronic_or_acute(hospital, people, who, np.zeros_like(who), start // DAY, "next")
    return make(people, who, index * 10_000 + 3, FOLLOW_UP, reason, _booked(hospital, "next", index, 0), start)


def _others(hospital: Hospital, people: People, alive: Flags) -> Appointments:
    draws = hospital.draws
    who = np.flatnonzero(alive & draws.chance("other", 0.035, people.index))
    index = people.index[who]
    service = np.array([CONSULTATION, SCREENING, VACCINATION])[draws.pick("other/service", (0.6, 0.25, 0.15), index)]
    acute = v.acute_reason(draws, "other", index, 0)
    reason = np.where(service == CONSULTATION, acute, np.where(service == SCREENING, c.CHECKUP, c.VACCINATION))
    start = _ahead(hospital, "other", index, 21)
    return make(people, who, index * 10_000 + 4, service, reason, _booked(hospital, "other", index, 0), start)


def planned(hospital: Hospital, people: People, alive: Flags) -> list[tuple[int, Ints, Ints]]:
    """(operation, row positions, start) of operations that lie ahead."""
    found = []
    for number, operation in enumerate(c.OPERATIONS):
        if operation.chance:
            day = v.operation_days(hospital, people, number)
            who = np.flatnonzero(alive & (day >= hospital.first_day) & (day < hospital.first_day + 40))
            start = day[who] * DAY + v.clock(hospital.draws, f"operation/{number}", people.index[who], number)
            found.append((number, who, start))
    return found


def _surgery(hospital: Hospital, people: People, alive: Flags) -> list[Appointments]:
    parts = []
    for number, who, start in planned(hospital, people, alive):
        operation, index = c.OPERATIONS[number], people.index[who]
        reason = np.full(len(who), operation.reason)
        service = SURGERY if operation.condition else SCREENING
        booked = _booked(hospital, "surgery", index, number)
        slot = index * 10_000 + number * 10
        called_off = v.called_off(hospital.draws, index, number)
        surgery = make(people, who, slot + 5, service, reason, booked, start, operation=number)
        parts.append(surgery.with_status(np.where(called_off, CANCELLED, BOOKED)))
        assessed = v.working_day(start // DAY - 6) * DAY + 10 * 3_600
        soon = (assessed >= hospital.first_day * DAY + DAY) & (operation.stay[1] > 0) & ~called_off
        parts.append(make(people, who[soon], (slot + 6)[soon], PRE_OP, reason[soon], booked[soon], assessed[soon]))
    return parts


def _antenatal(hospital: Hospital, people: People, alive: Flags) -> Appointments:
    expecting = alive & (people.conceived < NEVER) & (people.delivery > hospital.first_day)
    who = np.flatnonzero(expecting & hospital.draws.chance("antenatal/next", 0.9, people.index))
    who, start = next_antenatal(hospital, people, who, np.full(len(who), hospital.first_day))
    index = people.index[who]
    reason = np.full(len(who), c.NUMBER["pregnancy"])
    booked = _booked(hospital, "antenatal", index, 0)
    return make(people, who, index * 10_000 + 7, ANTENATAL, reason, booked, start)


def next_antenatal(hospital: Hospital, people: People, who: Ints, after: Ints) -> tuple[Ints, Ints]:
    """Of these expecting mothers, those who have another visit to come after a day, and its start."""
    weeks = np.array(v.ANTENATAL_WEEKS)
    done = (after + 2 - people.conceived[who]) // 7
    position = np.searchsorted(weeks, done, side="right")
    due = people.conceived[who] + weeks[np.minimum(position, len(weeks) - 1)] * 7
    day = v.working_day(np.maximum(due, after + 1))
    keep = (position < len(weeks)) & (day < people.delivery[who])
    start = day * DAY + v.clock(hospital.draws, "antenatal/next", people.index[who], day)
    return who[keep], start[keep]


def _sessions(hospital: Hospital, people: People, alive: Flags) -> Appointments:
    """Rehabilitation sessions still to come after a knee replacement that has been."""
    day = v.operation_days(hospital, people, c.TKR)
    who = np.flatnonzero(alive & (day < hospital.first_day))
    return sessions(
        hospital, people, who, day[who], hospital.first_day, _booked(hospital, "session", people.index[who], 0)
    )


def sessions(hospital: Hospital, people: People, who: Ints, day: Ints, first: int, booked: Ints) -> Appointments:
    """The rehabilitation sessions from day `first` on of those whose knee was replaced on `day`."""
    steps = len(v.REHABILITATION_DAYS)
    rows, step = v.unrolled(np.arange(len(who)), np.full(len(who), steps))
    due = v.working_day(day[rows] + np.array(v.REHABILITATION_DAYS)[step])
    index = people.index[who[rows]]
    keep = (due >= first) & hospital.draws.chance("rehabilitation/came", 0.8, index, step)
    rows, step, due, index = rows[keep], step[keep], due[keep], index[keep]
    start = due * DAY + v.clock(hospital.draws, "rehabilitation", index, step)
    reason = np.full(len(rows), c.REHABILITATION)
    number = index * 10_000 + step * 10 + 8
    return make(people, who[rows], number, REHABILITATION, reason, booked[rows], start, operation=c.REHABILITATION_OP)
