"""What patients answer about their appointments: a log for the hospital's own system, to which the booking belongs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger.schema import appointment_answer
from alongside.model.enums import AppointmentAnswer

if TYPE_CHECKING:
    import pyarrow as pa

    from alongside.ledger.engine import Ledger

_END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Answered:
    """One answer.

    Attributes
    ----------
    source, appointment : the system that holds the booking, and its reference there
    start_at : as the patient saw it
    answered_at : patient time
    recorded_at : wall time
    """

    message_key: str
    person_id: str
    source: str
    appointment: str
    start_at: datetime
    answer: AppointmentAnswer
    answered_at: datetime
    recorded_at: datetime


def record(connection: Connection, answered: Answered) -> bool:
    """Append an answer; False where the same was answered last about this appointment at this moment."""
    last = latest(connection, answered.source, answered.appointment, answered.start_at)
    if last is not None and last.answer is answered.answer:
        return False
    connection.execute(appointment_answer.insert().values(**{**vars(answered), "answer": answered.answer.value}))
    return True


def latest(connection: Connection, source: str, appointment: str, start_at: datetime) -> Answered | None:
    """What was answered last, by whichever message's link. Once it was moved, an appointment is asked about anew."""
    table = appointment_answer
    query = sa.select(table).where(table.c.source == source, table.c.appointment == appointment)
    query = query.where(table.c.start_at == start_at).order_by(table.c.seq.desc()).limit(1)
    row = connection.execute(query).first()
    return None if row is None else _answered(row)


def since(connection: Connection, moment: datetime, *, history: bool = False) -> Sequence[Answered]:
    """Answers recorded from the moment on (wall time), in that order: of each appointment the last one, or all."""
    table = appointment_answer
    rows = connection.execute(sa.select(table).where(table.c.recorded_at >= moment).order_by(table.c.seq))
    found = [_answered(row) for row in rows]
    if history:
        return found
    last = {(one.source, one.appointment): one for one in found}
    return [one for one in found if last[one.source, one.appointment] is one]


def _answered(row: sa.Row[tuple[object, ...]]) -> Answered:
    values = dict(row._mapping)
    values.pop("seq")
    return Answered(**{**values, "answer": AppointmentAnswer(values["answer"])})


_ANSWERS = """
SELECT COALESCE(p.survivor_id, a.person_id) AS person_id, a.seq, a.answer, a.answered_at
FROM appointment_answer AS a LEFT JOIN person AS p ON p.person_id = a.person_id
WHERE a.answered_at <= :as_of
"""


def answers(ledger: Ledger, as_of: datetime | None = None) -> pa.Table:
    """Answers of living people up to the moment: person_id, seq, answer, answered_at."""
    return ledger.read_arrow(_ANSWERS, {"as_of": as_of or _END_OF_TIME})
