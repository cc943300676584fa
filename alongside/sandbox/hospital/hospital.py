"""The demo hospital as a whole: what its people, chunks and days have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

import numpy as np

from alongside.sandbox.hospital.dirt import DIRT, Dirt
from alongside.sandbox.hospital.draws import Draws, Ints
from alongside.sandbox.hospital.people import DAY, People, make_people

#: People handled at once; bounds memory and changes no byte of the first dump.
CHUNK = 10_000
#: Part of a day's definition (each block draws its own visitors): never change it between two days of one hospital.
DAY_BLOCK = 200_000
#: Extracts are taken at 02:00.
CUT = 2 * 3600
_EPOCH = date(1970, 1, 1)


def day_number(day: date) -> int:
    return (day - _EPOCH).days


@dataclass(frozen=True)
class Hospital:
    """A hospital is its parameters: everything else follows from them."""

    patients: int
    seed: int
    start: date
    dirt: Dirt = DIRT
    _arrivals: dict[int, int] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def draws(self) -> Draws:
        return Draws(self.seed)

    @property
    def first_day(self) -> int:
        return day_number(self.start)

    @property
    def first_cut(self) -> int:
        """Second at which the first dump was taken."""
        return self.first_day * DAY + CUT

    def arriving(self, day: int) -> int:
        """How many people register for the first time on a day after the dump's eve."""
        if day < self.first_day:
            return 0
        if day not in self._arrivals:
            mean = self.patients * (0.0005 if weekday(day) < 5 else 0.0002)
            self._arrivals[day] = int(self.draws.generator("arrivals", day).poisson(mean))
        return self._arrivals[day]

    def population(self, day: int) -> int:
        """People known at the end of a day."""
        return self.patients + sum(self.arriving(each) for each in range(self.first_day, day + 1))

    def newcomers(self, day: int) -> Ints:
        """Indexes of those who register on that day."""
        last = self.population(day)
        return np.arange(last - self.arriving(day), last, dtype=np.int64)

    def people(self, index: Ints, until: int) -> People:
        """The people with these indexes, known by the end of day `until`."""
        days = np.arange(self.first_day, until + 1)
        ends = self.patients + np.cumsum([self.arriving(int(day)) for day in days])
        late = index >= self.patients
        arrived = np.full(len(index), -1, dtype=np.int64)
        if late.any():
            arrived[late] = days[np.searchsorted(ends, index[late], side="right")]
        return make_people(self.draws, index, self.first_day, arrived)


def weekday(day: int) -> int:
    """0 is Monday."""
    return (day + 3) % 7
