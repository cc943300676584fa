"""A stand-in as a process of its own, which ends together with whoever started it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from alongside.model.errors import Refused, StoreUnavailable


@contextlib.contextmanager
def started(module: str, arguments: Sequence[str], *, patience: float = 30.0) -> Iterator[dict[str, Any]]:
    """Run `python -m module --until-stdin-closes ...` for the block; yields the object of its first line of output.

    Raises
    ------
    StoreUnavailable : it did not come up within `patience` seconds
    """
    command = [sys.executable, "-m", module, "--until-stdin-closes", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield _first_line(process, module, patience)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _first_line(process: subprocess.Popen[bytes], module: str, patience: float) -> dict[str, Any]:
    if process.stdout is None:
        raise Refused("the stand-in's output is not connected", where=module)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        line = process.stdout.readline() if selector.select(patience) else b""
    if not line:
        remedy = "Its error stands above; check that the folder is writable and the port is free."
        raise StoreUnavailable("the stand-in did not start", where=module, remedy=remedy)
    found: dict[str, Any] = json.loads(line)
    return found


async def until_stdin_closes() -> None:
    """Wait for the end of standard input, which comes when the parent process ends, however that happens."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    watch = threading.Thread(target=_read_to_end, args=(lambda: loop.call_soon_threadsafe(ended.set),), daemon=True)
    watch.start()
    await ended.wait()


def _read_to_end(closed: Callable[[], object]) -> None:
    # Not through sys.stdin: its lock would be held while the interpreter ends.
    while os.read(0, 4096):
        pass
    closed()
