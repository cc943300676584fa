"""What staff have to look at, who was told of it, and when. Times are wall time.

An alert lasts from the look that first finds its cause to the one that does not; then who was told is forgotten, and
a cause that comes back is a new alert. A notice is claimed before it is sent, so that two processes that look at once
tell nobody twice; when the one that sends dies, another does it after the claim has run out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from alongside.ledger.schema import staff_alert, staff_notice
from alongside.model.enums import StaffEvent

#: What counts grow to before they are told again: twice what was told last.
WORSE = 2
#: How long a notice is somebody's who is sending it; longer than any service takes to answer.
_CLAIM = timedelta(minutes=5)


@dataclass(frozen=True)
class Cause:
    """What somebody has to look at now; `level` is how many there are."""

    event: StaffEvent
    subject: str
    level: int = 1

    @property
    def alert(self) -> str:
        return f"{self.event}:{self.subject}"[:200]


@dataclass(frozen=True)
class Notice:
    """What one receiver was told of one alert."""

    receiver: str
    level: int
    told_at: datetime | None
    claimed_until: datetime | None
    tries: int
    trouble: str | None


@dataclass(frozen=True)
class Alert:
    """An alert that lasts. `seen_at` is the latest look that found its cause."""

    alert: str
    event: StaffEvent
    level: int
    since: datetime
    seen_at: datetime
    notices: Mapping[str, Notice]

    @property
    def subject(self) -> str:
        return self.alert.partition(":")[2]


def note(connection: Connection, causes: Iterable[Cause], now: datetime) -> None:
    """Begin, continue and end alerts by what a look has found."""
    found = {cause.alert: cause for cause in causes}
    lasting = set(connection.scalars(sa.select(staff_alert.c.alert).where(staff_alert.c.ended_at.is_(None))))
    over = sorted(lasting - found.keys())
    if over:
        connection.execute(staff_alert.update().where(staff_alert.c.alert.in_(over)).values(ended_at=now))
        connection.execute(staff_notice.delete().where(staff_notice.c.alert.in_(over)))
    for alert, cause in sorted(found.items()):
        fresh = {"level": cause.level, "seen_at": now, "ended_at": None}
        again = fresh if alert in lasting else {**fresh, "since": now}
        row = {"alert": alert, "kind": cause.event.value, "since": now, **fresh}
        connection.execute(
            _insert(connection, staff_alert, row).on_conflict_do_update(index_elements=["alert"], set_=again)
        )


def lasting_alerts(connection: Connection) -> list[Alert]:
    """Alerts that have not ended, the oldest first, with who was told."""
    rows = connection.execute(
        sa.select(staff_alert)
        .where(staff_alert.c.ended_at.is_(None))
        .order_by(staff_alert.c.since, staff_alert.c.alert)
    ).all()
    notices: dict[str, dict[str, Notice]] = {row.alert: {} for row in rows}
    for one in connection.execute(sa.select(staff_notice)):
        if one.alert in notices:
            notices[one.alert][one.receiver] = Notice(
                one.receiver, one.level, one.told_at, one.claimed_until, one.tries, one.trouble
            )
    return [
        Alert(row.alert, StaffEvent(row.kind), row.level, row.since, row.seen_at, notices[row.alert]) for row in rows
    ]


def is_due(alert: Alert, receiver: str, now: datetime, repeat: timedelta) -> bool:
    """Whether the receiver has to be told now: for the first time, of something worse, or once more after `repeat`."""
    notice = alert.notices.get(receiver)
    if notice is None:
        return True
    if notice.claimed_until is not None and notice.claimed_until > now:
        return False
    if notice.told_at is None:
        return True
    return alert.level >= WORSE * max(notice.level, 1) or now - notice.told_at >= repeat


def claim(connection: Connection, alerts: Collection[Alert], receiver: str, now: datetime) -> list[Alert]:
    """Those of the alerts that nobody else is telling the receiver, or has told since they were read."""
    return [alert for alert in alerts if _claim_one(connection, alert, receiver, now)]


def _claim_one(connection: Connection, alert: Alert, receiver: str, now: datetime) -> bool:
    known = alert.notices.get(receiver)
    row = {"alert": alert.alert, "receiver": receiver, "level": 0, "tries": 0}
    connection.execute(_insert(connection, staff_notice, row).on_conflict_do_nothing())
    seen = None if known is None else known.told_at
    told = staff_notice.c.told_at
    claimed = staff_notice.c.claimed_until
    taken = connection.execute(
        staff_notice.update()
        .where(staff_notice.c.alert == alert.alert, staff_notice.c.receiver == receiver)
        .where(told.is_(None) if seen is None else told == seen, sa.or_(claimed.is_(None), claimed <= now))
        .values(claimed_until=now + _CLAIM)
    )
    return taken.rowcount == 1


def told(connection: Connection, alerts: Iterable[Alert], receiver: str, now: datetime) -> None:
    """The receiver has been told of these."""
    for alert in alerts:
        values = {"level": alert.level, "told_at": now, "claimed_until": None, "tries": 0, "trouble": None}
        connection.execute(_own(alert, receiver).values(**values))


def not_told(connection: Connection, alerts: Iterable[Alert], receiver: str, trouble: str, again: datetime) -> None:
    """Nobody was told; it is tried again from `again` on. `trouble` holds no address."""
    for alert in alerts:
        tries = staff_notice.c.tries + 1
        connection.execute(_own(alert, receiver).values(claimed_until=again, tries=tries, trouble=trouble[:300]))


def _own(alert: Alert, receiver: str) -> sa.Update:
    return staff_notice.update().where(staff_notice.c.alert == alert.alert, staff_notice.c.receiver == receiver)


def _insert(connection: Connection, table: sa.Table, row: Mapping[str, object]) -> postgresql.Insert | sqlite.Insert:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return insert(table).values(**row)
