"""Who gets which arm."""

from __future__ import annotations

import math
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alongside.model.ids import keyed_hash
from alongside.outreach.arms import NO_VARIANT, Arms
from alongside.outreach.experiments import Enrolment, ExperimentDefinition, assign, assign_sticky
from alongside.outreach.experiments.assignment import experiment_salt
from tests.outreach.experiments.shipped import MESSAGES, PEOPLE, PLAIN, SECRET, with_shares


def test_assignment_is_the_keyed_hash_of_the_person(definition: ExperimentDefinition):
    salt = experiment_salt(SECRET, definition.name)
    expected = ["control" if int(keyed_hash(salt, p, length=8), 16) < 2**63 else "personal" for p in PEOPLE[:500]]
    assert assign(SECRET, definition, PEOPLE[:500]).to_pylist() == expected


def test_assignment_depends_on_nobody_else(definition: ExperimentDefinition):
    whole = dict(zip(PEOPLE, assign(SECRET, definition, pa.array(PEOPLE)).to_pylist(), strict=True))
    backwards = PEOPLE[::-7]
    assert assign(SECRET, definition, backwards).to_pylist() == [whole[person] for person in backwards]
    chunked = pa.chunked_array([pa.array(PEOPLE[:11]), pa.array(PEOPLE[11:30])])
    assert assign(SECRET, definition, chunked).to_pylist() == [whole[person] for person in PEOPLE[:30]]


def test_nobody_is_no_error(definition: ExperimentDefinition):
    assert assign(SECRET, definition, []).to_pylist() == []


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (0.2, 0.3, 0.5), (1 / 3, 1 / 3, 1 / 3), (0.99, 0.01)])
def test_shares_are_kept(definition: ExperimentDefinition, shares: tuple[float, ...]):
    counts = Counter(assign(SECRET, with_shares(definition, *shares), PEOPLE).to_pylist())
    for index, share in enumerate(shares):
        tolerance = 4 * math.sqrt(share * (1 - share) / len(PEOPLE))
        assert counts[f"arm_{index}"] / len(PEOPLE) == pytest.approx(share, abs=tolerance)


def test_another_experiment_or_secret_shuffles_anew(definition: ExperimentDefinition):
    other = definition.model_copy(update={"name": "another_experiment"})
    first = assign(SECRET, definition, PEOPLE).to_pylist()
    for second in (assign(SECRET, other, PEOPLE).to_pylist(), assign(b"x" * 32, definition, PEOPLE).to_pylist()):
        same = sum(a == b for a, b in zip(first, second, strict=True)) / len(PEOPLE)
        assert same == pytest.approx(0.5, abs=0.02)


@given(st.floats(0.05, 0.9), st.floats(0.01, 0.09))
@settings(max_examples=20, deadline=None)
def test_a_growing_share_takes_nobody_away(share: float, more: float):
    """Who is in a first arm of 30 % is in it at 35 % too: shares are consecutive ranges."""
    base = ExperimentDefinition.model_validate(PLAIN)
    small = assign(SECRET, with_shares(base, share, 1 - share), PEOPLE[:2000]).to_pylist()
    large = assign(SECRET, with_shares(base, share + more, 1 - share - more), PEOPLE[:2000]).to_pylist()
    assert all(b == "arm_0" for a, b in zip(small, large, strict=True) if a == "arm_0")


def test_who_has_an_arm_keeps_it(definition: ExperimentDefinition):
    computed = assign(SECRET, definition, PEOPLE[:6]).to_pylist()
    other = ["personal" if arm == "control" else "control" for arm in computed]
    existing = pa.table({"person_id": PEOPLE[:3], "variant": other[:3]})
    result = assign_sticky(SECRET, definition, pa.array(PEOPLE[:6]), Enrolment(existing)).to_pydict()
    assert result["variant"] == other[:3] + computed[3:]
    assert result["is_new"] == [False] * 3 + [True] * 3


def test_an_arm_that_was_removed_gets_the_controls_message(definition: ExperimentDefinition):
    existing = pa.table({"person_id": PEOPLE[:1], "variant": ["retired"]})
    result = assign_sticky(SECRET, definition, pa.array(PEOPLE[:1]), Enrolment(existing))
    assert result.select(["variant", "is_new"]).to_pylist() == [{"variant": "control", "is_new": False}]


def test_nobody_assigned_yet(definition: ExperimentDefinition):
    existing = pa.table({"person_id": pa.array([], pa.string()), "variant": pa.array([], pa.string())})
    result = assign_sticky(SECRET, definition, pa.chunked_array([pa.array(PEOPLE[:4])]), Enrolment(existing))
    assert result.column("is_new").to_pylist() == [True] * 4


def test_moving_shares_change_who_gets_what_and_nothing_else(definition: ExperimentDefinition):
    moved = definition.with_shares({"control": 0.1, "personal": 0.9})
    assert moved.shares == {"control": 0.1, "personal": 0.9}
    assert moved.messages == definition.messages
    people = [f"p{number:012x}" for number in range(4000)]
    arms = assign(SECRET, moved, people).to_pylist()
    assert 0.87 < arms.count("personal") / len(arms) < 0.93


@pytest.mark.parametrize(("decided", "message"), [("personal", MESSAGES[1]), ("renamed_since", MESSAGES[0])])
def test_a_decided_experiment_never_starts_again(definition: ExperimentDefinition, decided: str, message: str):
    """Also when the file has lost the variant: nobody is assigned, and the control's message is the safe one."""
    arms = Arms.decided(definition, decided)
    assert (arms.experiment, arms.messages) == (None, {NO_VARIANT: message})
