"""The shipped catalogue, and a small project to break."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from alongside.content import ContentCatalogue, load
from alongside.settings import Project

ROOT = Path(__file__).resolve().parents[2]
MESSAGE = """\
purpose: care
stage: follow_up
audience: anybody
subject: {zh_CN: "你好 {{ count }}", en: "Hello {{ count }}"}
variables:
  count: {value: encounters_12m, example: 3, description: how many visits}
reviewers: [editor]
expires: 2090-01-01
"""
MJML = """\
{% extends "_layout/email.LOCALE.mjml.j2" %}
{% block content %}
<mj-section><mj-column><mj-text>{{ count }} BODY</mj-text></mj-column></mj-section>
{% endblock %}
"""
TEXT = """\
{% extends "_layout/text.LOCALE.txt.j2" %}
{% block content %}
{{ count }} BODY
{% endblock %}
"""


@pytest.fixture(scope="session")
def catalogue() -> ContentCatalogue:
    return load(Project.at(ROOT))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with the shipped layout and rules, and one sound message `follow_up/note`."""
    for part in ("config/alongside.yaml", "config/lint", "templates/_layout"):
        target = tmp_path / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, target)
        else:
            shutil.copy(ROOT / part, target)
    folder = tmp_path / "templates/follow_up/note"
    folder.mkdir(parents=True)
    (folder / "message.yaml").write_text(MESSAGE, "utf-8")
    for locale in ("zh_CN", "en"):
        (folder / f"email.{locale}.mjml.j2").write_text(MJML.replace("LOCALE", locale), "utf-8")
        (folder / f"email.{locale}.txt.j2").write_text(TEXT.replace("LOCALE", locale), "utf-8")
    return Project.at(tmp_path)


@pytest.fixture
def edit(project: Project) -> Callable[..., Path]:
    """Replace text in a file of the small message: `edit("email.en.txt.j2", "BODY", "{{ unknown }}")`."""

    def change(name: str, old: str, new: str) -> Path:
        path = project.templates / "follow_up/note" / name
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")
        return path

    return change
