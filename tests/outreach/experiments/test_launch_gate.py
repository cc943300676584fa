"""What a design can find, and a refusal where that is too little."""

from __future__ import annotations

import pytest

from alongside.model.errors import Refused
from alongside.outreach.experiments import ExperimentDefinition, Looks, design, load
from alongside.settings import Project
from tests.outreach.experiments.shipped import edit, with_shares


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
    three = with_shares(definition, 1 / 3, 1 / 3, 1 / 3)
    assert design(three, 1000).people_needed > 1.5 * design(definition, 1000).people_needed


def test_a_guardrail_that_could_never_be_shown_unharmed_is_a_warning(project: Project):
    edit(
        project, "experiments/hypertension_review_wording.yaml", "complained, margin: 0.02", "complained, margin: 0.001"
    )
    report = design(load(project)["hypertension_review_wording"], 800, 5)
    assert any("complained" in warning for warning in report.warnings)
