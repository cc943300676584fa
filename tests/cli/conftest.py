"""The command line within the test's process: a tenth of the time of a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from alongside.cli.app import app
from alongside.ledger import Ledger
from tests.conftest import ROOT
from tests.ledgers import SqliteLedgers

Command = Callable[..., Result]


def here(*words: str) -> Result:
    """A command as `alongside` parses it; a refusal is the result's exception."""
    return CliRunner().invoke(app, words)


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sqlite_ledgers: SqliteLedgers) -> Iterator[Ledger]:
    """Commands of this test work on the shipped configuration and this ledger, and write nothing beside it."""
    for name in [name for name in os.environ if name.startswith(("ALONGSIDE_", "SENDGRID_"))]:
        monkeypatch.delenv(name)
    url = sqlite_ledgers.place(tmp_path / "ledger.db")
    for name, value in {
        "ALONGSIDE_HOME": str(ROOT),
        "ALONGSIDE_VAR": str(tmp_path / "var"),
        "ALONGSIDE_KEY_DIR": str(tmp_path / "keys"),
        "ALONGSIDE_LEDGER_URL": url,
        "COLUMNS": "200",
    }.items():
        monkeypatch.setenv(name, value)
    ledger = Ledger.open(url)
    yield ledger
    ledger.engine.dispose()
