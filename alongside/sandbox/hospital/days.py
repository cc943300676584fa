"""Playing one day after the other: the incremental extract of each, written below the same root."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alongside.model.errors import DataInvalid, Refused
from alongside.sandbox.hospital.agenda import Appointments
from alongside.sandbox.hospital.bookings import Booking, distinct
from alongside.sandbox.hospital.daily import DayOfBlock, Due, bookings_as_appointments
from alongside.sandbox.hospital.draws import Ints
from alongside.sandbox.hospital.extracts import ExtractWriter
from alongside.sandbox.hospital.hospital import CUT, DAY_BLOCK, Hospital, day_number
from alongside.sandbox.hospital.people import DAY
from alongside.sandbox.hospital.services import SERVICES
from alongside.sandbox.hospital.truth import Truth, TruthWriter, day_condition


@dataclass(frozen=True)
class DayReport:
    """What a day's extract holds.

    Attributes
    ----------
    rows : rows by extract (`his.visits`, ...)
    bookings : given bookings that became appointments in this extract
    unknown_readers : given bookings whose address belongs to nobody here
    later : given bookings that happen after this extract was taken; give them again on a later day
    """

    root: Path
    day: date
    new_patients: int
    rows: dict[str, int] = field(default_factory=dict)
    bookings: int = 0
    unknown_readers: int = 0
    later: tuple[Booking, ...] = ()


def advance(
    root: Path, day: date, bookings: Iterable[Booking] = (), truth: Path | None = None, seed: int | None = None
) -> DayReport:
    """Write the extract taken on `day` at 02:00: what was new or changed on the day before.

    `bookings` may be all that were ever made: those already in an earlier extract are passed over, and those still to
    come are handed back. The same (hospital, day, bookings) gives the same bytes. Days are played in order.

    Raises
    ------
    DataInvalid : there is no hospital here, or a booking's service is unknown
    Refused : the day is not after the first dump, an earlier day is missing, or `seed` is not the hospital's
    """
    store = Truth(truth or root / "truth")
    hospital = store.hospital()
    _check(root, hospital, day, seed)
    event_day = day_number(day) - 1
    made = _take_up(store, hospital, day, bookings)
    with ExtractWriter(root, day) as extracts, TruthWriter(store, day) as facts:
        for block in range(hospital.population(event_day) // DAY_BLOCK + 1):
            part = DayOfBlock(hospital, event_day, block, _due(store, day, event_day, block, made)).part()
            extracts.write(part.extracts)
            facts.write(part.truth)
        rows = extracts.rows
    return DayReport(root, day, hospital.arriving(event_day), rows, len(made.appointments), made.unknown, made.later)


def _check(root: Path, hospital: Hospital, day: date, seed: int | None) -> None:
    if day <= hospital.start:
        raise Refused(
            f"{day} is not after the first dump",
            where=str(root),
            remedy=f"Days begin with {hospital.start + timedelta(days=1)}.",
        )
    before = day - timedelta(days=1)
    if not (root / "his" / before.isoformat()).is_dir():
        raise Refused(
            f"the extract of {before} is missing", where=str(root / "his"), remedy="Play the days in their order."
        )
    if seed is not None and seed != hospital.seed:
        raise Refused(
            f"this hospital's seed is {hospital.seed}, not {seed}",
            where=str(root),
            remedy="Generate another hospital for another seed.",
        )


# ---------------------------------------------------------------------------------------------------- bookings
@dataclass(frozen=True)
class Made:
    """Given bookings as appointments of this extract."""

    appointments: Appointments
    unknown: int
    later: tuple[Booking, ...]

    def of(self, low: int, high: int) -> Appointments:
        return self.appointments.take((self.appointments.index >= low) & (self.appointments.index < high))


def _take_up(store: Truth, hospital: Hospital, day: date, bookings: Iterable[Booking]) -> Made:
    cut = day_number(day) * DAY + CUT
    given = distinct(bookings)
    for booking in given:
        if booking.service not in SERVICES:
            raise DataInvalid(f"unknown service '{booking.service}'", remedy=f"Known are {', '.join(SERVICES)}.")
    later = tuple(booking for booking in given if booking.local_second >= cut)
    now = [booking for booking in given if booking.local_second < cut]
    now = _new_ones(store, day, now)
    readers = store.readers_of((booking.email for booking in now), day) if now else {}
    known = [booking for booking in now if booking.email.strip().lower() in readers]
    index = np.array([readers[booking.email.strip().lower()] for booking in known], dtype=np.int64)
    people = hospital.people(np.unique(index), day_number(day) - 1)
    appointments = bookings_as_appointments(
        hospital,
        people,
        [booking.appointment_no for booking in known],
        index,
        np.array([SERVICES.index(booking.service) for booking in known], dtype=np.int64),
        np.array([booking.local_second for booking in known], dtype=np.int64),
    )
    return Made(appointments, len(now) - len(known), later)


def _new_ones(store: Truth, day: date, bookings: list[Booking]) -> list[Booking]:
    """Those that no earlier extract has brought."""
    if not bookings:
        return []
    wanted = pa.array([booking.appointment_no for booking in bookings], pa.string())
    earlier = store.due("appointments", day, pc.field("text").isin(wanted))
    brought = set() if earlier is None else set(earlier["text"].to_pylist())
    return [booking for booking in bookings if booking.appointment_no not in brought]


# -------------------------------------------------------------------------------------------------- what is due
def _due(store: Truth, day: date, event_day: int, block: int, made: Made) -> Due:
    low, high = block * DAY_BLOCK, (block + 1) * DAY_BLOCK
    here = (pc.field("index") >= low) & (pc.field("index") < high)
    today = here & day_condition(event_day)
    return Due(
        appointments=store.due("appointments", day, today),
        stays=store.due("stays", day, today),
        orders=store.due("orders", day, today),
        births=store.due("births", day, today),
        in_bed=_indexes(store.due("stays", day, here & (pc.field("due") >= event_day))),
        dead=_indexes(store.due("deaths", day, here)),
        booked=made.of(low, high),
    )


def _indexes(table: Any) -> Ints:
    if table is None:
        return np.zeros(0, dtype=np.int64)
    return np.asarray(table["index"].to_numpy(), dtype=np.int64)
