"""Experiments and campaigns that README and docs show run as they stand there: checked in a project, and designed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from alongside.outreach.experiments import ExperimentFile
from tests.cli.conftest import here
from tests.conftest import ROOT
from tests.docs.test_documented_commands import PAGES

KINDS = {"variants": "experiments", "envelope": "campaigns"}  # a field that no other kind has -> its folder


def _examples() -> Iterator[tuple[str, str, str]]:
    """Page, folder of config/ and text of every whole example."""
    for page in PAGES:
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
            fields = yaml.safe_load(block)
            kind = next((folder for field, folder in KINDS.items() if field in fields and "name" in fields), None)
            if kind is not None:
                yield page.name, kind, block


EXAMPLES = list(_examples())


def test_pages_show_examples() -> None:
    shown = {(page, kind) for page, kind, _ in EXAMPLES}
    assert {("README.md", "experiments"), ("experiments.md", "experiments"), ("marketer.md", "campaigns")} <= shown


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    assert here("init", str(tmp_path / "hospital")).exit_code == 0
    monkeypatch.setenv("ALONGSIDE_HOME", str(tmp_path / "hospital"))
    monkeypatch.setenv("ALONGSIDE_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("ALONGSIDE_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.db'}")
    return tmp_path / "hospital"


@pytest.mark.parametrize(("page", "kind", "block"), EXAMPLES, ids=[f"{page}: {kind}" for page, kind, _ in EXAMPLES])
def test_an_example_is_in_order_as_it_is_shown(page: str, kind: str, block: str, own: Path) -> None:
    name = yaml.safe_load(block)["name"]
    (own / "config" / kind / f"{name}.yaml").write_text(block, "utf-8")
    done = here("check", "--json")
    assert json.loads(done.stdout) == {"ok": True, "findings": []}
    if kind == "experiments":
        design = here("experiment", "design", name, "--audience", "2000", "--json")
        assert design.exit_code == 0, design.output
        assert json.loads(design.stdout)["powered"] is True


def test_the_experiment_of_the_front_page_is_the_shipped_one() -> None:
    """It leaves out what has a default, and says the hypothesis in short."""
    [block] = [block for page, kind, block in EXAMPLES if (page, kind) == ("README.md", "experiments")]
    shown = ExperimentFile.model_validate(yaml.safe_load(block))
    path = ROOT / "config" / "experiments" / f"{shown.name}.yaml"
    shipped = ExperimentFile.model_validate(yaml.safe_load(path.read_text("utf-8")))
    for field in ("campaign", "variants", "control", "unit", "design", "decide"):
        assert getattr(shown, field) == getattr(shipped, field), field
    assert shown.metrics.goal == shipped.metrics.goal
