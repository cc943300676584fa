"""`alongside experiment rollout` and `reverse`, on both stores."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from alongside.analysis.showing.decided import decided_words
from alongside.cli.app import app
from alongside.ledger import Ledger, experiments
from alongside.model.enums import Locale
from tests.conftest import ROOT

NAME = "hypertension_review_wording"
DAY = datetime(2026, 3, 21, tzinfo=UTC)
Command = Callable[..., Result]


@pytest.fixture
def alongside(ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("ALONGSIDE_HOME", str(ROOT))
    monkeypatch.setenv("ALONGSIDE_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("ALONGSIDE_LEDGER_URL", ledger_url)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: CliRunner().invoke(app, ["experiment", *words])


def _decided(ledger: Ledger, **decision: Any) -> None:
    with ledger.begin() as connection:
        experiments.register(connection, NAME, {}, "hash", config_commit="test", analysis_version="1", at=DAY)
        experiments.decide(connection, NAME, {"verdict": "ship", "evidence": {}, **decision}, DAY)


def _standing(ledger: Ledger) -> experiments.Registration:
    with ledger.begin() as connection:
        found = experiments.read(connection, NAME)
    assert found is not None
    return found


def test_a_clinician_agrees_and_an_operator_reverses(alongside: Command, ledger: Ledger):
    _decided(ledger, variant="control", waits="personal")
    nobody = alongside("rollout", NAME, "--reason", "it won")
    assert nobody.exit_code == 1
    assert "one of cardiologist, patient education editor" in nobody.output
    assert _standing(ledger).winner == "control"
    agreed = alongside("rollout", NAME, "--reason", "it won", "--role", "cardiologist", "--by", "Dr Example", "--json")
    assert agreed.exit_code == 0, agreed.output
    assert json.loads(agreed.stdout) == {"experiment": NAME, "variant": "personal", "by": "Dr Example"}
    assert _standing(ledger).winner == "personal"
    assert _standing(ledger).decision["changes"][0]["role"] == "cardiologist"
    undone = alongside("reverse", NAME, "--reason", "too many calls", "--by", "ops")
    assert undone.exit_code == 0, undone.output
    assert "everybody gets control" in undone.output
    assert _standing(ledger).winner == "control"


@pytest.mark.parametrize(
    ("decision", "locale"),
    [
        ({"variant": None}, Locale.EN),
        ({"variant": None}, Locale.ZH_CN),
        ({"variant": "control", "waits": "personal"}, Locale.EN),
        ({"variant": "control", "waits": "personal"}, Locale.ZH_CN),
    ],
)
def test_the_command_that_the_decision_names_does_what_it_says(
    alongside: Command, ledger: Ledger, decision: dict[str, Any], locale: Locale
):
    _decided(ledger, **decision)
    (line,) = decided_words(_standing(ledger))[locale]
    command = line.partition("alongside experiment ")[2].partition(" (")[0].partition("（")[0]
    filled = {"VARIANT": "personal", "方案名": "personal", "WHY": "read", "理由": "read"}
    role = {"REVIEWER": "cardiologist", "审阅角色": "cardiologist"}
    words = [filled.get(word, role.get(word, word)) for word in command.split()]
    done = alongside(*words, *(() if "--role" in words else ("--role", "cardiologist")))
    assert done.exit_code == 0, done.output
    assert _standing(ledger).winner == "personal"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("rollout", NAME, "--reason", "x"), "has no winner"),
        (("rollout", NAME, "--reason", "x", "--variant", "persnal"), "is no variant"),
        (("rollout", "unknown", "--reason", "x"), "unknown experiment"),
        (("reverse", NAME, "--reason", "x"), "is not decided yet"),
        (("reverse", NAME, "--reason", "  "), "give a reason"),
    ],
)
def test_what_cannot_be_rolled_out_is_explained(alongside: Command, ledger: Ledger, words: tuple[str, ...], said: str):
    found = alongside(*words)
    assert found.exit_code in (1, 2)
    assert said in found.output
