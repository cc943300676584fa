"""The last look's short way to consent says what the rule itself says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from alongside.ledger import Ledger, consent, schema
from alongside.ledger.consent import ConsentEvent
from alongside.ledger.messages import plan_batches
from alongside.ledger.recipients import standing_consent, waiting_recipients
from alongside.model.enums import Decision
from tests.fakes import key_of, plan, plan_rows

DAY_0 = datetime(2026, 1, 1, tzinfo=UTC)
_EXAMPLE = count()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return Ledger.open(f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.db'}")


event = st.tuples(
    st.integers(0, 3),  # person
    st.sampled_from(["education", "marketing", "cross_border"]),
    st.sampled_from(["email", "sms", "*"]),
    st.sampled_from(list(Decision)),
    st.integers(0, 6),  # day
    st.sampled_from(["", "form"]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events=st.lists(event, max_size=12), merged=st.booleans(), today=st.integers(0, 6))
def test_the_short_way_agrees_with_the_rule(
    shared: Ledger, events: list[tuple[int, str, str, Decision, int, str]], merged: bool, today: int
) -> None:
    example = next(_EXAMPLE)
    people = [f"p{example}-{number}" for number in range(4)]
    now = DAY_0 + timedelta(days=today)
    with shared.begin() as connection:
        for number, person in enumerate(people):
            survivor = people[0] if merged and number == 1 else None
            connection.execute(schema.person.insert().values(person_id=person, minted_at=DAY_0, survivor_id=survivor))
        said = [
            ConsentEvent(people[who], purpose, channel, decision, DAY_0 + timedelta(days=day), "staff:x", evidence)
            for who, purpose, channel, decision, day, evidence in events
        ]
        consent.record(connection, said, DAY_0)
        batch_id = _batch(connection, people, example)
        asked = ("education", "email", now)
        waiting = waiting_recipients(connection, batch_id, *asked)
        short = standing_consent(connection, waiting, *asked)
        living = {one.person_id for one in waiting}
        rule = consent.decide(connection, living, *asked)
        abroad = consent.decide(connection, living, consent.CROSS_BORDER, "email", now)
    assert living == ({people[0], *people[2:]} if merged else set(people))
    assert short.permitted == {person for person, (found, _) in rule.items() if found is Decision.PERMIT}
    assert short.kept_at_home & living == {person for person, (found, _) in abroad.items() if found is Decision.DENY}


def _batch(connection: Connection, people: Sequence[str], example: int) -> str:
    keys = [key_of(10 * example + number) for number in range(len(people))]
    rows = plan_rows(range(len(people)), message_key=keys, person_id=people)
    names = {"run_id": "r", "campaign": f"c{example}"}
    plan_batches(connection, rows, **names, planned_at=DAY_0, now=DAY_0, batch_size=1000)
    return "b" + keys[0]


def test_merged_people_are_read_as_their_survivor(ledger: Ledger) -> None:
    plan(ledger, [1, 2])
    with ledger.begin() as connection:
        moment = {"minted_at": DAY_0}
        connection.execute(schema.person.insert().values(person_id="p-survivor", **moment))
        merged = schema.person.insert().values(person_id=f"p{1:016x}", survivor_id="p-survivor", **moment)
        connection.execute(merged)
        vault = schema.vault_person.insert().values(person_id="p-survivor", sealed=b"\x01sealed", updated_at=DAY_0)
        connection.execute(vault)
        batch_id = connection.scalar(sa.select(schema.batch.c.batch_id))
        first, second = waiting_recipients(connection, str(batch_id), "education", "email", DAY_0)
    assert (first.key, first.person_id, bytes(first.sealed or b"")) == (key_of(1), "p-survivor", b"\x01sealed")
    assert (second.person_id, second.sealed) == (f"p{2:016x}", None)
    assert json.loads(first.written) == {"age_band": "60-74"}
    assert first.written not in repr(first)


def test_a_batch_is_read_without_looking_at_the_others(tmp_path: Path) -> None:
    """Otherwise SQLite would read every message of that state in the whole ledger, for each batch again."""
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    seen: list[str] = []
    plan(ledger, range(20), batch_size=5)
    sa.event.listen(ledger.engine, "before_cursor_execute", lambda *call: seen.append(call[2]))
    with ledger.reading() as connection:
        batch_id = str(connection.scalar(sa.select(schema.batch.c.batch_id)))
        assert len(waiting_recipients(connection, batch_id, "education", "email", DAY_0)) == 5
        blanks = (None,) * seen[-1].count("?")
        found = [str(row[-1]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {seen[-1]}", blanks)]
    assert any("ix_message_batch_id" in step for step in found)
    assert not any("SCAN" in step or "state" in step for step in found)
