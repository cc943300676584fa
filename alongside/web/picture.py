"""What the hospital's systems know of one patient, as the current snapshot has it: for pages that show it to them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from alongside.ledger.wishes import SOURCE, Expressed
from alongside.warehouse.duck import quoted

if TYPE_CHECKING:
    from alongside.warehouse import Warehouse

#: One page needs a small part of the budget for analyses: many may be shown at once.
_SHARE = 16
#: What is read of `person`; a snapshot that an earlier release built may lack some of it.
_FACTS = ("language", "email_state", "phone_state", "text_state", "openid_state", "device_token_state", "postal_state")
_PERSON = "SELECT * FROM read_parquet({file}) WHERE person_id = ?"
_BOOKING = """
SELECT start_at, status, department FROM read_parquet({file}) WHERE person_id = ? AND source = ? AND source_id = ?"""
_EXPRESSED = """
SELECT updated_at, source, source_id, channel, language, quiet_from, quiet_to, topics_off
FROM read_parquet({file}) WHERE person_id = ? AND source <> ?"""


@dataclass(frozen=True)
class Seen:
    """One person of the snapshot.

    Attributes
    ----------
    expressed : what extracts say of the person's wishes
    email_state, phone_state, text_state, openid_state, device_token_state, postal_state : valid, invalid or missing
    """

    expressed: tuple[Expressed, ...] = ()
    language: str | None = None
    email_state: str | None = None
    phone_state: str | None = None
    text_state: str | None = None
    openid_state: str | None = None
    device_token_state: str | None = None
    postal_state: str | None = None


@dataclass(frozen=True)
class Booking:
    """An appointment, as the hospital's system has it."""

    start_at: datetime | None
    status: str | None = None
    department: str | None = None


@dataclass(frozen=True)
class Picture:
    """The snapshots of a warehouse, looked into for one person at a time: the rows of one id lie together."""

    warehouse: Warehouse

    def of(self, person_id: str) -> Seen | None:
        """What is known of a living person; None where there is no snapshot yet, or they are not in it."""
        snapshot = self.warehouse.current()
        if snapshot is None:
            return None
        with self.warehouse.connect(_SHARE) as duck:
            found = duck.execute(_PERSON.format(file=quoted(snapshot.table("person"))), [person_id])
            names = [column[0] for column in found.description or []]
            person = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
            if not person:
                return None
            sql = _EXPRESSED.format(file=quoted(snapshot.table("preference")))
            rows = duck.execute(sql, [person_id, SOURCE]).fetchall()
        return Seen(
            tuple(Expressed(_aware(row[0]), *row[1:]) for row in rows), **{name: person[0].get(name) for name in _FACTS}
        )

    def booking(self, person_id: str, source: str, appointment: str) -> Booking | None:
        """One appointment of a living person; None where the current snapshot does not have it."""
        snapshot = self.warehouse.current()
        if snapshot is None:
            return None
        with self.warehouse.connect(_SHARE) as duck:
            sql = _BOOKING.format(file=quoted(snapshot.table("appointment")))
            rows = duck.execute(sql, [person_id, source, appointment]).fetchall()
        return Booking(_aware(rows[0][0]), *rows[0][1:]) if rows else None


def _aware(moment: Any) -> datetime | None:
    return moment.replace(tzinfo=UTC) if isinstance(moment, datetime) else None
