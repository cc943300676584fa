"""What has begun and is not over: written with each extract, taken up on the day that it is due."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from alongside.sandbox.hospital.agenda import BOOKED, Appointments
from alongside.sandbox.hospital.clinic import Orders, found, patient_id, runs_out, visit_id
from alongside.sandbox.hospital.clinical import NUMBER
from alongside.sandbox.hospital.draws import Ints
from alongside.sandbox.hospital.people import DAY, NEVER, People
from alongside.sandbox.hospital.truth import open_table
from alongside.sandbox.hospital.visits import Visits

_VISIT = ("start", "end", "kind", "reason", "program", "operation", "number", "second")
_ORDER = ("visit", "drug", "days", "ordered", "stopped", "second")
_APPOINTMENT = ("service", "reason", "booked", "start", "operation")


def open_appointments(appointments: Appointments) -> pa.Table:
    """Booked ones, due on their day."""
    chosen = appointments.take(appointments.status == BOOKED)
    columns = {name: getattr(chosen, name) for name in _APPOINTMENT}
    return open_table(chosen.start // DAY, chosen.index, text=chosen.text, **columns)


def read_appointments(table: pa.Table) -> Appointments:
    columns = {name: _ints(table, name) for name in ("index", *_APPOINTMENT)}
    text = table["text"].combine_chunks()
    return Appointments(text=text, status=np.full(table.num_rows, BOOKED, dtype=np.int64), **columns)


def open_stays(people: People, visits: Visits, cut: int) -> pa.Table:
    """Those still in bed at `cut`, due on the day of discharge."""
    chosen = visits.take(visits.end >= cut)
    columns = {name: getattr(chosen, name) for name in _VISIT}
    return open_table(chosen.end // DAY, people.index[chosen.who], **columns)


def read_stays(table: pa.Table, people: People) -> Visits:
    return Visits(who=_who(table, people), **{name: _values(table, name) for name in _VISIT})


def open_orders(people: People, orders: Orders, cut: int) -> pa.Table:
    """Running prescriptions, due on the day that they run out or are stopped."""
    chosen = orders.take(runs_out(orders) >= cut)
    columns = {name: getattr(chosen, name) for name in _ORDER}
    return open_table(runs_out(chosen) // DAY, people.index[chosen.who], **columns)


def read_orders(table: pa.Table, people: People) -> Orders:
    return Orders(who=_who(table, people), **{name: _values(table, name) for name in _ORDER})


def open_births(people: People, visits: Visits, cut: int) -> pa.Table:
    """Pregnancies, due on the day of birth, with the numbers under which the pregnancy was recorded."""
    rows, condition = found(people, visits)
    rows = rows[condition == NUMBER["pregnancy"]]
    who = visits.who[rows]
    ahead = (people.delivery[who] * DAY >= cut - cut % DAY) & (people.deceased[who] == NEVER)
    rows, who = rows[ahead], who[ahead]
    return open_table(
        people.delivery[who],
        people.index[who],
        visit_no=visit_id(visits.number[rows]),
        patient_no=patient_id(people, who, visits.second[rows]),
        found=visits.start[rows],
    )


def rows_of(index: Ints, people: People) -> Ints:
    """Row positions of persons, all of whom are in `people` (ordered by index)."""
    return np.searchsorted(people.index, index)


def _who(table: pa.Table, people: People) -> Ints:
    return rows_of(_ints(table, "index"), people)


def _values(table: pa.Table, name: str) -> Any:
    return table[name].combine_chunks().to_numpy(zero_copy_only=False)


def _ints(table: pa.Table, name: str) -> Ints:
    return np.asarray(_values(table, name), dtype=np.int64)


def no_visits() -> Visits:
    nothing = np.zeros(0, dtype=np.int64)
    return Visits(who=nothing, second=nothing.astype(np.bool_), **dict.fromkeys(_VISIT[:-1], nothing))


def no_orders() -> Orders:
    nothing = np.zeros(0, dtype=np.int64)
    return Orders(who=nothing, second=nothing.astype(np.bool_), **dict.fromkeys(_ORDER[:-1], nothing))
