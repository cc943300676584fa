"""When an experiment is looked at: fixed at launch, whatever the outcomes say.

One look a day at the hour of the launch (every few days in a long experiment), and the last one on the day that the
verdict is due. Evaluating more often shows the same look again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from alongside.outreach.experiments.definition import ExperimentDefinition

#: Before the planned day some of alpha is always left for it.
_MOST_BEFORE_DUE = 0.99
#: A look that adds less than this share to what is known shows the same data again.
_NOTHING_NEW = 1e-4
#: Enough to stop harm and to end early; each look more costs computing and, a little, power.
_MOST_LOOKS = 56


def days_between_looks(definition: ExperimentDefinition) -> int:
    days = definition.design.planned_days + math.ceil(definition.waits / timedelta(days=1))
    return math.ceil(days / _MOST_LOOKS)


@dataclass(frozen=True)
class Calendar:
    """Look number k is at launch + k * every days, the last one when the verdict is due."""

    launched_at: datetime
    due: datetime
    every: int

    @classmethod
    def of(cls, definition: ExperimentDefinition, launched_at: datetime) -> Calendar:
        return cls(launched_at, definition.verdict_due(launched_at), days_between_looks(definition))

    @property
    def step(self) -> timedelta:
        return timedelta(days=self.every)

    @property
    def planned(self) -> int:
        return math.ceil((self.due - self.launched_at) / self.step)

    def moment(self, look: int) -> datetime:
        return min(self.launched_at + look * self.step, self.due)

    def taken(self, as_of: datetime) -> int:
        """Number of the last look that has come."""
        if as_of >= self.due:
            return self.planned
        return max(0, math.floor((as_of - self.launched_at) / self.step))

    def next_after(self, as_of: datetime) -> datetime | None:
        taken = self.taken(as_of)
        return self.moment(taken + 1) if taken < self.planned else None


def time_over(known: float, enrolled: float, needed: float, elapsed: float, planned_days: int) -> float:
    """Share of alpha's time that is over at a look before the planned day.

    People known / people expected, where those expected follow from the enrolment so far and from the planned size;
    outcomes play no part in it.

    Parameters
    ----------
    known : people whose outcome has been seen
    enrolled : people who take part so far
    needed : people that the design asks for
    elapsed : days since the launch
    """
    projected = max(needed, enrolled * planned_days / max(1, min(elapsed, planned_days)))
    return min(_MOST_BEFORE_DUE, known / projected)


def adds_nothing(before: float, information: float) -> bool:
    """Whether a look shows the data of the look before again, so that it takes its place."""
    return information - before < _NOTHING_NEW * information
