"""A clinic and a stand-in of its vendor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alongside.sandbox.sendgrid.launch import Running, start
from alongside.sandbox.sendgrid.options import Options
from tests.delivery.clinic import Clinic


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Running]:
    """SendGrid's stand-in as a process of its own, without simulated patients."""
    folder = tmp_path / "vendor"
    folder.mkdir()
    with start(Options(folder, patients=False, keep_bodies=True)) as running:
        yield running


@pytest.fixture
def clinic(ledger_url: str, tmp_path: Path, vendor: Running) -> Iterator[Clinic]:
    opened = Clinic.open(ledger_url, tmp_path / "project", vendor.url)
    yield opened
    opened.ledger.engine.dispose()


@pytest.fixture
def accepted(tmp_path: Path) -> AcceptedLog:
    return AcceptedLog(tmp_path / "vendor")


class AcceptedLog:
    """What the vendor has really taken, by its own fsynced log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self) -> list[dict[str, object]]:
        from alongside.sandbox.sendgrid.log import read_ndjson

        return list(read_ndjson(self._folder / "accepted.ndjson"))
