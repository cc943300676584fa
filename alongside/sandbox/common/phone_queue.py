"""What is still to happen to accepted messages: a due time, an offset and a step number each; the file has the rest."""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from alongside.sandbox.common.log import AppendLog
from alongside.sandbox.common.phones import Rates, Step, draw, timeline

#: Whose calendar days separate a patient's draws.
ZONE = ZoneInfo("Asia/Shanghai")
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Happening:
    """One step of one message whose time has come."""

    offset: int
    index: int
    moment: float
    step: Step
    record: Record


@dataclass
class MessageQueue:
    """Steps of all accepted messages, by due time.

    Attributes
    ----------
    steps : what happens to a message, as it truly is
    reorder : share of messages whose callbacks come in reverse
    """

    accepted: AppendLog
    steps: Callable[[Record], tuple[Step, ...]]
    reorder: float = 0.0
    _heap: list[tuple[float, int, int]] = field(default_factory=list)
    _done: dict[int, set[int]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Messages to which something is still to happen."""
        return len(self._heap)

    def add(self, offset: int, record: Record) -> None:
        """A message was accepted; its line stands at this offset."""
        self._push_next(offset, record, 0)

    def next_due(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> int:
        """How many messages have a step that is due."""
        return sum(1 for moment, _, _ in self._heap if moment <= now)

    def pop_due(self, now: float, limit: int) -> list[Happening]:
        """Up to `limit` due steps, oldest first; the next step of each message takes its place."""
        found: list[Happening] = []
        while self._heap and self._heap[0][0] <= now and len(found) < limit:
            moment, offset, index = heapq.heappop(self._heap)
            record = self.accepted.read(offset)
            if index not in self._done.get(offset, ()):
                found.append(Happening(offset, index, moment, self._told(record)[index], record))
            self._push_next(offset, record, index + 1)
        return found

    def rebuild(self, done: Iterable[tuple[int, int]]) -> None:
        """After a restart: queue what the files do not show as done."""
        for offset, index in done:
            self._done.setdefault(offset, set()).add(index)
        for offset, line in self.accepted.lines():
            record = orjson.loads(line)
            already = self._done.get(offset, set())
            missing = [index for index in range(len(self.steps(record))) if index not in already]
            if missing:
                self._push_next(offset, record, missing[0])
            else:
                self._done.pop(offset, None)

    def statuses_until(self, record: Record, now: float) -> list[tuple[float, Step]]:
        """The statuses that a message has reached, with their moments."""
        begun = _accepted_at(record)
        return [(begun + step.after, step) for step in self.steps(record) if step.status and begun + step.after <= now]

    def _told(self, record: Record) -> tuple[Step, ...]:
        """The steps as callbacks tell them: for some messages the statuses change places."""
        steps = self.steps(record)
        if zlib.crc32(f"{record['to']}|{record['m']}".encode()) / 2**32 >= self.reorder:
            return steps
        backwards = iter([step for step in reversed(steps) if step.status])
        return tuple(next(backwards) if step.status else step for step in steps)

    def _push_next(self, offset: int, record: Record, index: int) -> None:
        steps = self.steps(record)
        if index < len(steps):
            heapq.heappush(self._heap, (_accepted_at(record) + steps[index].after, offset, index))


def steps_of_phones(rates: Rates, seed: int) -> Callable[[Record], tuple[Step, ...]]:
    """What happens to text messages."""

    def steps(record: Record) -> tuple[Step, ...]:
        luck = draw(seed, record["to"], day_of(record))
        return timeline(rates, luck, record["body"], by_service=record["service"] is not None)

    return steps


def day_of(record: Record) -> date:
    """The patients' day on which a message was accepted."""
    return datetime.fromtimestamp(_accepted_at(record), UTC).astimezone(ZONE).date()


def _accepted_at(record: Record) -> float:
    return datetime.fromisoformat(record["at"]).timestamp()
