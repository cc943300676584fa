"""When an experiment is looked at: fixed at launch, whatever the outcomes say.

One look a day at the hour of the launch (every few days in a long experiment), and the last one on the day that the
verdict is due. Evaluating more often shows the same look again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from alongside.outreach.experiments.definition import ExperimentDefinition

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
