"""What a batch's time is spent on, for reports and for traces."""

from __future__ import annotations

import time

from alongside import telemetry
from alongside.channels.base import Answer
from alongside.ledger.claims import Claim


class Stopwatch:
    """Seconds by what they were spent on."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str) -> Lap:
        return Lap(self, name)


class Lap:
    def __init__(self, watch: Stopwatch, name: str) -> None:
        self._watch, self._name = watch, name

    def __enter__(self) -> None:
        self._begun = time.perf_counter()
        self._since = telemetry.began()

    def __exit__(self, *_error: object) -> None:
        if self._since and self._name != "send":  # which has a span of its own
            telemetry.record(self._name, self._since)
        spent = time.perf_counter() - self._begun
        self._watch.seconds[self._name] = self._watch.seconds.get(self._name, 0.0) + spent


def about(held: Claim) -> dict[str, str | int]:
    """What a span says of a batch; of its id the beginning, because the whole holds the key of its first message."""
    return {
        "batch_id": held.batch_id[:13],
        "run_id": held.run_id,
        "campaign": held.campaign,
        "channel": held.channel.value,
        "purpose": held.purpose,
        "messages": held.size,
        "attempts": held.attempts,
    }


def counts_of(answer: Answer) -> dict[str, int | None]:
    parts = ("accepted", "rejected", "unknown", "retry")
    counted = {name: len(getattr(answer, name)) for name in parts}
    return {**counted, "requests": answer.requests, "http_status": answer.http_status}
