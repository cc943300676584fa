"""Experiments as YAML: what is checked before launch."""

from __future__ import annotations

import pytest

from alongside.model.errors import ConfigurationInvalid
from alongside.outreach.experiments import check, load, people_needed, unfit
from alongside.settings import Project
from tests.outreach.experiments.shipped import edit


def test_the_shipped_experiments_have_no_faults(project: Project):
    assert check(project) == []


def test_opt_out_complaint_no_show_and_delivery_guard_every_experiment(project: Project):
    path = "experiments/hypertension_review_wording.yaml"
    for margin in ("{metric: unsubscribed, margin: 0.03}", "{metric: complained, margin: 0.02}"):
        edit(project, path, f"    - {margin}\n", "")
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
    edit(project, "experiments/hypertension_review_wording.yaml", old, new)
    found = [str(finding) for finding in check(project)]
    assert any(words in text and f"hypertension_review_wording.yaml:{line}:" in text for text in found), found
    with pytest.raises(ConfigurationInvalid):
        load(project)


def test_a_mean_needs_arms_that_are_not_too_unequal(project: Project):
    path = "experiments/hypertension_review_wording.yaml"
    edit(project, path, "share: 0.5}\n  - {name: personal", "share: 0.8}\n  - {name: personal")
    edit(project, path, "review_personal, share: 0.5", "review_personal, share: 0.2")
    assert check(project) == []  # a rate may
    assert unfit(next(iter(load(project).values()))) == []
    edit(project, path, "goal: booked_follow_up", "goal: days_to_reading")
    assert unfit(next(iter(load(project).values()))) == []  # and a quantile, too
    edit(project, path, "goal: days_to_reading", "goal: visits")
    assert any("more unequal than 2 : 1" in str(finding) for finding in check(project))
    assert any("more unequal than 2 : 1" in reason for reason in unfit(next(iter(load(project).values()))))


def test_a_tiny_arm_is_not_launched_and_one_that_runs_goes_on(project: Project):
    path = "experiments/hypertension_review_wording.yaml"
    edit(project, path, "share: 0.5}\n  - {name: personal", "share: 0.96}\n  - {name: personal")
    edit(project, path, "review_personal, share: 0.5", "review_personal, share: 0.04")
    found = check(project)
    assert [(finding.severity, "a share of 0.04 proves nothing" in str(finding)) for finding in found] == [
        ("warning", True)
    ]
    assert unfit(next(iter(load(project).values()))) == [
        "experiment hypertension_review_wording: the share of 'personal' is below 0.05"
    ]


def test_a_quantile_needs_people_who_are_assigned_alone(project: Project):
    path = "experiments/hypertension_review_wording.yaml"
    edit(project, path, "goal: booked_follow_up", "goal: days_to_reading")
    alone = people_needed(next(iter(load(project).values())))
    edit(project, "metrics/days_to_reading.yaml", "quantile: 0.1", "quantile: 0.5")
    assert people_needed(next(iter(load(project).values()))) == pytest.approx(alone * (1.2533 / 1.7094) ** 2, rel=0.01)
    edit(project, path, "unit: person", "unit: household")
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
    edit(project, "metrics/days_to_reading.yaml", old, new)
    assert any(words in str(finding) and "days_to_reading.yaml:" in str(finding) for finding in check(project))


def test_one_variant_is_no_experiment(project: Project):
    path = "experiments/hypertension_review_wording.yaml"
    edit(project, path, "  - {name: personal, message: follow_up/hypertension_review_personal, share: 0.5}\n", "")
    assert any("at least two variants" in str(finding) for finding in check(project))


def test_opens_decide_nothing(project: Project):
    (project.config / "metrics" / "opened.yaml").write_text(
        "{name: opened, label: {en: opened}, from: delivery, event: open}", "utf-8"
    )
    edit(project, "experiments/hypertension_review_wording.yaml", "goal: booked_follow_up", "goal: opened")
    assert any("opens decide nothing" in str(finding) for finding in check(project))


def test_a_missing_default_guardrail_is_a_fault(project: Project):
    (project.config / "metrics" / "complained.yaml").unlink()
    assert any("config/metrics/complained.yaml" in str(finding) for finding in check(project))


def test_two_experiments_cannot_share_a_campaign(project: Project):
    first = project.config / "experiments" / "hypertension_review_wording.yaml"
    text = first.read_text("utf-8").replace("name: hypertension_review_wording", "name: other_wording")
    (project.config / "experiments" / "other_wording.yaml").write_text(text, "utf-8")
    assert any("already has the experiment" in str(finding) for finding in check(project))


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
    edit(project, path, "subgroups: [age_band, gender]", line)
    assert any(words in str(finding) for finding in check(project))
