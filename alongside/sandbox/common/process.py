"""A stand-in as a process of its own, which ends together with whoever started it: both sides of it.

`main` is the process; it prints one line of JSON when it listens: the fields of the stand-in's `Running`. `start` is
whoever starts it and reads that line.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from alongside.channels.transport import run_loop, spare_collector
from alongside.model.errors import AlongsideError, Refused, StoreUnavailable

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Running = TypeVar("Running")


# ------------------------------------------------------------------------------------------------------- the process
def parser(module: str, what: str) -> argparse.ArgumentParser:
    """The arguments that every stand-in takes."""
    found = argparse.ArgumentParser(module, description=what)
    found.add_argument("--dir", type=Path, required=True, help="folder of its logs, keys and clock")
    found.add_argument("--host", default="127.0.0.1")
    found.add_argument("--port", type=int, default=0, help="0 picks a free one")
    found.add_argument("--seed", type=int, default=0, help="of the simulated patients and the faults")
    found.add_argument("--fault", action="append", default=[], help="for example throttle:rate=0.1,retry_after=2")
    found.add_argument("--until-stdin-closes", action="store_true", help="end together with the parent process")
    return found


def main(arguments: argparse.Namespace, serve: Callable[[], AbstractAsyncContextManager[DataclassInstance]]) -> int:
    """Serve until told to end; returns the exit code.

    Parameters
    ----------
    arguments : as `parser` reads them
    serve : reads the rest of them, and opens the stand-in
    """
    spare_collector()
    try:
        run_loop(_until_told(serve, with_parent=arguments.until_stdin_closes))
    except AlongsideError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{arguments.host}:{arguments.port}: {error.strerror}. Choose another port or folder.\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


async def _until_told(
    serve: Callable[[], AbstractAsyncContextManager[DataclassInstance]], *, with_parent: bool
) -> None:
    serving = asyncio.create_task(_serve(serve, with_parent=with_parent))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def _serve(serve: Callable[[], AbstractAsyncContextManager[DataclassInstance]], *, with_parent: bool) -> None:
    async with serve() as running:
        sys.stdout.write(json.dumps(asdict(running)) + "\n")
        sys.stdout.flush()
        await (until_stdin_closes() if with_parent else asyncio.Event().wait())


# ----------------------------------------------------------------------------------------------- whoever starts it
@contextlib.contextmanager
def start(
    module: str, arguments: Sequence[str], running: Callable[..., Running], *, patience: float = 30.0
) -> Iterator[Running]:
    """A stand-in as a process of its own, ended with the block (or with this process, however that ends).

    Parameters
    ----------
    running : makes what is yielded of the fields that the stand-in tells

    Raises
    ------
    StoreUnavailable : it did not come up within `patience` seconds
    """
    with started(module, arguments, patience=patience) as told:
        yield running(**told)


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
