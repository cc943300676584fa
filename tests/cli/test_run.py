"""`alongside run` and `alongside demo`, each called twice and sending nothing twice; what commands say after a run."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from alongside.cli.demo import _show
from alongside.ledger import Ledger
from alongside.model.errors import Refused
from alongside.outreach.approval import covers
from alongside.sandbox.common.log import read_ndjson
from tests.cli.conftest import here
from tests.conftest import ROOT

pytestmark = pytest.mark.timeout(600)
FIELDS = {
    "run_id", "as_of", "snapshot_id", "funnel", "campaigns", "states", "unknown", "experiments", "held",
}  # fmt: skip
CAMPAIGNS = ("flu_vaccine", "colorectal_screening", "hypertension_follow_up")
DEMO_FIELDS = {"days", "played_again", "messages", "stand_in", "report", "quality", "next"}
EXPERIMENT = "hypertension_review_wording"


@dataclass(frozen=True)
class Played:
    """A project in which a command was called twice, and what it printed; to be read, not to be run again."""

    root: Path
    keys: Path
    first: dict[str, Any]
    second: dict[str, Any]


@dataclass(frozen=True)
class Both:
    run: Played
    demo: Played


def _once(folder: Path) -> list[dict[str, Any]]:
    """One run and one demo, each in its project, in a process that ends with them."""
    only = [word for name in CAMPAIGNS for word in ("--campaign", name)]
    calls = [
        {"home": str(folder / "run"), "words": ["run", "--as-of", "2026-03-01T10:00", *only, "--json"]},
        {"home": str(folder / "demo"), "words": ["demo", "--patients", "120", "--days", "1", "--json"]},
    ]
    file = folder / "calls.json"
    file.write_text(json.dumps(calls), "utf-8")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ALONGSIDE_", "SENDGRID_"))}
    environment = {**clean, "ALONGSIDE_KEY_DIR": str(folder / "keys")}
    subprocess.run([sys.executable, "-m", "tests.cli.calls", file], cwd=ROOT, env=environment, check=True, timeout=280)
    done = json.loads(file.read_text("utf-8"))
    assert [call["code"] for call in done] == [0, 0], done
    return [json.loads(call["out"]) for call in done]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("played")
    for name in ("run", "demo"):
        assert here("init", str(folder / name)).exit_code == 0
    root = folder / "run"
    experiment = root / "config" / "experiments" / f"{EXPERIMENT}.yaml"  # two dozen people can show a large effect only
    experiment.write_text(experiment.read_text("utf-8").replace("minimum_effect: 0.09", "minimum_effect: 0.6"), "utf-8")
    made = here("hospital", "generate", "--patients", "120", "--dir", str(root / "var" / "hospital"))
    assert made.exit_code == 0, made.output
    first, second = _once(folder), _once(folder)
    run, demo = zip(first, second, strict=True)
    return Both(Played(root, folder / "keys", *run), Played(folder / "demo", folder / "keys", *demo))


@pytest.fixture
def played(both: Both) -> Played:
    return both.run


@pytest.fixture
def command(played: Played, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """A command within that project; its exit code is part of what is asked for."""
    monkeypatch.setenv("ALONGSIDE_HOME", str(played.root))
    monkeypatch.setenv("ALONGSIDE_KEY_DIR", str(played.keys))
    monkeypatch.setenv("COLUMNS", "160")
    for name in ("ALONGSIDE_VAR", "ALONGSIDE_LEDGER_URL", "SENDGRID_URL"):
        monkeypatch.delenv(name, raising=False)

    def call(*words: str, code: int = 0) -> Result:
        done = here(*words)
        assert done.exit_code == code, done.output
        return done

    return call


def sendings(root: Path) -> Counter[str]:
    """Message key -> how often a stand-in of this project accepted it."""
    logs = (root / "var" / "sandbox").rglob("accepted.ndjson")
    return Counter(str(record["m"]) for log in logs for record in read_ndjson(log))


def documented(page: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", (ROOT / "docs" / page).read_text("utf-8")))


# ----------------------------------------------------------------------------------------------------------------- run
def test_a_run_tells_what_it_did_and_another_of_the_same_moment_sends_nothing_twice(played: Played) -> None:
    first, second = played.first, played.second
    for summary in (first, second):
        assert set(summary) == FIELDS
        assert all(isinstance(count, int) for count in summary["funnel"].values())
        assert summary["unknown"] == 0
        assert set(summary["campaigns"]) == set(CAMPAIGNS)
    assert first["funnel"]["accepted"] == first["funnel"]["planned"] > 0
    assert second["run_id"] != first["run_id"]
    assert second["funnel"].get("planned", 0) == 0
    sent = sendings(played.root)
    assert set(sent.values()) == {1}
    assert len(sent) == first["funnel"]["accepted"]


def test_every_field_of_the_json_is_documented() -> None:
    assert FIELDS - documented("operator.md") == set()


# ---------------------------------------------------------------------------------------------------------------- demo
def test_a_demo_plays_its_days_and_says_what_came_of_them(both: Both) -> None:
    told = both.demo.first
    assert told.keys() == FIELDS | DEMO_FIELDS
    assert (told["played_again"], told["unknown"], told["held"]) == (False, 0, None)
    assert told["messages"]["taken"] == told["stand_in"]["accepted_now"] == len(sendings(both.demo.root)) > 20
    assert {card["source"] for card in told["quality"]} >= {"his", "lis", "crm"}
    assert Path(told["report"]).stat().st_size > 10_000


def test_a_demo_that_was_played_is_played_again_and_sends_nothing_twice(both: Both) -> None:
    first, second = both.demo.first, both.demo.second
    assert second["played_again"] is True
    assert second["run_id"] != first["run_id"]
    assert second["as_of"] == first["as_of"]
    assert second["funnel"]["accepted"] == second["stand_in"]["accepted_now"] == 0
    assert second["messages"] == first["messages"]
    assert set(sendings(both.demo.root).values()) == {1}


def test_the_second_demo_says_so(both: Both, capsys: pytest.CaptureFixture[str]) -> None:
    _show(both.demo.first)
    assert "Nothing was sent twice" not in capsys.readouterr().out
    _show(both.demo.second)
    assert "Nothing was sent twice: this run planned again and sent 0 messages." in capsys.readouterr().out


# ---------------------------------------------------------------------------------------------------- plan and approve
def test_the_next_plan_is_told_with_its_reasons(command: Callable[..., Result]) -> None:
    words = ("plan", "flu_vaccine", "--as-of", "2026-03-02T08:00")
    [plan] = json.loads(command(*words, "--json").stdout)
    assert plan.keys() - documented("operator.md") - {"decisions"} == set()
    assert (plan["campaign"], plan["state"]) == ("flu_vaccine", "planned")
    assert plan["gates"]["already_sent"] > 0
    assert plan["reasons"]["already_sent"] == "the patient has had this message"
    table = command(*words, "--no-samples").stdout
    assert "the patient has had this message" in table
    assert plan["plan_hash"][:12] in table


def test_what_plan_prints_is_what_approve_takes(command: Callable[..., Result]) -> None:
    day = ("diabetes_follow_up", "--as-of", "2026-03-02T08:00")
    printed = re.search(r"plan ([0-9a-f]{12}) ", command("plan", *day, "--no-samples").stdout)
    assert printed is not None
    approved = json.loads(command("approve", day[0], "--exact-plan", printed[1], "--json").stdout)
    [same] = json.loads(command("plan", *day, "--json").stdout)
    assert approved["config_hash"] == same["config_hash"]
    assert covers(approved["plan_hash"], same["plan_hash"])
    assert same["funnel"]["planned"] > 0
    [other] = json.loads(command("plan", day[0], "--as-of", "2026-03-09T08:00", "--json").stdout)
    assert not covers(approved["plan_hash"], other["plan_hash"])


def test_a_mistyped_campaign_is_named(command: Callable[..., Result]) -> None:
    for words in (("plan", "flu_vacine"), ("approve", "flu_vacine")):
        assert "did you mean 'flu_vaccine'?" in str(command(*words, code=1).exception)


# ----------------------------------------------------------------------------------------------------------------- why
def test_why_answers_for_whoever_was_written_to(played: Played, command: Callable[..., Result]) -> None:
    ledger = Ledger.open(f"sqlite:///{played.root / 'var' / 'ledger.db'}")
    sent = ledger.read_arrow("SELECT message_key, person_id FROM message WHERE state = 'delivered'").to_pylist()[0]
    ledger.engine.dispose()
    told = json.loads(command("why", sent["person_id"], "--runs", "2", "--json").stdout)
    assert told["person_id"] == sent["person_id"]
    assert told.keys() | told["answers"][0].keys() <= documented("operator.md")
    messages = [answer["message"] for answer in told["answers"] if answer["message"]]
    assert sent["message_key"] in {message["message_key"] for message in messages}
    text = command("why", sent["person_id"], "--runs", "2").stdout
    assert sent["message_key"][:12] in text
    assert told["answers"][0]["configuration"]["snapshot_id"] in text


def test_why_takes_a_segment_apart(played: Played, command: Callable[..., Result]) -> None:
    ledger = Ledger.open(f"sqlite:///{played.root / 'var' / 'ledger.db'}")
    query = "SELECT person_id FROM message WHERE campaign = 'colorectal_screening'"
    person = str(ledger.read_arrow(query)["person_id"][0])
    ledger.engine.dispose()
    told = json.loads(command("why", person, "--segment", "colorectal_screening_due", "--json").stdout)
    assert told.keys() <= documented("operator.md")
    assert told["parts"][0]["value"] is True
    assert {part["depth"] for part in told["parts"]} >= {0, 1}
    table = command("why", person, "--segment", "colorectal_screening_due").stdout
    assert "not deceased" in table or "at_home" in table
    refused = command("why", person, "--segment", "colorectal_screening", code=1)
    assert "did you mean 'colorectal_screening_due'?" in str(refused.exception)


def test_why_refuses_whom_nobody_knows(command: Callable[..., Result]) -> None:
    assert isinstance(command("why", "his:nobody", code=1).exception, Refused)


# ---------------------------------------------------------------------------------------------------------- experiment
def test_a_design_is_told(command: Callable[..., Result], tmp_path: Path) -> None:
    figure = tmp_path / "curve.svg"
    words = ("experiment", "design", EXPERIMENT)
    told = json.loads(command(*words, "--json", "--svg", str(figure), "--locale", "zh_CN").stdout)
    assert told["powered"] is True
    assert told["people_expected"] >= told["people_needed"] > 0
    assert len(told["curve"]) == 25
    assert told["curve"][-1] == {"effect": pytest.approx(0.85), "power": pytest.approx(1, abs=0.01)}  # from 0.15 to all
    assert told["days_to_verdict"]["with_effect"] < told["days_to_verdict"]["without"] <= 20
    assert told["measured_base_rate"]["people"] > 0
    assert "的把握" in figure.read_text("utf-8")
    shown = command(*words).stdout
    for text in (
        "people needed",
        "verdict on average after",
        "15.0 % expected; ",
        " 0.0 points",
        "+85.0 points",
        "███",
    ):
        assert text in shown
    small = command(*words, "--audience", "4", "--json", code=1)
    assert json.loads(small.stdout)["powered"] is False
    assert "underpowered" in str(small.exception)


def test_a_plan_says_what_the_experiment_that_it_launches_could_find(
    played: Played, command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = ("plan", "hypertension_follow_up", "--as-of", "2026-03-02T08:00", "--no-samples")
    [launched] = json.loads(command(*words, "--json").stdout)
    assert launched["experiment"] is None
    shutil.copytree(played.root, tmp_path / "before")
    with sqlite3.connect(tmp_path / "before" / "var" / "ledger.db") as ledger:
        ledger.execute("DELETE FROM experiment")
    monkeypatch.setenv("ALONGSIDE_HOME", str(tmp_path / "before"))
    [plan] = json.loads(command(*words, "--json").stdout)
    told = plan["experiment"]
    assert told["experiment"] == EXPERIMENT
    assert told["people_expected"] >= sum(plan["variants"].values())
    shown = command(*words).stdout
    assert "people needed" in shown
    assert "███" not in shown.partition("people needed")[2]  # the curve is for `experiment design`


@pytest.mark.parametrize("what", ["status", "evaluate"])
def test_results_are_told_as_documented(what: str, command: Callable[..., Result]) -> None:
    told = json.loads(command("experiment", what, EXPERIMENT, "--json").stdout)
    assert told.keys() - documented("experiments.md") - {"experiment", "as_of", "control", "alpha"} == set()
    assert told["verdict"] == "not_mature"
    assert f"Experiment {EXPERIMENT}" in command("experiment", what, EXPERIMENT).stdout
    assert f"did you mean '{EXPERIMENT}'?" in command("experiment", what, EXPERIMENT[:-1], code=1).stderr


# -------------------------------------------------------------------------------------------------------------- ledger
def test_a_ledger_of_this_release_stays_as_it_is(command: Callable[..., Result]) -> None:
    told = json.loads(command("ledger", "upgrade", "--json").stdout)
    assert told["before"] == told["schema"]
    assert "this release" in command("ledger", "upgrade").stdout
