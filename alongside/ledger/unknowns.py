"""Messages of unknown outcome, and how they leave that state. Step 6 of the protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger.calls import split_off
from alongside.ledger.groups import in_keys
from alongside.ledger.protocol import RESOLVE, states_before
from alongside.ledger.schema import batch, message
from alongside.model.enums import BatchState, Channel, MessageState

#: Why a message is unknown that was open in a backup; begins the attempt id of its batch.
RESTORED = "restored"


@dataclass(frozen=True)
class UnknownBatch:
    """A batch with messages of unknown outcome; `called_by` is the attempt that made the call."""

    batch_id: str
    called_by: str
    run_id: str
    channel: Channel
    purpose: str
    messages: dict[str, str]  # message key -> person_id

    @property
    def restored(self) -> bool:
        """Whether it came out of a backup: its messages may have left since, also in batches of other ids."""
        return self.called_by.startswith(RESTORED)


@dataclass(frozen=True)
class Resolution:
    """What was learnt about a batch's unknown messages.

    Attributes
    ----------
    found : the vendor has them: key -> the state it tells
    again : the vendor has certainly never seen them, or policy takes the risk: planned again
    unresolved : may not be sent again
    """

    found: Mapping[str, MessageState]
    again: Sequence[str] = ()
    unresolved: Sequence[str] = ()


def unknown_batches(
    connection: Connection,
    *,
    before: datetime,
    channel: Channel | None = None,
    run_id: str | None = None,
    after: str = "",
    limit: int = 100,
) -> list[UnknownBatch]:
    """Batches that became unknown before a moment (wall time), in order of their ids, from `after` on."""
    query = (
        sa.select(batch.c.batch_id, batch.c.attempt_id, batch.c.run_id, batch.c.channel, batch.c.purpose)
        .where(batch.c.state == BatchState.UNKNOWN.value, batch.c.updated_at <= before, batch.c.batch_id > after)
        .order_by(batch.c.batch_id)
        .limit(limit)
    )
    if channel is not None:
        query = query.where(batch.c.channel == channel.value)
    if run_id is not None:
        query = query.where(batch.c.run_id == run_id)
    found = []
    for row in connection.execute(query).all():
        keys = connection.execute(
            sa.select(message.c.message_key, message.c.person_id)
            .where(message.c.batch_id == row.batch_id, message.c.state == MessageState.UNKNOWN.value)
            .order_by(message.c.message_key)
        )
        messages = {item.message_key: item.person_id for item in keys}
        found.append(
            UnknownBatch(row.batch_id, row.attempt_id or "", row.run_id, Channel(row.channel), row.purpose, messages)
        )
    return found


def resolve(
    connection: Connection, of: UnknownBatch, learnt: Resolution, *, now: datetime, patient_now: datetime
) -> None:
    """Write down what was learnt; a message that an event has moved meanwhile is left as it is.

    What the vendor has counts whoever looks at the batch now; everything else only while the batch is as it was when
    the vendor was asked. A late answer or another reconciliation may have planned its messages again meanwhile, and a
    worker may be calling with them.
    """
    still = sa.and_(message.c.batch_id == of.batch_id, message.c.state == MessageState.UNKNOWN.value)
    by_state: dict[MessageState, list[str]] = {}
    for key, state in learnt.found.items():
        by_state.setdefault(state, []).append(key)
    for state, keys in by_state.items():
        connection.execute(
            message.update()
            .where(in_keys(connection, message.c.message_key, keys), message.c.state.in_(states_before(state)))
            .values(state=state.value, accepted_at=patient_now, updated_at=now)
        )
    if not _is_as_it_was(connection, of):
        return
    if learnt.unresolved:
        reason = "no answer, no event, not found"
        if of.restored:
            reason = f"{RESTORED}: {reason}"
        connection.execute(
            message.update()
            .where(still, in_keys(connection, message.c.message_key, learnt.unresolved))
            .values(state=MessageState.UNRESOLVED.value, reason=reason, updated_at=now)
        )
    if learnt.again:
        connection.execute(
            message.update()
            .where(still, in_keys(connection, message.c.message_key, learnt.again))
            .values(state=MessageState.PLANNED.value, updated_at=now)
        )
        split_off(connection, of.batch_id, of.called_by, list(learnt.again), None, now)
    _close(connection, of.batch_id, now)


def _is_as_it_was(connection: Connection, of: UnknownBatch) -> bool:
    """Whether the batch is unknown, still or again, because of the call that was asked about; keeps it so."""
    same_call = sa.func.coalesce(batch.c.attempt_id, "") == of.called_by
    query = sa.select(batch.c.batch_id).where(
        batch.c.batch_id == of.batch_id, batch.c.state.in_(RESOLVE.leaves), same_call
    )
    return connection.execute(query.with_for_update()).first() is not None


def _close(connection: Connection, batch_id: str, now: datetime) -> None:
    """A batch without unknown messages is settled."""
    open_messages = sa.exists().where(message.c.batch_id == batch_id, message.c.state == MessageState.UNKNOWN.value)
    connection.execute(
        batch.update()
        .where(batch.c.batch_id == batch_id, batch.c.state.in_(RESOLVE.leaves), ~open_messages)
        .values(state=BatchState.ACCEPTED.value, updated_at=now)
    )
