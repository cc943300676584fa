"""The two clocks of a run, handed in as an argument wherever time matters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


def require_utc(moment: datetime) -> datetime:
    """The moment in UTC; a naive one is an error, never a guess."""
    if moment.tzinfo is None:
        raise ValueError(f"naive datetime {moment!r}: give it a time zone")
    return moment.astimezone(UTC)


@dataclass(frozen=True)
class RunClock:
    """`as_of` decides content; `wall` drives leases, back-off and webhook freshness.

    In a replay (`as_of` away from wall time, stand-in only) `patient_time` is `as_of`, so that quiet hours and
    event times belong to the day that is played; in production it is the wall time.
    """

    as_of: datetime
    wall: datetime
    replay: bool = False

    @property
    def patient_time(self) -> datetime:
        return self.as_of if self.replay else self.wall
