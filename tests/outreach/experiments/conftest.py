"""The shipped experiment alone, and what the tests do with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from alongside.outreach.experiments import ExperimentDefinition, Looks, load
from alongside.settings import Project
from tests.outreach.experiments.shipped import CAMPAIGNS, MESSAGES, ROOT


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


@pytest.fixture
def once(definition: ExperimentDefinition) -> ExperimentDefinition:
    """The same with one look, for an effect of eight points."""
    design = definition.design.model_copy(update={"looks": Looks.FINAL, "minimum_effect": 0.08})
    return definition.model_copy(update={"design": design})
