"""What a worker is told, and what it tells. Both travel as JSON lines; secrets travel in the environment only."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import orjson

from alongside import telemetry
from alongside.ledger.claims import Scope
from alongside.model.clock import RunClock
from alongside.model.enums import Channel, DeliveryMode
from alongside.settings import Environment


@dataclass(frozen=True)
class Job:
    """One worker's work.

    Attributes
    ----------
    worker : unique among all workers that ever ran
    share : part of the channel's rate limit that is this worker's
    patience : seconds that a worker waits for a back-off or somebody's lease to end before it leaves
    """

    root: str
    var: str
    worker: str
    mode: DeliveryMode
    scope: Scope
    clock: RunClock
    share: float = 1.0
    patience: float = 60.0

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, raw: bytes) -> Job:
        given: dict[str, Any] = orjson.loads(raw)
        scope, clock = given.pop("scope"), given.pop("clock")
        campaigns = scope.pop("campaigns")
        given["scope"] = Scope(
            channel=Channel(scope.pop("channel")), campaigns=None if campaigns is None else tuple(campaigns), **scope
        )
        given["clock"] = RunClock(
            datetime.fromisoformat(clock["as_of"]), datetime.fromisoformat(clock["wall"]), clock["replay"]
        )
        return cls(mode=DeliveryMode(given.pop("mode")), **given)


@dataclass(frozen=True)
class Progress:
    """Counts of messages, since the last report or in all; `seconds` says where the worker's time went."""

    batches: int = 0
    requests: int = 0
    accepted: int = 0
    rejected: int = 0
    withheld: int = 0
    postponed: int = 0
    retried: int = 0
    unknown: int = 0
    gates: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __add__(self, other: Progress) -> Progress:
        summed = {
            entry.name: getattr(self, entry.name) + getattr(other, entry.name)
            for entry in fields(self)
            if entry.name not in ("gates", "seconds")
        }
        gates = {name: self.gates.get(name, 0) + other.gates.get(name, 0) for name in {**self.gates, **other.gates}}
        seconds = {
            name: self.seconds.get(name, 0.0) + other.seconds.get(name, 0.0)
            for name in {**self.seconds, **other.seconds}
        }
        return Progress(**summed, gates=gates, seconds=seconds)


@dataclass(frozen=True)
class Word:
    """One line that a worker says.

    Attributes
    ----------
    kind : progress (a batch is settled) | stopped (the channel or the set-up does not let it go on) | done
    reason : what stopped it, for a person; without patient values
    """

    kind: Literal["progress", "stopped", "done"]
    progress: Progress = field(default_factory=Progress)
    reason: str = ""
    peak_rss_mb: float = 0.0

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, raw: bytes) -> Word:
        given = orjson.loads(raw)
        return cls(given["kind"], Progress(**given["progress"]), given["reason"], given["peak_rss_mb"])


def worker_environment(environment: Environment, ledger_url: str) -> dict[str, str]:
    """The worker's environment: this process's own, with the secrets and addresses that were decided here."""
    given = {
        "ALONGSIDE_LEDGER_URL": ledger_url,
        "ALONGSIDE_KEY_DIR": str(environment.vault_key_dir),
        **environment.of_vendors,
        "ALONGSIDE_PUBLIC_URL": environment.public_url,
    }
    if parent := telemetry.traceparent():
        given["TRACEPARENT"] = parent
    if environment.vault_key is not None:
        given["ALONGSIDE_VAULT_KEY"] = b64encode(environment.vault_key).decode()
    source = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))
    return {**os.environ, **given, "PYTHONPATH": path}
