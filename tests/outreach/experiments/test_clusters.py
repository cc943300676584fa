"""Households and clinics as what is assigned."""

from __future__ import annotations

import math
from collections import Counter

import pyarrow as pa
import pytest

from alongside.model.errors import Refused
from alongside.outreach.experiments import (
    Enrolment,
    ExperimentDefinition,
    Unit,
    assign_sticky,
    check,
    cluster_id,
    design,
    load,
)
from alongside.settings import Project
from tests.outreach.experiments.shipped import NOBODY, PEOPLE, SECRET, in_layer

HOMES = [f"home{number // 3}" for number in range(len(PEOPLE))]
NOBODY_AT_HOME = pa.table({name: pa.array([], pa.string()) for name in ("unit", "variant", "cluster_id")})


def _at_home(definition: ExperimentDefinition, **changes: object) -> ExperimentDefinition:
    return definition.model_copy(update={"unit": Unit.HOUSEHOLD, **changes})


def _by_home(
    definition: ExperimentDefinition, people: list[str], homes: list[str | None], **more: pa.Table | pa.Array
) -> list[dict[str, str | None]]:
    enrolment = Enrolment(**{"existing": NOBODY, "settled": NOBODY_AT_HOME, **more})
    return assign_sticky(SECRET, definition, pa.array(people), enrolment, pa.array(homes, pa.string())).to_pylist()


def test_a_household_is_never_split(definition: ExperimentDefinition):
    rows = _by_home(_at_home(definition), PEOPLE, HOMES)
    arms: dict[str, set[str]] = {}
    for home, row in zip(HOMES, rows, strict=True):
        arms.setdefault(home, set()).add(row["variant"])
    assert {len(found) for found in arms.values()} == {1}
    sizes = Counter(next(iter(found)) for found in arms.values())
    assert sizes["control"] / len(arms) == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / len(arms)))


def test_the_id_of_a_household_is_a_pseudonym_of_this_experiment(definition: ExperimentDefinition):
    rows = _by_home(_at_home(definition), PEOPLE[:6], HOMES[:6])
    ids = [row["cluster_id"] for row in rows]
    assert ids[:3] == [cluster_id(SECRET, definition.name, "home0")] * 3
    assert ids[3:] == [cluster_id(SECRET, definition.name, "home1")] * 3
    other = _by_home(_at_home(definition, name="another"), PEOPLE[:6], HOMES[:6])
    assert not set(ids) & {row["cluster_id"] for row in other}
    assert all(len(one) == 16 and "home" not in one for one in ids)


def test_a_newcomer_joins_the_arm_of_the_household(definition: ExperimentDefinition):
    """Also when the hash would say otherwise: the household's key changed, or the shares did."""
    (drawn,) = {row["variant"] for row in _by_home(_at_home(definition), PEOPLE[:1], HOMES[:1])}
    other = "personal" if drawn == "control" else "control"
    existing = pa.table({"person_id": PEOPLE[:1], "variant": [other]})
    settled = pa.table({"unit": ["home0"], "variant": [other], "cluster_id": ["c" * 16]})
    rows = _by_home(_at_home(definition), PEOPLE[:3], HOMES[:3], existing=existing, settled=settled)
    assert [row["variant"] for row in rows] == [other] * 3
    assert [row["is_new"] for row in rows] == [False, True, True]
    assert {row["cluster_id"] for row in rows[1:]} == {"c" * 16}


def test_who_has_no_clinic_is_in_no_arm(definition: ExperimentDefinition):
    rows = _by_home(_at_home(definition, unit=Unit.CLINIC), PEOPLE[:2], [None, "Cardiology"])
    assert (rows[0]["variant"], rows[0]["is_new"], rows[0]["cluster_id"]) == (None, False, None)
    assert rows[1]["variant"]


def test_a_household_lies_in_the_layer_as_a_whole(definition: ExperimentDefinition):
    wide = [in_layer(_at_home(definition), *bounds) for bounds in ((0, 0.5), (0.5, 1))]
    parts = [{h for h, row in zip(HOMES, _by_home(one, PEOPLE, HOMES), strict=True) if row["variant"]} for one in wide]
    assert not parts[0] & parts[1]
    assert parts[0] | parts[1] == set(HOMES)


def test_a_household_that_another_experiment_of_the_layer_has_stays_out(definition: ExperimentDefinition):
    whole = in_layer(_at_home(definition), 0, 1)
    rows = _by_home(whole, PEOPLE[:6], HOMES[:6], taken=pa.array(["home0"]))
    assert [row["variant"] is None for row in rows] == [True] * 3 + [False] * 3


CLUSTERED = "{base_rate: 0.15, minimum_effect: 0.08, planned_days: 12, cluster_size: 2.5, cluster_icc: 0.1}"


def _in_clusters(project: Project, unit: str, design: str, subgroups: str = "") -> list[str]:
    """The shipped experiment with another unit and design."""
    path = project.config / "experiments" / "hypertension_review_wording.yaml"
    text = path.read_text("utf-8").replace("unit: person", f"unit: {unit}")
    head, _ = text.split("subgroups:")
    path.write_text(f"{head}{subgroups}design: {design}\ndecide: ship_winner\n", "utf-8")
    return [str(finding) for finding in check(project)]


@pytest.mark.parametrize("unit", ["household", "clinic"])
def test_a_design_in_clusters_is_read(project: Project, unit: str):
    assert _in_clusters(project, unit, CLUSTERED) == []
    assert load(project)["hypertension_review_wording"].unit == unit


@pytest.mark.parametrize(
    ("unit", "design", "subgroups", "words"),
    [
        ("household", CLUSTERED.replace(", cluster_icc: 0.1", ""), "", "needs design.cluster_icc"),
        ("clinic", CLUSTERED.replace("cluster_size: 2.5, ", ""), "", "needs design.cluster_size"),
        ("clinic", CLUSTERED.replace("}", ", looks: daily}"), "", "would not be independent"),
        ("household", CLUSTERED, "subgroups: [gender]\n", "subgroups: compares people"),
        ("household", CLUSTERED, "stratify_by: gender\n", "stratify_by: compares people"),
        ("household", CLUSTERED, "bandit: {}\n", "shares follow the results of people"),
        ("person", CLUSTERED, "", "belongs to a unit of household or clinic"),
        ("family", CLUSTERED, "", "unit"),
    ],
)  # fmt: skip
def test_a_design_that_clusters_cannot_have_is_refused(
    project: Project, unit: str, design: str, subgroups: str, words: str
):
    found = _in_clusters(project, unit, design, subgroups)
    path = project.config / "experiments" / "hypertension_review_wording.yaml"
    lines = path.read_text("utf-8").splitlines()
    places = [
        number
        for number, line in enumerate(lines, 1)
        if line.startswith(("design:", "subgroups:", "stratify_by:", "bandit:", "unit:"))
    ]
    assert any(words in text and any(f"wording.yaml:{line}:" in text for line in places) for text in found), found


def test_people_who_are_alike_tell_less(once: ExperimentDefinition):
    planned = once.design.model_copy(update={"cluster_size": 2.5, "cluster_icc": 0.1})
    homes = _at_home(once, design=planned)
    alone, together = design(once, 900), design(homes, 900)
    assert together.design_effect == pytest.approx(1.15)  # 1 + (2.5 - 1) * 0.1
    assert together.people_needed == pytest.approx(alone.people_needed * 1.15 + 2 * 2.5, abs=2)
    assert alone.powered
    assert together.power < alone.power
    assert together.detectable_effect > alone.detectable_effect
    assert design(homes, int(900 * 1.15)).power == pytest.approx(alone.power, abs=0.002)
    chances = [(one.power, other.power) for one, other in zip(together.guardrails, alone.guardrails, strict=True)]
    assert all(one <= other for one, other in chances)
    assert any(one < other for one, other in chances)


def test_few_large_clinics_are_never_enough(once: ExperimentDefinition):
    """Six clinics an arm at the least, whatever the people in them."""
    planned = once.design.model_copy(update={"cluster_size": 500.0, "cluster_icc": 0.0})
    assert design(_at_home(once, unit=Unit.CLINIC, design=planned), 5000).people_needed == 2 * 6 * 500


def test_a_design_that_does_not_say_how_people_are_clustered_is_refused(once: ExperimentDefinition):
    with pytest.raises(Refused, match="cluster_icc"):
        design(_at_home(once), 900)
