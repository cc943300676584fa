"""Faults that the stand-in can be told to show, deterministic in (seed, number of the request)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

from alongside.model.errors import Refused


class FaultKind(StrEnum):
    THROTTLE = "throttle"  # 429 with Retry-After
    FAIL = "fail"  # 500 or 503 (`status`)
    HANG = "hang"  # no answer, ever; `accept` says whether the messages were taken first
    DROP_BEFORE = "drop_before"  # the connection closes, nothing was accepted
    DROP_AFTER = "drop_after"  # the messages are accepted, then the connection closes without an answer
    HTML = "html"  # a proxy's page with status 200: nothing was accepted
    SLOW = "slow"  # answers after `seconds`
    WRONG_KEY = "wrong_key"  # 401, as after a key was revoked


@dataclass(frozen=True)
class Fault:
    """One way to misbehave.

    Attributes
    ----------
    rate : share of requests that it strikes, 0 to 1
    skip : requests that pass before it can strike
    count : how often it strikes at most; None means without end
    retry_after : seconds, for `throttle`
    status : 500 or 503, for `fail`
    seconds : delay, for `slow`
    accept : whether the messages are accepted before a `hang`
    """

    kind: FaultKind
    rate: float = 1.0
    skip: int = 0
    count: int | None = None
    retry_after: float = 1.0
    status: int = 503
    seconds: float = 1.0
    accept: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise _refused(f"rate {self.rate} is not between 0 and 1")
        if self.status not in (500, 503):
            raise _refused(f"status {self.status} is neither 500 nor 503")
        if self.retry_after < 0 or self.seconds < 0 or self.skip < 0 or (self.count or 0) < 0:
            raise _refused("retry_after, seconds, skip and count are at least 0")


@dataclass
class Faults:
    """The faults in force and the counters that make them deterministic."""

    plan: tuple[Fault, ...] = ()
    seed: int = 0
    requests: int = 0
    struck: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.replace(self.plan)

    def replace(self, plan: Sequence[Fault], seed: int | None = None) -> None:
        """Put new faults in force; counting starts again."""
        self.plan = tuple(plan)
        self.seed = self.seed if seed is None else seed
        self.requests = 0
        self.struck = [0] * len(self.plan)

    def next(self) -> Fault | None:
        """Decide about the next request: the first fault of the plan that strikes."""
        number = self.requests
        self.requests += 1
        for index, fault in enumerate(self.plan):
            spent = fault.count is not None and self.struck[index] >= fault.count
            if number >= fault.skip and not spent and _draw(self.seed, index, number) < fault.rate:
                self.struck[index] += 1
                return fault
        return None


def parse_fault(given: Mapping[str, Any]) -> Fault:
    """A fault from JSON such as `{"kind": "throttle", "rate": 0.2, "retry_after": 2}`.

    Raises
    ------
    Refused : unknown kind or field, or a value out of range
    """
    known = {item.name for item in fields(Fault)}
    if unknown := sorted(given.keys() - known):
        raise _refused(f"unknown field {unknown[0]!r}", f"Known fields: {', '.join(sorted(known))}.")
    try:
        kind = FaultKind(given.get("kind", ""))
    except ValueError as error:
        kinds = ", ".join(FaultKind)
        raise _refused(f"unknown kind {given.get('kind')!r}", f"Known kinds: {kinds}.") from error
    values = {name: value for name, value in given.items() if name != "kind"}
    for name, value in values.items():
        if value is not None and not isinstance(value, (int, float)):
            raise _refused(f"{name} must be a number or true/false")
    return replace(Fault(kind), **values)


def parse_fault_text(text: str) -> Fault:
    """A fault from the command line: `throttle:rate=0.2,retry_after=2`."""
    kind, _, rest = text.partition(":")
    given: dict[str, Any] = {"kind": kind}
    for part in filter(None, rest.split(",")):
        name, _, value = part.partition("=")
        given[name] = _scalar(name, value)
    return parse_fault(given)


def _scalar(name: str, text: str) -> float | int | bool:
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text) if text.lstrip("-").isdigit() else float(text)
    except ValueError as error:
        raise _refused(f"{name}={text!r} is not a number") from error


def _draw(seed: int, index: int, number: int) -> float:
    digest = hashlib.blake2b(f"{seed}|{index}|{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _refused(what: str, remedy: str = "See docs/sandbox.md for the faults and their fields.") -> Refused:
    return Refused(what, where="stand-in fault", remedy=remedy)


def fault_text(fault: Fault) -> str:
    """The fault as `parse_fault_text` reads it."""
    given = {item.name: getattr(fault, item.name) for item in fields(Fault) if item.name != "kind"}
    values = (f"{name}={str(value).lower()}" for name, value in given.items() if value is not None)
    return f"{fault.kind}:{','.join(values)}"
