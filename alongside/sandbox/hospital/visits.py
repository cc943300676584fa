"""Who came when and why: the skeleton on which everything clinical hangs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np

from alongside.sandbox.hospital import clinical as c
from alongside.sandbox.hospital.draws import Draws, Flags, Floats, Ints
from alongside.sandbox.hospital.hospital import Hospital
from alongside.sandbox.hospital.people import DAY, HISTORY_DAYS, NEVER, People

#: Visits that one person can have in the first dump.
PER_PERSON = 1_000


class Program(IntEnum):
    """What a visit belongs to."""

    REGISTRATION = 0
    DIAGNOSIS = 1
    FOLLOW_UP = 2
    ACUTE = 3
    CHECKUP = 4
    STAY = 5
    ANTENATAL = 6
    BIRTH = 7
    OPERATION = 8
    REHABILITATION = 9
    OTHER = 10


@dataclass(frozen=True)
class Visits:
    """One row a visit. `who` is a row position within the `People` that the visits belong to."""

    who: Ints
    start: Ints  # second
    end: Ints  # second
    kind: Ints  # clinical.VISIT_TYPES
    reason: Ints  # clinical.REASONS
    program: Ints
    operation: Ints  # clinical.OPERATIONS, -1 for none
    number: Ints  # unique among all visits of the hospital
    second: Flags  # under the person's second HIS number

    def __len__(self) -> int:
        return len(self.who)

    def take(self, rows: Ints | Flags) -> Visits:
        return Visits(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


@dataclass(frozen=True)
class Planned:
    """Visits before they have a number."""

    who: Ints
    start: Ints
    end: Ints
    kind: Ints
    reason: Ints
    program: Program
    operation: Ints

    @classmethod
    def of(
        cls,
        program: Program,
        who: Ints,
        start: Ints,
        reason: Ints | int,
        minutes: Ints | int = 25,
        kind: Ints | int = c.OUTPATIENT,
        operation: Ints | int = -1,
    ) -> Planned:
        def column(value: Ints | int) -> Ints:
            return np.broadcast_to(np.asarray(value, dtype=np.int64), who.shape)

        return cls(who, start, start + column(minutes) * 60, column(kind), column(reason), program, column(operation))


def history(hospital: Hospital, people: People, moved: Ints, has_second: Flags) -> Visits:
    """All visits up to the first dump: everything of the last three years, and older ones that began something.

    Parameters
    ----------
    moved : second from which half of the visits of those in `has_second` stand under their second number
    """
    parts = [
        _registration(hospital, people),
        _diagnosis(hospital, people),
        _follow_ups(hospital, people),
        _acute(hospital, people),
        _checkups(hospital, people),
        _stays(hospital, people),
        *_maternity(hospital, people),
        *_operations(hospital, people),
    ]
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("who", "start", "end", "kind", "reason", "operation")
    }
    joined["program"] = np.concatenate([np.full(len(part.who), part.program, dtype=np.int64) for part in parts])
    who, start = joined["who"], joined["start"]
    keep = (start >= people.registered[who]) & (start < np.minimum(people.deceased[who], hospital.first_cut))
    order = np.lexsort((joined["program"][keep], start[keep], who[keep]))
    rows = np.flatnonzero(keep)[order]
    joined = {name: values[rows] for name, values in joined.items()}
    return _numbered(hospital, people, joined, moved, has_second)


def _numbered(hospital: Hospital, people: People, joined: dict[str, Ints], moved: Ints, has_second: Flags) -> Visits:
    who, start = joined["who"], joined["start"]
    firsts = np.searchsorted(who, np.arange(len(people)))
    number = people.index[who] * PER_PERSON + (np.arange(len(who)) - firsts[who])
    death = np.where(people.deceased[who] < NEVER, people.deceased[who], NEVER)
    end = np.minimum(joined["end"], death)
    second = has_second[who] & (start >= moved[who]) & hospital.draws.chance("visit/second", 0.5, number)
    return Visits(**{**joined, "end": end}, number=number, second=second)


def clock(draws: Draws, label: str, who: Ints, step: Ints | int) -> Ints:
    """Seconds since midnight within office hours, on full minutes."""
    return draws.between(label + "/clock", 8 * 60, 17 * 60, who, step) * 60


def working_day(day: Ints) -> Ints:
    """Weekend visits move to the Monday, as out-patient clinics are shut."""
    week = (day + 3) % 7
    return np.where(week >= 5, day + 7 - week, day)


def minutes_of(draws: Draws, label: str, who: Ints, step: Ints | int) -> Ints:
    return draws.between(label + "/minutes", 10, 50, who, step)


def unrolled(rows: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """Each row repeated `counts` times, with the repeat's number from 0."""
    repeated = np.repeat(rows, counts)
    begin = np.cumsum(counts) - counts
    return repeated, np.arange(len(repeated)) - np.repeat(begin, counts)


def acute_reason(draws: Draws, label: str, who: Ints, step: Ints | int) -> Ints:
    return c.FIRST_ACUTE + draws.pick(label + "/reason", tuple(item.weight for item in c.ACUTE), who, step)


def severe_reason(draws: Draws, label: str, people: People, who: Ints, step: Ints | int) -> Ints:
    """Mostly an acute illness; those with a failing heart, a stroke or COPD come for that half the time."""
    index = people.index[who]
    chosen = c.FIRST_SEVERE + draws.pick(label + "/severe", tuple(item.weight for item in c.SEVERE), index, step)
    for number, name in enumerate(("copd", "coronary_heart_disease", "heart_failure")):
        relapse = draws.chance(label + f"/relapse/{number}", 0.5, index, step)
        chosen = np.where(people.has(name)[who] & relapse, c.NUMBER[name], chosen)
    return chosen


def managed_reason(people: People, who: Ints, step: Ints, day: Ints) -> Ints:
    """The chronic condition that a follow-up visit is about: they take turns. -1 where nothing is managed yet."""
    flags = np.stack([people.onset[name][who] <= day for name in c.MANAGED])
    count = flags.sum(axis=0)
    wanted = np.where(count > 0, step % np.maximum(count, 1), 0)
    position = np.argmax(np.cumsum(flags, axis=0) > wanted, axis=0)
    numbers = np.array([c.NUMBER[name] for name in c.MANAGED])
    return np.where(count > 0, numbers[position], -1)


# ------------------------------------------------------------------------------------------------- programs
def _registration(hospital: Hospital, people: People) -> Planned:
    draws, rows = hospital.draws, np.arange(len(people))
    day = people.registered // DAY
    managed = managed_reason(people, rows, np.zeros_like(rows), day)
    reason = np.where(managed >= 0, managed, acute_reason(draws, "registration", people.index, 0))
    return Planned.of(Program.REGISTRATION, rows, people.registered, reason, 30)


def _diagnosis(hospital: Hospital, people: People) -> Planned:
    """The visit at which a condition was found, where the hospital found it."""
    number, who = np.nonzero((people.onsets() > people.registered // DAY) & (people.onsets() < NEVER))
    day = people.onsets()[number, who]
    seconds = clock(hospital.draws, "diagnosis", people.index[who], number)
    return Planned.of(Program.DIAGNOSIS, who, day * DAY + seconds, number, 35)


#: Adherence from which people come as agreed, and below which the hospital has lost sight of them.
AGREED, LOST = 0.80, 0.50


def follow_up_rhythm(draws: Draws, people: People) -> tuple[Floats, Floats]:
    """Days between follow-ups, and days since the last one at the first dump.

    A fifth come as agreed (45-85 days), three in ten late (95-220), and the rest have been lost for months: most people
    with hypertension are not seen as often as the guideline wishes.
    """
    level, index = people.adherence, people.index
    agreed, late = level >= AGREED, (level >= LOST) & (level < AGREED)
    spread = draws.uniform("rhythm", index)
    every = np.where(agreed, 45 + 40 * spread, np.where(late, 95 + 125 * spread, 75 + 90 * spread))
    since = draws.uniform("rhythm/since", index)
    return every, np.where(agreed | late, since * every, 100 + since * 440)


def _follow_ups(hospital: Hospital, people: People) -> Planned:
    draws = hospital.draws
    every, since = follow_up_rhythm(draws, people)
    first = np.min([people.onset[name] for name in c.MANAGED], axis=0)
    first = np.maximum(np.maximum(first, people.registered // DAY) + 10, hospital.first_day - HISTORY_DAYS)
    last = hospital.first_day - 1 - since
    counts = np.where(last >= first, np.floor((last - np.minimum(first, last)) / every) + 1, 0).astype(np.int64)
    who, step = unrolled(np.arange(len(people)), counts)
    index = people.index[who]
    jitter = draws.normal("follow_up/jitter", index, step) * 0.12 * every[who] * (step > 0)
    day = np.minimum(np.floor(last[who] - step * every[who] + jitter), hospital.first_day - 1).astype(np.int64)
    day = np.minimum(working_day(day), hospital.first_day - 1)
    reason = managed_reason(people, who, step, day)
    start = day * DAY + clock(draws, "follow_up", index, step)
    planned = Planned.of(Program.FOLLOW_UP, who, start, reason, minutes_of(draws, "follow_up", index, step))
    return _where(planned, reason >= 0)


def _where(planned: Planned, rows: Flags) -> Planned:
    return Planned(
        planned.who[rows],
        planned.start[rows],
        planned.end[rows],
        planned.kind[rows],
        planned.reason[rows],
        planned.program,
        planned.operation[rows],
    )


def _recent_days(hospital: Hospital, label: str, index: Ints, step: Ints) -> Ints:
    back = np.floor(hospital.draws.uniform(label + "/day", index, step) * HISTORY_DAYS).astype(np.int64)
    return hospital.first_day - 1 - back


def _acute(hospital: Hospital, people: People) -> Planned:
    draws = hospital.draws
    yearly = np.interp(people.age, (0, 6, 20, 60, 90), (1.8, 1.0, 0.6, 0.8, 1.1))
    who, step = unrolled(np.arange(len(people)), draws.poisson("acute/count", yearly * 3, people.index))
    index = people.index[who]
    emergency = draws.chance("acute/emergency", 0.12, index, step)
    day = _recent_days(hospital, "acute", index, step)
    any_time = draws.between("acute/night", 0, 24 * 60, index, step) * 60
    second = np.where(emergency, any_time, clock(draws, "acute", index, step))
    day = np.where(emergency, day, np.minimum(working_day(day), hospital.first_day - 1))
    minutes = np.where(emergency, 180, 0) + minutes_of(draws, "acute", index, step)
    kind = np.where(emergency, c.EMERGENCY, c.OUTPATIENT)
    reason = acute_reason(draws, "acute", index, step)
    return Planned.of(Program.ACUTE, who, day * DAY + second, reason, minutes, kind)


def _checkups(hospital: Hospital, people: People) -> Planned:
    draws = hospital.draws
    yearly = np.where((people.age >= 22) & (people.age < 66), 0.28, np.where(people.age >= 66, 0.35, 0.05))
    who, step = unrolled(np.arange(len(people)), draws.poisson("checkup/count", yearly * 3, people.index))
    index = people.index[who]
    day = np.minimum(working_day(_recent_days(hospital, "checkup", index, step)), hospital.first_day - 1)
    start = day * DAY + 8 * 3600 + draws.between("checkup/time", 0, 120, index, step) * 60
    return Planned.of(Program.CHECKUP, who, start, c.CHECKUP, 150, c.WELLNESS)


def admission_rate(people: People) -> Floats:
    """Unplanned stays a year."""
    base = np.interp(people.age, (0, 10, 40, 65, 90), (0.03, 0.02, 0.03, 0.07, 0.16))
    return np.asarray(
        base + 0.12 * people.has("heart_failure") + 0.08 * people.has("copd") + 0.04 * people.has("stroke")
    )


def _stays(hospital: Hospital, people: People) -> Planned:
    draws = hospital.draws
    counts = draws.poisson("stay/count", admission_rate(people) * 3, people.index)
    who, step = unrolled(np.arange(len(people)), counts)
    index = people.index[who]
    start = _recent_days(hospital, "stay", index, step) * DAY
    start = start + draws.between("stay/time", 0, 24 * 60, index, step) * 60
    minutes = draws.between("stay/length", 2 * 1440, 14 * 1440, index, step)
    return Planned.of(Program.STAY, who, start, severe_reason(draws, "stay", people, who, step), minutes, c.INPATIENT)


#: Weeks of gestation at which antenatal visits are due.
ANTENATAL_WEEKS = (12, 16, 20, 24, 28, 30, 32, 34, 36, 37, 38, 39)


def _maternity(hospital: Hospital, people: People) -> list[Planned]:
    draws = hospital.draws
    mothers = np.flatnonzero(people.conceived < NEVER)
    who, step = unrolled(mothers, np.full(len(mothers), len(ANTENATAL_WEEKS)))
    index = people.index[who]
    day = people.conceived[who] + np.array(ANTENATAL_WEEKS)[step] * 7 + draws.between("antenatal", -3, 4, index, step)
    came = draws.chance("antenatal/came", 0.9, index, step) & (day < people.delivery[who])
    start = working_day(day) * DAY + clock(draws, "antenatal", index, step)
    visits = Planned.of(Program.ANTENATAL, who, start, c.NUMBER["pregnancy"], 30)
    return [_where(visits, came), births(draws, people, mothers)]


def births(draws: Draws, people: People, mothers: Ints) -> Planned:
    """The stay for birth on each mother's day; two in five by caesarean section."""
    index = people.index[mothers]
    cut = draws.chance("birth/cesarean", 0.4, index)
    start = people.delivery[mothers] * DAY + draws.between("birth/time", 0, 20 * 60, index) * 60
    days = np.where(cut, draws.between("birth/stay", 4, 7, index), draws.between("birth/stay", 2, 4, index))
    return Planned.of(
        Program.BIRTH,
        mothers,
        start,
        np.where(cut, c.CESAREAN, c.BIRTH),
        days * 1440,
        c.INPATIENT,
        np.where(cut, c.CESAREAN_OP, -1),
    )


def operation_days(hospital: Hospital, people: People, number: int) -> Ints:
    """Day of each person's operation of this kind (it may lie ahead), NEVER without one."""
    operation, draws, index = c.OPERATIONS[number], hospital.draws, people.index
    label = f"operation/{operation.code}"
    able = draws.chance(label, operation.chance, index)
    able &= (people.age >= operation.ages[0]) & (people.age < operation.ages[1])
    if operation.women_only:
        able &= ~people.male
    if not operation.condition:
        back = np.floor(draws.uniform(label + "/when", index) * (HISTORY_DAYS + 25)).astype(np.int64)
        return np.where(able, working_day(hospital.first_day + 25 - back), NEVER)
    onset = people.onset[operation.condition]
    day = onset + draws.between(label + "/delay", *operation.delay, index)
    recent = hospital.first_day + 25 - draws.between(label + "/recent", 0, 200, index)
    soon = draws.chance(label + "/soon", operation.recent, index) & (recent > onset + operation.delay[0])
    day = np.where(soon, recent, day)
    return np.where(able & (onset < NEVER), working_day(np.minimum(day, NEVER // DAY)), NEVER)


def called_off(draws: Draws, index: Ints, operation: Ints | int) -> Flags:
    """Planned operations that will not happen."""
    return draws.chance("operation/called_off", 0.08, index, operation)


def _operations(hospital: Hospital, people: People) -> list[Planned]:
    planned = []
    for number, operation in enumerate(c.OPERATIONS):
        if not operation.chance:
            continue
        day = operation_days(hospital, people, number)
        who = np.flatnonzero(day < NEVER)
        planned.append(operation_visit(hospital.draws, people, who, day[who], number))
        if number == c.TKR:
            planned.append(_rehabilitation(hospital.draws, people, who, day[who]))
    return planned


def operation_visit(draws: Draws, people: People, who: Ints, day: Ints, number: int) -> Planned:
    """The stay, or the day case, in which an operation happens."""
    operation, index = c.OPERATIONS[number], people.index[who]
    start = day * DAY + clock(draws, f"operation/{number}", index, number)
    days = draws.between(f"operation/{number}/stay", *operation.stay, index)
    inside = operation.stay[1] > 0
    return Planned.of(
        Program.OPERATION,
        who,
        start,
        operation.reason,
        days * 1440 if inside else 180,
        c.INPATIENT if inside else c.OUTPATIENT,
        number,
    )


#: Days after a knee replacement on which rehabilitation sessions are due.
REHABILITATION_DAYS = (16, 21, 28, 35, 49, 63, 84)


def _rehabilitation(draws: Draws, people: People, who: Ints, day: Ints) -> Planned:
    rows, step = unrolled(np.arange(len(who)), np.full(len(who), len(REHABILITATION_DAYS)))
    index = people.index[who[rows]]
    due = working_day(day[rows] + np.array(REHABILITATION_DAYS)[step])
    start = due * DAY + clock(draws, "rehabilitation", index, step)
    visits = Planned.of(Program.REHABILITATION, who[rows], start, c.REHABILITATION, 60, operation=c.REHABILITATION_OP)
    return _where(visits, draws.chance("rehabilitation/came", 0.8, index, step))
