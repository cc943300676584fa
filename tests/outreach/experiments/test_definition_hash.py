"""What decides the result changes the hash of a definition, and nothing else does."""

from __future__ import annotations

import pytest

from alongside.outreach.experiments import ExperimentDefinition, load
from tests.outreach.experiments.shipped import PLAIN, edit, in_layer


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
    edit(project, path, old, new)
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
    edit(project, path, old, new)
    assert load(project)[definition.name].definition_hash == definition.definition_hash


def test_the_registered_form_reads_back(definition: ExperimentDefinition):
    again = ExperimentDefinition.model_validate(definition.as_json())
    assert again == definition
    assert again.definition_hash == definition.definition_hash


def test_an_upgrade_edits_no_experiment_that_was_launched_before():
    """Whatever a definition can say by now: one that says none of it has the hash of the first release."""
    definition = ExperimentDefinition.model_validate(PLAIN)
    assert definition.definition_hash == "7a735b441e35cde11aad803cea5e6296d9906050908532ed8c177c9a12f3e44c"


def test_a_slice_is_part_of_the_definition(definition: ExperimentDefinition):
    hashes = {in_layer(definition, *bounds).definition_hash for bounds in ((0, 0.5), (0, 0.6))}
    assert len(hashes | {definition.definition_hash}) == 3
