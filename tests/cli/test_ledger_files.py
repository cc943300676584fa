"""Backup and restore as an operator meets them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from alongside.cli.app import app
from alongside.ledger import Ledger, pauses, schema
from alongside.model.errors import Refused
from tests.conftest import ROOT
from tests.fakes import NOON, plan
from tests.ledgers import SqliteLedgers

Run = Callable[..., Result]


@pytest.fixture
def url(tmp_path: Path, sqlite_ledgers: SqliteLedgers) -> str:
    return sqlite_ledgers.place(tmp_path / "ledger.db")


@pytest.fixture
def alongside(url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command of this project, on a ledger of its own."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("ALONGSIDE_LEDGER_URL", url)
    monkeypatch.setenv("ALONGSIDE_VAULT_KEY", base64.b64encode(bytes(32)).decode())
    monkeypatch.setenv("SENDGRID_URL", "http://127.0.0.1:9")  # where nobody answers
    return lambda *words, typed=None: CliRunner().invoke(app, ["ledger", *map(str, words)], input=typed)


@pytest.fixture
def waiting(url: str) -> Ledger:
    ledger = Ledger.open(url)
    plan(ledger, range(3))
    return ledger


def test_a_backup_says_what_it_holds(alongside: Run, waiting: Ledger, tmp_path: Path) -> None:
    told = json.loads(alongside("backup", tmp_path / "one", "--json").stdout)
    assert (told["ledger_id"], told["epoch"], told["rows"]["message"]) == (waiting.info.ledger_id, 1, 3)
    assert told["bytes"] == (tmp_path / "one").stat().st_size
    spoken = alongside("backup", tmp_path / "two")
    assert waiting.info.ledger_id in spoken.stdout
    assert "Keep it apart from the vault key" in spoken.stdout


def test_a_restore_says_loudly_what_is_lost_and_what_to_do(
    alongside: Run, waiting: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = json.loads(alongside("backup", tmp_path / "one", "--json").stdout)["made_at"]
    monkeypatch.setenv("ALONGSIDE_LEDGER_URL", f"sqlite:///{tmp_path / 'empty.db'}")
    done = alongside("restore", tmp_path / "one")
    assert done.exit_code == 0, done.output
    assert "epoch 2" in done.stdout
    assert "hello" in done.stdout
    said = " ".join(done.stderr.split())
    assert f"LOST: every withdrawal of consent, suppression and message between {made[:19].replace('T', ' ')}" in said
    assert "EVERYTHING IS PAUSED" in said
    assert "alongside suppressions import FILE" in said


def test_a_ledger_is_given_up_only_for_its_own_id(alongside: Run, waiting: Ledger, tmp_path: Path) -> None:
    alongside("backup", tmp_path / "one")
    refused = alongside("restore", tmp_path / "one").exception
    assert isinstance(refused, Refused)
    assert "--replace" in str(refused)
    for typed, words in (("yes\n", ()), (None, ("--confirm", "yes"))):
        denied = alongside("restore", tmp_path / "one", "--replace", *words, typed=typed)
        assert denied.exit_code == 1
        assert "Nothing was changed" in denied.stderr
    assert waiting.read_arrow("SELECT count(*) AS n FROM pause")["n"].to_pylist() == [0]
    asked = alongside("restore", tmp_path / "one", "--replace", typed=f"{waiting.info.ledger_id}\n")
    assert asked.exit_code == 0, asked.output
    assert "It forgets 0 withdrawals of consent and 0 suppressions" in " ".join(asked.stderr.split())


def test_a_program_reads_what_was_restored(alongside: Run, waiting: Ledger, tmp_path: Path) -> None:
    ledger_id = waiting.info.ledger_id
    alongside("backup", tmp_path / "one")
    words = ("--replace", "--confirm", ledger_id, "--json")
    told = json.loads(alongside("restore", tmp_path / "one", *words).stdout)
    assert told["unknown"] == [{"campaign": "hello", "channel": "email", "messages": 3}]
    assert (told["epoch"], told["replaced"], told["paused"]) == (2, ledger_id, "all")
    assert told["lost_from"] < told["lost_until"]
    assert told["lost"] == {"withdrawals": 0, "suppressions": 0, "accepted": 0}


def test_comparing_wants_silence_first(alongside: Run, waiting: Ledger) -> None:
    refused = alongside("compare").exception
    assert isinstance(refused, Refused)
    assert "alongside pause all" in str(refused)


def test_comparing_says_whom_nobody_can_ask(alongside: Run, waiting: Ledger) -> None:
    plan(waiting, range(50, 52), channel="call", purpose="care")
    with waiting.begin() as connection:
        connection.execute(schema.batch.delete().where(schema.batch.c.channel == "email"))
        pauses.set_pause(connection, pauses.ALL, by="operator", reason="restored", now=NOON)
    done = alongside("compare", "--json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert (told["asked"], told["found"], list(told["not_asked"])) == (0, 0, ["call"])
    shown = alongside("compare")
    assert "whom they have reached" in " ".join(shown.stderr.split())
    assert "Pause the campaigns that sent by call" in " ".join(shown.stderr.split())
