"""A hospital's own project: what `new` starts is in order as it is; what operators mistype is told at once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from alongside.bootstrap import build
from alongside.checking import check_project
from alongside.cli.skeletons import KINDS, skeleton
from alongside.diagnosis import examine
from alongside.model.errors import Refused
from alongside.settings import Environment, Project
from tests.cli.conftest import alongside

NAMES = {"segment": "my_people", "campaign": "my_campaign", "experiment": "my_test", "message": "decision/my_topic"}


def test_everything_that_new_starts_passes_the_check(own: Path) -> None:
    assert set(NAMES) == set(KINDS)
    for kind, name in NAMES.items():
        for path, text in skeleton(kind, name).items():
            target = own / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
    assert [finding for finding in check_project(Project.at(own)) if finding.severity == "error"] == []


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("segment", "My People"),
        ("campaign", "a/b"),
        ("message", "flu"),
        ("message", "nowhere/flu"),
        ("segment", "../x"),
    ],
)
def test_names_that_nothing_could_have_are_refused(kind: str, name: str) -> None:
    with pytest.raises(Refused, match="no name"):
        skeleton(kind, name)


def test_a_mistyped_campaign_is_not_paused(own: Path, tmp_path: Path) -> None:
    done = alongside("pause", "campaign:flu_vacine", cwd=own, ALONGSIDE_KEY_DIR=str(tmp_path / "keys"))
    assert done.returncode == 1
    assert "flu_vaccine" in done.stderr


@pytest.mark.parametrize("place", ["keys", "../keys"])
def test_doctor_warns_of_a_key_inside_the_repository(own: Path, place: str) -> None:
    subprocess.run(["git", "init", "-q", str(own)], check=True)
    environment = Environment.read({"ALONGSIDE_KEY_DIR": os.path.normpath(own / place)})
    checks = {item.name: item for item in examine(build(Project.at(own), environment))}
    assert checks["vault key"].state == ("warning" if place == "keys" else "ok")
    assert ("inside" in checks["vault key"].found) is (place == "keys")


def test_doctor_warns_of_a_key_file_inside_the_repository(own: Path) -> None:
    key = own / "vault.key"
    key.write_text("A" * 43 + "=", "utf-8")
    checks = {
        item.name: item
        for item in examine(build(Project.at(own), Environment.read({"ALONGSIDE_VAULT_KEY_FILE": str(key)})))
    }
    assert checks["vault key"].state == "warning"
