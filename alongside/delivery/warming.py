"""New senders: what a worker may still send of today's allowance, and what the ramps hold back until when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.delivery.recheck import Checked, Ready
from alongside.ledger import inbox, seeds, warm_up
from alongside.ledger.claims import Claim
from alongside.ledger.schema import message
from alongside.ledger.warm_up import WARM_UP, Take, WarmUp
from alongside.model.enums import Channel
from alongside.settings import HospitalSettings


def warm_ups(settings: HospitalSettings, channel: Channel) -> list[WarmUp]:
    """The channel's ramps, as configured."""
    zone = settings.hospital.time_zone
    return [
        WarmUp(channel, name, tuple(found.senders or [name]), found.ramp, zone)
        for name, found in settings.channels.of(channel).warm_up.items()
    ]


@dataclass(frozen=True)
class Warming:
    """The ramps of one channel, by sender."""

    by_sender: Mapping[str, WarmUp]
    keep: Mapping[str, timedelta]
    max_attempts: int

    @classmethod
    def of(cls, settings: HospitalSettings, channel: Channel) -> Warming | None:
        """None where no sender of the channel is new: then nothing is asked anywhere."""
        found = warm_ups(settings, channel)
        if not found:
            return None
        ramps = settings.channels.of(channel).warm_up
        return cls(
            {sender: one for one in found for sender in one.senders},
            {one.name: timedelta(days=ramps[one.name].keep_days) for one in found},
            settings.delivery.max_attempts,
        )

    def closed_until(self, connection: Connection, held: Claim, now: datetime) -> datetime | None:
        """When the batch may be looked at again, where none of it fits into the day; None: it is worth a recheck."""
        of = self.by_sender.get(held.sender)
        if of is None or warm_up.room(connection, of, now, held.purpose, self.max_attempts) != 0:
            return None
        row = connection.execute(_ONE, {"b_batch": held.batch_id}).first()
        if row is None or _is_free(held, orjson.loads(row.variables)):
            return None
        until = of.next_day(now)
        return until if until - row.planned_at <= self.keep[of.name] else None

    def fit(self, connection: Connection, held: Claim, checked: Checked, now: datetime) -> Checked:
        """The batch cut to what fits into the day; the rest waits, or is withheld when it has waited too long."""
        of = self.by_sender.get(held.sender)
        left = None if of is None else warm_up.room(connection, of, now, held.purpose, self.max_attempts)
        if of is None or left is None:
            return checked
        free = [one for one in checked.ready if _is_free(held, one.variables)]
        bound = [one for one in checked.ready if not _is_free(held, one.variables)]
        until = of.next_day(now)
        taken = Take(of, of.day(now), len(bound[:left]), len(free), held.purpose, until, self.max_attempts)
        waits = until - checked.planned_at <= self.keep[of.name]
        return _cut(checked, free + bound[:left], bound[left:], until if waits else None, taken)


# `variables` comes as text from one store and could come as a value from the other.
_ONE = (
    sa.select(message.c.planned_at, sa.cast(message.c.variables, sa.Text).label("variables"))
    .where(message.c.batch_id == sa.bindparam("b_batch"))
    .limit(1)
)


def _is_free(held: Claim, variables: Mapping[str, Any]) -> bool:
    """Whether a message counts and is not held back: it is urgent, answers a patient, or is a seed's copy."""
    return bool(variables.get("urgent")) or held.template == inbox.TEMPLATE or seeds.is_copy(held.campaign)


def _cut(checked: Checked, ready: list[Ready], rest: list[Ready], until: datetime | None, taken: Take) -> Checked:
    keys = [one.key for one in rest]
    cut = replace(checked, ready=ready, take=taken)
    if until is None:
        return replace(cut, withheld=checked.withheld | dict.fromkeys(keys, WARM_UP))
    return replace(cut, postponed=checked.postponed | dict.fromkeys(keys, until), held_back=frozenset(keys))


# ------------------------------------------------------------------------------------------------------- for operators
@dataclass(frozen=True)
class Standing:
    """How one ramp stands on one day.

    Attributes
    ----------
    allowed : messages of the day; None: without limit
    taken : those that have left, or may have
    waiting : those that have not left, today's included
    through : the day on which the last of them may leave, when nothing else is planned; None where none wait, or where
        that is farther off than ten years
    """

    channel: str
    name: str
    senders: tuple[str, ...]
    day: date
    allowed: int | None
    taken: int
    waiting: int
    through: date | None


def standings(connection: Connection, settings: HospitalSettings, now: datetime) -> list[Standing]:
    """How the ramps of all channels stand at this moment (patient time)."""
    found = [of for channel in settings.channels.set_up for of in warm_ups(settings, channel)]
    return [_standing(connection, of, now) for of in found]


def _standing(connection: Connection, of: WarmUp, now: datetime, more: int = 0) -> Standing:
    day = of.day(now)
    allowed, taken = warm_up.standing(connection, of, day)
    waiting = warm_up.waiting(connection, of) + more
    best = warm_up.best_before(connection, of, day)
    through = of.ramp.through(day, best, taken, waiting) if waiting else None
    return Standing(of.channel.value, of.name, of.senders, day, allowed, taken, waiting, through)


@dataclass(frozen=True)
class HeldBack:
    """What a ramp would hold back of one plan.

    Attributes
    ----------
    messages : of the plan, by this ramp's senders
    held : those that would not leave on the day of the plan
    until : the day on which the last of them would, with everything that goes before it; None: farther off than ten
        years
    """

    channel: str
    ramp: str
    messages: int
    allowed: int
    held: int
    until: date | None


@dataclass(frozen=True)
class Wish:
    """What a plan would send: messages by `channel/sender`."""

    purpose: str
    urgent: bool
    messages: Mapping[str, int]


def hold_back(
    connection: Connection, settings: HospitalSettings, wishes: Iterable[Wish], now: datetime
) -> list[list[HeldBack]]:
    """For each wish, what the ramps would hold back of it when all are dispatched at `now` (patient time).

    They go in the order of a dispatch: what waits already, then care, then the others in the order given, marketing
    last.
    """
    given = list(wishes)
    order = sorted(range(len(given)), key=lambda place: (len(warm_up.goes_before(given[place].purpose)), place))
    answers: list[list[HeldBack]] = [[] for _ in given]
    for of in (of for channel in settings.channels.set_up for of in warm_ups(settings, channel)):
        before = _standing(connection, of, now)
        if before.allowed is None:
            continue
        best, ahead = warm_up.best_before(connection, of, before.day), before.waiting
        for place in order:
            wanted = sum(given[place].messages.get(f"{of.channel}/{sender}", 0) for sender in of.senders)
            if not wanted or given[place].urgent:
                continue
            left = max(before.allowed - before.taken - ahead, 0)
            ahead += wanted
            held = max(wanted - left, 0)
            until = of.ramp.through(before.day, best, before.taken, ahead) if held else None
            answers[place].append(HeldBack(of.channel.value, of.name, wanted, before.allowed, held, until))
    return answers
