"""What the ledger remembers of experiments, alike on both stores."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import sqlalchemy as sa

from alongside.ledger import Ledger, experiments, schema

DAY_1 = datetime(2026, 3, 1, 0, 0, tzinfo=UTC)
NAME = "wording"


def _register(ledger: Ledger, digest: str = "h1", at: datetime = DAY_1) -> experiments.Registration:
    with ledger.begin() as connection:
        return experiments.register(
            connection, NAME, {"name": NAME}, digest, config_commit="c", analysis_version="1", at=at
        )


def _people(ledger: Ledger, **survivors: str | None) -> None:
    rows = [{"person_id": p, "minted_at": DAY_1, "survivor_id": s} for p, s in survivors.items()]
    with ledger.begin() as connection:
        connection.execute(schema.person.insert(), rows)


def _rows(people: list[str], variants: list[str], at: datetime = DAY_1) -> pa.Table:
    moments = pa.array([at.replace(tzinfo=None)] * len(people), pa.timestamp("us"))
    channel = ["email"] * len(people)
    return pa.table({"person_id": people, "variant": variants, "assigned_at": moments, "channel": channel})


def _assigned(ledger: Ledger) -> dict[str, str]:
    table = experiments.assignments(ledger, NAME)
    return dict(zip(table.column("person_id").to_pylist(), table.column("variant").to_pylist(), strict=True))


def test_launching_twice_is_launching_once(ledger: Ledger):
    first = _register(ledger)
    again = _register(ledger, at=DAY_1 + timedelta(days=3))
    assert again == first
    assert (first.launched_at, first.exploratory_since, first.winner) == (DAY_1, None, None)


def test_an_edit_after_launch_is_remembered_for_good(ledger: Ledger):
    _register(ledger)
    edited = _register(ledger, "h2", DAY_1 + timedelta(days=2))
    back = _register(ledger, "h1", DAY_1 + timedelta(days=4))
    assert edited.definition_hash == "h1"
    assert edited.exploratory_since == back.exploratory_since == DAY_1 + timedelta(days=2)
    with ledger.begin() as connection:
        actions = connection.execute(sa.select(schema.audit.c.action)).scalars().all()
    assert actions == ["experiment.launch", "experiment.edited"]


def test_unknown_experiment_is_none(ledger: Ledger):
    with ledger.begin() as connection:
        assert experiments.read(connection, "nobody") is None
    assert experiments.assignments(ledger, "nobody").num_rows == 0


def test_the_first_decision_stands(ledger: Ledger):
    _register(ledger)
    with ledger.begin() as connection:
        assert experiments.decide(connection, NAME, {"variant": "personal"}, DAY_1)
        assert not experiments.decide(connection, NAME, {"variant": "control"}, DAY_1 + timedelta(days=1))
        found = experiments.read(connection, NAME)
    assert found is not None
    assert (found.winner, found.decided_at) == ("personal", DAY_1)


def test_a_result_as_of_the_same_moment_is_replaced(ledger: Ledger):
    with ledger.begin() as connection:
        experiments.save_result(connection, NAME, DAY_1, "r1", "not_mature", {"x": 1})
        experiments.save_result(connection, NAME, DAY_1, "r2", "not_mature", {"x": 2})
        experiments.save_result(connection, NAME, DAY_1 + timedelta(days=1), "r3", "ship", {"x": 3})
        stored = experiments.results(connection, NAME)
    assert [(item.run_id, item.result) for item in stored] == [("r2", {"x": 2}), ("r3", {"x": 3})]


def test_who_has_an_arm_keeps_it(ledger: Ledger):
    _people(ledger, a=None, b=None)
    assert experiments.insert_assignments(ledger, NAME, _rows(["a"], ["control"]), "r1") == 1
    assert experiments.insert_assignments(ledger, NAME, _rows(["a", "b"], ["personal"] * 2), "r2") == 1
    assert _assigned(ledger) == {"a": "control", "b": "personal"}


def test_the_household_of_an_assignment_is_remembered(ledger: Ledger):
    """Those who were assigned alone have none; of two merged people the earlier one's counts."""
    _people(ledger, a="b", b=None, c=None)
    for person, at, cluster in (("b", 1, "later"), ("a", 0, "first")):
        rows = _rows([person], ["control"], DAY_1 + timedelta(days=at)).append_column("cluster_id", [[cluster]])
        experiments.insert_assignments(ledger, NAME, rows, "r1")
    experiments.insert_assignments(ledger, NAME, _rows(["c"], ["control"]), "r1")
    table = experiments.assignments(ledger, NAME)
    found = dict(zip(table.column("person_id").to_pylist(), table.column("cluster_id").to_pylist(), strict=True))
    assert found == {"b": "first", "c": None}


def test_a_merge_moves_the_arm_to_the_survivor(ledger: Ledger):
    """Also along a chain: a was merged into b, b later into c."""
    _people(ledger, a="b", b="c", c=None)
    experiments.insert_assignments(ledger, NAME, _rows(["a"], ["personal"]), "r1")
    assert _assigned(ledger) == {"c": "personal"}


def test_two_merged_people_keep_the_earlier_arm_and_count_once(ledger: Ledger):
    _people(ledger, a="b", b=None)
    experiments.insert_assignments(ledger, NAME, _rows(["b"], ["control"], DAY_1 + timedelta(days=1)), "r2")
    experiments.insert_assignments(ledger, NAME, _rows(["a"], ["personal"], DAY_1), "r1")
    assert _assigned(ledger) == {"b": "personal"}


def test_a_circle_of_merges_ends(ledger: Ledger):
    _people(ledger, a="b", b="a")
    experiments.insert_assignments(ledger, NAME, _rows(["a"], ["control"]), "r1")
    assert _assigned(ledger) == {"a": "control"}


def _message(key: str, person: str, variant: str, **more: object) -> dict[str, object]:
    return {
        "message_key": key, "batch_id": "b", "run_id": "r", "campaign": "c", "occurrence": "o", "person_id": person,
        "subject_person_id": person, "purpose": "care", "channel": "email", "template": "t", "template_hash": "h1",
        "locale": "en", "experiment": NAME, "variant": variant, "address_blind": key, "variables": {},
        "state": "accepted", "planned_at": DAY_1, "accepted_at": DAY_1, "updated_at": DAY_1, **more,
    }  # fmt: skip


def _event(event: str, key: str, kind: str, machine: bool = False) -> dict[str, object]:
    return {
        "event_id": event, "message_key": key, "kind": kind, "occurred_at": DAY_1, "received_at": DAY_1,
        "machine": machine, "detail": "",
    }  # fmt: skip


def test_events_are_those_of_people_under_their_living_identity(ledger: Ledger):
    _people(ledger, a="b", b=None, z=None)
    with ledger.begin() as connection:
        connection.execute(schema.message.insert(), [_message("m1", "a", "control")])
        connection.execute(schema.message.insert(), [_message("m2", "z", "control", experiment="other")])
        events = [_event("1", "m1", "click"), _event("2", "m1", "click", machine=True), _event("3", "m2", "click")]
        connection.execute(schema.delivery_event.insert(), [*events, _event("4", "m1", "open")])
    found = experiments.events(ledger, NAME, ["click", "unsubscribe"])
    assert found.select(["person_id", "kind"]).to_pylist() == [{"person_id": "b", "kind": "click"}]
    assert found.schema.field("occurred_at").type == pa.timestamp("us")
    assert experiments.events(ledger, NAME, []).num_rows == 0


def test_delivery_is_counted_per_variant_and_message(ledger: Ledger):
    with ledger.begin() as connection:
        rows = [_message("m1", "a", "control"), _message("m2", "b", "control"), _message("m3", "c", "personal")]
        connection.execute(schema.message.insert(), rows)
        withheld = _message("m4", "d", "personal", state="withheld", accepted_at=None)
        connection.execute(schema.message.insert(), [withheld])
        events = [_event("1", "m1", "delivered"), _event("2", "m1", "click"), _event("3", "m1", "click")]
        connection.execute(schema.delivery_event.insert(), [*events, _event("4", "m3", "click", machine=True)])
    counts = experiments.delivery_by_variant(ledger, NAME)
    assert (counts["control"]["accepted"], counts["control"]["delivered"], counts["control"]["clicked"]) == (2, 1, 1)
    assert (counts["personal"]["planned"], counts["personal"]["withheld"], counts["personal"]["clicked"]) == (2, 1, 0)


def test_a_text_edited_under_way_is_found(ledger: Ledger):
    with ledger.begin() as connection:
        rows = [_message("m1", "a", "control"), _message("m2", "b", "personal")]
        edited = {"template_hash": "h2", "planned_at": DAY_1 + timedelta(days=1)}
        rows += [_message("m3", "c", "personal", **edited), _message("m4", "d", "control", locale="zh_CN")]
        connection.execute(schema.message.insert(), rows)
    assert experiments.edited_variants(ledger, NAME, until=DAY_1 + timedelta(days=1)) == ["personal"]
    assert experiments.edited_variants(ledger, NAME, until=DAY_1 + timedelta(hours=23)) == []
