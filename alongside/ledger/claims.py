"""Claims: which batches wait, and who may send one until when. Step 2 of the protocol; `calls` has what follows.

A claim is known by its attempt id: whoever comes back after losing the lease finds another id in the batch and is
refused (fencing).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from alongside.ledger.engine import Ledger
from alongside.ledger.failpoints import failpoint
from alongside.ledger.pauses import not_paused
from alongside.ledger.schema import attempt, batch, ledger_info, message, run_campaign
from alongside.model.enums import BatchState, Channel, MessageState, Purpose

#: States of a campaign in a run in which nothing of it may leave.
SILENT_CAMPAIGN = ("held", "blocked", "paused")


@dataclass(frozen=True)
class Scope:
    """Which batches a dispatch may claim. None means any.

    Attributes
    ----------
    care_first : care before the others and marketing last, for senders that may not send everything today
    """

    channel: Channel = Channel.EMAIL
    run_id: str | None = None
    campaigns: tuple[str, ...] | None = None
    max_attempts: int = 5
    partition: int | None = None
    care_first: bool = False


@dataclass(frozen=True)
class Claim:
    """A batch in the hands of one worker until `lease_until` (wall time)."""

    batch_id: str
    attempt_id: str
    run_id: str
    campaign: str
    channel: Channel
    sender: str
    purpose: str
    template: str
    locale: str
    size: int
    attempts: int
    lease_until: datetime


def claim(
    ledger: Ledger, scope: Scope, *, attempt_id: str, worker: str, now: datetime, due: datetime, lease_seconds: float
) -> Claim | None:
    """Take one batch that may leave now; None when there is none.

    Parameters
    ----------
    now : wall time, for leases
    due : patient time, against `not_before`
    """
    with ledger.begin() as connection:
        held = claim_within(
            connection, scope, attempt_id=attempt_id, worker=worker, now=now, due=due, lease_seconds=lease_seconds
        )
    if held is not None:
        failpoint("claim.after")
    return held


def claim_within(
    connection: Connection,
    scope: Scope,
    *,
    attempt_id: str,
    worker: str,
    now: datetime,
    due: datetime,
    lease_seconds: float,
) -> Claim | None:
    """`claim` as the last part of a larger transaction: the batch is held once that is durable."""
    row = _next(connection, scope, now, due)
    if row is None:
        return None
    until = now + timedelta(seconds=lease_seconds)
    mine = {"b_batch": row.batch_id, "b_attempt": attempt_id, "b_now": now}
    connection.execute(_TAKE, {**mine, "b_until": until})
    connection.execute(_ATTEMPT, {**mine, "b_worker": worker[:80]})
    failpoint("claim.before_commit")
    return Claim(
        batch_id=row.batch_id,
        attempt_id=attempt_id,
        run_id=row.run_id,
        campaign=row.campaign,
        channel=Channel(row.channel),
        sender=row.sender,
        purpose=row.purpose,
        template=row.template,
        locale=row.locale,
        size=row.size,
        attempts=row.attempts,
        lease_until=until,
    )


# Statements are built once: for a batch of a hundred, building them again would cost more than running them.
_NOW = sa.bindparam("b_now", type_=batch.c.updated_at.type)
_TAKE = (
    batch.update()
    .where(batch.c.batch_id == sa.bindparam("b_batch"))
    .values(
        state=BatchState.CLAIMED.value,
        attempt_id=sa.bindparam("b_attempt"),
        lease_until=sa.bindparam("b_until", type_=batch.c.lease_until.type),
        updated_at=_NOW,
    )
)
_ATTEMPT = attempt.insert().values(
    attempt_id=sa.bindparam("b_attempt"),
    batch_id=sa.bindparam("b_batch"),
    worker=sa.bindparam("b_worker"),
    claimed_at=_NOW,
)


def _next(connection: Connection, scope: Scope, now: datetime, due: datetime) -> Row[Any] | None:
    for query in _ready(scope):
        if (row := connection.execute(query, {"b_now": now, "b_due": due}).first()) is not None:
            return row
    return None


@lru_cache(maxsize=64)
def _ready(scope: Scope) -> tuple[sa.Select[Any], ...]:
    """Queries for the next batch: first what waits, then what somebody claimed and did not send in time."""
    due = sa.bindparam("b_due", type_=batch.c.not_before.type)
    waiting = sa.and_(
        batch.c.state == BatchState.PLANNED.value, sa.or_(batch.c.not_before.is_(None), batch.c.not_before <= due)
    )
    abandoned = sa.and_(batch.c.state == BatchState.CLAIMED.value, batch.c.lease_until < _NOW)
    order = [batch.c.not_before.nulls_first(), batch.c.batch_id]
    if scope.care_first:
        rank = sa.case((batch.c.purpose == Purpose.CARE.value, 0), (batch.c.purpose == Purpose.MARKETING.value, 2))
        order.insert(0, sa.func.coalesce(rank, 1))
    return tuple(
        sa.select(batch)
        .where(ready, *claimable(scope), batch.c.attempts < scope.max_attempts)
        .order_by(*order)
        .limit(1)
        .with_for_update(skip_locked=True)
        for ready in (waiting, abandoned)
    )


def claimable(scope: Scope) -> list[sa.ColumnElement[bool]]:
    """Conditions on `batch` besides its state: of this epoch, in scope, not silenced by anybody."""
    silent = sa.exists().where(
        run_campaign.c.run_id == batch.c.run_id,
        run_campaign.c.campaign == batch.c.campaign,
        run_campaign.c.state.in_(SILENT_CAMPAIGN),
    )
    conditions: list[sa.ColumnElement[bool]] = [
        batch.c.channel == scope.channel.value,
        batch.c.epoch == sa.select(ledger_info.c.epoch).scalar_subquery(),
        ~silent,
        not_paused(),
    ]
    if scope.run_id is not None:
        conditions.append(batch.c.run_id == scope.run_id)
    if scope.campaigns is not None:
        conditions.append(batch.c.campaign.in_(scope.campaigns))
    if scope.partition is not None:
        conditions.append(batch.c.partition == scope.partition)
    return conditions


def waiting(connection: Connection, scope: Scope, due: datetime) -> tuple[int, int]:
    """Messages of the scope that could leave now, and those that wait for their time (quiet hours, back-off)."""
    later = sa.and_(batch.c.not_before.is_not(None), batch.c.not_before > due)
    open_states = (BatchState.PLANNED.value, BatchState.CLAIMED.value)
    query = (
        sa.select(sa.func.sum(sa.case((later, 0), else_=1)), sa.func.sum(sa.case((later, 1), else_=0)))
        .select_from(batch.join(message, message.c.batch_id == batch.c.batch_id))
        .where(batch.c.state.in_(open_states), message.c.state == MessageState.PLANNED.value, *claimable(scope))
    )
    ready, postponed = connection.execute(query).one()
    return int(ready or 0), int(postponed or 0)


def is_anything_open(connection: Connection, scope: Scope) -> bool:
    """Whether the scope has a batch that is planned or claimed, whenever it may leave."""
    states = (BatchState.PLANNED.value, BatchState.CLAIMED.value)
    query = sa.select(batch.c.batch_id).where(batch.c.state.in_(states), *claimable(scope)).limit(1)
    return connection.execute(query).first() is not None


def open_campaigns(connection: Connection, scope: Scope) -> list[str]:
    """Campaigns of the scope that have a batch which is planned or claimed, whenever it may leave."""
    states = (BatchState.PLANNED.value, BatchState.CLAIMED.value)
    query = sa.select(batch.c.campaign).where(batch.c.state.in_(states), *claimable(scope)).distinct()
    return sorted(connection.execute(query).scalars())


def in_call(connection: Connection, scope: Scope) -> int:
    """Messages of the scope whose batch is in a call right now."""
    query = (
        sa.select(sa.func.count())
        .select_from(batch.join(message, message.c.batch_id == batch.c.batch_id))
        .where(batch.c.state == BatchState.CALLING.value, message.c.state == MessageState.PLANNED.value)
        .where(*claimable(scope))
    )
    return connection.execute(query).scalar_one()


def next_moment(connection: Connection, scope: Scope) -> tuple[datetime | None, datetime | None]:
    """When something may become claimable: the earliest `not_before` (patient time), the earliest lease (wall time)."""
    mine = [*claimable(scope), batch.c.attempts < scope.max_attempts]
    later = sa.select(sa.func.min(batch.c.not_before)).where(batch.c.state == BatchState.PLANNED.value, *mine)
    lease = sa.select(sa.func.min(batch.c.lease_until)).where(batch.c.state == BatchState.CLAIMED.value, *mine)
    return connection.execute(later).scalar(), connection.execute(lease).scalar()


def renew_attempts(ledger: Ledger, scope: Scope, now: datetime) -> None:
    """A new dispatch (an operator's Retry) begins with all its tries."""
    with ledger.begin() as connection:
        connection.execute(
            batch.update()
            .where(batch.c.state == BatchState.PLANNED.value, batch.c.attempts > 0, *claimable(scope))
            .values(attempts=0, updated_at=now)
        )
