"""What becomes of one text message, and what a simulated patient answers. Pure and deterministic.

As with e-mail, a patient's luck depends on seed, number and calendar day and never on the message, so that two variants
of a message meet the same luck (common random numbers).
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import NamedTuple

from alongside.model.errors import Refused

_UNPACK = struct.Struct(">5I").unpack
_HAN = re.compile(r"[\u3400-\u9fff]")
MINUTE, HOUR = 60.0, 3600.0
#: Words that Twilio itself takes for an opt-out on long codes, and those that take it back.
STOP_WORDS = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"})
START_WORDS = frozenset({"START", "UNSTOP", "YES"})
_LEAVING = {"zh": ("退订", "R", "TD"), "en": ("STOP", "stop ", "Unsubscribe")}
_ANSWERS = {
    "zh": ("好的，谢谢", "请问可以改到下周吗？", "请打电话给我"),
    "en": ("Thank you", "Can I come next week?", "Call me"),
}


@dataclass(frozen=True)
class Rates:
    """Probabilities per accepted message.

    Attributes
    ----------
    unknown_number : undelivered, 30005: nobody has this number
    unreachable : undelivered, 30003: switched off
    filtered : undelivered, 30007: the carrier takes it for spam
    silent : undelivered, 30008: no reason given
    landline : failed, 30006
    stop : the patient answers with an opt-out in the language of the message
    answer : the patient answers with words for a person
    """

    unknown_number: float = 0.008
    unreachable: float = 0.015
    filtered: float = 0.004
    silent: float = 0.006
    landline: float = 0.003
    stop: float = 0.004
    answer: float = 0.02

    def __post_init__(self) -> None:
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        if wrong := [name for name, value in values.items() if not 0 <= value <= 1]:
            raise _refused(f"{wrong[0]} is not between 0 and 1")
        if self.stop + self.answer > self.delivered + 1e-12:
            raise _refused(f"stop + answer are more than the {self.delivered:.4g} that is delivered")

    @property
    def delivered(self) -> float:
        """The true share of accepted messages that arrive."""
        return 1 - self.unknown_number - self.unreachable - self.filtered - self.silent - self.landline


def parse_rate(text: str) -> tuple[str, float]:
    """A rate from the command line: `stop=0.1`.

    Raises
    ------
    Refused : unknown name, or no number
    """
    name, _, value = text.partition("=")
    if name not in {item.name for item in fields(Rates)}:
        raise _refused(f"unknown rate {name!r}")
    try:
        return name, float(value)
    except ValueError as error:
        raise _refused(f"{name}={value!r} is not a number") from error


def _refused(what: str) -> Refused:
    names = ", ".join(item.name for item in fields(Rates))
    return Refused(what, where="--rate", remedy=f"Rates are probabilities: {names}.")


class Draws(NamedTuple):
    """A patient's luck on one day: independent uniforms in [0, 1)."""

    fate: float
    transit: float
    reply: float
    reply_time: float
    words: float


def draw(seed: int, address: str, day: date, way: str = "sms") -> Draws:
    key = f"{way}|{seed}|{day.isoformat()}|{address}".encode()
    return Draws._make(value / 2**32 for value in _UNPACK(hashlib.blake2b(key, digest_size=20).digest()))


class Step(NamedTuple):
    """One thing that happens `after` so many seconds: a status of the message, or (with `text`) a patient's answer."""

    after: float
    status: str = ""
    code: int | None = None
    text: str = ""


def timeline(rates: Rates, draws: Draws, body: str, *, by_service: bool) -> tuple[Step, ...]:
    """Everything that happens to an accepted message, in order of time.

    Parameters
    ----------
    by_service : sent through a messaging service, which first accepts and then queues
    """
    steps = [Step(0.5, "queued")] if by_service else []
    handed_over = 1 + 4 * draws.transit
    status, code = _fate(rates, draws.fate)
    if status == "failed":
        return (*steps, Step(handed_over, status, code))
    arrival = handed_over + 2 + 40 * draws.transit
    steps += [Step(handed_over, "sent"), Step(arrival, status, code)]
    if status == "delivered" and (text := _reply(rates, draws, body)):
        steps.append(Step(arrival + MINUTE + 4 * HOUR * draws.reply_time**2, text=text))
    return tuple(steps)


def _fate(rates: Rates, luck: float) -> tuple[str, int | None]:
    outcomes: tuple[tuple[float, str, int], ...] = (
        (rates.landline, "failed", 30006),
        (rates.unknown_number, "undelivered", 30005),
        (rates.unreachable, "undelivered", 30003),
        (rates.filtered, "undelivered", 30007),
        (rates.silent, "undelivered", 30008),
    )
    for share, status, code in outcomes:
        if luck < share:
            return status, code
        luck -= share
    return "delivered", None


def _reply(rates: Rates, draws: Draws, body: str) -> str:
    """Of those who received it, so many that the shares of *accepted* messages are exact."""
    luck = draws.reply * rates.delivered
    if luck < rates.stop:
        return leaving_words(draws, body)
    return answering_words(draws, body) if luck < rates.stop + rates.answer else ""


def leaving_words(draws: Draws, body: str) -> str:
    """What somebody writes who wants no more of this, in the language of the message."""
    return _one_of(_LEAVING, draws, body)


def answering_words(draws: Draws, body: str) -> str:
    """What somebody writes for a person to read."""
    return _one_of(_ANSWERS, draws, body)


def _one_of(words: Mapping[str, tuple[str, ...]], draws: Draws, body: str) -> str:
    found = words["zh" if _HAN.search(body) else "en"]
    return found[int(draws.words * len(found))]


def opt_out_type(text: str) -> str:
    """`STOP` or `START` where the vendor takes the text for one; Chinese keywords it does not know by itself."""
    word = text.strip().upper()
    return "STOP" if word in STOP_WORDS else "START" if word in START_WORDS else ""
