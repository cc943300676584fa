"""What time it is for a patient, while a run is under way."""

from __future__ import annotations

from datetime import datetime

from alongside.model.clock import RunClock


def patient_now(clock: RunClock, now: datetime) -> datetime:
    """The moment a patient would see: the wall, or in a replay the played moment plus what has passed since it began.

    Back-off and quiet hours are both waited for on this clock, so that a replayed day can wait for its next try.
    """
    return clock.as_of + (now - clock.wall) if clock.replay else now
