"""What a simulated patient does with one message. Pure: the same patient, day and seed always draw the same numbers.

The draws know nothing of the message. Under either variant of a test a patient therefore has the same luck (common
random numbers), both potential outcomes can be computed, and the truth of every experiment is known.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from alongside.sandbox.sendgrid.responses import DEFAULT_RULE, Rates, Responses

DAY = 86_400.0
HOUR = 3_600.0
_UNPACK = struct.Struct(">12I").unpack


class Act(StrEnum):
    """One thing that happens to a message. All but `book` and `one_click` are reported as webhook events."""

    PROCESSED = "processed"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    BOUNCE = "bounce"
    BLOCKED = "blocked"
    DROPPED = "dropped"
    MACHINE_OPEN = "machine_open"
    OPEN = "open"
    BOT_CLICK = "bot_click"
    CLICK = "click"
    BOOK = "book"
    UNSUBSCRIBE = "unsubscribe"
    COMPLAINT = "spamreport"


class Step(NamedTuple):
    """An act and its delay in seconds after the message was accepted."""

    after: float
    act: Act


class Draws(NamedTuple):
    """A patient's luck on one day: independent uniforms in [0, 1)."""

    fate: float
    transit: float
    deferral: float
    engagement: float
    opening: float
    clicking: float
    booking: float
    machine: float
    bot: float
    leaving: float
    leaving_time: float
    address: float


def draw(seed: int, address: str, day: date) -> Draws:
    """The draws of one address on one day: keyed by nothing else, above all not by the message."""
    key = f"{seed}|{day.isoformat()}|{address.lower()}".encode()
    return Draws._make(number / 2**32 for number in _UNPACK(hashlib.blake2b(key, digest_size=48).digest()))


def books(rates: Rates, draws: Draws) -> bool:
    """Whether the patient books because of an accepted message: one potential outcome."""
    return _is_delivered(rates, draws) and draws.engagement < rates.book_probability / rates.delivered


def timeline(rates: Rates, draws: Draws) -> tuple[Step, ...]:
    """Everything that happens to an accepted message, in order of time."""
    transit = 2 + 58 * draws.transit
    steps = [Step(0.0, Act.PROCESSED)]
    if draws.deferral < rates.deferred:
        steps.append(Step(transit, Act.DEFERRED))
        transit += 300 + 1500 * draws.transit
    if not _is_delivered(rates, draws):
        steps.append(Step(transit, Act.BOUNCE if draws.fate < rates.bounce else Act.BLOCKED))
        return tuple(steps)
    steps.append(Step(transit, Act.DELIVERED))
    steps += _machines(rates, draws, transit)
    steps += _patient(rates, draws, transit)
    steps += _leaving(rates, draws, transit)
    return tuple(sorted(steps))


def _is_delivered(rates: Rates, draws: Draws) -> bool:
    return draws.fate >= rates.bounce + rates.blocked


def _machines(rates: Rates, draws: Draws, delivered: float) -> Iterable[Step]:
    if draws.bot < rates.bot_click / rates.delivered:
        yield Step(delivered + 1.0, Act.BOT_CLICK)
    if draws.machine < rates.machine_open / rates.delivered:
        yield Step(delivered + 5 + 60 * draws.machine, Act.MACHINE_OPEN)


def _patient(rates: Rates, draws: Draws, delivered: float) -> Iterable[Step]:
    """Open, click, book: one uniform decides all three, so that they nest and keep their marginal rates."""
    luck = draws.engagement * rates.delivered
    if luck >= rates.open:
        return
    opened = delivered + 30 + _waiting(draws.opening, mean=5 * HOUR, longest=3 * DAY)
    if luck < rates.click:
        clicked = opened + 15 + 240 * draws.clicking
        if luck < rates.book_probability and rates.book:
            booked = max(rates.book.delay_days(draws.booking) * DAY, delivered + 900)
            yield Step(booked, Act.BOOK)
            clicked = booked - 60 - 300 * draws.clicking
            opened = min(opened, clicked - 20)
        yield Step(clicked, Act.CLICK)
    yield Step(opened, Act.OPEN)


def _leaving(rates: Rates, draws: Draws, delivered: float) -> Iterable[Step]:
    luck = draws.leaving * rates.delivered
    moment = delivered + 60 + _waiting(draws.leaving_time, mean=8 * HOUR, longest=2 * DAY)
    if luck < rates.unsubscribe:
        yield Step(moment, Act.UNSUBSCRIBE)
    elif luck < rates.unsubscribe + rates.complaint:
        yield Step(moment, Act.COMPLAINT)


def _waiting(uniform: float, mean: float, longest: float) -> float:
    """Quantile of an exponential of this mean, cut at `longest` seconds."""
    return min(-mean * math.log1p(-uniform), longest)


@dataclass(frozen=True)
class Truth:
    """True rates per accepted message of one rule, exact."""

    delivered: float
    bounce: float
    open: float
    click: float
    book: float
    unsubscribe: float
    complaint: float


def truth(responses: Responses, within_days: float = math.inf) -> dict[str, Truth]:
    """The truth behind every experiment: rule name (and `default`) to its rates.

    Parameters
    ----------
    within_days : count the bookings made within so many days of the message
    """
    names = [DEFAULT_RULE, *(rule.name for rule in responses.rules)]
    return {name: _truth(responses.rates(name), within_days) for name in names}


def _truth(rates: Rates, within_days: float) -> Truth:
    book = rates.book.probability * rates.book.share_within(within_days) if rates.book else 0.0
    return Truth(
        delivered=rates.delivered,
        bounce=rates.bounce,
        open=rates.open,
        click=rates.click,
        book=book,
        unsubscribe=rates.unsubscribe,
        complaint=rates.complaint,
    )
