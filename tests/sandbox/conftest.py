"""What tests of the stand-ins share."""

from __future__ import annotations

import os
import threading

import pytest


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Nothing is written to the disk for good before this event, or for ten seconds."""
    ready, sync = threading.Event(), os.fdatasync

    def slow(fd: int) -> None:
        ready.wait(10)
        sync(fd)

    monkeypatch.setattr(os, "fdatasync", slow)
    return ready
