"""Requests of patients about their own data: a task for a person with a deadline, one of a kind at a time.

A request is open as long as its thread is: closing the thread says that it was dealt with.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger import inbox
from alongside.ledger.groups import members, survivors
from alongside.ledger.inbox import Task
from alongside.ledger.runs import write_audit
from alongside.ledger.schema import data_request, person, thread
from alongside.ledger.vault import Vault
from alongside.model.enums import ThreadKind, ThreadStatus

#: What a patient can ask for.
KINDS = (ThreadKind.ACCESS, ThreadKind.ERASURE)
#: Who the audit trail names: the holder of a link, which is weak proof.
ACTOR = "patient's page"


@dataclass(frozen=True)
class DataRequest:
    """One request that somebody has to deal with.

    Attributes
    ----------
    asked_at : patient time
    due_at : wall time
    """

    kind: ThreadKind
    thread_id: str
    asked_at: datetime
    due_at: datetime


def open_requests(connection: Connection, person_id: str) -> dict[ThreadKind, DataRequest]:
    """What this person has asked for and nobody has dealt with yet."""
    living = survivors(connection, [person_id])[person_id]
    query = (
        sa.select(data_request)
        .join(thread, thread.c.thread_id == data_request.c.thread_id)
        .where(data_request.c.person_id.in_(sorted(members(connection, [living]))))
        .where(thread.c.status != ThreadStatus.CLOSED.value)
        .order_by(data_request.c.recorded_at.desc())
    )
    return {
        ThreadKind(row.kind): DataRequest(ThreadKind(row.kind), row.thread_id, row.asked_at, row.due_at)
        for row in connection.execute(query)
    }


def ask(
    connection: Connection, vault: Vault, task: Task, *, patient_now: datetime, now: datetime, secret: bytes
) -> DataRequest:
    """Put the request before a person; one that is open already is returned as it is.

    Parameters
    ----------
    task : of a kind of `KINDS`, of a living person
    now : wall time
    """
    assert task.person_id is not None  # noqa: S101 - a request is always somebody's
    # PostgreSQL: two clicks at once queue here; SQLite has one writer anyway.
    connection.execute(sa.select(person.c.person_id).where(person.c.person_id == task.person_id).with_for_update())
    if (known := open_requests(connection, task.person_id).get(task.kind)) is not None:
        return known
    thread_id = inbox.open_task(connection, vault, task, patient_now=patient_now, now=now, secret=secret)
    connection.execute(
        data_request.insert().values(
            request_id=f"{task.kind}:{thread_id}",
            person_id=task.person_id,
            kind=task.kind.value,
            message_key=task.message_key,
            thread_id=thread_id,
            asked_at=patient_now,
            recorded_at=now,
            due_at=task.due_at,
        )
    )
    write_audit(connection, now, ACTOR, f"data.{task.kind}", thread_id, {"message": task.message_key})
    return DataRequest(task.kind, thread_id, patient_now, task.due_at)
