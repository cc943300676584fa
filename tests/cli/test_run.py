"""`alongside run` as a program calls it: documented JSON, failures, and a second run that sends nothing again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from alongside.cli import prefect_server
from alongside.model.errors import StoreUnavailable
from alongside.sandbox.sendgrid.log import read_ndjson
from tests.cli.test_commands import alongside
from tests.conftest import ROOT

pytestmark = pytest.mark.timeout(400)
FIELDS = {
    "run_id", "as_of", "snapshot_id", "funnel", "campaigns", "states", "unknown", "experiments", "held",
}  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hospital's own project with extracts; nothing has run yet."""
    root = tmp_path_factory.mktemp("own") / "hospital"
    assert alongside("init", str(root)).returncode == 0
    assert alongside("hospital", "generate", "--patients", "120", cwd=root).returncode == 0
    return root


def _alongside_run(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    keys = str(project.parent / "keys")
    return alongside("run", "--as-of", "2026-03-01T10:00", *words, cwd=project, ALONGSIDE_KEY_DIR=keys)


def _run(project: Path) -> dict[str, Any]:
    done = _alongside_run(project, "--campaign", "flu_vaccine", "--campaign", "colorectal_screening", "--json")
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def test_a_run_tells_what_it_did_and_another_of_the_same_moment_sends_nothing_twice(project: Path) -> None:
    first, second = (_run(project) for _ in range(2))
    for summary in (first, second):
        assert set(summary) == FIELDS
        assert all(isinstance(count, int) for count in summary["funnel"].values())
        assert summary["unknown"] == 0
        assert set(summary["campaigns"]) == {"flu_vaccine", "colorectal_screening"}
    assert first["funnel"]["accepted"] == first["funnel"]["planned"] > 0
    assert second["run_id"] != first["run_id"]
    assert second["funnel"].get("planned", 0) == 0
    logs = (project / "var" / "sandbox").rglob("accepted.ndjson")
    sent = Counter(str(record["m"]) for log in logs for record in read_ndjson(log))
    assert set(sent.values()) == {1}
    assert len(sent) == first["funnel"]["accepted"]


def _cut_off(project: Path, target: Path) -> None:
    """The extract of HIS, whose patients did not arrive whole."""
    shutil.copytree(project / "var" / "hospital" / "his", target)
    for file in target.glob("*/patients.csv"):
        file.write_bytes(file.read_bytes()[:40])


@pytest.mark.parametrize(
    ("folder", "what", "words"),
    [
        ("nowhere", "nowhere: source 'his' has no extract", "Give its folder with --source his=PATH"),
        ("cut_off", "patients.csv: column", "is missing from the header"),
    ],
)
def test_a_run_that_fails_says_why_in_one_sentence(
    project: Path, tmp_path: Path, folder: str, what: str, words: str
) -> None:
    _cut_off(project, tmp_path / "cut_off")
    done = _alongside_run(project, "--source", f"his={tmp_path / folder}")
    assert done.returncode == 1
    assert what in done.stderr
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stdout


def test_a_server_of_prefect_that_cannot_start_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a broken database in var/prefect: each server ends at once, and Prefect would start another for ever."""
    from prefect.server.api.server import SubprocessASGIServer
    from prefect.settings import PREFECT_API_URL, temporary_settings

    command = [sys.executable, "-c", "raise SystemExit(3)"]
    monkeypatch.setattr(SubprocessASGIServer, "_run_uvicorn_command", lambda self: subprocess.Popen(command))
    monkeypatch.setattr(SubprocessASGIServer, "_instances", {})
    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(StoreUnavailable, match="has ended 3 times"),
    ):
        prefect_server._open()
    SubprocessASGIServer().stop()


def test_every_field_of_the_json_is_documented() -> None:
    text = (ROOT / "docs" / "operator.md").read_text("utf-8")
    assert {field for field in FIELDS if f"`{field}`" not in text} == set()
