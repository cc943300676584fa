"""Settling by hand what nobody could tell: a person's word on `unknown` and `unresolved` messages.

One transaction per batch, with its line in the audit trail. The batch gets an attempt id of its own, so that a late
answer or a vendor's lookup which began before finds itself fenced off; that the vendor has accepted still counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from alongside.ledger.calls import split_off
from alongside.ledger.engine import Ledger
from alongside.ledger.runs import write_audit
from alongside.ledger.schema import batch, ledger_info, message
from alongside.model.enums import BatchState, MessageState, Purpose, Ruled
from alongside.model.errors import Refused

#: States in which nobody knows whether the message left.
OPEN = (MessageState.UNKNOWN.value, MessageState.UNRESOLVED.value)
#: Purposes of which a repeat does less harm than silence.
SENT_AGAIN = (Purpose.CARE.value,)
#: Stands in the attempt id of a batch of which a person has settled messages: the vendor's count of such a batch says
#: nothing about the messages that are left in it.
BY_HAND = "-hand-"
#: Reason of a message that was not sent and will not be.
NOT_SENT = "not sent: settled by hand"

_SETTLED = (BatchState.UNKNOWN.value, BatchState.ACCEPTED.value, BatchState.REJECTED.value)
_PAGE = 1000  # batch ids in memory at a time


@dataclass(frozen=True)
class Ruling:
    """A person's decision.

    Attributes
    ----------
    because, by : for the audit trail; at least one visible character
    send_again : plan messages that were not sent again whatever their purpose is, not only `SENT_AGAIN`
    decision_id : unique to this decision, at most 24 characters
    """

    outcome: Ruled
    because: str
    by: str
    decision_id: str
    send_again: bool = False


@dataclass(frozen=True)
class Target:
    """What the decision is about: exactly one of the three is given."""

    message_key: str | None = None
    batch_id: str | None = None
    campaign: str | None = None

    def __post_init__(self) -> None:
        if sum(bool(getattr(self, part.name)) for part in fields(self)) != 1:
            raise ValueError("a target is one message, one batch or one campaign")

    def __str__(self) -> str:
        if self.message_key:
            return f"message {self.message_key}"
        return f"batch {self.batch_id}" if self.batch_id else f"campaign {self.campaign}"

    @property
    def condition(self) -> sa.ColumnElement[bool]:
        if self.message_key:
            return message.c.message_key == self.message_key
        if self.batch_id:
            return message.c.batch_id == self.batch_id
        return message.c.campaign == self.campaign


@dataclass(frozen=True)
class Resolved:
    """Messages by what became of them.

    Attributes
    ----------
    planned_again : wait in a batch of their own for the next dispatch, which checks consent and relevance anew
    given_up : were not sent and may not be sent again: `unresolved`, with `NOT_SENT` as their reason
    """

    accepted: int = 0
    planned_again: int = 0
    given_up: int = 0

    def __add__(self, other: Resolved) -> Resolved:
        return Resolved(
            self.accepted + other.accepted, self.planned_again + other.planned_again, self.given_up + other.given_up
        )


def resolve_by_hand(
    ledger: Ledger, target: Target, ruling: Ruling, *, now: datetime, patient_now: datetime
) -> Resolved:
    """Write a person's decision down for every `unknown` or `unresolved` message of the target.

    Safe while workers run and when run again: each batch is one transaction, a message that moved meanwhile is left
    as it is, and what a first call decided is not decided a second time.

    Parameters
    ----------
    now : wall time
    patient_now : becomes `accepted_at` of messages that are said to be accepted

    Raises
    ------
    Refused : nothing of that name, nothing in it that is unknown or unresolved, or a decision without a reason or name
    StoreUnavailable : the ledger does not answer; what was settled before stays so
    """
    _require_evidence(ruling)
    with ledger.reading() as connection:
        _require_open(connection, target)
    total = Resolved()
    for batch_id in _batches(ledger, target):
        with ledger.begin() as connection:
            total += _settle(connection, batch_id, target, ruling, now, patient_now)
    return total


def _require_evidence(ruling: Ruling) -> None:
    for name, value in (("reason", ruling.because), ("name of who decides", ruling.by)):
        if not value.strip():
            raise Refused(
                f"a decision needs a {name}", remedy="It is kept in the audit trail: give --because and --by."
            )
    if ruling.send_again and ruling.outcome is Ruled.ACCEPTED:
        raise Refused("what was accepted is not sent again", remedy="Leave --send-again out, or decide not-sent.")


def _require_open(connection: Connection, target: Target) -> None:
    states = sa.select(message.c.state).where(target.condition)
    if connection.execute(states.where(message.c.state.in_(OPEN)).limit(1)).first() is not None:
        return
    found = connection.execute(states.limit(1)).scalar()
    if found is None:
        remedy = "'alongside deliveries' names campaigns, 'alongside deliveries --dead' messages and batches."
        raise Refused("the ledger has no message of it", where=str(target), remedy=remedy)
    state = f"it is {found}" if target.message_key else "no message of it is unknown or unresolved"
    remedy = "Only unknown and unresolved messages are settled by hand."
    raise Refused(f"nothing to settle: {state}", where=str(target), remedy=remedy)


def _batches(ledger: Ledger, target: Target) -> Iterator[str]:
    """Batches with open messages of the target, in order; new ones that the decision makes have none."""
    after = ""
    while True:
        query = (
            sa.select(message.c.batch_id)
            .where(target.condition, message.c.state.in_(OPEN), message.c.batch_id > after)
            .distinct()
            .order_by(message.c.batch_id)
            .limit(_PAGE)
        )
        with ledger.reading() as connection:
            page = list(connection.scalars(query))
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1]


# --------------------------------------------------------------------------------------------------------- one batch
def _settle(
    connection: Connection, batch_id: str, target: Target, ruling: Ruling, now: datetime, patient_now: datetime
) -> Resolved:
    held = connection.execute(sa.select(batch).where(batch.c.batch_id == batch_id).with_for_update()).first()
    if held is None or held.state not in _SETTLED:  # a worker may be sending it
        return Resolved()
    among = sa.and_(message.c.batch_id == batch_id, target.condition)
    if ruling.outcome is Ruled.ACCEPTED:
        keys = _move(connection, among, MessageState.ACCEPTED, now, accepted_at=_dated(patient_now))
        done, planned_in = Resolved(accepted=len(keys)), None
    elif _may_go_again(connection, held, ruling):
        keys = _move(connection, among, MessageState.PLANNED, now, attempt_id=None)
        done = Resolved(planned_again=len(keys))
        planned_in = split_off(connection, batch_id, ruling.decision_id, keys, None, now) if keys else None
    else:
        fresh = sa.or_(message.c.state == MessageState.UNKNOWN.value, message.c.reason.is_distinct_from(NOT_SENT))
        keys = _move(connection, sa.and_(among, fresh), MessageState.UNRESOLVED, now, reason=NOT_SENT)
        done, planned_in = Resolved(given_up=len(keys)), None
    if keys:
        _fence(connection, held, ruling, now)
        _remember(connection, batch_id, target, ruling, keys, planned_in, now)
    return done


def _may_go_again(connection: Connection, held: Row[Any], ruling: Ruling) -> bool:
    """By purpose or by the flag; never a batch from before a restore: its copy may have been sent since the backup."""
    epoch = connection.execute(sa.select(ledger_info.c.epoch)).scalar_one()
    return held.epoch == epoch and (ruling.send_again or held.purpose in SENT_AGAIN)


def _dated(patient_now: datetime) -> sa.ColumnElement[datetime]:
    return sa.func.coalesce(message.c.accepted_at, sa.literal(patient_now, message.c.accepted_at.type))


def _move(
    connection: Connection, which: sa.ColumnElement[bool], state: MessageState, now: datetime, **values: Any
) -> list[str]:
    """Move open messages; returns the keys of those that were still open."""
    values = {"reason": None, **values, "state": state.value, "updated_at": now}
    moved = message.update().where(which, message.c.state.in_(OPEN)).values(**values).returning(message.c.message_key)
    return sorted(connection.scalars(moved))


def _fence(connection: Connection, held: Row[Any], ruling: Ruling, now: datetime) -> None:
    """Take an unknown batch from the attempt that called, and close it when nothing in it is unknown any more."""
    if held.state != BatchState.UNKNOWN.value:
        return
    unknown = sa.exists().where(message.c.batch_id == held.batch_id, message.c.state == MessageState.UNKNOWN.value)
    former = (held.attempt_id or "")[:9]  # `unknowns` reads from it whether the batch came out of a backup
    connection.execute(
        batch.update()
        .where(batch.c.batch_id == held.batch_id)
        .values(
            attempt_id=f"{former}{BY_HAND}{ruling.decision_id}",
            state=sa.case((unknown, BatchState.UNKNOWN.value), else_=BatchState.ACCEPTED.value),
            updated_at=sa.case((unknown, batch.c.updated_at), else_=sa.literal(now, batch.c.updated_at.type)),
        )
    )


def _remember(
    connection: Connection,
    batch_id: str,
    target: Target,
    ruling: Ruling,
    keys: list[str],
    planned_in: str | None,
    now: datetime,
) -> None:
    """The audit trail's line: who decided what, why, on which call of the command, about which messages."""
    details = {
        "as": ruling.outcome.value,
        "because": ruling.because,
        "send_again": ruling.send_again,
        "target": str(target),
        "decision": ruling.decision_id,
        "messages": keys,
        "planned_in": planned_in,
    }
    write_audit(connection, now, ruling.by[:120], "resolve", f"batch:{batch_id}", details)
