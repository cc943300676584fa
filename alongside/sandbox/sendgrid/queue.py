"""What is still to happen. Only a due time, an offset and a step number per message are held in memory.

Everything else is computed again from the message's line in `accepted.ndjson`, which makes a restart the normal case.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from alongside.sandbox.common.log import AppendLog
from alongside.sandbox.common.loopback import is_loopback_url
from alongside.sandbox.sendgrid.behaviour import Act, Step, draw, timeline
from alongside.sandbox.sendgrid.responses import Responses

#: SendGrid's own reasons of a dropped message, by what its recipient did before.
DROP_REASONS = {
    Act.BOUNCE: "Bounced Address",
    Act.COMPLAINT: "Spam Reporting Address",
    Act.UNSUBSCRIBE: "Unsubscribed Address",
}


@dataclass(frozen=True)
class Happening:
    """One step of one message whose time has come."""

    offset: int
    index: int
    moment: float
    act: Act
    record: Mapping[str, Any]


@dataclass
class PatientQueue:
    """Steps of all accepted messages, by due time."""

    accepted: AppendLog
    responses: Responses
    seed: int = 0
    dropped: dict[str, str] = field(default_factory=dict)
    _heap: list[tuple[float, int, int]] = field(default_factory=list)
    _done: dict[int, set[int]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Messages to which something is still to happen."""
        return len(self._heap)

    def add(self, moment: float, offsets: Iterable[int]) -> None:
        """Messages accepted at `moment`; those with a later `send_at` find their time when they are first looked at."""
        for offset in offsets:
            heapq.heappush(self._heap, (moment, offset, 0))

    def next_due(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def has_due(self, now: float) -> bool:
        return bool(self._heap) and self._heap[0][0] <= now

    def due(self, now: float) -> int:
        """How many messages have a step that is due."""
        return sum(1 for moment, _, _ in self._heap if moment <= now)

    def pop_due(self, now: float, limit: int) -> list[Happening]:
        """Up to `limit` due steps, oldest first; the next step of each message takes its place."""
        found: list[Happening] = []
        while self._heap and self._heap[0][0] <= now and len(found) < limit:
            moment, offset, index = heapq.heappop(self._heap)
            record = self.accepted.read(offset)
            started, steps = self._steps(record)
            if moment < started:  # `send_at`: the message waits
                heapq.heappush(self._heap, (started, offset, index))
                continue
            happening = Happening(offset, index, moment, steps[index].act, record)
            self._push_next(offset, started, steps, index + 1)
            if not self._is_done(offset, index):
                self._remember(happening)
                found.append(happening)
        return found

    def rebuild(self, done: Iterable[tuple[int, int]]) -> None:
        """After a restart: queue what the files do not show as done."""
        for offset, index in done:
            self._done.setdefault(offset, set()).add(index)
        for offset, line in self.accepted.lines():
            record = orjson.loads(line)
            started, steps = self._steps(record)
            already = self._done.get(offset, set())
            for index in already & set(range(len(steps))):
                self._remember(Happening(offset, index, started + steps[index].after, steps[index].act, record))
            missing = [index for index in range(len(steps)) if index not in already]
            if missing:
                self._push_next(offset, started, steps, missing[0])
            else:
                self._done.pop(offset, None)

    def steps_until(self, record: Mapping[str, Any], now: float) -> list[Act]:
        """What has happened to a message so far."""
        started, steps = self._steps(record)
        return [step.act for step in steps if started + step.after <= now]

    def _steps(self, record: Mapping[str, Any]) -> tuple[float, tuple[Step, ...]]:
        moment = datetime.fromisoformat(record["at"])
        started = max(moment.timestamp(), float(record.get("send_at", 0)))
        if "dropped" in record:
            return started, (Step(0.0, Act.PROCESSED), Step(1.0, Act.DROPPED))
        day = datetime.fromtimestamp(started, UTC).astimezone(self.responses.zone).date()
        rates = self.responses.rates(record["rule"])
        return started, timeline(rates, draw(self.seed, record["to"], day))

    def _push_next(self, offset: int, started: float, steps: tuple[Step, ...], index: int) -> None:
        if index < len(steps):
            heapq.heappush(self._heap, (started + steps[index].after, offset, index))

    def _is_done(self, offset: int, index: int) -> bool:
        done = self._done.get(offset)
        return done is not None and index in done

    def _remember(self, happening: Happening) -> None:
        """The vendor's own suppression list: what bounced or complained is dropped from then on."""
        reason = DROP_REASONS.get(happening.act)
        if reason and not (happening.act is Act.UNSUBSCRIBE and one_click_url(happening.record)):
            self.dropped[happening.record["to"].lower()] = reason


def one_click_url(record: Mapping[str, Any]) -> str | None:
    """Where this patient would unsubscribe with one click, if that is on this machine."""
    url = record.get("unsubscribe")
    return url if url and is_loopback_url(url) else None
