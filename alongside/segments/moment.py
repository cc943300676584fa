"""The moment as of which expressions are evaluated, and days counted by the hospital's calendar.

"Within 7 days" and "days since" mean calendar days in the hospital's time zone: what happened yesterday afternoon is
one day ago this morning. Windows are turned into constant UTC limits here, exactly, daylight saving included.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from alongside.model.clock import require_utc


@dataclass(frozen=True)
class Moment:
    """`as_of` in any zone; `zone` is the hospital's IANA time zone."""

    as_of: datetime
    zone: str

    @property
    def utc(self) -> datetime:
        """As of, as the snapshot stores moments: UTC, naive."""
        return require_utc(self.as_of).replace(tzinfo=None)

    @property
    def today(self) -> date:
        return require_utc(self.as_of).astimezone(ZoneInfo(self.zone)).date()

    def start_of(self, day: date) -> datetime:
        """Local midnight of this day, UTC, naive."""
        return datetime.combine(day, time(), ZoneInfo(self.zone)).astimezone(UTC).replace(tzinfo=None)

    def days_ago(self, days: int) -> datetime:
        """Start of the day that is so many calendar days ago: at or after it is "within `days`"."""
        return self.start_of(self.today - timedelta(days=days))

    def end_of_days_ahead(self, days: int) -> datetime:
        """First moment that is no longer "within the next `days`"."""
        return self.start_of(self.today + timedelta(days=days + 1))

    def to_utc(self, local: datetime) -> datetime:
        """A local wall time as UTC, naive."""
        return local.replace(tzinfo=ZoneInfo(self.zone)).astimezone(UTC).replace(tzinfo=None)

    @property
    def constant_offset(self) -> timedelta | None:
        """Offset from UTC where the zone keeps one; None where clocks change.

        With a constant offset, a local day is an addition instead of a calendar look-up per value.
        """
        return _constant_offset(self.zone, self.today.year + 1)


@cache
def _constant_offset(zone: str, until: int) -> timedelta | None:
    """The zone's only offset since 1992, the year after China last changed its clocks."""
    offsets = {
        datetime(year, month, 1, tzinfo=ZoneInfo(zone)).utcoffset()
        for year in range(1992, until + 1)
        for month in (1, 4, 7, 10)
    }
    return offsets.pop() if len(offsets) == 1 else None
