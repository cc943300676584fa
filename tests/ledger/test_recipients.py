"""The last look's short way to consent says what the rule itself says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alongside.ledger import Ledger, consent, schema
from alongside.ledger.consent import ConsentEvent
from alongside.ledger.recipients import standing_consent, waiting_recipients
from alongside.model.enums import Decision
from tests.fakes import key_of, plan

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
        living = [people[0], *people[2:]] if merged else people
        short = standing_consent(connection, living, "education", "email", now)
        rule = consent.decide(connection, living, "education", "email", now)
        abroad = consent.decide(connection, living, consent.CROSS_BORDER, "email", now)
    assert short.permitted == {person for person, (found, _) in rule.items() if found is Decision.PERMIT}
    assert short.kept_at_home == {person for person, (found, _) in abroad.items() if found is Decision.DENY}


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
        first, second = waiting_recipients(connection, str(batch_id))
    assert (first.key, first.person_id, bytes(first.sealed or b"")) == (key_of(1), "p-survivor", b"\x01sealed")
    assert (second.person_id, second.sealed) == (f"p{2:016x}", None)
    assert first.variables == {"age_band": "60-74"}
