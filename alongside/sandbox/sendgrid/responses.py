"""`config/sandbox/responses.yaml`: how simulated patients answer which message. It is the truth behind a demo test."""

from __future__ import annotations

import math
import re
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from alongside.settings.strict import Strict
from alongside.settings.yaml_source import read_model

DEFAULT_RULE = "default"


class Booking(Strict):
    """Bookings that a message brings about: `probability` of the accepted messages, all within `within_days`."""

    service: str
    probability: float = Field(ge=0, le=1)
    within_days: float = Field(7, gt=0.5, le=365)
    typical_days: float = Field(2.5, gt=0, description="mean delay of the exponential that is cut at within_days")

    def share_within(self, days: float) -> float:
        """Share of these bookings made within `days` of the message."""
        if days >= self.within_days:
            return 1.0
        whole = -math.expm1(-self.within_days / self.typical_days)
        return -math.expm1(-max(days, 0.0) / self.typical_days) / whole

    def delay_days(self, uniform: float) -> float:
        """Quantile of the delay: the inverse of `share_within`."""
        whole = -math.expm1(-self.within_days / self.typical_days)
        return -self.typical_days * math.log1p(-uniform * whole)


class Rates(Strict):
    """Probabilities per accepted message. Nested as in life: who books has clicked, who clicks has opened."""

    bounce: float = Field(0.01, ge=0, lt=1, description="hard bounce")
    blocked: float = Field(0.002, ge=0, lt=1, description="refused for now: not a hard bounce")
    deferred: float = Field(0.02, ge=0, le=1, description="a deferral before the delivery")
    open: float = Field(0.45, ge=0, le=1, description="by the patient")
    machine_open: float = Field(0.25, ge=0, le=1, description="by a mail proxy that fetches every image")
    click: float = Field(0.1, ge=0, le=1, description="by the patient")
    bot_click: float = Field(0.03, ge=0, le=1, description="by a link scanner, at once after delivery")
    unsubscribe: float = Field(0.004, ge=0, le=1)
    complaint: float = Field(0.0002, ge=0, le=1)
    book: Booking | None = None

    @property
    def delivered(self) -> float:
        return 1 - self.bounce - self.blocked

    @property
    def book_probability(self) -> float:
        return self.book.probability if self.book else 0.0

    @model_validator(mode="after")
    def _nested(self) -> Rates:
        if not self.book_probability <= self.click <= self.open <= self.delivered:
            raise ValueError(
                "rates must nest: book.probability <= click <= open <= 1 - bounce - blocked; "
                f"they are {self.book_probability} <= {self.click} <= {self.open} <= {self.delivered:.4g}"
            )
        if self.unsubscribe + self.complaint > self.delivered:
            raise ValueError("unsubscribe + complaint are more than what is delivered")
        return self


class Rule(Rates):
    """Rates of the messages in which one of these patterns is found; what it leaves out comes from `defaults`."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    match: list[str] = Field(min_length=1, description="regular expressions, searched in subject and text")

    @field_validator("match")
    @classmethod
    def _compiles(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
        return patterns

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(f"(?:{pattern})" for pattern in self.match))


class Responses(Strict):
    """The whole file. Rules are tried in order; a message that no rule knows gets `defaults`."""

    time_zone: str = Field("Asia/Shanghai", description="whose calendar days separate a patient's draws")
    defaults: Rates = Field(default_factory=Rates)
    rules: list[Rule] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, data: object) -> object:
        """Fill a rule's missing rates from `defaults`."""
        if not isinstance(data, dict) or not isinstance(data.get("rules"), list):
            return data
        given = data.get("defaults")
        base: dict[str, object] = given if isinstance(given, dict) else {}
        return data | {"rules": [base | rule if isinstance(rule, dict) else rule for rule in data["rules"]]}

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is not an IANA time zone") from error
        return name

    @field_validator("rules")
    @classmethod
    def _named_once(cls, rules: list[Rule]) -> list[Rule]:
        names = [rule.name for rule in rules]
        if twice := sorted({name for name in names if names.count(name) > 1 or name == DEFAULT_RULE}):
            raise ValueError(f"rule name {twice[0]!r} is taken")
        return rules

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @cached_property
    def _by_name(self) -> dict[str, Rates]:
        return {DEFAULT_RULE: self.defaults} | {rule.name: rule for rule in self.rules}

    def rates(self, name: str) -> Rates:
        """The rates of a rule; those of `defaults` when the file no longer has it."""
        return self._by_name.get(name, self.defaults)

    def find(self, *texts: str) -> str | None:
        """The name of the first rule whose pattern is found in one of the texts."""
        for rule in self.rules:
            if any(rule.pattern.search(text) for text in texts):
                return rule.name
        return None


def read_responses(path: Path) -> Responses:
    """Read and check the file.

    Raises
    ------
    ConfigurationInvalid : with file, line and field of every fault
    """
    return read_model(Responses, path)
