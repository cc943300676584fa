"""How deliveries stand, for an operator: everything is counted by the store, so that millions cost a few rows here."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger.claims import SILENT_CAMPAIGN
from alongside.ledger.pauses import not_paused
from alongside.ledger.schema import IN_TROUBLE, attempt, batch, ledger_info, message, pause, run_campaign
from alongside.ledger.warm_up import WARM_UP
from alongside.model.enums import BatchState, MessageState

#: Why a planned batch does not leave, in the order in which they are asked. The first two never end by themselves.
BEFORE_RESTORE = "before_restore"  # planned before the ledger was restored from a backup: never claimed
OUT_OF_ATTEMPTS = "out_of_attempts"  # tried `max_attempts` times; the next dispatch begins anew
PAUSED = "paused"
HELD = "held"  # its campaign is held, blocked or paused in that run
LATER = "later"  # quiet hours or back-off
# and `warm_up`: the next day of a new sender
READY = "ready"

_GIVEN_UP = (BEFORE_RESTORE, OUT_OF_ATTEMPTS)
_DEAD_STATES = (MessageState.REJECTED.value, MessageState.UNRESOLVED.value)


@dataclass(frozen=True)
class Filter:
    """Which deliveries; None means any."""

    channel: str | None = None
    campaign: str | None = None
    run_id: str | None = None

    def on(self, table: sa.Table) -> list[sa.ColumnElement[bool]]:
        wanted = {"channel": self.channel, "campaign": self.campaign, "run_id": self.run_id}
        return [table.c[name] == value for name, value in wanted.items() if value is not None]


@dataclass(frozen=True)
class Claimed:
    """The batch that has been in a worker's hands for longest. Times are wall time."""

    batch_id: str
    worker: str
    state: str  # claimed | calling
    since: datetime
    lease_until: datetime | None


@dataclass
class Group:
    """One campaign on one channel.

    Attributes
    ----------
    messages, batches : state -> count; states that occur
    unknown_since : wall time since when the oldest unknown message is unknown
    """

    channel: str
    campaign: str
    messages: dict[str, int] = field(default_factory=dict)
    batches: dict[str, int] = field(default_factory=dict)
    oldest_claim: Claimed | None = None
    unknown_since: datetime | None = None


@dataclass(frozen=True)
class Waiting:
    """Planned messages that have not left, by why.

    `until` is the earliest `not_before` (patient time) of `later` and `warm_up`.
    """

    channel: str
    campaign: str
    because: str
    messages: int
    batches: int
    until: datetime | None


@dataclass(frozen=True)
class Pause:
    """What somebody has silenced."""

    scope: str
    since: datetime
    by: str
    reason: str


@dataclass(frozen=True)
class DeadReason:
    """Messages that are given up for one reason; `state` is a message's, or why its batch never leaves."""

    channel: str
    campaign: str
    state: str
    reason: str
    messages: int


@dataclass(frozen=True)
class DeadLetter:
    """One message that is given up. Holds no value of the patient but the id."""

    message_key: str
    person_id: str
    channel: str
    campaign: str
    purpose: str
    run_id: str
    batch_id: str
    state: str
    reason: str
    since: datetime


@dataclass(frozen=True)
class Overview:
    """How deliveries stand. `dead` holds the most frequent reasons, `dead_messages` counts over all of them."""

    groups: list[Group]
    waiting: list[Waiting]
    pauses: list[Pause]
    dead: list[DeadReason]
    dead_messages: int


def overview(connection: Connection, which: Filter, *, due: datetime, max_attempts: int, reasons: int = 20) -> Overview:
    """Messages and batches by channel, campaign and state, and what keeps the rest from leaving.

    Parameters
    ----------
    due : patient time, against `not_before`
    max_attempts : tries after which a batch is left alone
    reasons : at most so many reasons of dead letters, the most frequent first
    """
    groups: dict[tuple[str, str], Group] = {}
    _count(connection, which, message, groups, "messages")
    _count(connection, which, batch, groups, "batches")
    _oldest_claims(connection, which, groups)
    _unknowns(connection, which, groups)
    found, total = dead_reasons(connection, which, due=due, max_attempts=max_attempts, limit=reasons)
    return Overview(
        groups=[groups[name] for name in sorted(groups)],
        waiting=_waiting(connection, which, _why(due, max_attempts)),
        pauses=pauses_in_force(connection),
        dead=found,
        dead_messages=total,
    )


def pauses_in_force(connection: Connection) -> list[Pause]:
    return [Pause(*row) for row in connection.execute(sa.select(pause).order_by(pause.c.scope))]


def _count(
    connection: Connection, which: Filter, table: sa.Table, groups: dict[tuple[str, str], Group], name: str
) -> None:
    columns = (table.c.channel, table.c.campaign, table.c.state)
    query = sa.select(*columns, sa.func.count()).where(*which.on(table)).group_by(*columns).order_by(*columns)
    for channel, campaign, state, count in connection.execute(query):
        getattr(_group(groups, channel, campaign), name)[state] = count


def _group(groups: dict[tuple[str, str], Group], channel: str, campaign: str) -> Group:
    return groups.setdefault((channel, campaign), Group(channel, campaign))


def _oldest_claims(connection: Connection, which: Filter, groups: dict[tuple[str, str], Group]) -> None:
    place = sa.func.row_number().over(
        partition_by=(batch.c.channel, batch.c.campaign), order_by=(attempt.c.claimed_at, batch.c.batch_id)
    )
    held = (
        sa.select(
            batch.c.channel, batch.c.campaign, batch.c.batch_id, attempt.c.worker, batch.c.state,
            attempt.c.claimed_at, batch.c.lease_until, place.label("place"),
        )
        .join(attempt, attempt.c.attempt_id == batch.c.attempt_id)
        .where(batch.c.state.in_((BatchState.CLAIMED.value, BatchState.CALLING.value)), *which.on(batch))
        .subquery()
    )  # fmt: skip
    for channel, campaign, *claimed in connection.execute(sa.select(*list(held.c)[:-1]).where(held.c.place == 1)):
        _group(groups, channel, campaign).oldest_claim = Claimed(*claimed)


def _unknowns(connection: Connection, which: Filter, groups: dict[tuple[str, str], Group]) -> None:
    query = (
        sa.select(message.c.channel, message.c.campaign, sa.func.min(message.c.updated_at))
        .where(IN_TROUBLE, message.c.state == MessageState.UNKNOWN.value, *which.on(message))
        .group_by(message.c.channel, message.c.campaign)
    )
    for channel, campaign, since in connection.execute(query):
        _group(groups, channel, campaign).unknown_since = since


# ----------------------------------------------------------------------------------------------------- what waits, why
def _why(due: datetime, max_attempts: int) -> sa.ColumnElement[str]:
    """Why a planned batch has not left: the conditions of a claim, told apart."""
    silent = sa.exists().where(
        run_campaign.c.run_id == batch.c.run_id,
        run_campaign.c.campaign == batch.c.campaign,
        run_campaign.c.state.in_(SILENT_CAMPAIGN),
    )
    moment = sa.literal(due, batch.c.not_before.type)
    return sa.case(
        (batch.c.epoch != sa.select(ledger_info.c.epoch).scalar_subquery(), BEFORE_RESTORE),
        (batch.c.attempts >= max_attempts, OUT_OF_ATTEMPTS),
        (~not_paused(), PAUSED),
        (silent, HELD),
        (sa.and_(batch.c.not_before > moment, batch.c.waits_for == WARM_UP), WARM_UP),
        (batch.c.not_before > moment, LATER),
        else_=READY,
    )


def _planned(which: Filter, why: sa.ColumnElement[str], *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """Planned batches with why they wait and how many messages wait in them; a batch's `size` is what it began with."""
    waiting = (
        sa.select(sa.func.count())
        .where(message.c.batch_id == batch.c.batch_id, message.c.state == MessageState.PLANNED.value)
        .scalar_subquery()
    )
    return sa.select(
        batch.c.channel, batch.c.campaign, why.label("because"), waiting.label("messages"), *columns
    ).where(batch.c.state == BatchState.PLANNED.value, *which.on(batch))


def _waiting(connection: Connection, which: Filter, why: sa.ColumnElement[str]) -> list[Waiting]:
    each = _planned(which, why, batch.c.not_before).subquery()
    group = (each.c.channel, each.c.campaign, each.c.because)
    moments = each.c.because.in_((LATER, WARM_UP))
    until = sa.func.min(sa.case((moments, each.c.not_before)), type_=batch.c.not_before.type)
    query = (
        sa.select(*group, sa.func.sum(each.c.messages), sa.func.count(), until)
        .where(each.c.because.not_in(_GIVEN_UP))
        .group_by(*group)
        .having(sa.func.sum(each.c.messages) > 0)
        .order_by(*group)
    )
    return [
        Waiting(channel, campaign, because, int(messages), batches, moment)
        for channel, campaign, because, messages, batches, moment in connection.execute(query)
    ]


# --------------------------------------------------------------------------------------------------------- dead letters
def _last_word() -> sa.ColumnElement[str]:
    """What the last try of a batch ended with."""
    return sa.func.coalesce(
        sa.select(attempt.c.detail)
        .where(attempt.c.batch_id == batch.c.batch_id, attempt.c.detail.is_not(None))
        .order_by(attempt.c.claimed_at.desc())
        .limit(1)
        .scalar_subquery(),
        "",
    )


def dead_reasons(
    connection: Connection, which: Filter, *, due: datetime, max_attempts: int, limit: int = 20
) -> tuple[list[DeadReason], int]:
    """Messages that are given up, counted by reason: the most frequent ones, and the number over all reasons."""
    why = _why(due, max_attempts)
    reason = sa.func.coalesce(message.c.reason, "")
    columns = (message.c.channel, message.c.campaign, message.c.state)
    refused = (
        sa.select(*columns, reason.label("reason"), sa.func.count().label("messages"))
        .where(IN_TROUBLE, message.c.state.in_(_DEAD_STATES), *which.on(message))
        .group_by(*columns, reason)
    )
    stuck = _planned(which, why, _last_word().label("reason")).where(_is_stuck(why)).subquery()
    group = (stuck.c.channel, stuck.c.campaign, stuck.c.because, stuck.c.reason)
    waiting = sa.func.sum(stuck.c.messages)
    exhausted = sa.select(*group, waiting).group_by(*group).having(waiting > 0)
    dead = refused.union_all(exhausted).cte("dead")
    rows = connection.execute(
        sa.select(dead, sa.func.sum(dead.c.messages).over().label("total"))
        .order_by(dead.c.messages.desc(), dead.c.channel, dead.c.campaign, dead.c.state, dead.c.reason)
        .limit(limit)
    ).all()
    found = [DeadReason(row.channel, row.campaign, row.state, row.reason, int(row.messages)) for row in rows]
    return found, int(rows[0].total) if rows else 0


def _is_stuck(why: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    return why.in_(_GIVEN_UP)


def dead_letters(
    connection: Connection, which: Filter, *, due: datetime, max_attempts: int, limit: int = 50
) -> list[DeadLetter]:
    """Messages that are given up, the latest first: rejected, unresolved, and those whose batch never leaves.

    Parameters
    ----------
    due, max_attempts : as in `overview`
    limit : at most so many
    """
    shared = [
        message.c[name] for name in ("message_key", "person_id", "channel", "campaign", "purpose", "run_id", "batch_id")
    ]
    refused = sa.select(
        *shared, message.c.state, sa.func.coalesce(message.c.reason, "").label("reason"), message.c.updated_at
    ).where(IN_TROUBLE, message.c.state.in_(_DEAD_STATES), *which.on(message))
    why = _why(due, max_attempts)
    stuck = (
        sa.select(*shared, why, _last_word(), batch.c.updated_at)
        .select_from(batch.join(message, message.c.batch_id == batch.c.batch_id))
        .where(batch.c.state == BatchState.PLANNED.value, message.c.state == MessageState.PLANNED.value)
        .where(_is_stuck(why), *which.on(batch))
    )
    dead = refused.union_all(stuck).subquery()
    query = sa.select(dead).order_by(dead.c.updated_at.desc(), dead.c.message_key).limit(limit)
    return [DeadLetter(*row) for row in connection.execute(query)]
