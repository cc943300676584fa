"""Does the effect last? By when people were enrolled, and by the days since their message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, tzinfo

from alongside.analysis.observing.first_events import FirstEvents
from alongside.analysis.observing.sums import ArmSums, Course, Sums, summed
from alongside.outreach.experiments import Calendar, Metric

_PERIODS = 4


def by_enrolment(course: Course, calendar: Calendar, waits: timedelta, zone: tzinfo) -> dict[str, Sums]:
    """The first goal's sums by up to four periods of enrolment with about as many people each, in the order of time.

    A novelty that wears off shows as an effect that falls from period to period. Keys are days of assignment in
    the hospital's zone, `2026-03-01` or `2026-03-01/2026-03-06`.
    """
    total = sum(_people(sums) for _, sums in course)
    parts: list[list[tuple[int, Sums]]] = []
    seen = 0
    for number, sums in course:
        place = min(_PERIODS - 1, _PERIODS * seen // max(1, total))
        if not parts or place >= len(parts):
            parts.append([])
        parts[-1].append((number, sums))
        seen += _people(sums)
    return {_days(part, calendar, waits, zone): summed(part) for part in parts} if len(parts) > 1 else {}


def _people(sums: Sums) -> int:
    return sum(arm.n + arm.missing for arm in sums.values())


def _days(part: Sequence[tuple[int, Mapping[str, ArmSums]]], calendar: Calendar, waits: timedelta, zone: tzinfo) -> str:
    """Look number k shows people who were assigned in the day before it, less the wait."""
    first, last = (_assigned(number, calendar, waits, zone) for number in (part[0][0], part[-1][0]))
    return first if first == last else f"{first}/{last}"


def _assigned(number: int, calendar: Calendar, waits: timedelta, zone: tzinfo) -> str:
    return (calendar.moment(number) - waits).astimezone(zone).date().isoformat()


def since_message(
    events: Sequence[FirstEvents], metric: Metric, arms: Sequence[str], as_of: datetime
) -> dict[str, tuple[float, ...]]:
    """Share of people who had the event by the end of each day of their window, by arm; whole windows only."""
    done = metric.window + metric.settles
    closed = [row for row in events if row.last_assigned + done <= as_of]
    found = {}
    for arm in arms:
        people = sum(row.people for row in closed if row.variant == arm)
        by_day = [0] * metric.within_days
        for row in closed:
            if row.variant == arm and row.day is not None:
                by_day[row.day] += row.people
        if people:
            found[arm] = tuple(sum(by_day[: day + 1]) / people for day in range(metric.within_days))
    return found
