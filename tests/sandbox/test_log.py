"""The stand-ins' logs: what somebody was told is written stands there, whatever became of those who wrote beside."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from alongside.sandbox.common.log import AppendLog


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AppendLog]:
    found = AppendLog(tmp_path / "accepted.ndjson")
    yield found
    found.close()


async def test_who_gives_up_waiting_disturbs_nobody_else(log: AppendLog) -> None:
    callers = [asyncio.create_task(log.append([b'{"n": %d}' % number])) for number in range(3)]
    await asyncio.sleep(0)
    callers[1].cancel()
    told = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(told[1], asyncio.CancelledError)
    assert [log.read(offset) for (offset,) in (told[0], told[2])] == [{"n": 0}, {"n": 2}]
    assert log.read(len('{"n": 0}\n')) == {"n": 1}, "it may have been told before it gave up"


async def test_a_full_disk_is_told_to_everybody_who_still_waits(
    log: AppendLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", full)
        callers = [asyncio.create_task(log.append([b"{}"])) for _ in range(3)]
        await asyncio.sleep(0)
        callers[0].cancel()
        told = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(one) for one in told] == [asyncio.CancelledError, OSError, OSError]
    assert log.path.read_bytes() == b""
    assert await log.append([b'{"n": 1}']) == [0]
    assert log.read(0) == {"n": 1}


async def test_a_question_waits_for_what_is_being_written(log: AppendLog, disk: threading.Event) -> None:
    """Also for what nobody waits for any more: "not here" would have it sent again."""
    caller = asyncio.create_task(log.append([b'{"n": 1}']))
    await asyncio.sleep(0.01)
    caller.cancel()
    asked = asyncio.create_task(log.settled())
    await asyncio.sleep(0.01)
    assert (asked.done(), list(log.containing(b"n"))) == (False, [])
    disk.set()
    await asked
    assert [record for _, record in log.containing(b"n")] == [{"n": 1}]
    await log.settled()
