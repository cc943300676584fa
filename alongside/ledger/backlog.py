"""What waits for a person, and when a run last came to its end: counts for whoever watches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger.schema import call_task, printed_letter, run, thread
from alongside.model.enums import CallStatus, LetterStatus, ThreadStatus

#: A letter that was listed longer ago should have been printed.
_LETTERS_WITHIN = timedelta(days=1)


@dataclass(frozen=True)
class Backlog:
    """`*_overdue` are those of the open ones whose deadline has passed. Times are wall time."""

    threads_open: int
    threads_overdue: int
    calls_open: int
    calls_overdue: int
    letters_open: int
    letters_overdue: int
    run_finished_at: datetime | None


def backlog(connection: Connection, now: datetime) -> Backlog:
    """Patients who wait for an answer, calls that nobody has made, letters that nobody has printed, and the end of the
    last completed run.
    """
    threads = _open(connection, thread, ThreadStatus.OPEN.value, thread.c.due_at < now)
    calls = _open(connection, call_task, CallStatus.OPEN.value, call_task.c.due_at < now)
    listed = printed_letter.c.listed_at
    letters = _open(connection, printed_letter, LetterStatus.LISTED.value, listed < now - _LETTERS_WITHIN)
    finished = sa.select(sa.func.max(run.c.finished_at)).where(run.c.state == "completed")
    return Backlog(*threads, *calls, *letters, connection.execute(finished).scalar())


def _open(connection: Connection, table: sa.Table, status: str, is_late: sa.ColumnElement[bool]) -> tuple[int, int]:
    late = sa.func.coalesce(sa.func.sum(sa.case((is_late, 1), else_=0)), 0)
    total, overdue = connection.execute(sa.select(sa.func.count(), late).where(table.c.status == status)).one()
    return int(total), int(overdue)
