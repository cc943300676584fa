"""A clinic and a stand-in of its vendor."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from jsonschema import Draft202012Validator

from alongside.sandbox.common.log import read_ndjson
from alongside.sandbox.sendgrid.launch import Running, serve
from alongside.sandbox.sendgrid.options import Options
from tests.channels.sendgrid_contract import kept_bodies, mail_send, violations
from tests.delivery.clinic import Clinic

Standing = TypeVar("Standing")


@pytest.fixture(scope="session")
def contract() -> Draft202012Validator | None:
    """The vendor's description of request bodies; None where it is absent, which tests of its own say."""
    try:
        return mail_send()
    except (pytest.skip.Exception, pytest.fail.Exception):
        return None


@contextmanager
def in_a_thread(serving: AbstractAsyncContextManager[Standing]) -> Iterator[Standing]:
    """A stand-in with an event loop and a thread of its own, for the block."""
    ready: Future[Standing] = Future()
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def stand_in() -> None:
        async with serving as running:
            ready.set_result(running)
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(stand_in(),))
    thread.start()
    try:
        yield ready.result(30)
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(30)
        loop.close()


@pytest.fixture
def vendor(tmp_path: Path, contract: Draft202012Validator | None) -> Iterator[Running]:
    """SendGrid's stand-in, without simulated patients, in a thread of its own.

    Whatever a test made it take is held against the vendor's description afterwards.
    """
    folder = tmp_path / "vendor"
    folder.mkdir()
    with in_a_thread(serve(Options(folder, patients=False, keep_bodies=True))) as running:
        yield running
    require_valid_bodies(contract, folder)


def require_valid_bodies(contract: Draft202012Validator | None, folder: Path) -> None:
    if contract is not None:
        assert violations(contract, kept_bodies(folder)) == []


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
        return list(read_ndjson(self._folder / "accepted.ndjson"))
