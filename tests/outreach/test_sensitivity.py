"""Nothing above a channel's ceiling reaches a body, a subject or an address: told by `check`, refused when planning."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from alongside.checking import check_project
from alongside.content import load as load_content
from alongside.model.canonical import TABLES
from alongside.model.enums import Channel
from alongside.model.errors import Refused
from alongside.outreach.sensitivity import load, read, require_discreet
from alongside.segments import load as load_segments
from alongside.settings import Project
from tests.conftest import ROOT

SMS = "sms.en.txt.j2"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for name in ("config", "templates", "expectations"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return Project.at(tmp_path)


def edit(project: Project, path: str, old: str, new: str) -> None:
    file = project.root / path
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")


def told(project: Project) -> list[str]:
    return [str(finding) for finding in check_project(project)]


def test_every_field_has_a_level_and_what_is_shipped_keeps_it() -> None:
    rules, faults = read(Project.at(ROOT))
    assert faults == []
    fields = [f"{table}.{column}" for table, of in TABLES.items() for column in of.column_names]
    assert {rules.of_field(name).name for name in fields} == {"PUBLIC", "PERSONAL", "HEALTH", "CLINICAL"}
    assert rules.of_field("observation.value").name == "CLINICAL"
    assert rules.of_field("encounter.started_at").name == "PERSONAL"  # the longest pattern counts
    assert rules.of_field("something.new").name == "CLINICAL"


def test_a_result_in_a_text_message_is_named_with_file_line_field_and_level(project: Project) -> None:
    body = "templates/treatment/pre_op_checklist/"
    edit(project, body + "message.yaml", "variables:\n", "variables:\n  reading:\n    value: latest('systolic_bp')\n"
         "    example: 120\n    description: A reading\n")  # fmt: skip
    for name in sorted((project.root / body).glob("*.j2")):
        name.write_text(name.read_text("utf-8").replace("Reply STOP", "\n{{ reading }}\nReply STOP"), "utf-8")
    found = [line for line in told(project) if "reading" in line and "sms" in line]
    [one] = [line for line in found if SMS in line and "observation" in line]
    assert f"{body}{SMS}:2: reading: reads observation." in one
    assert "(clinical) and reaches the body of sms, which may carry personal at most" in one


@pytest.mark.parametrize(
    "subject",
    ["Your visit to {{ visit_department }}", "{% if visit_department %}Your treatment{% else %}Your visit{% endif %}"],
)
def test_a_department_in_a_subject_is_named(project: Project, subject: str) -> None:
    path = project.root / "templates/follow_up/visit_survey/message.yaml"
    text = path.read_text("utf-8")
    start = text.index("  en: ", text.index("subject:"))
    line = text[start : text.index("\n", start)]
    path.write_text(text.replace(line, f"  en: '{subject}'"), "utf-8")
    found = [one for one in told(project) if "reaches the subject of email" in one]
    assert "visit_department: reads encounter.department (health)" in found[0]
    assert "message.yaml:" in found[0]


def test_a_variable_in_an_address_is_named(project: Project) -> None:
    path = "templates/follow_up/visit_survey/email.en.txt.j2"
    text = (project.root / path).read_text("utf-8")
    line = next(one for one in text.splitlines() if "survey_url" in one)
    edit(project, path, line, line + "\nhttps://hospital.example/survey?department={{ visit_department }}")
    [found] = [one for one in told(project) if "reaches the url" in one]
    assert "visit_department: reads encounter.department (health) and reaches the url of email" in found


def test_what_a_variable_really_gives_away_is_stated_with_a_reason(project: Project) -> None:
    path = "templates/treatment/medication_refill/message.yaml"
    before = load_content(project).template_hash("treatment/medication_refill")
    text = (project.root / path).read_text("utf-8")
    without = "\n".join(line for line in text.splitlines() if "reveals:" not in line and "because:" not in line)
    (project.root / path).write_text(without + "\n", "utf-8")
    assert any("days_left: reads medication_request." in line and SMS in line for line in told(project))
    assert load_content(project).template_hash("treatment/medication_refill") != before  # the reason is signed
    (project.root / path).write_text(text.replace("because:", "unsaid:"), "utf-8")
    assert any("reveals and because stand together" in line or "unsaid" in line for line in told(project))


def test_planning_refuses_what_check_would_have_told(project: Project) -> None:
    content, segments, rules = load_content(project), load_segments(project), load(project)
    require_discreet("treatment/medication_refill", Channel.SMS, content, segments, rules)
    strict = rules.model_copy(update={"ceilings": {}})  # a channel without a ceiling carries nothing about anybody
    with pytest.raises(Refused, match="reaches the body of email, which may carry public"):
        require_discreet("treatment/medication_refill", Channel.EMAIL, content, segments, strict)


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ('"condition.*": clinical', '"conditions.*": clinical', "fits no field"),
        ('"condition.*": clinical', '"condition.*": secret', "is no level"),
        ("body: clinical, subject: personal", "body: clinicl, subject: personal", "is no level"),
        ('  "interaction.*": personal\n', "", "interaction has fields without a level"),
    ],
)
def test_mistakes_in_the_rules_are_named(project: Project, old: str, new: str, word: str) -> None:
    edit(project, "config/sensitivity.yaml", old, new)
    assert any("config/sensitivity.yaml" in line and word in line for line in told(project))


def test_a_project_without_rules_is_told(project: Project) -> None:
    (project.config / "sensitivity.yaml").unlink()
    assert any("config/sensitivity.yaml" in line and "cannot be read" in line for line in told(project))
