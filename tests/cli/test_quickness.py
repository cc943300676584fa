"""`--help` in half a second and `check` in three: kept by what they load and how often they read, never by a clock."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import jinja2
import pytest

from alongside.checking import check_project
from alongside.content import compose
from alongside.settings import Project, yaml_source
from tests.conftest import ROOT

DATA = {"adbc_driver_sqlite", "duckdb", "great_expectations", "numpy", "pandas", "pyarrow", "scipy", "splink"}
SERVERS = {"aiohttp", "fastapi", "httpx", "prefect", "uvicorn"}
STORES = {"alembic", "cryptography", "psycopg", "sqlalchemy"}
LANGUAGES = {"jinja2", "mrml", "pydantic", "sqlglot", "yaml"}


def loaded_by(*words: str) -> set[str]:
    """Modules that a process has loaded when it has carried this command out."""
    script = (
        "import json, sys\nfrom alongside.cli.app import app\n"
        "try:\n    app(sys.argv[1:])\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print('\\n' + json.dumps(list(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_help_loads_the_command_line_and_nothing_else() -> None:
    modules = loaded_by("--help")
    assert modules & (DATA | SERVERS | STORES | LANGUAGES | {"rich"}) == set()
    assert len(modules) < 250


def test_checking_loads_no_database_no_server_and_no_colours() -> None:
    modules = loaded_by("check")
    assert modules & (DATA | SERVERS | STORES | {"rich"}) == set()
    assert len(modules) < 540


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each YAML file is parsed."""
    counted: Counter[str] = Counter()
    parse = yaml_source.parse_document

    def counting(path: Path, text: str) -> yaml_source.Document:
        counted[path.relative_to(ROOT).as_posix()] += 1
        return parse(path, text)

    monkeypatch.setattr(yaml_source, "parse_document", counting)
    return counted


def test_every_file_is_read_once_or_by_few(reads: Counter[str]) -> None:
    """Settings, vocabulary and concepts belong to several capabilities; nothing else is read twice."""
    assert check_project(Project.at(ROOT)) == []
    assert max(reads.values()) <= 3
    shared = {path for path, times in reads.items() if times > 1}
    assert {path for path in shared if not path.startswith("config/concepts/")} <= {
        "config/alongside.yaml",
        "config/vocabulary.yaml",
    }


def test_every_template_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layout stands in every message: composing them compiles it for the first, and keeps it."""
    compiled: Counter[str] = Counter()
    compile_ = jinja2.Environment.compile

    def counting(self: jinja2.Environment, source: Any, name: Any = None, *rest: Any, **more: Any) -> Any:
        if name is not None:
            compiled[name] += 1
        return compile_(self, source, name, *rest, **more)

    monkeypatch.setattr(jinja2.Environment, "compile", counting)
    compose._layouts.cache_clear()
    root = ROOT / "templates"
    bodies = list(root.glob("*/*/email.*.j2"))
    for body in bodies:
        compose.compose_html(root, body) if body.name.endswith(".mjml.j2") else compose.compose_text(root, body)
    assert set(compiled.values()) == {1}
    assert len(compiled) > len(bodies)


def test_a_layout_that_changes_is_composed_anew(tmp_path: Path) -> None:
    (tmp_path / "_layout.j2").write_text("old {% block content %}{% endblock %}", "utf-8")
    body = tmp_path / "body.j2"
    body.write_text('{% extends "_layout.j2" %}{% block content %}{{ name }}{% endblock %}', "utf-8")
    assert compose.compose_text(tmp_path, body) == "old {{ name }}"
    (tmp_path / "_layout.j2").write_text("new {% block content %}{% endblock %}", "utf-8")
    assert compose.compose_text(tmp_path, body) == "new {{ name }}"
