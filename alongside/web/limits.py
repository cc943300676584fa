"""How often somebody may do something: bounded memory, no store."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field


@dataclass
class PerMinute:
    """Counts in one-minute windows, by name: failures of a client, changes by a link.

    The oldest names are forgotten beyond `capacity`. What is counted is never leaving itself: that must not be refused
    to somebody who holds a valid link.
    """

    most: int = 30
    capacity: int = 10_000
    _counts: OrderedDict[str, tuple[int, int]] = field(default_factory=OrderedDict)

    def allows(self, name: str, now: float) -> bool:
        """Whether there is room for one more, at `now` in seconds."""
        minute, count = self._counts.get(name, (0, 0))
        return minute != int(now // 60) or count < self.most

    def count(self, name: str, now: float) -> None:
        minute, count = self._counts.pop(name, (0, 0))
        current = int(now // 60)
        self._counts[name] = (current, count + 1 if minute == current else 1)
        while len(self._counts) > self.capacity:
            self._counts.popitem(last=False)
