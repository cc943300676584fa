"""`alongside run` as a program calls it: documented JSON, exit codes, and a second run that sends nothing again."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from alongside.sandbox.sendgrid.log import read_ndjson
from tests.cli.test_commands import alongside
from tests.conftest import ROOT

pytestmark = pytest.mark.timeout(400)
FIELDS = {
    "run_id", "as_of", "snapshot_id", "funnel", "campaigns", "states", "unknown", "experiments", "held",
}  # fmt: skip


def _run(project: Path, keys: Path) -> dict[str, Any]:
    words = ("--as-of", "2026-03-01T10:00", "--campaign", "flu_vaccine", "--campaign", "colorectal_screening", "--json")
    done = alongside("run", *words, cwd=project, ALONGSIDE_KEY_DIR=str(keys))
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def test_a_run_tells_what_it_did_and_another_of_the_same_moment_sends_nothing_twice(tmp_path: Path) -> None:
    project = tmp_path / "hospital"
    assert alongside("init", str(project)).returncode == 0
    assert alongside("hospital", "generate", "--patients", "120", cwd=project).returncode == 0
    first, second = (_run(project, tmp_path / "keys") for _ in range(2))
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


def test_every_field_of_the_json_is_documented() -> None:
    text = (ROOT / "docs" / "operator.md").read_text("utf-8")
    assert {field for field in FIELDS if f"`{field}`" not in text} == set()
