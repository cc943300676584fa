"""Calls: from the durable word just before the first byte to what came of it. Steps 4 and 5 of the protocol.

Every public function is one durable transaction. All but `expire_calls` and `abandon` act for one claim, and only
while the batch carries its attempt id (fencing).
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger import receipts, suppressions, warm_up
from alongside.ledger.claims import Claim
from alongside.ledger.engine import Ledger
from alongside.ledger.failpoints import failpoint
from alongside.ledger.groups import in_bound_keys, in_keys, key_list
from alongside.ledger.pauses import not_paused
from alongside.ledger.protocol import BEGIN_CALL, EXPIRE, RELEASE, SETTLE, SETTLE_UNCALLED, states_before
from alongside.ledger.schema import attempt, batch, message
from alongside.ledger.settlement import Settlement
from alongside.ledger.suppressions import Suppression
from alongside.ledger.warm_up import WARM_UP, Take
from alongside.model.enums import BatchState, MessageState


# -------------------------------------------------------------------------------------------------------------- call
def begin_call(
    ledger: Ledger,
    held: Claim,
    *,
    now: datetime,
    lease_seconds: float,
    withheld: Mapping[str, str] | None = None,
    postponed: Mapping[str, datetime] | None = None,
    readdressed: Mapping[str, str] | None = None,
    stands: Callable[[Connection], bool] | None = None,
    take: Take | None = None,
    held_back: Collection[str] = (),
) -> bool:
    """`claimed -> calling`, durably, just before the first byte; with what fell out at the recheck.

    Returns False, and changes nothing, when the lease has run out, somebody else holds the batch, it was paused, the
    recheck does not stand any more, or a new sender's allowance has been used up meanwhile.

    Parameters
    ----------
    withheld : key -> name of the gate; these messages will never leave
    postponed : key -> patient time; these move to a batch that waits
    readdressed : key -> blind index of the address they go to now, where it is not the planned one
    stands : asked within the transaction whether what the recheck found is still so
    take : what the call takes of a new sender's allowance
    held_back : those of `postponed` that wait for the next day's allowance
    """
    begun = False
    with contextlib.suppress(warm_up.Full), ledger.begin() as connection:
        if stands is not None and not stands(connection):
            return False
        until = now + timedelta(seconds=lease_seconds)
        mine = {"b_batch": held.batch_id, "b_attempt": held.attempt_id, "b_now": now}
        if connection.execute(_CALL, {**mine, "b_until": until}).rowcount != 1:
            return False
        if take is not None:
            warm_up.take(connection, take)
        _withhold(connection, withheld or {}, now)
        _postpone(connection, held, postponed or {}, now, held_back)
        for key, blind in (readdressed or {}).items():
            connection.execute(message.update().where(message.c.message_key == key).values(address_blind=blind))
        connection.execute(_CALLED, {"b_attempt": held.attempt_id, "b_now": now})
        failpoint("call.before_commit")
        begun = True
    if begun:
        failpoint("call.after")
    return begun


# Statements of every batch are built once: for a batch of a hundred, building them again would cost more than running
# them.
_NOW = sa.bindparam("b_now", type_=batch.c.updated_at.type)
_UNTIL = sa.bindparam("b_until", type_=batch.c.lease_until.type)
_OWN = (batch.c.batch_id == sa.bindparam("b_batch"), batch.c.attempt_id == sa.bindparam("b_attempt"))
_OWN_ATTEMPT = attempt.c.attempt_id == sa.bindparam("b_attempt")
_CALL = (
    batch.update()
    .where(*_OWN, batch.c.state.in_(BEGIN_CALL.leaves), batch.c.lease_until > _NOW, not_paused())
    .values(state=BatchState.CALLING.value, lease_until=_UNTIL, updated_at=_NOW)
)
_CALLED = attempt.update().where(_OWN_ATTEMPT).values(called_at=_NOW)
_FINISHED = (
    attempt.update()
    .where(_OWN_ATTEMPT)
    .values(
        finished_at=_NOW,
        **{name: sa.bindparam(f"b_{name}") for name in ("outcome", "http_status", "accepted", "rejected", "detail")},
    )
)


def settle_uncalled(
    ledger: Ledger,
    held: Claim,
    *,
    now: datetime,
    withheld: Mapping[str, str],
    postponed: Mapping[str, datetime],
    held_back: Collection[str] = (),
) -> bool:
    """Close a claim of which no message may leave now: everything fell out at the recheck."""
    with ledger.begin() as connection:
        changed = connection.execute(
            batch.update()
            .where(*_mine(held), batch.c.state.in_(SETTLE_UNCALLED.leaves))
            .values(state=BatchState.ACCEPTED.value, lease_until=None, updated_at=now)
        )
        if changed.rowcount != 1:
            return False
        _withhold(connection, withheld, now)
        _postpone(connection, held, postponed, now, held_back)
        _finish(connection, held, now, outcome=None, detail="nothing left to send")
    return True


def release(
    ledger: Ledger,
    held: Claim,
    *,
    now: datetime,
    not_before: datetime | None = None,
    burn: bool = False,
    detail: str = "",
    waits_for: str | None = None,
) -> bool:
    """Give a claim back untouched: nothing has left, the batch is `planned` again; `burn` counts the try.

    Parameters
    ----------
    not_before : patient time; by default as it was
    waits_for : what it waits for, where that is a new sender's allowance
    """
    with ledger.begin() as connection:
        changed = connection.execute(
            batch.update()
            .where(*_mine(held), batch.c.state.in_(RELEASE.leaves))
            .values(
                state=BatchState.PLANNED.value,
                attempt_id=None,
                lease_until=None,
                not_before=not_before if not_before is not None else batch.c.not_before,
                attempts=batch.c.attempts + (1 if burn else 0),
                waits_for=waits_for if not_before is not None else batch.c.waits_for,
                updated_at=now,
            )
        )
        _finish(connection, held, now, outcome="retryable", detail=detail)
        return changed.rowcount == 1


def settle(
    ledger: Ledger,
    held: Claim,
    result: Settlement,
    *,
    now: datetime,
    patient_now: datetime,
    then: Callable[[Connection], Claim | None] | None = None,
) -> Claim | None:
    """Record what the vendor answered, all messages in one transaction.

    What was accepted counts whoever holds the batch now; everything else only while this attempt does.

    Parameters
    ----------
    then : claims the worker's next batch in the same transaction, which saves a durable commit; its claim is returned
    """
    with ledger.begin() as connection:
        _accept(connection, held, result, now, patient_now)
        receipts.keep(connection, result.receipts)
        _close_addresses(connection, held, result.closes, patient_now)
        if _close(connection, held, result, now):
            for reason, keys in _by_value(result.rejected).items():
                _move(connection, keys, MessageState.REJECTED, now, reason=reason, attempt_id=held.attempt_id)
            _move(connection, result.unknown, MessageState.UNKNOWN, now, attempt_id=held.attempt_id)
            again = _plan_again(connection, held, result, now)
            if result.taken is not None and again:
                warm_up.give_back(connection, result.taken, again)
        _finish(
            connection,
            held,
            now,
            outcome=result.outcome,
            http_status=result.http_status,
            accepted=len(result.accepted),
            rejected=len(result.rejected),
            detail=result.detail,
        )
        following = None if then is None else then(connection)
        failpoint("settle.before_commit")
    failpoint("settle.after")
    return following


def _close(connection: Connection, held: Claim, result: Settlement, now: datetime) -> bool:
    """Move the batch out of `calling`; False when another attempt owns it."""
    values: dict[str, Any] = {"b_batch": held.batch_id, "b_attempt": held.attempt_id, "b_now": now}
    if result.outcome == "retryable":
        values |= {"b_not_before": result.not_before, "b_burnt": int(result.burn)}
        return connection.execute(_RETURN, values).rowcount == 1
    if result.unknown:
        state = BatchState.UNKNOWN
    else:
        state = BatchState.REJECTED if result.outcome == "rejected" else BatchState.ACCEPTED
    return connection.execute(_CLOSE, {**values, "b_state": state.value}).rowcount == 1


_CALLED_STATES = batch.c.state.in_(SETTLE.leaves)
_CLOSE = (
    batch.update().where(*_OWN, _CALLED_STATES).values(state=sa.bindparam("b_state"), lease_until=None, updated_at=_NOW)
)
_RETURN = (
    batch.update()
    .where(*_OWN, _CALLED_STATES)
    .values(
        state=BatchState.PLANNED.value,
        attempt_id=None,
        lease_until=None,
        not_before=sa.bindparam("b_not_before", type_=batch.c.not_before.type),
        attempts=batch.c.attempts + sa.bindparam("b_burnt", type_=sa.Integer),
        waits_for=None,
        updated_at=_NOW,
    )
)


def _accept(connection: Connection, held: Claim, result: Settlement, now: datetime, patient_now: datetime) -> None:
    """Forward to `accepted`; a message that an event has moved further meanwhile keeps its state."""
    keys = result.accepted
    if not keys:
        return
    values = {"b_accepted_at": patient_now, "b_attempt": held.attempt_id, "b_now": now}
    if not (result.rejected or result.unknown or result.retry):
        whole = connection.execute(_ACCEPTING_ALL, {**values, "b_batch": held.batch_id})
        if whole.rowcount == len(keys):
            return
    accepting = _accepting(connection.dialect.name == "postgresql")
    connection.execute(accepting, {**values, "b_keys": key_list(connection, keys)})


_ACCEPTED_NOW = {
    "accepted_at": sa.func.coalesce(
        message.c.accepted_at, sa.bindparam("b_accepted_at", type_=message.c.accepted_at.type)
    ),
    "attempt_id": sa.bindparam("b_attempt"),
    "reason": None,
    "updated_at": _NOW,
}
# While this attempt calls a batch, only what is on the wire is still planned in it; found side by side, not key by key.
_ACCEPTING_ALL = (
    message.update()
    .where(
        message.c.batch_id == sa.bindparam("b_batch"),
        message.c.state == MessageState.PLANNED.value,
        sa.exists().where(*_OWN, batch.c.state == BatchState.CALLING.value),
    )
    .values(state=MessageState.ACCEPTED.value, **_ACCEPTED_NOW)
)


@cache
def _accepting(postgresql: bool) -> sa.Update:
    behind = message.c.state.in_(states_before(MessageState.ACCEPTED))
    return (
        message.update()
        .where(in_bound_keys(postgresql, message.c.message_key, "b_keys"), message.c.accepted_at.is_(None) | behind)
        .values(state=sa.case((behind, MessageState.ACCEPTED.value), else_=message.c.state), **_ACCEPTED_NOW)
    )


def _close_addresses(connection: Connection, held: Claim, closes: Mapping[str, str], patient_now: datetime) -> None:
    """What the vendor says of an address holds, whatever became of the batch meanwhile."""
    if not closes:
        return
    query = sa.select(message.c.message_key, message.c.address_blind)
    rows = connection.execute(query.where(in_keys(connection, message.c.message_key, sorted(closes))))
    channel, origin = held.channel.value, f"attempt:{held.attempt_id}"
    found = [
        Suppression(row.address_blind, channel, "all", closes[row.message_key], patient_now, origin) for row in rows
    ]
    suppressions.add(connection, found)


def _plan_again(connection: Connection, held: Claim, result: Settlement, now: datetime) -> int:
    """Messages of which nothing was accepted wait again: with their batch, or beside it when others were settled.

    Returns how many do, when that matters to an allowance.
    """
    if not result.retry:
        return 0
    connection.execute(  # the lease may have run out while the vendor was thinking
        message.update()
        .where(in_keys(connection, message.c.message_key, result.retry))
        .where(message.c.state == MessageState.UNKNOWN.value, message.c.batch_id == held.batch_id)
        .values(state=MessageState.PLANNED.value, updated_at=now)
    )
    counted = 0 if result.taken is None else _planned_in(connection, held.batch_id)
    if result.outcome != "retryable":
        attempts = held.attempts + (1 if result.burn else 0)
        split_off(connection, held.batch_id, held.attempt_id, result.retry, result.not_before, now, attempts)
    return counted


def _planned_in(connection: Connection, batch_id: str) -> int:
    query = sa.select(sa.func.count()).where(
        message.c.batch_id == batch_id, message.c.state == MessageState.PLANNED.value
    )
    return connection.execute(query).scalar_one()


# ------------------------------------------------------------------------------------------------- leases that ran out
def expire_calls(ledger: Ledger, now: datetime) -> int:
    """Batches whose worker died while calling: their messages become `unknown`. Returns how many messages."""
    with ledger.begin() as connection:
        return _lose(connection, batch.c.lease_until < now, now)


def abandon(ledger: Ledger, worker: str, now: datetime) -> int:
    """What a worker held that is known to have ended: claims are free again, calls are `unknown`.

    Returns how many messages became unknown.
    """
    with ledger.begin() as connection:
        held = sa.select(attempt.c.attempt_id).where(attempt.c.worker == worker[:80], attempt.c.finished_at.is_(None))
        connection.execute(
            batch.update()
            .where(batch.c.state == BatchState.CLAIMED.value, batch.c.attempt_id.in_(held))
            .values(state=BatchState.PLANNED.value, attempt_id=None, lease_until=None, updated_at=now)
        )
        return _lose(connection, batch.c.attempt_id.in_(held), now)


def _lose(connection: Connection, which: sa.ColumnElement[bool], now: datetime) -> int:
    dead = connection.execute(
        sa.select(batch.c.batch_id, batch.c.attempt_id)
        .where(batch.c.state.in_(EXPIRE.leaves), which)
        .with_for_update(skip_locked=True)
    ).all()
    if not dead:
        return 0
    ids = [row.batch_id for row in dead]
    lost = connection.execute(
        message.update()
        .where(in_keys(connection, message.c.batch_id, ids), message.c.state == MessageState.PLANNED.value)
        .values(state=MessageState.UNKNOWN.value, updated_at=now)
    ).rowcount
    connection.execute(
        batch.update()
        .where(in_keys(connection, batch.c.batch_id, ids))
        .values(state=BatchState.UNKNOWN.value, lease_until=None, updated_at=now)
    )
    connection.execute(
        attempt.update()
        .where(in_keys(connection, attempt.c.attempt_id, [row.attempt_id for row in dead]))
        .values(finished_at=now, outcome="unknown", detail="no answer was recorded: the worker ended while calling")
    )
    return lost


# ------------------------------------------------------------------------------------------------------------ helpers
def _mine(held: Claim) -> list[sa.ColumnElement[bool]]:
    return [batch.c.batch_id == held.batch_id, batch.c.attempt_id == held.attempt_id]


def _move(
    connection: Connection,
    keys: Sequence[str],
    state: MessageState,
    now: datetime,
    *,
    reason: str | None = None,
    attempt_id: str | None = None,
) -> None:
    if not keys:
        return
    connection.execute(
        message.update()
        .where(in_keys(connection, message.c.message_key, keys), message.c.state.in_(states_before(state)))
        .values(state=state.value, reason=reason[:200] if reason else None, attempt_id=attempt_id, updated_at=now)
    )


def _withhold(connection: Connection, withheld: Mapping[str, str], now: datetime) -> None:
    for reason, keys in _by_value(withheld).items():
        _move(connection, keys, MessageState.WITHHELD, now, reason=reason)


def _postpone(
    connection: Connection,
    held: Claim,
    postponed: Mapping[str, datetime],
    now: datetime,
    held_back: Collection[str],
) -> None:
    why = {key: (moment, WARM_UP if key in held_back else None) for key, moment in postponed.items()}
    for (moment, waits_for), keys in _by_value(why).items():
        split_off(connection, held.batch_id, held.attempt_id, keys, moment, now, waits_for=waits_for)


def _by_value(pairs: Mapping[str, Any]) -> dict[Any, list[str]]:
    groups: dict[Any, list[str]] = {}
    for key, value in pairs.items():
        groups.setdefault(value, []).append(key)
    return groups


def split_off(
    connection: Connection,
    batch_id: str,
    attempt_id: str,
    keys: Sequence[str],
    not_before: datetime | None,
    now: datetime,
    attempts: int = 0,
    waits_for: str | None = None,
) -> str:
    """Move messages of a batch that are still `planned` into one of their own, which waits until `not_before`.

    Messages that have gone to another batch meanwhile stay there: it may be in a call. Without any message left there
    is no new batch.
    """
    parts = "\x00".join((batch_id, attempt_id, str(not_before), keys[0]))
    new_id = "s" + hashlib.sha256(parts.encode()).hexdigest()[:32]
    same = [
        "run_id", "campaign", "channel", "sender", "purpose", "template", "locale", "partition", "epoch",
    ]  # fmt: skip
    fresh: dict[str, Any] = {
        "batch_id": new_id,
        "size": len(keys),
        "state": BatchState.PLANNED.value,
        "attempts": attempts,
        "not_before": not_before,
        "waits_for": waits_for,
        "updated_at": now,
    }
    values = [sa.bindparam(None, value, batch.c[name].type, unique=True) for name, value in fresh.items()]
    here = sa.and_(
        in_keys(connection, message.c.message_key, keys),
        message.c.state == MessageState.PLANNED.value,
        message.c.batch_id == batch_id,
    )
    source = sa.select(*(batch.c[name] for name in same), *values).where(batch.c.batch_id == batch_id)
    connection.execute(batch.insert().from_select([*same, *fresh], source.where(sa.exists().where(here))))
    connection.execute(message.update().where(here).values(batch_id=new_id, updated_at=now))
    return new_id


def _finish(
    connection: Connection,
    held: Claim,
    now: datetime,
    *,
    outcome: str | None,
    detail: str,
    http_status: int | None = None,
    accepted: int = 0,
    rejected: int = 0,
) -> None:
    counts = {"b_outcome": outcome, "b_http_status": http_status, "b_accepted": accepted, "b_rejected": rejected}
    mine = {"b_attempt": held.attempt_id, "b_now": now, "b_detail": detail[:500] or None}
    connection.execute(_FINISHED, {**counts, **mine})
