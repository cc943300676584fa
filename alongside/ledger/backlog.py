"""What waits for a person, and when a run last came to its end: counts for whoever watches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger.schema import call_task, run, thread
from alongside.model.enums import CallStatus, ThreadStatus


@dataclass(frozen=True)
class Backlog:
    """`*_overdue` are those of the open ones whose deadline has passed. Times are wall time."""

    threads_open: int
    threads_overdue: int
    calls_open: int
    calls_overdue: int
    run_finished_at: datetime | None


def backlog(connection: Connection, now: datetime) -> Backlog:
    """Patients who wait for an answer, calls that nobody has made, and the end of the last completed run."""
    threads = _open(connection, thread, ThreadStatus.OPEN.value, now)
    calls = _open(connection, call_task, CallStatus.OPEN.value, now)
    finished = sa.select(sa.func.max(run.c.finished_at)).where(run.c.state == "completed")
    return Backlog(*threads, *calls, connection.execute(finished).scalar())


def _open(connection: Connection, table: sa.Table, status: str, now: datetime) -> tuple[int, int]:
    late = sa.func.coalesce(sa.func.sum(sa.case((table.c.due_at < now, 1), else_=0)), 0)
    total, overdue = connection.execute(sa.select(sa.func.count(), late).where(table.c.status == status)).one()
    return int(total), int(overdue)
