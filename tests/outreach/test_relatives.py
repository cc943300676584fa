"""Messages about a patient to somebody else: who is told, on what word, and who is not."""

from __future__ import annotations

from typing import Any

import pytest

from alongside.model.enums import Gate, Purpose, Written
from tests.outreach.test_gates import World, campaign, person

CHILD = {"person_id": "child", "age": 6, "email_state": "missing", "email_blind": None}
MOTHER = {"person_id": "mother", "age": 35, "email_blind": "b-mother"}
FATHER = {"person_id": "father", "age": 37, "email_blind": "b-father"}
OLD = {"person_id": "old", "age": 81}
DAUGHTER = {"person_id": "daughter", "age": 50, "email_blind": "b-daughter"}


def _child(**changes: Any) -> World:
    people = [person(**CHILD), person(**MOTHER), person(**FATHER)]
    relations = [("child", "mother", "mother", None, "unknown"), ("child", "father", "father", None, "unknown")]
    return World(people, audience=("child",), **{"relations": relations, **changes})


def _old(decision: str = "permit", relations: Any = None, topics_off: Any = (), **changes: Any) -> World:
    people = [person(**OLD), person(**{**DAUGHTER, "topics_off": list(topics_off)})]
    known = relations or [("old", "daughter", "child", None, decision)]
    return World(people, audience=("old",), relations=known, **changes)


def _told(world: World, written: Written, **changes: Any) -> tuple[str | None, Gate]:
    (mask,) = world.masks(campaign(**changes), Purpose.CARE, written).values()
    (recipient,) = world.told.values()
    return recipient, mask


def test_a_child_is_not_written_to_and_their_parent_is() -> None:
    assert _told(_child(), Written.PATIENT)[1] & Gate.UNDER_AGE
    assert _told(_child(), Written.GUARDIAN) == ("mother", Gate.NONE)


def test_the_other_parent_is_told_where_the_first_did_not_agree() -> None:
    assert _told(_child(denied={"mother"}), Written.GUARDIAN) == ("father", Gate.NONE)
    assert _told(_child(denied={"mother", "father"}), Written.GUARDIAN) == ("mother", Gate.NO_CONSENT)


def test_a_campaign_may_name_whom_it_prefers() -> None:
    assert _told(_child(), Written.GUARDIAN, relatives=["father", "mother"]) == ("father", Gate.NONE)
    assert _told(_child(), Written.GUARDIAN, relatives=["guardian"]) == (None, Gate.NO_RELATIVE)


@pytest.mark.parametrize(
    "relation", [("mother", False, "unknown"), ("mother", None, "deny"), ("sibling", None, "permit")]
)
def test_who_may_not_decide_is_not_told_as_guardian(relation: tuple[str, bool | None, str]) -> None:
    world = _child(relations=[("child", "mother", *relation)])
    assert _told(world, Written.GUARDIAN) == (None, Gate.NO_RELATIVE)


def test_a_legal_guardian_comes_before_the_parents_and_decides_for_an_adult() -> None:
    ward = _child(
        relations=[("child", "mother", "mother", None, "unknown"), ("child", "father", "other", True, "unknown")]
    )
    assert _told(ward, Written.GUARDIAN) == ("father", Gate.NONE)
    adult = _old(relations=[("old", "daughter", "child", True, "unknown")])
    assert _told(adult, Written.GUARDIAN) == ("daughter", Gate.NONE)
    assert _told(adult, Written.PATIENT)[1] == Gate.UNDER_AGE


@pytest.mark.parametrize(("decision", "gate"), [("unknown", "nobody"), ("deny", "nobody"), ("permit", "")])
def test_family_hears_after_the_patients_own_yes_and_never_without(decision: str, gate: str) -> None:
    expected = (None, Gate.NO_RELATIVE) if gate else ("daughter", Gate.NONE)
    assert _told(_old(decision), Written.FAMILY) == expected


def test_the_daughter_consents_for_herself_and_keeps_her_own_topics_and_budget() -> None:
    assert _told(_old(denied={"daughter"}), Written.FAMILY) == ("daughter", Gate.NO_CONSENT)
    assert _told(_old(denied={"old"}), Written.FAMILY) == (
        "daughter",
        Gate.NONE,
    )  # he reads no e-mail, and let her know
    assert _told(_old(topics_off=["hypertension"]), Written.FAMILY) == ("daughter", Gate.TOPIC_OFF)


def test_who_wants_none_of_it_for_himself_is_not_talked_about_either() -> None:
    assert _told(_old(refusing={"old"}), Written.FAMILY) == ("daughter", Gate.NO_CONSENT)
    assert _told(_old(refusing={"old"}), Written.PATIENT)[1] == Gate.NONE  # that is for his own consent to say


@pytest.mark.parametrize(
    ("changes", "gate"),
    [({"deceased": True}, Gate.DECEASED), ({"inpatient_now": True}, Gate.ADMITTED)],
)
def test_what_closes_for_the_patient_closes_for_the_family(changes: dict[str, Any], gate: Gate) -> None:
    world = World(
        [person(**{**OLD, **changes}), person(**DAUGHTER)],
        audience=("old",),
        relations=[("old", "daughter", "child", None, "permit")],
    )
    assert _told(world, Written.FAMILY) == ("daughter", gate)


@pytest.mark.parametrize("changes", [{"deceased": True}, {"age": 12}])
def test_neither_the_dead_nor_children_are_told(changes: dict[str, Any]) -> None:
    world = World(
        [person(**OLD), person(**{**DAUGHTER, **changes})],
        audience=("old",),
        relations=[("old", "daughter", "child", None, "permit")],
    )
    assert _told(world, Written.FAMILY) == (None, Gate.NO_RELATIVE)


def test_it_was_said_about_the_patient_whoever_heard_it() -> None:
    world = _child(contacts=[("child", "b-mother", "review", "once", "2026-02-20", True)])
    assert _told(world, Written.GUARDIAN) == ("mother", Gate.ALREADY_SENT)
