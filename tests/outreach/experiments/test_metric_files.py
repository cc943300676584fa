"""Metrics as YAML: what is checked of them."""

from __future__ import annotations

import pytest

from alongside.outreach.experiments import check, load_metrics
from alongside.settings import Project


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
