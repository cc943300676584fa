"""Names of the shipped experiment, changes to its files, and people for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from alongside.outreach.experiments import ExperimentDefinition, Layer
from alongside.settings import Project

ROOT = Path(__file__).resolve().parents[3]
SECRET = b"k" * 32
MESSAGES = ["follow_up/hypertension_review", "follow_up/hypertension_review_personal"]
CAMPAIGNS = ["hypertension_follow_up", "flu_vaccine"]
PEOPLE = [f"p{number:016x}" for number in range(20_000)]
NOBODY = pa.table({"person_id": pa.array([], pa.string()), "variant": pa.array([], pa.string())})
Edit = Callable[[str], str]
PLAIN = {
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


def edit(project: Project, path: str, old: str, new: str) -> None:
    file = project.config / path
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")


def with_shares(definition: ExperimentDefinition, *shares: float) -> ExperimentDefinition:
    variants = [{"name": f"arm_{index}", "message": MESSAGES[0], "share": share} for index, share in enumerate(shares)]
    return ExperimentDefinition.model_validate({**definition.as_json(), "variants": variants, "control": "arm_0"})


def in_layer(definition: ExperimentDefinition, first: float, last: float, name: str = "") -> ExperimentDefinition:
    layer = Layer.model_validate({"name": "reminders", "from": first, "to": last})
    return definition.model_copy(update={"layer": layer, "name": name or definition.name})
