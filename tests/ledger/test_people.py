"""Merging and splitting people changes no key, no arm and no suppression; and a person's word outlives the next run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from alongside.ledger import Ledger, experiments, people, schema, suppressions
from alongside.model.errors import Refused
from alongside.model.ids import message_key

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SECRET = bytes(32)


@pytest.fixture
def known(ledger: Ledger) -> Ledger:
    """Six people of one record each, minted one after the other."""
    with ledger.begin() as connection:
        ids = [f"p{number}" for number in range(1, 7)]
        connection.execute(
            schema.person.insert(),
            [{"person_id": own, "minted_at": NOW + timedelta(days=place)} for place, own in enumerate(ids)],
        )
        connection.execute(
            schema.person_alias.insert(),
            [{"alias": f"a{own}", "source": "his", "person_id": own, "fingerprint": "f", "since": NOW} for own in ids],
        )
    return ledger


def _merge(ledger: Ledger, *pairs: tuple[str, str]) -> list[people.Merge]:
    with ledger.begin() as connection:
        return people.merge(connection, [people.Merge(one, two, "mrn") for one, two in pairs], NOW)


def _living(ledger: Ledger) -> dict[str, str]:
    with ledger.begin() as connection:
        return people.survivors(connection, [f"p{number}" for number in range(1, 7)] + ["stranger"])


def test_chains_of_merges_end_at_one_living_person(known: Ledger) -> None:
    _merge(known, ("p2", "p3"), ("p4", "p5"), ("p3", "p5"), ("p1", "p2"))
    assert _living(known) == {
        "p1": "p1", "p2": "p1", "p3": "p1", "p4": "p1", "p5": "p1", "p6": "p6", "stranger": "stranger",
    }  # fmt: skip
    assert _merge(known, ("p5", "p3")) == []
    table = people.resolution(known)
    assert sorted(table["person_id"].to_pylist()) == ["p2", "p3", "p4", "p5"]
    assert set(table["survivor_id"].to_pylist()) == {"p1"}
    with known.begin() as connection:
        assert set(people.members(connection, ["p1"])) == {"p1", "p2", "p3", "p4", "p5"}
        assert people.person_of(connection, "ap5") == "p1"
        assert people.person_of(connection, "never seen") is None
        kinds = [(event.kind, event.person_id, event.other_id) for event in people.history(connection, "p5")]
    assert kinds[0] == ("merge", "p4", "p5")
    assert kinds[-1] == ("merge", "p1", "p5")


def _assign(ledger: Ledger, person: str, variant: str, day: int) -> None:
    with ledger.begin() as connection:
        connection.execute(
            schema.assignment.insert().values(
                experiment="e",
                person_id=person,
                variant=variant,
                assigned_at=NOW + timedelta(days=day),
                run_id="r",
                channel="email",
            )
        )


def _arms(ledger: Ledger) -> dict[str, str]:
    return {row["person_id"]: row["variant"] for row in experiments.assignments(ledger, "e").to_pylist()}


def test_an_arm_survives_a_merge_and_both_arms_survive_a_split(known: Ledger) -> None:
    _assign(known, "p1", "control", 5)
    _assign(known, "p2", "warm", 3)
    _assign(known, "p4", "warm", 4)
    _merge(known, ("p1", "p2"), ("p3", "p4"))
    # the arm that was given first stands; who had none takes over the other's
    assert _arms(known) == {"p1": "warm", "p3": "warm"}
    with known.begin() as connection:
        people.split(connection, "p1", ["p2"], "review:desk", NOW)
    assert _arms(known) == {"p1": "control", "p2": "warm", "p3": "warm"}


def _sent(ledger: Ledger, person: str) -> str:
    key = message_key(SECRET, person, person, "campaign", "-", "2026-W09")
    with ledger.begin() as connection:
        row = {column.name: "" for column in schema.message.columns if not column.nullable}
        row |= {"message_key": key, "person_id": person, "subject_person_id": person, "campaign": "campaign"}
        row |= {"planned_at": NOW, "updated_at": NOW, "variables": {}, "address_blind": f"b{person}"}
        connection.execute(schema.message.insert().values(**row))
    return key


def _reached(ledger: Ledger) -> dict[str, set[str]]:
    """Keys of messages by the living person: what keeps a second one from being planned."""
    table = ledger.read_arrow(
        "SELECT COALESCE(r.survivor_id, m.person_id) AS person_id, m.message_key "
        "FROM message AS m LEFT JOIN person AS r ON r.person_id = m.person_id"
    )
    found: dict[str, set[str]] = {}
    for row in table.to_pylist():
        found.setdefault(row["person_id"], set()).add(row["message_key"])
    return found


def test_keys_of_messages_stay_and_resolve_to_the_survivor(known: Ledger) -> None:
    one, two = _sent(known, "p1"), _sent(known, "p2")
    _merge(known, ("p1", "p2"))
    assert _reached(known) == {"p1": {one, two}}
    with known.begin() as connection:
        people.split(connection, "p1", ["p2"], "review:desk", NOW)
    assert _reached(known) == {"p1": {one}, "p2": {two}}


def test_suppressions_belong_to_addresses_and_do_not_move(known: Ledger) -> None:
    with known.begin() as connection:
        suppressions.add(connection, [suppressions.Suppression("b2", "email", "all", "complaint", NOW, "x")])
    before = suppressions.listing(known)
    _merge(known, ("p1", "p2"))
    with known.begin() as connection:
        people.split(connection, "p1", ["p2"], "review:desk", NOW)
    assert suppressions.listing(known).equals(before)


def test_who_came_together_leaves_together(known: Ledger) -> None:
    _merge(known, ("p2", "p3"), ("p1", "p2"), ("p1", "p4"))
    with known.begin() as connection:
        people.decide_review(connection, ("ap1", "ap3"), "different", "desk", NOW)
    assert _living(known) == {
        "p1": "p1", "p2": "p2", "p3": "p2", "p4": "p1", "p5": "p5", "p6": "p6", "stranger": "stranger",
    }  # fmt: skip


def test_who_spoke_for_them_before_speaks_for_them_again(known: Ledger) -> None:
    """Keys and fresh assignments are made of the living id: it must be the one that they were made of before."""
    _merge(known, ("p3", "p2"), ("p1", "p3"))
    with known.begin() as connection:
        people.decide_review(connection, ("ap1", "ap2"), "different", "desk", NOW)
    assert (_living(known)["p2"], _living(known)["p3"], _living(known)["p1"]) == ("p3", "p3", "p1")


def test_a_split_of_strangers_or_of_the_survivor_is_refused(known: Ledger) -> None:
    _merge(known, ("p1", "p2"))
    for leaving in (["p3"], ["p1"], []):
        with pytest.raises(Refused, match="only ids that were merged"), known.begin() as connection:
            people.split(connection, "p1", leaving, "review:desk", NOW)


def test_the_word_of_a_person_is_kept_and_the_records_are_looked_at_again(known: Ledger) -> None:
    with known.begin() as connection:
        connection.execute(
            schema.match_review.insert(),
            [
                {"left_alias": "ap1", "right_alias": "ap2", "probability": 0.7, "seen_at": NOW},
                {"left_alias": "ap3", "right_alias": "ap4", "probability": 0.8, "seen_at": NOW},
            ],
        )
        waiting = people.reviews(connection)
        assert [(review.left_person, review.right_person) for review in waiting] == [("p3", "p4"), ("p1", "p2")]
        people.decide_review(connection, ("ap2", "ap1"), "same", "desk", NOW)
        people.decide_review(connection, ("ap3", "ap4"), "different", "desk", NOW)
        people.decide_review(connection, ("ap5", "ap6"), "same", "desk", NOW)
        assert people.reviews(connection) == []
        assert len(people.reviews(connection, undecided_only=False)) == 3
        marked = connection.execute(
            sa.select(schema.person_alias.c.alias).where(schema.person_alias.c.fingerprint == "")
        ).scalars()
        assert sorted(marked) == ["ap1", "ap2", "ap5", "ap6"]
    assert (_living(known)["p2"], _living(known)["p6"], _living(known)["p4"]) == ("p1", "p5", "p4")
    with pytest.raises(Refused, match="no record is known"), known.begin() as connection:
        people.decide_review(connection, ("ap1", "nobody"), "same", "desk", NOW)
