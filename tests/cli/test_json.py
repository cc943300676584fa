"""Every command that reports has --json: one document on standard output, its fields documented."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from alongside.cli.app import app
from alongside.ledger import Ledger
from alongside.model.errors import StoreUnavailable
from tests.cli.conftest import here
from tests.conftest import ROOT

#: Commands without --json, and why.
EXEMPT = {
    "sandbox": "a server; the line that it prints when it is ready is JSON by itself",
    "serve": "a server; it prints nothing while all is well",
    "web": "the same by its earlier name",
}


def commands(group: Any = None, above: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command of the application by its words."""
    for name, command in (group or typer.main.get_command(app)).commands.items():
        words = (*above, name)
        if hasattr(command, "commands"):
            yield from commands(command, words)
        else:
            yield " ".join(words), command


COMMANDS = dict(commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_reports_has_json(name: str) -> None:
    known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert ("--json" in known) is (name not in EXEMPT)


def test_exemptions_are_of_commands_that_exist() -> None:
    assert len(COMMANDS) > 20
    assert EXEMPT.keys() <= COMMANDS.keys()


def answer(*words: str) -> dict[str, Any]:
    done = here(*words, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    documented = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "operator.md").read_text("utf-8")))
    assert found.keys() - documented == set()
    return found


def test_a_project_is_created_and_extended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "hospital"
    made = answer("init", str(own))
    assert made == {"directory": str(own), "created": ["config", "templates", "expectations"]}
    monkeypatch.setenv("ALONGSIDE_HOME", str(own))
    started = answer("new", "segment", "walkers")
    assert started == {"kind": "segment", "name": "walkers", "created": ["config/segments/walkers.yaml"]}
    assert (own / started["created"][0]).is_file()


def test_a_hospital_is_made(tmp_path: Path) -> None:
    made = answer("hospital", "generate", "--dir", str(tmp_path / "h"), "--patients", "10", "--start", "2026-01-31")
    assert (made["patients"], made["day"], made["directory"]) == (10, "2026-01-31", str(tmp_path / "h"))
    assert made["rows"]["his.patients"] >= 10


def test_pauses_are_set_and_lifted(shipped: Ledger) -> None:
    first = answer("pause", "campaign:flu_vaccine", "--reason", "stock")
    assert first == {"scope": "campaign:flu_vaccine", "paused": True, "reason": "stock", "was_paused": False}
    again = answer("pause", "campaign:flu_vaccine", "--reason", "holidays")
    assert (again["was_paused"], again["reason"]) == (True, "stock")
    answer("pause", "all")
    lifted = answer("resume", "campaign:flu_vaccine")
    assert lifted == {"scope": "campaign:flu_vaccine", "paused": False, "still_paused": {"all": "by hand"}}


def test_an_approval_is_told_as_it_is_kept(shipped: Ledger) -> None:
    told = answer("approve", "flu_vaccine", "--max-audience", "7", "--by", "Li")
    kept = shipped.read_arrow("SELECT config_hash, approved_by FROM approval").to_pylist()[0]
    assert {name: told[name] for name in kept} == kept
    assert told["envelope"]["max_audience"] == 7


def test_a_ledger_is_upgraded(shipped: Ledger) -> None:
    told = answer("ledger", "upgrade")
    assert told["before"] == told["schema"]


def test_deployments_are_listed(shipped: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import automations, deployments

    monkeypatch.setattr(deployments, "register", lambda root, pool: [f"daily of {root} on {pool}"])
    monkeypatch.setattr(automations, "register", lambda block: [f"alongside: told through {block}"])
    told = answer("deploy", "--pool", "ward")
    assert told["registered"] == [f"daily of {ROOT} on ward", "alongside: told through None"]


def test_without_a_server_deploying_says_so(shipped: Ledger) -> None:
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}):
        done = here("deploy")
    assert isinstance(done.exception, StoreUnavailable)
    assert "prefect server start" in str(done.exception)
