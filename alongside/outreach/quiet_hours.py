"""Quiet hours in the recipient's own zone: when may this message leave?"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo


def is_quiet(moment: datetime, zone: str, start: time, end: time) -> bool:
    """Whether the moment lies in [start, end) of local time; start after end means over midnight; equal means never."""
    local = moment.astimezone(ZoneInfo(zone)).time()
    if start == end:
        return False
    return start <= local < end if start < end else local >= start or local < end


def earliest_send(moment: datetime, zone: str, start: time, end: time) -> datetime:
    """The moment itself, or the first moment after it that is not quiet, in UTC.

    The wall clock of the zone decides, so that a change of summer time moves the answer with it.
    """
    if not is_quiet(moment, zone, start, end):
        return moment.astimezone(UTC)
    local = moment.astimezone(ZoneInfo(zone))
    wake = local.replace(hour=end.hour, minute=end.minute, second=0, microsecond=0, fold=0)
    if wake <= local:
        wake = (local.replace(tzinfo=None) + timedelta(days=1)).replace(
            hour=end.hour, minute=end.minute, second=0, microsecond=0, tzinfo=local.tzinfo
        )
    return wake.astimezone(UTC)
