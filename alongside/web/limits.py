"""How often one client may guess: bounded memory, no store."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field


@dataclass
class FailureLimit:
    """Counts failures per client in one-minute windows; the oldest clients are forgotten beyond `capacity`.

    Only failures count: leaving must never be refused to somebody who holds a valid link.
    """

    failures_per_minute: int = 30
    capacity: int = 10_000
    _counts: OrderedDict[str, tuple[int, int]] = field(default_factory=OrderedDict)

    def allows(self, client: str, now: float) -> bool:
        """Whether this client may still try, at `now` in seconds."""
        minute, count = self._counts.get(client, (0, 0))
        return minute != int(now // 60) or count < self.failures_per_minute

    def failed(self, client: str, now: float) -> None:
        minute, count = self._counts.pop(client, (0, 0))
        current = int(now // 60)
        self._counts[client] = (current, count + 1 if minute == current else 1)
        while len(self._counts) > self.capacity:
            self._counts.popitem(last=False)
