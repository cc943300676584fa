"""Bookings that simulated patients make after a message: read from the stand-in's file, meant for one HIS patient."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from alongside.model.clock import require_utc
from alongside.model.errors import DataInvalid
from alongside.model.findings import nearest
from alongside.sandbox.hospital.services import SERVICES

#: The hospital's local time; China has had one zone and no summer time since 1991.
_LOCAL = timedelta(hours=8)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (local seconds are counted from a naive midnight)


@dataclass(frozen=True, order=True)
class Booking:
    """Somebody who reads `email` booked `service` at `booked_at` (aware; UTC)."""

    booked_at: datetime
    email: str
    service: str = "follow_up"

    @property
    def local_second(self) -> int:
        """Seconds since 1970 by the hospital's clock."""
        return int((require_utc(self.booked_at).replace(tzinfo=None) + _LOCAL - _EPOCH).total_seconds())

    @property
    def appointment_no(self) -> str:
        """The same booking has the same number, however often it is read."""
        text = f"{self.email.strip().lower()}|{self.local_second}|{self.service}"
        return "B" + hashlib.blake2b(text.encode(), digest_size=8).hexdigest().upper()


def read_bookings(path: Path, start_offset: int = 0) -> tuple[list[Booking], int]:
    """Bookings from byte `start_offset` on, and the offset to go on from.

    Each line is `{"to": address, "at": ISO moment, "service": ..., "message": opaque}`. A last line without its line
    break is still being written and is left for the next time. A missing file holds no bookings. Raises DataInvalid,
    without the address, for a line that cannot be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(start_offset)
            data = file.read()
    except FileNotFoundError:
        return [], start_offset
    complete = data[: data.rfind(b"\n") + 1]
    bookings, offset = [], start_offset
    for line in complete.splitlines(keepends=True):
        if line.strip():
            bookings.append(_parse(line, f"{path.name} at byte {offset}"))
        offset += len(line)
    return bookings, offset


def _parse(line: bytes, where: str) -> Booking:
    try:
        record = json.loads(line)
        service, email = str(record["service"]), str(record["to"])
        moment = datetime.fromisoformat(record["at"])
        booked_at = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, KeyError, TypeError) as error:
        raise DataInvalid(
            f"a booking cannot be read ({type(error).__name__})",
            where=where,
            remedy='Each line is a JSON object with "to", "at" and "service".',
        ) from None
    if service not in SERVICES:
        raise DataInvalid(
            f"unknown service '{service[:40]}'", where=where, remedy=nearest(service, SERVICES) or "See the docs."
        )
    return Booking(booked_at, email, service)


def distinct(bookings: Iterable[Booking]) -> list[Booking]:
    """Each booking once, in the order of its number."""
    return sorted(
        {booking.appointment_no: booking for booking in bookings}.values(), key=lambda item: item.appointment_no
    )
