"""The ramp of a new sender: how much it may send on each day, so that mailbox providers come to know it.

A domain or address that nobody knows and that writes to a hundred thousand people on its first day is taken for a
spammer's. Providers ask for a slow start and for growth that follows what was really sent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta

#: A day's end of a forecast that nobody would read.
FARTHEST = timedelta(days=3660)


@dataclass(frozen=True)
class Ramp:
    """Messages a day: `first_day` on the day `start`, then `growth` times as many each day, no limit from `until` on.

    A day's allowance is also at most `growth` times the most that was sent on any earlier day: a sender that was silent
    for a fortnight does not begin again where it would have been.
    """

    start: date
    first_day: int
    growth: float
    until: int

    def by_calendar(self, day: date) -> int | None:
        """What the day allows to a sender that used every earlier day in full; None without limit, 0 before `start`."""
        if day < self.start:
            return 0
        allowed = self.first_day
        for _ in range((day - self.start).days):
            if allowed >= self.until:
                break
            allowed = self._grown(allowed)
        return None if allowed >= self.until else allowed

    def allowance(self, day: date, best: int) -> int | None:
        """What the day allows; None without limit.

        Parameters
        ----------
        best : most messages of any day before this one, from `start` on
        """
        earned = max(self.first_day, self._grown(best))
        by_calendar = self.by_calendar(day)
        if by_calendar is None:
            return None if earned >= self.until else earned
        return min(by_calendar, earned)

    def through(self, day: date, best: int, taken: int, waiting: int) -> date | None:
        """The day on which the last of `waiting` messages may leave, when nothing else does; None: not in ten years.

        Parameters
        ----------
        taken : messages that have left on `day` already
        """
        last = day + FARTHEST
        while day <= last:
            allowed = self.allowance(day, best)
            if allowed is None:
                return day
            sent = min(waiting, max(allowed - taken, 0))
            waiting -= sent
            if waiting <= 0:
                return day
            best, taken, day = max(best, taken + sent), 0, day + timedelta(days=1)
        return None

    def _grown(self, messages: int) -> int:
        # Rounded up, or one message a day would stay one; `round` takes away what binary fractions add.
        return math.ceil(round(messages * self.growth, 6))
