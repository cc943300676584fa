"""JSON Schemas for editors: every shipped file fits its schema, and what nobody may write does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from alongside.cli.schemas import kinds, schema_of
from tests.cli.conftest import here
from tests.conftest import ROOT

KINDS = kinds()


def content(path: Path) -> Any:
    """A YAML file as an editor's schema sees it: dates are texts."""
    return json.loads(json.dumps(yaml.safe_load(path.read_text("utf-8")), default=str))


def validator(kind: str) -> jsonschema.Draft202012Validator:
    schema = schema_of(KINDS[kind][0])
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("kind", KINDS)
def test_shipped_files_fit_and_a_field_that_nobody_knows_does_not(kind: str) -> None:
    files = sorted(ROOT.glob(KINDS[kind][1]))
    assert files
    checked = validator(kind)
    for path in files:
        found = content(path)
        assert [error.message for error in checked.iter_errors(found)] == [], path
        wrong = {**found, "tipo": 1} if kind != "tags" else {"tag": {"level": "basic", "tipo": 1}}
        assert not checked.is_valid(wrong), path


def test_every_file_of_a_project_has_a_schema() -> None:
    described = {path for _, pattern in KINDS.values() for path in ROOT.glob(pattern)}
    written = {path for folder in ("config", "templates", "expectations") for path in (ROOT / folder).rglob("*.yaml")}
    assert written == described


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("campaign", "{name: x_y_z, description: {en: x}, segment: s, message: m, envelope: {max_audience: 0}}"),
        ("campaign", "{name: x_y_z, description: {en: x}, segment: s, message: m}"),
        ("segment", "{name: s, label: {fr: x}, description: {en: x}, stage: follow_up, where: age > 1}"),
        ("experiment", "{name: x_y_z}"),
    ],
)
def test_a_schema_knows_bounds_words_and_what_is_required(kind: str, text: str) -> None:
    assert not validator(kind).is_valid(yaml.safe_load(text))


def test_schemas_are_written_where_they_are_wanted(tmp_path: Path) -> None:
    done = here("schemas", str(tmp_path / "deep" / "schemas"), "--json")
    told = json.loads(done.stdout)
    assert {Path(path).name for path in told["schemas"]} == {f"{kind}.schema.json" for kind in KINDS}
    for path, pattern in told["schemas"].items():
        assert json.loads(Path(path).read_text("utf-8"))["$schema"].startswith("https://json-schema.org/")
        assert pattern in {pattern for _, pattern in KINDS.values()}
    assert here("schemas", str(tmp_path / "deep" / "schemas")).exit_code == 0  # again brings them up to date
