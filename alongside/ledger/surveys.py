"""Answers to surveys: one a message, which counts as it was answered last. Words are sealed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from alongside.ledger.schema import survey_response

if TYPE_CHECKING:
    import pyarrow as pa

    from alongside.ledger.engine import Ledger

_END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Response:
    """One patient's answer.

    Attributes
    ----------
    scores : question -> number
    comment : sealed for `place_of(message_key)`; None where nothing was written
    thread_id : where the words reached a person
    answered_at : patient time
    """

    message_key: str
    person_id: str
    survey: str
    scores: Mapping[str, int]
    answered_at: datetime
    comment: bytes | None = None
    thread_id: str | None = None


def place_of(message_key: str) -> str:
    """What the words of this answer are sealed for."""
    return f"survey:{message_key}"


def find(connection: Connection, message_key: str) -> Response | None:
    """What was answered by this message's link."""
    row = connection.execute(sa.select(survey_response).where(survey_response.c.message_key == message_key)).first()
    if row is None:
        return None
    comment = bytes(row.comment) if row.comment is not None else None
    scores = {name: int(score) for name, score in row.scores.items()}
    return Response(row.message_key, row.person_id, row.survey, scores, row.answered_at, comment, row.thread_id)


def write(connection: Connection, response: Response, now: datetime) -> None:
    """Keep an answer in place of what this message's link had answered before."""
    values = {
        "person_id": response.person_id,
        "survey": response.survey,
        "scores": dict(response.scores),
        "comment": response.comment,
        "thread_id": response.thread_id,
        "answered_at": response.answered_at,
        "recorded_at": now,
    }
    table = survey_response
    insert = sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)
    statement = insert.values(message_key=response.message_key, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["message_key"], set_=values))


_ANSWERS = """
SELECT COALESCE(p.survivor_id, r.person_id) AS person_id, r.message_key, r.scores, r.answered_at
FROM survey_response AS r LEFT JOIN person AS p ON p.person_id = r.person_id
WHERE r.answered_at <= :as_of
"""


def answers(ledger: Ledger, as_of: datetime | None = None) -> pa.Table:
    """Answers of living people up to the moment: person_id, message_key, scores (JSON), answered_at."""
    return ledger.read_arrow(_ANSWERS, {"as_of": as_of or _END_OF_TIME})
