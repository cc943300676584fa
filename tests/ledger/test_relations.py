"""Who may hear about a patient: what was decided last stands, on both stores."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alongside.ledger import Ledger, people, relations, schema
from alongside.ledger.relations import fact_of, may_hear
from alongside.model.enums import Decision, Written
from alongside.model.errors import Refused

START = datetime(2026, 1, 1, tzinfo=UTC)
PAIR = ("father", "daughter")


def _say(ledger: Ledger, decision: str, day: float, **changes: Any) -> None:
    at = START + timedelta(days=day)
    row = {
        "person_id": "father",
        "related_id": "daughter",
        "relationship": "child",
        "decides": None,
        "decision": decision,
        "decided_at": at,
        "recorded_at": at,
        "origin": "extract:crm",
        "evidence": "",
        **changes,
    }
    names = ("person_id", "related_id", "relationship", "decides", "decision", "decided_at", "origin")
    row["fact"] = fact_of(*(row[name] for name in names))
    with ledger.begin() as connection:
        connection.execute(schema.relation_event.insert().values(row))


def _hears(ledger: Ledger, written: Written = Written.FAMILY, day: float = 100, pair: tuple[str, str] = PAIR) -> bool:
    with ledger.reading() as connection:
        return may_hear(connection, [(pair, written)], START + timedelta(days=day)) == {pair}


@pytest.mark.parametrize(
    ("said", "family", "guardian"),
    [
        ([], False, False),
        ([("unknown", 1)], False, True),
        ([("permit", 1)], True, True),
        ([("permit", 1), ("deny", 2)], False, False),
        ([("deny", 2), ("permit", 1)], False, False),  # delivered again later, decided earlier
        ([("deny", 1), ("permit", 2)], True, True),
        ([("permit", 1), ("deny", 1)], False, False),
        ([("deny", 1), ("permit", 1)], False, False),
        ([("permit", 200)], False, False),
    ],
)
def test_what_was_decided_last_stands(
    ledger: Ledger, said: list[tuple[str, float]], family: bool, guardian: bool
) -> None:
    for decision, day in said:
        _say(ledger, decision, day)
    assert _hears(ledger) is family
    assert _hears(ledger, Written.GUARDIAN) is guardian
    known = relations.all_relations(ledger, START + timedelta(days=100)).to_pylist()
    assert len(known) == (0 if not said or said[-1][1] > 100 else 1)


def test_records_of_one_person_share_their_relations(ledger: Ledger) -> None:
    with ledger.begin() as connection:
        values = [{"person_id": one, "minted_at": START} for one in ("father", "daughter", "father2")]
        connection.execute(schema.person.insert(), values)
    _say(ledger, "permit", 1)
    _say(ledger, "deny", 2, person_id="father2")
    assert _hears(ledger)
    with ledger.begin() as connection:
        people.merge(connection, [people.Merge("father", "father2", "test")], START)
    assert not _hears(ledger)
    assert not _hears(ledger, pair=("father2", "daughter"))


def test_what_a_patient_tells_the_staff_is_not_revived_by_the_next_extract(ledger: Ledger) -> None:
    _say(ledger, "permit", 1)
    with ledger.begin() as connection:
        now = START + timedelta(days=10)
        assert relations.decide(connection, *PAIR, Decision.DENY, now, by="nurse", evidence="call")
        assert not relations.decide(connection, *PAIR, Decision.DENY, now, by="nurse", evidence="call")
    _say(ledger, "permit", 1, origin="extract:his")
    assert not _hears(ledger)
    with ledger.begin() as connection:
        later = START + timedelta(days=20)
        assert relations.decide(connection, *PAIR, Decision.PERMIT, later, by="nurse", evidence="form 8")
    assert _hears(ledger)
    lines = ledger.read_arrow("SELECT actor, action, subject FROM audit ORDER BY seq").to_pylist()
    assert [(line["actor"], line["action"]) for line in lines] == [
        ("nurse", "relative.deny"),
        ("nurse", "relative.permit"),
    ]


def test_strangers_are_no_relatives(ledger: Ledger) -> None:
    with ledger.begin() as connection, pytest.raises(Refused, match="not known as relatives"):
        relations.decide(connection, "father", "stranger", Decision.PERMIT, START, by="nurse", evidence="form")


@pytest.mark.parametrize("side", [0, 1])
def test_a_no_holds_for_both_sides_of_a_split(ledger: Ledger, side: int) -> None:
    """Whoever was one person when the patient said no: neither is told, and of neither."""
    one, other = PAIR[side], "other"
    with ledger.begin() as connection:
        values = [{"person_id": person, "minted_at": START} for person in (*PAIR, other)]
        connection.execute(schema.person.insert(), values)
        people.merge(connection, [people.Merge(one, other, "test")], START)
    apart = {"person_id": other} if side == 0 else {"related_id": other}
    _say(ledger, "permit", 1)
    _say(ledger, "permit", 1, **apart)
    with ledger.begin() as connection:
        now = START + timedelta(days=10)
        relations.decide(connection, *PAIR, Decision.DENY, now, by="nurse", evidence="call")
        people.split(connection, one, [other], "test", START + timedelta(days=20))
    pairs = [PAIR, (other, PAIR[1]) if side == 0 else (PAIR[0], other)]
    assert [_hears(ledger, pair=pair) for pair in pairs] == [False, False]


@pytest.mark.parametrize("evidence", ["", "  "])
def test_a_yes_without_evidence_is_refused(ledger: Ledger, evidence: str) -> None:
    """A no needs none: whoever asks that nothing be told is not asked for a form."""
    with pytest.raises(Refused, match="a yes needs evidence"), ledger.begin() as connection:
        relations.decide(connection, *PAIR, Decision.PERMIT, START, by="nurse", evidence=evidence)
