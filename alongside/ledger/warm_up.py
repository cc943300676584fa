"""What new senders have sent of each day's allowance: counted where a call is begun, for all workers at once.

A call takes its messages from the day's allowance in the transaction that begins it, and gives back what the vendor
certainly did not take in the one that settles it. What became `unknown` stays taken: it may have left.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger import claims
from alongside.ledger.claims import Scope
from alongside.ledger.schema import batch, message, warm_up
from alongside.model.enums import BatchState, Channel, MessageState, Purpose
from alongside.model.warm_up import Ramp

#: `batch.waits_for` of what a ramp holds back.
WARM_UP = "warm_up"
_OPEN = (BatchState.PLANNED.value, BatchState.CLAIMED.value)


@dataclass(frozen=True)
class WarmUp:
    """One ramp of a channel and the senders that share it; `zone` is that of its calendar days."""

    channel: Channel
    name: str
    senders: tuple[str, ...]
    ramp: Ramp
    zone: str

    def day(self, moment: datetime) -> date:
        return moment.astimezone(ZoneInfo(self.zone)).date()

    def next_day(self, moment: datetime) -> datetime:
        """When the next allowance begins, in UTC: the next midnight, or that of the first day."""
        following = max(self.day(moment) + timedelta(days=1), self.ramp.start)
        return datetime.combine(following, time(), ZoneInfo(self.zone)).astimezone(UTC)


@dataclass(frozen=True)
class Take:
    """What one call takes of a day's allowance.

    Attributes
    ----------
    bound : messages that have to fit
    free : messages that count and are not held back (`urgent`, answers)
    purpose : of the batch; what goes before it keeps its share
    until : when the next day's allowance begins
    max_attempts : batches that were tried so often keep no share
    """

    warm_up: WarmUp
    day: date
    bound: int
    free: int
    purpose: str
    until: datetime
    max_attempts: int


class Full(Exception):
    """The day's allowance has been taken by others meanwhile: the call is not begun. Nobody outside sees it."""


def goes_before(purpose: str) -> tuple[str, ...]:
    """Purposes whose messages go before those of this one: care before the others, these before marketing."""
    if purpose == Purpose.CARE:
        return ()
    if purpose == Purpose.MARKETING:
        return tuple(one.value for one in Purpose if one is not Purpose.MARKETING)
    return (Purpose.CARE.value,)


def room(connection: Connection, of: WarmUp, moment: datetime, purpose: str, max_attempts: int) -> int | None:
    """Messages of this purpose that may still leave on the day of `moment` (patient time); None without limit."""
    allowed, taken = standing(connection, of, of.day(moment))
    if allowed is None:
        return None
    left = allowed - taken
    if left > 0 and (first := goes_before(purpose)):
        left -= _waiting_before(connection, of, first, of.next_day(moment), max_attempts)
    return max(left, 0)


def standing(connection: Connection, of: WarmUp, day: date) -> tuple[int | None, int]:
    """The day's allowance (None: without limit) and what is taken of it."""
    best, taken = connection.execute(
        _STANDING,
        {"b_channel": of.channel.value, "b_ramp": of.name, "b_start": str(of.ramp.start), "b_day": str(day)},
    ).one()
    return of.ramp.allowance(day, best), taken


def best_before(connection: Connection, of: WarmUp, day: date) -> int:
    """Most messages of any day before this one."""
    asked = {"b_channel": of.channel.value, "b_ramp": of.name, "b_start": str(of.ramp.start), "b_day": str(day)}
    best: int = connection.execute(_STANDING, asked).one()[0]
    return best


_TODAY = warm_up.c.day == sa.bindparam("b_day")
_STANDING = sa.select(
    sa.func.coalesce(sa.func.max(sa.case((_TODAY, 0), else_=warm_up.c.taken)), 0),
    sa.func.coalesce(sa.func.max(sa.case((_TODAY, warm_up.c.taken), else_=0)), 0),
).where(
    warm_up.c.channel == sa.bindparam("b_channel"),
    warm_up.c.ramp == sa.bindparam("b_ramp"),
    warm_up.c.day.between(sa.bindparam("b_start"), sa.bindparam("b_day")),
)
_INSERT = """
INSERT INTO warm_up (channel, ramp, day, taken) VALUES (:channel, :ramp, :day, :count)
ON CONFLICT (channel, ramp, day) DO UPDATE SET taken = warm_up.taken + excluded.taken
"""
_ADD = sa.text(_INSERT)
_ADD_WITHIN = sa.text(_INSERT + "WHERE warm_up.taken + :bound <= :most")
_GIVE_BACK = (
    warm_up.update()
    .where(
        warm_up.c.channel == sa.bindparam("b_channel"),
        warm_up.c.ramp == sa.bindparam("b_ramp"),
        warm_up.c.day == sa.bindparam("b_day"),
    )
    .values(taken=warm_up.c.taken - sa.bindparam("b_count", type_=sa.Integer))
)


def take(connection: Connection, wanted: Take) -> None:
    """Count the messages of a call that is being begun.

    Raises
    ------
    Full : they do not fit any more; the transaction has to be rolled back
    """
    of = wanted.warm_up
    allowed, taken = standing(connection, of, wanted.day)
    if allowed is None:
        return
    values = {"channel": of.channel.value, "ramp": of.name, "day": str(wanted.day)}
    values |= {"count": wanted.bound + wanted.free}  # type: ignore[dict-item]  # values of a statement
    if not wanted.bound:
        connection.execute(_ADD, values)
        return
    most = allowed
    if first := goes_before(wanted.purpose):
        most -= _waiting_before(connection, of, first, wanted.until, wanted.max_attempts)
    # The condition is asked of the row as it is when its lock is had: another worker may have taken meanwhile.
    fits = taken + wanted.bound <= most
    if not fits or connection.execute(_ADD_WITHIN, {**values, "bound": wanted.bound, "most": most}).rowcount != 1:
        raise Full


def give_back(connection: Connection, taken: Take, count: int) -> None:
    """Messages of a call that certainly did not leave."""
    of = taken.warm_up
    where = {"b_channel": of.channel.value, "b_ramp": of.name, "b_day": str(taken.day)}
    connection.execute(_GIVE_BACK, {**where, "b_count": count})


def _waiting_before(
    connection: Connection, of: WarmUp, purposes: Collection[str], until: datetime, max_attempts: int
) -> int:
    """Messages of these purposes that could leave before `until`: what they need of the day is not given to others."""
    query = _open_messages(of).where(
        batch.c.purpose.in_(list(purposes)),
        sa.or_(batch.c.not_before.is_(None), batch.c.not_before < until),
        batch.c.attempts < max_attempts,
    )
    return connection.execute(query).scalar_one()


def waiting(connection: Connection, of: WarmUp) -> int:
    """Messages of the ramp's senders that have not left, whenever they may."""
    return connection.execute(_open_messages(of)).scalar_one()


def _open_messages(of: WarmUp) -> sa.Select[tuple[int]]:
    return (
        sa.select(sa.func.count())
        .select_from(batch.join(message, message.c.batch_id == batch.c.batch_id))
        .where(batch.c.state.in_(_OPEN), message.c.state == MessageState.PLANNED.value)
        .where(batch.c.sender.in_(of.senders), *claims.claimable(Scope(of.channel)))
    )
