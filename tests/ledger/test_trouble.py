"""The few messages of which something is to be done are found by an index that all others do not burden."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger import Ledger, deliveries, harm, schema
from alongside.ledger.deliveries import Filter
from alongside.ledger.messages import count_unknown
from alongside.model.enums import Channel
from tests.fakes import NOON, plan

QUESTIONS: dict[str, Callable[[Connection], object]] = {
    "unknown": count_unknown,
    "came back": lambda connection: harm.harm(connection, Channel.EMAIL, "hello", NOON),
    "overview": lambda connection: deliveries.overview(connection, Filter(), due=NOON, max_attempts=5),
    "dead letters": lambda connection: deliveries.dead_letters(connection, Filter(), due=NOON, max_attempts=5),
    "dead reasons": lambda connection: deliveries.dead_reasons(connection, Filter(), due=NOON, max_attempts=5),
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_who_looks_for_trouble_reads_nothing_else(tmp_path: Path, question: Callable[[Connection], object]) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    plan(ledger, range(4))
    seen: list[tuple[str, tuple[object, ...]]] = []
    sa.event.listen(ledger.engine, "before_cursor_execute", lambda *call: seen.append((call[2], call[3])))
    with ledger.reading() as connection:
        question(connection)
        asked = [one for one in seen if "message.state = 'unknown'" in one[0]]
        steps = [
            str(row[-1])
            for sql, values in asked
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
        ]
    assert asked
    assert any("ix_message_trouble" in step for step in steps), steps
    assert "SCAN message" not in steps, steps


def test_a_message_on_its_usual_way_is_not_in_the_index(ledger: Ledger) -> None:
    indexed = [index for index in schema.message.indexes if "state" in index.columns]
    assert [str(index.name) for index in indexed] == ["ix_message_trouble"]
    plan(ledger, range(2))
    with ledger.begin() as connection:
        connection.execute(
            schema.message.update().where(schema.message.c.message_key.is_not(None)).values(state="accepted")
        )
        count = sa.select(sa.func.count()).select_from(schema.message).where(schema.IN_TROUBLE)
        assert connection.scalar(count) == 0
        connection.execute(schema.message.update().values(state="unresolved"))
        assert connection.scalar(count) == 2
