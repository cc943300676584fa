"""The command line within the test's process: a tenth of the time of a process of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from alongside.cli.app import app
from alongside.ledger import Ledger
from alongside.model.errors import AlongsideError
from tests.conftest import ROOT
from tests.ledgers import SqliteLedgers


def here(*words: str) -> Result:
    """A command as `alongside` parses it; a refusal is the result's exception."""
    return CliRunner().invoke(app, words)


@dataclass(frozen=True)
class Done:
    """What a process would have left."""

    returncode: int
    stdout: str
    stderr: str


def alongside(*words: str, cwd: Path = ROOT, **environment: str) -> Done:
    """A command in that folder as its own process would carry it out, with nothing but this of our environment."""
    before = dict(os.environ)
    try:
        for name in [name for name in os.environ if name.startswith(("ALONGSIDE_", "SENDGRID_"))]:
            del os.environ[name]
        os.environ.update(environment)
        with contextlib.chdir(cwd):
            found = here(*words)
    finally:
        os.environ.clear()
        os.environ.update(before)
    if isinstance(found.exception, AlongsideError):
        return Done(1, found.stdout, f"{found.stderr}{found.exception}\n")
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return Done(found.exit_code, found.stdout, found.stderr)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A hospital's own project, as `alongside init` makes it."""
    done = alongside("init", str(tmp_path / "hospital"))
    assert done.returncode == 0, done.stderr
    return tmp_path / "hospital"


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
