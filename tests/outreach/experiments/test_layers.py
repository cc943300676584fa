"""Slices of a layer share nobody."""

from __future__ import annotations

import math
from collections import Counter

import pyarrow as pa
import pytest

from alongside.outreach.experiments import Enrolment, ExperimentDefinition, assign, assign_sticky, check
from alongside.outreach.experiments.assignment import in_slice
from alongside.settings import Project
from tests.outreach.experiments.shipped import NOBODY, PEOPLE, SECRET, in_layer, with_shares


def _enrolled(definition: ExperimentDefinition, people: list[str], **more: pa.Array) -> dict[str, str]:
    found = assign_sticky(SECRET, definition, pa.array(people), Enrolment(NOBODY, **more))
    assert found.column("is_new").to_pylist() == [arm is not None for arm in found.column("variant").to_pylist()]
    return {row["person_id"]: row["variant"] for row in found.to_pylist() if row["variant"]}


def test_experiments_of_a_layer_share_nobody_and_leave_nobody_out(definition: ExperimentDefinition):
    slices = [in_layer(definition, *bounds, f"part_{bounds[1]}") for bounds in ((0, 0.3), (0.3, 0.5), (0.5, 1))]
    parts = [set(_enrolled(part, PEOPLE)) for part in slices]
    assert sum(len(part) for part in parts) == len(set().union(*parts)) == len(PEOPLE)
    for part, one in zip(parts, slices, strict=True):
        assert len(part) / len(PEOPLE) == pytest.approx(one.reach, abs=4 * math.sqrt(0.25 / len(PEOPLE)))


def test_a_place_in_the_layer_says_nothing_about_the_arm(definition: ExperimentDefinition):
    """Chi-squared of tenths of the layer against arms: with one salt for both, a tenth would have one arm only."""
    shares = with_shares(definition, 0.2, 0.3, 0.5)
    table = []
    for tenth in range(10):
        arms = Counter(_enrolled(in_layer(shares, tenth / 10, (tenth + 1) / 10), PEOPLE).values())
        table.append([arms[f"arm_{index}"] for index in range(3)])
    assert sum(map(sum, table)) == len(PEOPLE)
    expected = [sum(row[index] for row in table) / len(PEOPLE) for index in range(3)]
    statistic = sum(
        (row[i] - sum(row) * expected[i]) ** 2 / (sum(row) * expected[i]) for row in table for i in range(3)
    )
    assert statistic < 42.3  # 18 degrees of freedom, p = .001


def test_another_layer_or_secret_cuts_anew(definition: ExperimentDefinition):
    half = in_layer(definition, 0, 0.5).layer
    other = half.model_copy(update={"name": "greetings"})
    first = in_slice(SECRET, half, PEOPLE).to_pylist()
    for second in (in_slice(SECRET, other, PEOPLE), in_slice(b"x" * 32, half, PEOPLE)):
        same = sum(a == b for a, b in zip(first, second.to_pylist(), strict=True)) / len(PEOPLE)
        assert same == pytest.approx(0.5, abs=0.02)


def test_a_layer_changes_nobodys_arm(definition: ExperimentDefinition):
    alone = dict(zip(PEOPLE, assign(SECRET, definition, PEOPLE).to_pylist(), strict=True))
    inside = _enrolled(in_layer(definition, 0.1, 0.4), PEOPLE)
    assert inside == {person: alone[person] for person in inside}


def test_who_is_in_another_experiment_of_the_layer_stays_out_of_this_one(definition: ExperimentDefinition):
    """A slice that was moved after the launch would otherwise share the people who were assigned before."""
    wide = in_layer(definition, 0, 1)
    taken = PEOPLE[:3]
    assert set(_enrolled(wide, PEOPLE[:10], taken=pa.array(taken))) == set(PEOPLE[3:10])


def test_who_has_an_arm_keeps_it_when_the_slice_moves_away(definition: ExperimentDefinition):
    outside = sorted(set(PEOPLE[:50]) - set(_enrolled(in_layer(definition, 0, 0.1), PEOPLE[:50])))[:2]
    existing = pa.table({"person_id": outside, "variant": ["personal", "retired"]})
    found = assign_sticky(SECRET, in_layer(definition, 0, 0.1), pa.array(outside), Enrolment(existing))
    assert found.column("variant").to_pylist() == ["personal", "control"]
    assert found.column("is_new").to_pylist() == [False, False]


def _second_of_layer(project: Project, first: str, second: str, **changes: str) -> list[str]:
    path = project.config / "experiments" / "hypertension_review_wording.yaml"
    text = path.read_text("utf-8")
    path.write_text(text + f"layer: {first}\n", "utf-8")
    text = text.replace("name: hypertension_review_wording", "name: other_wording")
    text = text.replace("campaign: hypertension_follow_up", "campaign: flu_vaccine")
    for old, new in changes.items():
        text = text.replace(old, new)
    (project.config / "experiments" / "other_wording.yaml").write_text(text + f"layer: {second}\n", "utf-8")
    return [str(finding) for finding in check(project)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{name: reminders, from: 0.0, to: 0.5}", "{name: reminders, from: 0.5, to: 1.0}"),
        ("{name: reminders, from: 0.0, to: 0.6}", "{name: greetings, from: 0.5, to: 1.0}"),
    ],
)
def test_slices_that_do_not_overlap_pass(project: Project, first: str, second: str):
    assert _second_of_layer(project, first, second) == []


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("{name: reminders, from: 0.0, to: 0.5}", "{name: reminders, from: 0.4, to: 1.0}",
         "the slice 0.4 to 1 of 'reminders' overlaps 0 to 0.5 of 'hypertension_review_wording' (take a free "
         "part, for example from 0.5)"),
        ("{name: reminders, from: 0.4, to: 1.0}", "{name: reminders, from: 0.0, to: 0.5}",
         "for example up to 0.4"),
        ("{name: reminders, from: 0.0, to: 0.5}", "{name: reminders, from: 0.6, to: 0.6}", "holds nobody"),
        ("{name: reminders, from: 0.0, to: 0.5}", "{name: reminders, from: 0.6, to: 1.2}", "less than or equal to 1"),
    ],
)  # fmt: skip
def test_overlapping_slices_are_refused(project: Project, first: str, second: str, words: str):
    found = _second_of_layer(project, first, second)
    line = (project.config / "experiments" / "other_wording.yaml").read_text("utf-8").count("\n")
    assert any(words in text and f"other_wording.yaml:{line}:" in text for text in found), found


def test_an_experiment_that_is_over_leaves_its_slice(project: Project):
    whole = "{name: reminders, from: 0.0, to: 1.0}"
    assert _second_of_layer(project, whole, whole, **{"decide: ship_winner": "enabled: false"}) == []


def test_one_layer_has_one_unit(project: Project):
    first, second = "{name: reminders, from: 0, to: 0.5}", "{name: reminders, from: 0.5, to: 1}"
    found = _second_of_layer(project, first, second, **{"unit: person": "unit: household"})
    assert any("with unit person: their slices would share people" in text for text in found), found
