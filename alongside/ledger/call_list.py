"""Calls that people have to make: script, deadline, tries and what came of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Row

from alongside.ledger.events import DeliveryEvent
from alongside.ledger.groups import in_keys
from alongside.ledger.schema import call_task, message
from alongside.ledger.vault import Vault
from alongside.model.enums import CallOutcome, CallStatus, EventKind
from alongside.model.errors import Refused


@dataclass(frozen=True)
class Call:
    """One call, as a list shows it: without name, number or words."""

    task_id: str
    person_id: str
    campaign: str
    status: CallStatus
    tries: int
    outcome: CallOutcome | None
    owner: str | None
    due_at: datetime
    listed_at: datetime


@dataclass(frozen=True)
class CallCard:
    """What whoever calls needs."""

    call: Call
    number: str = field(repr=False)
    script: str = field(repr=False)
    notes: str = field(repr=False)


def add(
    connection: Connection,
    vault: Vault,
    task_id: str,
    batch_id: str,
    words: Mapping[str, str],
    *,
    now: datetime,
    due_at: datetime,
) -> None:
    """List a call; one that is listed already stays as it is.

    Parameters
    ----------
    words : `number` and `script`
    """
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(
        insert(call_task)
        .values(
            task_id=task_id,
            batch_id=batch_id,
            status=CallStatus.OPEN.value,
            tries=0,
            due_at=due_at,
            listed_at=now,
            updated_at=now,
            sealed=vault.seal_words(task_id, orjson.dumps(dict(words)).decode()),
        )
        .on_conflict_do_nothing()
    )


def count(connection: Connection, argument: str, value: str) -> int:
    """Listed calls of a message (`m`) or of a batch (`b`)."""
    column = call_task.c.task_id if argument == "m" else call_task.c.batch_id
    return connection.execute(sa.select(sa.func.count()).where(column == value)).scalar_one()


def calls(connection: Connection, *, everything: bool = False, limit: int = 50) -> list[Call]:
    """Open calls (or all), the most urgent first."""
    query = _SELECT.order_by(call_task.c.due_at, call_task.c.task_id).limit(limit)
    if not everything:
        query = query.where(call_task.c.status == CallStatus.OPEN.value)
    return [_call(row) for row in connection.execute(query)]


def open_ids(connection: Connection) -> list[str]:
    """Every call that somebody still has to make."""
    return list(connection.scalars(sa.select(call_task.c.task_id).where(call_task.c.status == CallStatus.OPEN.value)))


def withhold(connection: Connection, task_ids: Collection[str], now: datetime) -> None:
    """These calls are not made any more."""
    wanted = in_keys(connection, call_task.c.task_id, sorted(task_ids))
    values = {"status": CallStatus.WITHHELD.value, "updated_at": now}
    connection.execute(call_task.update().where(wanted, call_task.c.status == CallStatus.OPEN.value).values(**values))


def card(connection: Connection, vault: Vault, task_id: str) -> CallCard:
    """Everything about one call.

    Raises
    ------
    Refused : there is none of this id, or it is not made any more
    """
    row = _row(connection, task_id)
    if row.status == CallStatus.WITHHELD:
        _require_open(row)
    words = orjson.loads(vault.unseal_words(row.task_id, bytes(row.sealed)))
    notes = vault.unseal_words(f"{row.task_id}:notes", bytes(row.notes)) if row.notes else ""
    return CallCard(_call(row), words["number"], words["script"], notes)


def take(connection: Connection, task_id: str, owner: str | None, now: datetime) -> None:
    """Say who calls; None gives it back to everybody."""
    _require_open(_row(connection, task_id))
    connection.execute(
        call_task.update().where(call_task.c.task_id == task_id).values(owner=owner and owner[:120], updated_at=now)
    )


def record(
    connection: Connection,
    vault: Vault,
    task_id: str,
    outcome: CallOutcome,
    *,
    note: str,
    most: int,
    now: datetime,
    patient_now: datetime,
) -> tuple[CallStatus, DeliveryEvent]:
    """Write down what came of a try; the event says it of the message.

    Parameters
    ----------
    most : tries after which nobody is called any more

    Raises
    ------
    Refused : there is no such call, or it is done
    """
    row = _row(connection, task_id)
    _require_open(row)
    tries = row.tries + 1
    status = _status(outcome, tries, most)
    before = vault.unseal_words(f"{task_id}:notes", bytes(row.notes)) if row.notes else ""
    notes = "\n".join(filter(None, (before, note.strip())))
    connection.execute(
        call_task.update()
        .where(call_task.c.task_id == task_id)
        .values(
            status=status.value,
            tries=tries,
            outcome=outcome.value,
            updated_at=now,
            notes=vault.seal_words(f"{task_id}:notes", notes) if notes else None,
        )
    )
    kind, closes = _EVENTS[outcome]
    if outcome is CallOutcome.NOT_REACHED and status is CallStatus.GIVEN_UP:
        kind = EventKind.DROPPED
    return status, DeliveryEvent(
        event_id=f"call:{task_id}.{tries}",
        message_key=task_id,
        kind=kind,
        occurred_at=patient_now,
        detail=outcome.value,
        closes=closes,
    )


#: What an outcome says of the message, and of the number.
_EVENTS: dict[CallOutcome, tuple[EventKind, str | None]] = {
    CallOutcome.REACHED: (EventKind.DELIVERED, None),
    CallOutcome.NOT_REACHED: (EventKind.DEFERRED, None),
    CallOutcome.WRONG_NUMBER: (EventKind.BOUNCE, "hard_bounce"),
    CallOutcome.REFUSED: (EventKind.UNSUBSCRIBE, "unsubscribe"),
}


def _status(outcome: CallOutcome, tries: int, most: int) -> CallStatus:
    if outcome is CallOutcome.NOT_REACHED:
        return CallStatus.GIVEN_UP if tries >= most else CallStatus.OPEN
    return CallStatus.GIVEN_UP if outcome is CallOutcome.WRONG_NUMBER else CallStatus.DONE


_SELECT = sa.select(call_task, message.c.person_id, message.c.campaign).select_from(
    call_task.outerjoin(message, message.c.message_key == call_task.c.task_id)
)


def _row(connection: Connection, task_id: str) -> Row[Any]:
    row = connection.execute(_SELECT.where(call_task.c.task_id == task_id)).first()
    if row is None:
        raise Refused(f"no call {task_id!r}", where="calls", remedy="'alongside calls list' shows their ids.")
    return row


def _require_open(row: Row[Any]) -> None:
    if row.status != CallStatus.OPEN:
        raise Refused(f"the call is {row.status}", where=f"calls, {row.task_id}", remedy="Take another one.")


def _call(row: Row[Any]) -> Call:
    return Call(
        task_id=row.task_id,
        person_id=row.person_id or "",
        campaign=row.campaign or "",
        status=CallStatus(row.status),
        tries=row.tries,
        outcome=CallOutcome(row.outcome) if row.outcome else None,
        owner=row.owner,
        due_at=row.due_at,
        listed_at=row.listed_at,
    )
