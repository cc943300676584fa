"""Experiments as YAML: what is checked before launch, who gets which arm, and what the design can find."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alongside.content import load as load_content
from alongside.model.errors import ConfigurationInvalid, Refused
from alongside.model.ids import keyed_hash
from alongside.outreach import catalogues
from alongside.outreach.arms import NO_VARIANT, Arms
from alongside.outreach.experiments import (
    Enrolment,
    ExperimentDefinition,
    Layer,
    Looks,
    Unit,
    assign,
    assign_sticky,
    check,
    cluster_id,
    design,
    load,
    load_metrics,
    people_needed,
    unfit,
)
from alongside.outreach.experiments.assignment import experiment_salt, in_slice
from alongside.segments import load as load_segments
from alongside.settings import Project

ROOT = Path(__file__).resolve().parents[2]
SECRET = b"k" * 32
MESSAGES = ["follow_up/hypertension_review", "follow_up/hypertension_review_personal"]
CAMPAIGNS = ["hypertension_follow_up", "flu_vaccine"]
Edit = Callable[[str], str]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The shipped metrics and experiment, alone."""
    for folder in ("metrics", "experiments"):
        (tmp_path / "config" / folder).mkdir(parents=True)
    for file in (ROOT / "config" / "metrics").glob("*.yaml"):
        (tmp_path / "config" / "metrics" / file.name).write_text(file.read_text("utf-8"), "utf-8")
    name = "hypertension_review_wording.yaml"
    text = (ROOT / "config" / "experiments" / name).read_text("utf-8")
    (tmp_path / "config" / "experiments" / name).write_text(text, "utf-8")
    (tmp_path / "config" / "campaigns").mkdir()
    for campaign in CAMPAIGNS:
        (tmp_path / "config" / "campaigns" / f"{campaign}.yaml").write_text("{}", "utf-8")
    for message in MESSAGES:
        (tmp_path / "templates" / message).mkdir(parents=True)
        (tmp_path / "templates" / message / "message.yaml").write_text("{}", "utf-8")
    return Project.at(tmp_path)


@pytest.fixture
def definition(project: Project) -> ExperimentDefinition:
    return load(project)["hypertension_review_wording"]


def _edit(project: Project, path: str, old: str, new: str) -> None:
    file = project.config / path
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")


def _with_shares(definition: ExperimentDefinition, *shares: float) -> ExperimentDefinition:
    variants = [{"name": f"arm_{index}", "message": MESSAGES[0], "share": share} for index, share in enumerate(shares)]
    return ExperimentDefinition.model_validate({**definition.as_json(), "variants": variants, "control": "arm_0"})


# ------------------------------------------------------------------------------------------------------- definitions
def test_the_shipped_experiments_have_no_faults(project: Project):
    assert check(project) == []


def test_opt_out_complaint_no_show_and_delivery_guard_every_experiment(project: Project):
    path = "experiments/hypertension_review_wording.yaml"
    for margin in ("{metric: unsubscribed, margin: 0.03}", "{metric: complained, margin: 0.02}"):
        _edit(project, path, f"    - {margin}\n", "")
    guardrails = {item.metric.name: item.margin for item in load(project)["hypertension_review_wording"].guardrails}
    assert guardrails == {"delivered": 0.05, "unsubscribed": 0.02, "complained": 0.01, "no_show": 0.03}


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("message: follow_up/hypertension_review_personal", "message: follow_up/hypertension_reveiw",
         10, "unknown message 'follow_up/hypertension_reveiw' (did you mean 'follow_up/hypertension_review'?)"),
        ("campaign: hypertension_follow_up", "campaign: hypertention_follow_up",
         4, "did you mean 'hypertension_follow_up'?"),
        ("share: 0.5}\ncontrol", "share: 0.6}\ncontrol", 9, "shares sum to 1.1, not 1"),
        ("control: control", "control: contol", 11, "control 'contol' is not a variant (did you mean 'control'?)"),
        ("name: personal", "name: control", 10, "variant 'control' stands twice"),
        ("goal: booked_follow_up", "goal: booked_folow_up",
         14, "unknown metric 'booked_folow_up' (did you mean 'booked_follow_up'?)"),
        ("metric: complained", "metric: complaned", 17, "unknown metric 'complaned' (did you mean 'complained'?)"),
        ("minimum_effect: 0.09", "minimum_effect: 0.9", 23, "a rate of 0.15 cannot improve by 0.9"),
        ("alpha: 0.05", "alhpa: 0.05", 21, "is not a known field (did you mean 'alpha'?)"),
        ("decide: ship_winner", "decide: ship_winer", 27, "did you mean 'ship_winner'?"),
        ("planned_days: 12", "planned_days: 0", 26, "greater than or equal to 1"),
    ],
)  # fmt: skip
def test_a_fault_names_line_and_remedy(project: Project, old: str, new: str, line: int, words: str):
    _edit(project, "experiments/hypertension_review_wording.yaml", old, new)
    found = [str(finding) for finding in check(project)]
    assert any(words in text and f"hypertension_review_wording.yaml:{line}:" in text for text in found), found
    with pytest.raises(ConfigurationInvalid):
        load(project)


def test_a_mean_needs_arms_that_are_not_too_unequal(project: Project):
    path = "experiments/hypertension_review_wording.yaml"
    _edit(project, path, "share: 0.5}\n  - {name: personal", "share: 0.8}\n  - {name: personal")
    _edit(project, path, "review_personal, share: 0.5", "review_personal, share: 0.2")
    assert check(project) == []  # a rate may
    assert unfit(next(iter(load(project).values()))) == []
    _edit(project, path, "goal: booked_follow_up", "goal: days_to_reading")
    assert unfit(next(iter(load(project).values()))) == []  # and a quantile, too
    _edit(project, path, "goal: days_to_reading", "goal: visits")
    assert any("more unequal than 2 : 1" in str(finding) for finding in check(project))
    assert any("more unequal than 2 : 1" in reason for reason in unfit(next(iter(load(project).values()))))


def test_a_tiny_arm_is_not_launched_and_one_that_runs_goes_on(project: Project):
    path = "experiments/hypertension_review_wording.yaml"
    _edit(project, path, "share: 0.5}\n  - {name: personal", "share: 0.96}\n  - {name: personal")
    _edit(project, path, "review_personal, share: 0.5", "review_personal, share: 0.04")
    found = check(project)
    assert [(finding.severity, "a share of 0.04 proves nothing" in str(finding)) for finding in found] == [
        ("warning", True)
    ]
    assert unfit(next(iter(load(project).values()))) == [
        "experiment hypertension_review_wording: the share of 'personal' is below 0.05"
    ]


def test_a_quantile_needs_people_who_are_assigned_alone(project: Project):
    path = "experiments/hypertension_review_wording.yaml"
    _edit(project, path, "goal: booked_follow_up", "goal: days_to_reading")
    alone = people_needed(next(iter(load(project).values())))
    _edit(project, "metrics/days_to_reading.yaml", "quantile: 0.1", "quantile: 0.5")
    assert people_needed(next(iter(load(project).values()))) == pytest.approx(alone * (1.2533 / 1.7094) ** 2, rel=0.01)
    _edit(project, path, "unit: person", "unit: household")
    assert any("quantile over people, and a household" in str(finding) for finding in check(project))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("quantile: 0.1\n", "", "a quantile metric says which one"),
        ("quantile: 0.1", "quantile: 1.2", "less than or equal to 0.95"),
        ("kind: quantile", "kind: binary", "belongs to 'kind: quantile'"),
        ("within_days: 30", "aggregate: last\nwithin_days: 30", "the days until the first row need no aggregate"),
        ("within_days: 30", "before_days: 30\nwithin_days: 30", "quantiles have their own variance"),
        ("deviation: 5", "cap: 5", "belongs to a count or a sum"),
    ],
)
def test_a_quantile_metric_says_which_and_of_what(project: Project, old: str, new: str, words: str):
    _edit(project, "metrics/days_to_reading.yaml", old, new)
    assert any(words in str(finding) and "days_to_reading.yaml:" in str(finding) for finding in check(project))


def test_one_variant_is_no_experiment(project: Project):
    path = "experiments/hypertension_review_wording.yaml"
    _edit(project, path, "  - {name: personal, message: follow_up/hypertension_review_personal, share: 0.5}\n", "")
    assert any("at least two variants" in str(finding) for finding in check(project))


def test_opens_decide_nothing(project: Project):
    (project.config / "metrics" / "opened.yaml").write_text(
        "{name: opened, label: {en: opened}, from: delivery, event: open}", "utf-8"
    )
    _edit(project, "experiments/hypertension_review_wording.yaml", "goal: booked_follow_up", "goal: opened")
    assert any("opens decide nothing" in str(finding) for finding in check(project))


def test_a_missing_default_guardrail_is_a_fault(project: Project):
    (project.config / "metrics" / "complained.yaml").unlink()
    assert any("config/metrics/complained.yaml" in str(finding) for finding in check(project))


def test_two_experiments_cannot_share_a_campaign(project: Project):
    first = project.config / "experiments" / "hypertension_review_wording.yaml"
    text = first.read_text("utf-8").replace("name: hypertension_review_wording", "name: other_wording")
    (project.config / "experiments" / "other_wording.yaml").write_text(text, "utf-8")
    assert any("already has the experiment" in str(finding) for finding in check(project))


# ----------------------------------------------------------------------------------------------------------- metrics
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("from: appointment, where: \"servce = 'x'\"",
         "unknown column 'servce' of appointment (did you mean 'service'?)"),
        ("from: appointment, where: \"patient_source_id = 'x'\"", "unknown column 'patient_source_id'"),
        ("from: appointment, where: \"service = \"", "is not a SQL condition"),
        ("from: appointment, where: \"person_id IN (SELECT person_id FROM person)\"", "is not allowed in a condition"),
        ("from: appointment, where: \"read_text('/etc/passwd') = ''\"", "is not allowed in a condition"),
        ("from: appointment, where: \"lowr(service) = ''\"",
         "'lowr' is not allowed in a condition (did you mean 'lower'?)"),
        ("from: appointment, where: \"service = 'x'; DROP TABLE person\"", "is not"),
        ("from: apointment", "unknown origin 'apointment' (did you mean 'appointment'?)"),
        ("from: patient", "unknown origin 'patient'"),
        ("from: appointment, time: booked", "'booked' is not a moment of appointment (did you mean 'booked_at'?)"),
        ("from: observation, kind: continuous", "value: is required for a continuous metric"),
        ("from: observation, kind: continuous, value: vale", "did you mean 'value'?"),
        ("from: delivery", "event: is required"),
        ("from: delivery, event: clik", "did you mean 'click'?"),
        ("from: delivery, event: click, where: \"true\"", "belongs to a table"),
        ("from: delivery, event: click, kind: continuous", "binary or counted"),
        ("from: appointment, event: click", "belongs to 'from: delivery'"),
        ("from: appointment, within_days: 0", "within_days"),
    ],
)  # fmt: skip
def test_a_faulty_metric_is_explained(project: Project, text: str, words: str):
    file = project.config / "metrics" / "trial.yaml"
    file.write_text(f"{{name: trial, label: {{en: trial}}, {text}}}", "utf-8")
    found = [str(finding) for finding in check(project)]
    assert any(words in finding and "trial.yaml:1:" in finding for finding in found), found


@pytest.mark.parametrize(
    "where",
    ["service = 'follow_up' AND status <> 'cancelled'", "lower(department) IN ('a', 'b') OR NOT (status IS NULL)",
     "start_at > booked_at", "department LIKE 'card%'"],
)  # fmt: skip
def test_conditions_that_marketers_write_pass(project: Project, where: str):
    file = project.config / "metrics" / "trial.yaml"
    file.write_text(f'{{name: trial, label: {{en: trial}}, from: appointment, where: "{where}"}}', "utf-8")
    assert check(project) == []
    assert load_metrics(project)["trial"].where == where


# ---------------------------------------------------------------------------------------------------------- the hash
@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("experiments/hypertension_review_wording.yaml", "margin: 0.03", "margin: 0.04"),
        ("experiments/hypertension_review_wording.yaml", "alpha: 0.05", "alpha: 0.1"),
        ("experiments/hypertension_review_wording.yaml", "planned_days: 12", "planned_days: 13"),
        ("metrics/booked_follow_up.yaml", "within_days: 7", "within_days: 8"),
        ("metrics/booked_follow_up.yaml", "status <> 'cancelled'", "status = 'booked'"),
    ],
)
def test_what_decides_the_result_changes_the_hash(project, definition, path, old, new):
    _edit(project, path, old, new)
    assert load(project)[definition.name].definition_hash != definition.definition_hash


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("metrics/booked_follow_up.yaml", "en: booked a follow-up visit", "en: came back"),
        ("metrics/booked_follow_up.yaml", "typical: 0.15", "typical: 0.2"),
        ("experiments/hypertension_review_wording.yaml", "makes more people", "lets more people"),
    ],
)
def test_words_for_people_do_not(project, definition, path, old, new):
    _edit(project, path, old, new)
    assert load(project)[definition.name].definition_hash == definition.definition_hash


def test_the_registered_form_reads_back(definition: ExperimentDefinition):
    again = ExperimentDefinition.model_validate(definition.as_json())
    assert again == definition
    assert again.definition_hash == definition.definition_hash


def test_an_upgrade_edits_no_experiment_that_was_launched_before():
    """Whatever a definition can say by now: one that says none of it has the hash of the first release."""
    definition = ExperimentDefinition.model_validate(_PLAIN)
    assert definition.definition_hash == "7a735b441e35cde11aad803cea5e6296d9906050908532ed8c177c9a12f3e44c"


def test_a_slice_is_part_of_the_definition(definition: ExperimentDefinition):
    hashes = {_in_layer(definition, *bounds).definition_hash for bounds in ((0, 0.5), (0, 0.6))}
    assert len(hashes | {definition.definition_hash}) == 3


# -------------------------------------------------------------------------------------------------------- assignment
PEOPLE = [f"p{number:016x}" for number in range(20_000)]


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
    counts = Counter(assign(SECRET, _with_shares(definition, *shares), PEOPLE).to_pylist())
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
    base = ExperimentDefinition.model_validate(_PLAIN)
    small = assign(SECRET, _with_shares(base, share, 1 - share), PEOPLE[:2000]).to_pylist()
    large = assign(SECRET, _with_shares(base, share + more, 1 - share - more), PEOPLE[:2000]).to_pylist()
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


# ------------------------------------------------------------------------------------------------------------ layers
NOBODY = pa.table({"person_id": pa.array([], pa.string()), "variant": pa.array([], pa.string())})


def _in_layer(definition: ExperimentDefinition, first: float, last: float, name: str = "") -> ExperimentDefinition:
    layer = Layer.model_validate({"name": "reminders", "from": first, "to": last})
    return definition.model_copy(update={"layer": layer, "name": name or definition.name})


def _enrolled(definition: ExperimentDefinition, people: list[str], **more: pa.Array) -> dict[str, str]:
    found = assign_sticky(SECRET, definition, pa.array(people), Enrolment(NOBODY, **more))
    assert found.column("is_new").to_pylist() == [arm is not None for arm in found.column("variant").to_pylist()]
    return {row["person_id"]: row["variant"] for row in found.to_pylist() if row["variant"]}


def test_experiments_of_a_layer_share_nobody_and_leave_nobody_out(definition: ExperimentDefinition):
    slices = [_in_layer(definition, *bounds, f"part_{bounds[1]}") for bounds in ((0, 0.3), (0.3, 0.5), (0.5, 1))]
    parts = [set(_enrolled(part, PEOPLE)) for part in slices]
    assert sum(len(part) for part in parts) == len(set().union(*parts)) == len(PEOPLE)
    for part, one in zip(parts, slices, strict=True):
        assert len(part) / len(PEOPLE) == pytest.approx(one.reach, abs=4 * math.sqrt(0.25 / len(PEOPLE)))


def test_a_place_in_the_layer_says_nothing_about_the_arm(definition: ExperimentDefinition):
    """Chi-squared of tenths of the layer against arms: with one salt for both, a tenth would have one arm only."""
    shares = _with_shares(definition, 0.2, 0.3, 0.5)
    table = []
    for tenth in range(10):
        arms = Counter(_enrolled(_in_layer(shares, tenth / 10, (tenth + 1) / 10), PEOPLE).values())
        table.append([arms[f"arm_{index}"] for index in range(3)])
    assert sum(map(sum, table)) == len(PEOPLE)
    expected = [sum(row[index] for row in table) / len(PEOPLE) for index in range(3)]
    statistic = sum(
        (row[i] - sum(row) * expected[i]) ** 2 / (sum(row) * expected[i]) for row in table for i in range(3)
    )
    assert statistic < 42.3  # 18 degrees of freedom, p = .001


def test_another_layer_or_secret_cuts_anew(definition: ExperimentDefinition):
    half = _in_layer(definition, 0, 0.5).layer
    other = half.model_copy(update={"name": "greetings"})
    first = in_slice(SECRET, half, PEOPLE).to_pylist()
    for second in (in_slice(SECRET, other, PEOPLE), in_slice(b"x" * 32, half, PEOPLE)):
        same = sum(a == b for a, b in zip(first, second.to_pylist(), strict=True)) / len(PEOPLE)
        assert same == pytest.approx(0.5, abs=0.02)


def test_a_layer_changes_nobodys_arm(definition: ExperimentDefinition):
    alone = dict(zip(PEOPLE, assign(SECRET, definition, PEOPLE).to_pylist(), strict=True))
    inside = _enrolled(_in_layer(definition, 0.1, 0.4), PEOPLE)
    assert inside == {person: alone[person] for person in inside}


def test_who_is_in_another_experiment_of_the_layer_stays_out_of_this_one(definition: ExperimentDefinition):
    """A slice that was moved after the launch would otherwise share the people who were assigned before."""
    wide = _in_layer(definition, 0, 1)
    taken = PEOPLE[:3]
    assert set(_enrolled(wide, PEOPLE[:10], taken=pa.array(taken))) == set(PEOPLE[3:10])


def test_who_has_an_arm_keeps_it_when_the_slice_moves_away(definition: ExperimentDefinition):
    outside = sorted(set(PEOPLE[:50]) - set(_enrolled(_in_layer(definition, 0, 0.1), PEOPLE[:50])))[:2]
    existing = pa.table({"person_id": outside, "variant": ["personal", "retired"]})
    found = assign_sticky(SECRET, _in_layer(definition, 0, 0.1), pa.array(outside), Enrolment(existing))
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


# ---------------------------------------------------------------------------------------------- households, clinics
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
    wide = [_in_layer(_at_home(definition), *bounds) for bounds in ((0, 0.5), (0.5, 1))]
    parts = [{h for h, row in zip(HOMES, _by_home(one, PEOPLE, HOMES), strict=True) if row["variant"]} for one in wide]
    assert not parts[0] & parts[1]
    assert parts[0] | parts[1] == set(HOMES)


def test_a_household_that_another_experiment_of_the_layer_has_stays_out(definition: ExperimentDefinition):
    whole = _in_layer(_at_home(definition), 0, 1)
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


def test_one_layer_has_one_unit(project: Project):
    first, second = "{name: reminders, from: 0, to: 0.5}", "{name: reminders, from: 0.5, to: 1}"
    found = _second_of_layer(project, first, second, **{"unit: person": "unit: household"})
    assert any("with unit person: their slices would share people" in text for text in found), found


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


# ------------------------------------------------------------------------------------------------------- launch gate
@pytest.fixture
def once(definition: ExperimentDefinition) -> ExperimentDefinition:
    """The same with one look, for an effect of eight points."""
    design = definition.design.model_copy(update={"looks": Looks.FINAL, "minimum_effect": 0.08})
    return definition.model_copy(update={"design": design})


def test_daily_looks_cost_a_few_people(definition: ExperimentDefinition, once: ExperimentDefinition):
    often = once.model_copy(update={"design": once.design.model_copy(update={"looks": Looks.DAILY})})
    daily, single = (design(each, 800, 5) for each in (often, once))
    assert definition.design.looks is Looks.DAILY  # as shipped
    assert 1.02 < daily.people_needed / single.people_needed < 1.08
    assert single.power - 0.03 < daily.power < single.power
    assert daily.detectable_effect > single.detectable_effect


def test_a_choice_of_looks_is_part_of_the_definition(definition: ExperimentDefinition, once: ExperimentDefinition):
    assert definition.definition_hash != once.definition_hash


def test_enough_people_pass(once: ExperimentDefinition):
    report = design(once, 800, 5)
    assert report.powered
    assert report.people_needed == 753  # twice R's power.prop.test(p1 = .15, p2 = .23, power = .8)
    assert report.power > 0.8
    assert report.detectable_effect == pytest.approx(0.0744, abs=1e-4)
    assert report.verdict_after_days == 20
    report.require_powered()


def test_an_underpowered_launch_is_refused_with_what_would_help(once: ExperimentDefinition):
    report = design(once, 300, 10)
    assert (report.people_expected, report.days_needed) == (420, 46)
    with pytest.raises(Refused) as refusal:
        report.require_powered()
    text = str(refusal.value)
    assert "420 people are expected" in text
    assert "planned_days to 46" in text
    assert "minimum_effect to 0.12" in text
    assert design(once, 300, 10 * 753).powered


def test_a_one_off_audience_that_never_grows_cannot_wait(definition: ExperimentDefinition):
    report = design(definition, 100)
    assert report.days_needed is None
    with pytest.raises(Refused, match="widen the campaign's segment"):
        report.require_powered()


def test_nobody_at_all_is_refused(definition: ExperimentDefinition):
    report = design(definition, 0)
    assert (report.power, report.detectable_effect) == (0.0, None)
    with pytest.raises(Refused):
        report.require_powered()


def test_more_variants_and_goals_need_more_people(definition: ExperimentDefinition):
    three = _with_shares(definition, 1 / 3, 1 / 3, 1 / 3)
    assert design(three, 1000).people_needed > 1.5 * design(definition, 1000).people_needed


def test_a_guardrail_that_could_never_be_shown_unharmed_is_a_warning(project: Project):
    _edit(
        project, "experiments/hypertension_review_wording.yaml", "complained, margin: 0.02", "complained, margin: 0.001"
    )
    report = design(load(project)["hypertension_review_wording"], 800, 5)
    assert any("complained" in warning for warning in report.warnings)


_PLAIN = {
    "name": "plain",
    "campaign": "c",
    "hypothesis": {"en": "h"},
    "variants": [
        {"name": "control", "message": "a/b", "share": 0.5},
        {"name": "other", "message": "a/c", "share": 0.5},
    ],
    "control": "control",
    "unit": "person",
    "goals": [{"name": "booked", "label": {"en": "booked"}, "from": "appointment"}],
    "guardrails": [],
    "design": {"base_rate": 0.1, "minimum_effect": 0.05, "planned_days": 7},
    "decide": "ship_winner",
}


def test_a_bandit_is_refused_where_its_analysis_or_its_ethics_end(project: Project):
    path = "experiments/hypertension_review_wording.yaml"
    _edit(project, path, "decide: ship_winner", "bandit: {minimum_share: 0.2}\ndecide: ship_winner")
    texts = [str(finding) for finding in check(project)]
    assert any("its verdict comes once" in text for text in texts)
    _edit(project, path, "looks: daily ", "looks: final ")
    assert check(project) == []
    _edit(project, path, "goal: booked_follow_up", "goal: visits")
    assert any("only rates: 'visits' is none" in str(finding) for finding in check(project))
    _edit(project, path, "goal: visits", "goal: booked_follow_up")
    _edit(project, path, "minimum_share: 0.2", "minimum_share: 0.5")
    assert check(project) == []


def test_medical_content_is_no_matter_of_luck(tmp_path: Path):
    for folder in ("config", "templates"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    whole = Project.at(tmp_path)
    path = "experiments/hypertension_review_wording.yaml"
    _edit(whole, path, "looks: daily ", "looks: final ")
    segments, content = load_segments(whole), load_content(whole)
    assert catalogues.check(whole, segments, content) == []
    _edit(whole, path, "decide: ship_winner", "bandit: {minimum_share: 0.2}\ndecide: ship_winner")
    found = [str(finding) for finding in catalogues.check(whole, segments, content)]
    assert any("is medical content, and a bandit lets luck choose" in text for text in found)


def test_moving_shares_change_who_gets_what_and_nothing_else(definition: ExperimentDefinition):
    moved = definition.with_shares({"control": 0.1, "personal": 0.9})
    assert moved.shares == {"control": 0.1, "personal": 0.9}
    assert moved.messages == definition.messages
    people = [f"p{number:012x}" for number in range(4000)]
    arms = assign(SECRET, moved, people).to_pylist()
    assert 0.87 < arms.count("personal") / len(arms) < 0.93


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("stratify_by: age_bnd", "did you mean 'age_band'?"),
        ("stratify_by: age_band", "known at the end"),
        ("subgroups: [age_band, age_band]", "stands twice"),
        ("subgroups: [last_department]", "a message may change it"),
    ],
)
def test_parts_of_the_people_are_those_that_no_message_changes(project: Project, line: str, words: str):
    path = "experiments/hypertension_review_wording.yaml"
    _edit(project, path, "subgroups: [age_band, gender]", line)
    assert any(words in str(finding) for finding in check(project))


@pytest.mark.parametrize(("decided", "message"), [("personal", MESSAGES[1]), ("renamed_since", MESSAGES[0])])
def test_a_decided_experiment_never_starts_again(definition: ExperimentDefinition, decided: str, message: str):
    """Also when the file has lost the variant: nobody is assigned, and the control's message is the safe one."""
    arms = Arms.decided(definition, decided)
    assert (arms.experiment, arms.messages) == (None, {NO_VARIANT: message})
