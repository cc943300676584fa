"""Surveys as they are written: shipped ones, and the faults that `alongside check` names."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from alongside.checking import check_project
from alongside.content import surveys
from alongside.settings import Project
from tests.conftest import ROOT


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for folder in ("config", "templates", "expectations"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return Project.at(tmp_path)


def edit(project: Project, path: str, old: str, new: str) -> None:
    file = project.root / path
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")


def test_the_shipped_survey_asks_for_nps_and_two_more() -> None:
    survey = surveys.load(Project.at(ROOT))["visit"]
    assert [(one.name, one.numbers[0], one.numbers[-1]) for one in survey.questions] == [
        ("nps", 0, 10),
        ("clear_explanation", 1, 5),
        ("visit_satisfaction", 1, 5),
    ]
    assert survey.recovery is not None
    assert survey.recovery.at_most == 6


SURVEY, MESSAGE = "config/surveys/visit.yaml", "templates/follow_up/visit_survey/message.yaml"


@pytest.mark.parametrize(
    ("path", "old", "new", "told"),
    [
        (SURVEY, "name: visit\n", "name: visits\n", "differs from its file's name"),
        (SURVEY, "- name: clear_explanation", "- name: clear_explanations", "no known survey"),
        (SURVEY, "- name: clear_explanation", "- name: nps", "asks a question twice"),
        (SURVEY, "from: 1", "from: 5", "must be greater"),
        (SURVEY, "question: nps", "question: waiting", "is not asked here"),
        (SURVEY, ", en: 5 = very clearly", "", "text is missing in en"),
        (SURVEY, "valid_days: 30", "valid_for: 30", "is not a known field"),
        (MESSAGE, "survey: visit ", "survey: visits ", "did you mean 'visit'?"),
        (MESSAGE, "survey: visit ", "# survey: visit ", "a body links to survey_url"),
    ],
)
def test_a_fault_is_named_with_its_file(project: Project, path: str, old: str, new: str, told: str) -> None:
    edit(project, path, old, new)
    found = [str(one) for one in check_project(project)]
    assert any(one.startswith(path) and told in one for one in found), found


def test_a_survey_that_nothing_links_to_is_named(project: Project) -> None:
    for file in (project.templates / "follow_up/visit_survey").glob("email.*"):
        file.write_text(file.read_text("utf-8").replace("survey_url", "hospital.website"), "utf-8")
    assert any("no body links to it" in str(one) for one in check_project(project))
