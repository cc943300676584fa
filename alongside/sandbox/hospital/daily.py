"""One day in the hospital: which people come, cancel, book, read, measure, decide and die.

A block of the population is sampled, so that a day costs what changes in it. Everything is drawn from (seed, day,
block); whatever hangs on a visit is made by the same code as the history.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alongside.sandbox.hospital import agenda, clinic, engagement, openings, records
from alongside.sandbox.hospital import clinical as c
from alongside.sandbox.hospital import visits as v
from alongside.sandbox.hospital.agenda import Appointments
from alongside.sandbox.hospital.contacts import contacts_of, moment_text, padded
from alongside.sandbox.hospital.draws import Flags, Ints
from alongside.sandbox.hospital.dump import Part, master_data, truth_of
from alongside.sandbox.hospital.hospital import CUT, DAY_BLOCK, Hospital, weekday
from alongside.sandbox.hospital.openings import rows_of
from alongside.sandbox.hospital.people import DAY, NEVER, YEAR, People
from alongside.sandbox.hospital.truth import open_table
from alongside.sandbox.hospital.visits import Planned, Program, Visits

#: Sampled each day, as shares of the population; some of those sampled then do nothing.
WALK_IN, WALK_IN_WEEKEND = 0.0038, 0.0010
ADMITTED = 0.00016
BOOKS = 0.0022
READS_APP = 0.18
MEASURES = 0.20
DECIDES = 0.0008
AT_RISK = 0.0004
#: Of those whose appointment has come.
CANCELS = 0.03


@dataclass(frozen=True)
class Due:
    """What earlier extracts left for this day, of one block of people."""

    appointments: pa.Table | None
    stays: pa.Table | None
    orders: pa.Table | None
    births: pa.Table | None
    in_bed: Ints  # indexes of people who are in-patients beyond this day
    dead: Ints  # indexes of people who died after the dump
    booked: Appointments | None  # appointments that were made by the hospital's own messages

    def indexes(self) -> list[Ints]:
        tables = [table for table in (self.appointments, self.stays, self.orders, self.births) if table is not None]
        found = [np.asarray(table["index"].to_numpy(), dtype=np.int64) for table in tables]
        return found if self.booked is None else [*found, self.booked.index]


@dataclass(frozen=True)
class Sample:
    """Indexes of people drawn for each thing that may happen to them."""

    walk_in: Ints
    admitted: Ints
    books: Ints
    reads: Ints
    measures: Ints
    decides: Ints
    at_risk: Ints

    def indexes(self) -> list[Ints]:
        return [getattr(self, name) for name in self.__dataclass_fields__]


class DayOfBlock:
    """The day `event_day` in block number `block`; `cut` is the second at which the extract is taken."""

    def __init__(self, hospital: Hospital, event_day: int, block: int, due: Due) -> None:
        self.hospital, self.day, self.block, self.due = hospital, event_day, block, due
        self.cut = (event_day + 1) * DAY + CUT
        low, high = block * DAY_BLOCK, min((block + 1) * DAY_BLOCK, hospital.population(event_day))
        newcomers = hospital.newcomers(event_day)
        self.newcomers = newcomers[(newcomers >= low) & (newcomers < high)]
        known = min(high, hospital.population(event_day - 1))
        self.sample = self._sampled(low, known)
        index = np.unique(np.concatenate([*self.sample.indexes(), *due.indexes(), self.newcomers]))
        self.people = hospital.people(index, event_day)
        self.member = records.membership_of(hospital, self.people)
        self.alive = (self.people.deceased == NEVER) & ~np.isin(index, due.dead)
        self.about = self.alive & ~np.isin(index, due.in_bed)

    def _sampled(self, low: int, high: int) -> Sample:
        rng = self.hospital.draws.generator("day", self.day, self.block)
        walk_in = WALK_IN if weekday(self.day) < 5 else WALK_IN_WEEKEND

        def some(share: float) -> Ints:
            count = rng.poisson(max(high - low, 0) * share)
            return np.unique(rng.integers(low, max(high, low + 1), count)) if high > low else np.zeros(0, np.int64)

        shares = (walk_in, ADMITTED, BOOKS, READS_APP, MEASURES, DECIDES, AT_RISK)
        return Sample(*(some(share) for share in shares))

    def _who(self, index: Ints, able: Flags) -> Ints:
        rows = rows_of(index, self.people)
        return rows[able[rows]]

    # ------------------------------------------------------------------------------------------------- the day
    def part(self) -> Part:
        """What this block adds to the day's extract and to the truth."""
        hospital, people, cut = self.hospital, self.people, self.cut
        kept, settled = self._appointments()
        visits = self._visits(kept)
        orders = clinic.orders_of(hospital, people, visits)
        discharged, ended = self._discharged(), self._ended_orders()
        booked = self._booked(kept, visits)
        deaths = self._deaths()
        tables = self._newcomers()
        tables |= {
            "his.visits": pa.concat_tables(
                [
                    clinic.visits_table(hospital, people, visits, cut),
                    clinic.visits_table(hospital, people, discharged, cut),
                ]
            ),
            "his.diagnoses": pa.concat_tables(
                [clinic.diagnoses_table(hospital, people, visits, cut), self._births_recorded(visits)]
            ),
            "his.vitals": clinic.vitals_table(hospital, people, visits),
            "his.prescriptions": pa.concat_tables(
                [
                    clinic.orders_table(hospital, people, orders, cut),
                    clinic.orders_table(hospital, people, ended, cut),
                ]
            ),
            "his.operations": pa.concat_tables(
                [clinic.operations_table(hospital, people, visits), self._called_off(settled)]
            ),
            "his.appointments": agenda.appointments_table(agenda.join([settled, booked])),
            "his.vaccinations": self._vaccinated(kept),
            "lis.results": clinic.results_table(hospital, people, visits, self.member.lis, cut),
            "crm.surveys": engagement.surveys_table(hospital, people, visits, self.member, cut),
            "app_events.events": self._events(),
            "app_events.readings": self._readings(),
        }
        tables["his.patients"] = pa.concat_tables([tables["his.patients"], self._death_records(deaths)])
        tables["crm.consents"] = pa.concat_tables([tables["crm.consents"], self._decisions()])
        truth = self._truth()
        truth |= {
            "open/appointments": openings.open_appointments(booked),
            "open/stays": openings.open_stays(people, visits, cut),
            "open/orders": openings.open_orders(people, orders, cut),
            "open/deaths": open_table(np.full(len(deaths), self.day), people.index[deaths]),
        }
        return Part(tables, truth)

    # ------------------------------------------------------------------------------------------- appointments
    def _appointments(self) -> tuple[Appointments, Appointments]:
        """(kept, all settled with their new status) of the appointments that were for this day."""
        if self.due.appointments is None:
            nothing = _no_appointments()
            return nothing, nothing
        due = openings.read_appointments(self.due.appointments)
        rows = rows_of(due.index, self.people)
        draws = self.hospital.draws
        luck = draws.uniform("outcome", due.index, due.start)
        missed = CANCELS + 0.14 - 0.11 * self.people.adherence[rows]
        status = np.where(luck < missed, agenda.NO_SHOW, agenda.FULFILLED)
        status = np.where((luck < CANCELS) | ~self.about[rows], agenda.CANCELLED, status)
        settled = due.with_status(status)
        return settled.take(status == agenda.FULFILLED), settled

    def _called_off(self, settled: Appointments) -> pa.Table:
        """Operations whose appointment was not kept are off the list."""
        off = (settled.operation >= 0) & (settled.status != agenda.FULFILLED)
        off &= settled.operation != c.REHABILITATION_OP
        lost = settled.take(off)
        return clinic.planned_operations(lost.index, lost.operation, lost.start, np.ones(len(lost), dtype=np.bool_))

    def _booked(self, kept: Appointments, visits: Visits) -> Appointments:
        """New appointments: by themselves, by messages, and on the way out of a visit."""
        parts = [self._spontaneous(), self._next_follow_ups(visits), self._next_antenatal(kept), self._sessions(kept)]
        if self.due.booked is not None:
            parts.append(self.due.booked)
        return agenda.join(parts)

    def _number(self, count: int, slot: int) -> Ints:
        """Numbers for things that begin today, unique over blocks and kinds."""
        return self.day_number * 10**8 + (self.block * 200_000 + np.arange(count)) * 10 + slot

    @property
    def day_number(self) -> int:
        """YYYYMMDD, which leads the numbers given on this day."""
        year, month, day = str(np.datetime64(self.day, "D")).split("-")
        return int(year + month + day)

    def _start(self, label: str, who: Ints, low: int, high: int) -> Ints:
        index = self.people.index[who]
        ahead = self.hospital.draws.between(f"{label}/days", low, high, index, self.day)
        day = v.working_day(self.day + 1 + ahead)
        return day * DAY + v.clock(self.hospital.draws, label, index, self.day)

    def _spontaneous(self) -> Appointments:
        who = self._who(self.sample.books, self.alive)
        index, draws = self.people.index[who], self.hospital.draws
        start = self._start("books", who, 0, 21)
        other = np.array([agenda.CONSULTATION, agenda.SCREENING, agenda.VACCINATION])[
            draws.pick("books/service", (0.6, 0.25, 0.15), index, self.day)
        ]
        managed = v.managed_reason(self.people, who, index, start // DAY)
        follows = (managed >= 0) & draws.chance("books/follow_up", 0.75, index, self.day)
        acute = v.acute_reason(draws, "books", index, self.day)
        reason = np.where(
            other == agenda.SCREENING, c.CHECKUP, np.where(other == agenda.VACCINATION, c.VACCINATION, acute)
        )
        return agenda.make(
            self.people,
            who,
            self._number(len(who), 1),
            np.where(follows, agenda.FOLLOW_UP, other),
            np.where(follows, managed, reason),
            self.day * DAY + engagement.evening(self.hospital, "books", index, self.day),
            start,
        )

    def _next_follow_ups(self, visits: Visits) -> Appointments:
        draws = self.hospital.draws
        again = 0.15 + 0.45 * self.people.adherence[visits.who]
        rows = (visits.program == Program.FOLLOW_UP) & draws.chance("again", again, visits.number)
        chosen = visits.take(rows)
        start = self._start("again", chosen.who, 27, 90)
        number = self._number(len(chosen), 2)
        return agenda.make(
            self.people, chosen.who, number, agenda.FOLLOW_UP, chosen.reason, chosen.start + 1_500, start
        )

    def _next_antenatal(self, kept: Appointments) -> Appointments:
        chosen = kept.take(kept.service == agenda.ANTENATAL)
        rows = rows_of(chosen.index, self.people)
        who, start = agenda.next_antenatal(self.hospital, self.people, rows, np.full(len(rows), self.day + 1))
        reason = np.full(len(who), c.NUMBER["pregnancy"])
        booked = np.full(len(who), self.day * DAY + 17 * 3_600)
        return agenda.make(self.people, who, self._number(len(who), 3), agenda.ANTENATAL, reason, booked, start)

    def _sessions(self, kept: Appointments) -> Appointments:
        knees = kept.take((kept.operation == c.TKR) & (kept.service == agenda.SURGERY))
        who = rows_of(knees.index, self.people)
        day = np.full(len(who), self.day)
        booked = np.full(len(who), self.day * DAY + 18 * 3_600)
        return agenda.sessions(self.hospital, self.people, who, day, self.day + 1, booked)

    # ------------------------------------------------------------------------------------------------- visits
    def _visits(self, kept: Appointments) -> Visits:
        planned = [
            self._first_visits(),
            *self._walk_ins(),
            self._admissions(),
            self._deliveries(),
            *self._kept_visits(kept),
        ]
        columns = ("who", "start", "end", "kind", "reason", "operation")
        joined = {name: np.concatenate([getattr(each, name) for each in planned]) for name in columns}
        joined["program"] = np.concatenate([np.full(len(each.who), each.program, dtype=np.int64) for each in planned])
        order = np.lexsort((joined["program"], joined["who"], joined["start"]))
        number = self.day_number * 10**7 + self.block * 100_000 + np.arange(len(order))
        second = np.zeros(len(order), dtype=np.bool_)
        return Visits(**{name: values[order] for name, values in joined.items()}, number=number, second=second)

    def _first_visits(self) -> Planned:
        who, people = rows_of(self.newcomers, self.people), self.people
        managed = v.managed_reason(people, who, np.zeros_like(who), np.full(len(who), self.day))
        acute = v.acute_reason(self.hospital.draws, "registration", people.index[who], 0)
        return Planned.of(Program.REGISTRATION, who, people.registered[who], np.where(managed >= 0, managed, acute), 30)

    def _walk_ins(self) -> list[Planned]:
        """Half of the chronically ill come for their illness, everybody else with something new."""
        who, draws = self._who(self.sample.walk_in, self.about), self.hospital.draws
        index = self.people.index[who]
        managed = v.managed_reason(self.people, who, index, np.full(len(who), self.day))
        follows = (managed >= 0) & draws.chance("walk_in/follow_up", 0.5, index, self.day)
        emergency = ~follows & draws.chance("walk_in/emergency", 0.12, index, self.day)
        night = draws.between("walk_in/night", 130, 1_380, index, self.day) * 60
        start = self.day * DAY + np.where(emergency, night, v.clock(draws, "walk_in", index, self.day))
        minutes = v.minutes_of(draws, "walk_in", index, self.day) + np.where(emergency, 60, 0)
        kind = np.where(emergency, c.EMERGENCY, c.OUTPATIENT)
        acute = v.acute_reason(draws, "walk_in", index, self.day)
        return [
            Planned.of(Program.FOLLOW_UP, who[follows], start[follows], managed[follows], minutes[follows]),
            Planned.of(
                Program.ACUTE, who[~follows], start[~follows], acute[~follows], minutes[~follows], kind[~follows]
            ),
        ]

    def _admissions(self) -> Planned:
        who, draws = self._who(self.sample.admitted, self.about), self.hospital.draws
        index = self.people.index[who]
        start = self.day * DAY + draws.between("admitted/time", 130, 1_430, index, self.day) * 60
        minutes = draws.between("admitted/length", 2 * 1_440, 14 * 1_440, index, self.day)
        reason = v.severe_reason(draws, "admitted", self.people, who, np.full(len(who), self.day))
        return Planned.of(Program.STAY, who, start, reason, minutes, c.INPATIENT)

    def _mothers(self) -> Ints:
        if self.due.births is None:
            return np.zeros(0, dtype=np.int64)
        index = np.asarray(self.due.births["index"].to_numpy(), dtype=np.int64)
        return self._who(index, self.alive)

    def _deliveries(self) -> Planned:
        return v.births(self.hospital.draws, self.people, self._mothers())

    def _kept_visits(self, kept: Appointments) -> list[Planned]:
        """What becomes of an appointment that was kept."""
        draws, who = self.hospital.draws, rows_of(kept.index, self.people)
        programs = {
            agenda.FOLLOW_UP: Program.FOLLOW_UP,
            agenda.CONSULTATION: Program.ACUTE,
            agenda.ANTENATAL: Program.ANTENATAL,
            agenda.REHABILITATION: Program.REHABILITATION,
            agenda.PRE_OP: Program.OTHER,
            agenda.VACCINATION: Program.OTHER,
            agenda.SCREENING: Program.CHECKUP,
        }
        planned = []
        for service, program in programs.items():
            rows = (kept.service == service) & ((kept.operation < 0) | (service == agenda.REHABILITATION))
            chosen, people = kept.take(rows), who[rows]
            minutes = v.minutes_of(draws, "kept", chosen.index, self.day)
            kind = c.WELLNESS if service == agenda.SCREENING else c.OUTPATIENT
            planned.append(Planned.of(program, people, chosen.start, chosen.reason, minutes, kind, chosen.operation))
        for number in range(c.CESAREAN_OP):
            rows = kept.operation == number
            day = np.full(int(rows.sum()), self.day)
            planned.append(v.operation_visit(draws, self.people, who[rows], day, number))
        return planned

    def _births_recorded(self, visits: Visits) -> pa.Table:
        """The pregnancy's diagnosis again, now with its end."""
        born = visits.take(visits.program == Program.BIRTH)
        table = self.due.births
        if table is None:
            return clinic.diagnoses_table(
                self.hospital, self.people, born.take(np.zeros(len(born), np.bool_)), self.cut
            )
        index = np.asarray(table["index"].to_numpy(), dtype=np.int64)
        table = table.filter(pa.array(np.isin(index, self.people.index[born.who])))
        index = np.asarray(table["index"].to_numpy(), dtype=np.int64)
        end = dict(zip(self.people.index[born.who].tolist(), born.start.tolist(), strict=True))
        reason = c.REASONS[c.NUMBER["pregnancy"]]
        return pa.table(
            {
                "diagnosis_no": clinic.lasting_id(index, c.NUMBER["pregnancy"]),
                "visit_no": table["visit_no"],
                "patient_no": table["patient_no"],
                "icd10": pa.array([reason.icd10] * len(index), pa.string()),
                "diagnosis": pa.array([reason.text] * len(index), pa.string()),
                "diagnosed_at": moment_text(np.asarray(table["found"].to_numpy(), dtype=np.int64)),
                "resolved_at": moment_text(np.array([end[each] for each in index.tolist()], dtype=np.int64)),
            }
        )

    def _discharged(self) -> Visits:
        if self.due.stays is None:
            return openings.no_visits()
        return openings.read_stays(self.due.stays, self.people)

    def _ended_orders(self) -> clinic.Orders:
        if self.due.orders is None:
            return openings.no_orders()
        return openings.read_orders(self.due.orders, self.people)

    def _vaccinated(self, kept: Appointments) -> pa.Table:
        chosen = kept.take(kept.service == agenda.VACCINATION)
        who = rows_of(chosen.index, self.people)
        return engagement.vaccinations_table(self.people, who, np.zeros_like(who), chosen.start + 600)

    # ---------------------------------------------------------------------------------------- people and choices
    def _newcomers(self) -> dict[str, pa.Table]:
        rows = rows_of(self.newcomers, self.people)
        fresh = self.people.take(rows)
        return master_data(self.hospital, fresh, records.membership_of(self.hospital, fresh))

    def _truth(self) -> dict[str, pa.Table]:
        fresh = self.people.take(rows_of(self.newcomers, self.people))
        member = records.membership_of(self.hospital, fresh)
        return truth_of(self.hospital, fresh, member)

    def _deaths(self) -> Ints:
        """Row positions of those who die today: by age, and not on a bed or on an appointment of this day."""
        who = self._who(self.sample.at_risk, self.about & (self.people.delivery < self.day))
        quiet = self._who(self.sample.at_risk, self.about & (self.people.delivery == NEVER))
        who = np.union1d(who, quiet)
        yearly = np.interp(self.people.age[who], (0, 45, 60, 70, 80, 95), (0.0001, 0.001, 0.005, 0.012, 0.045, 0.14))
        share = yearly / YEAR / AT_RISK
        dies = self.hospital.draws.chance("dies", share, self.people.index[who], self.day)
        return who[dies]

    def _death_records(self, deaths: Ints) -> pa.Table:
        gone = self.people.take(deaths)
        member = records.membership_of(self.hospital, gone)
        moment = np.full(len(gone), self.day * DAY + 23 * 3_600)
        return records.his_patients(self.hospital, gone, contacts_of(self.hospital, gone), member, False, moment)

    def _decisions(self) -> pa.Table:
        """Some take an agreement back, some agree to what they had refused."""
        draws = self.hospital.draws
        who = self._who(self.sample.decides, self.alive & self.member.crm)
        index = self.people.index[who]
        purpose = draws.pick("decides/purpose", (0.15, 0.2, 0.2, 0.3, 0.05, 0.1), index, self.day)
        before = engagement.agreements(self.hospital, self.people)[purpose, who]
        return engagement.decisions_table(
            pc.binary_join_element_wise("K", padded(self._number(len(who), 4), 11), ""),
            records.identifier("crm", index),
            purpose,
            np.zeros_like(who),
            ~before,
            self.day * DAY + engagement.evening(self.hospital, "decides", index, self.day),
            draws.between("decides/evidence", 0, len(engagement.EVIDENCE), index, self.day),
        )

    def _events(self) -> pa.Table:
        who, draws = self._who(self.sample.reads, self.alive), self.hospital.draws
        index = self.people.index[who]
        rate = engagement.event_rate(self.people, self.member)[who]
        who = who[draws.chance("reads", rate / READS_APP, index, self.day)]
        index = self.people.index[who]
        when = self.day * DAY + engagement.evening(self.hospital, "reads", index, self.day)
        return engagement.events_table(self.hospital, self.people, who, when, self._number(len(who), 5))

    def _readings(self) -> pa.Table:
        who, draws = self._who(self.sample.measures, self.alive), self.hospital.draws
        rate = engagement.reading_rate(self.hospital, self.people, self.member)[who]
        index = self.people.index[who]
        who = who[draws.chance("measures", rate / MEASURES, index, self.day)]
        when = self.day * DAY + engagement.morning(self.hospital, self.people.index[who], self.day)
        return engagement.readings_table(self.hospital, self.people, who, when)


def _no_appointments() -> Appointments:
    nothing = np.zeros(0, dtype=np.int64)
    text = pa.array([], pa.string())
    return Appointments(nothing, text, nothing, nothing, nothing, nothing, nothing, nothing)


def bookings_as_appointments(
    hospital: Hospital, people: People, numbers: list[str], index: Ints, service: Ints, booked: Ints
) -> Appointments:
    """Appointments for people who were moved by a message; they come within two to ten days."""
    who = rows_of(index, people)
    day = v.working_day(booked // DAY + hospital.draws.between("booking/days", 2, 9, index, booked))
    managed = v.managed_reason(people, who, index, day)
    acute = v.acute_reason(hospital.draws, "booking", index, booked)
    general = np.where(managed >= 0, managed, acute)
    fixed = {
        agenda.SCREENING: c.CHECKUP,
        agenda.VACCINATION: c.VACCINATION,
        agenda.REHABILITATION: c.REHABILITATION,
        agenda.ANTENATAL: c.NUMBER["pregnancy"],
    }
    reason = general
    for number, value in fixed.items():
        reason = np.where(service == number, value, reason)
    appointments = agenda.make(
        people, who, index, service, reason, booked, day * DAY + v.clock(hospital.draws, "booking", index, booked)
    )
    return Appointments(
        appointments.index,
        pa.array(numbers, pa.string()),
        appointments.service,
        appointments.reason,
        appointments.booked,
        appointments.start,
        appointments.status,
        appointments.operation,
    )
