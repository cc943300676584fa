"""`python -m alongside.sandbox.smtp --dir DIR --port 0`: prints one line of JSON when it is ready."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from alongside.model.errors import AlongsideError
from alongside.sandbox.common.faults import parse_fault_text
from alongside.sandbox.smtp.launch import Options, Running, ready_line, run


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser("alongside.sandbox.smtp", description="A stand-in of an SMTP server on loopback.")
    found.add_argument("--dir", type=Path, required=True, help="folder of its log and clock")
    found.add_argument("--host", default="127.0.0.1")
    found.add_argument("--port", type=int, default=0, help="0 picks a free one")
    found.add_argument("--login", default="", help="USER:PASSWORD that it wants")
    found.add_argument("--refuse", action="append", default=[], help="a recipient that nobody has")
    found.add_argument("--fault", action="append", default=[], help="for example throttle:rate=0.1")
    found.add_argument("--seed", type=int, default=0)
    found.add_argument("--until-stdin-closes", action="store_true", help="end together with the parent process")
    return found


def options_from(arguments: argparse.Namespace) -> Options:
    """The set-up that the command line asks for."""
    user, _, password = arguments.login.partition(":")
    return Options(
        folder=arguments.dir,
        host=arguments.host,
        port=arguments.port,
        login=(user, password),
        refuse=tuple(arguments.refuse),
        faults=tuple(parse_fault_text(text) for text in arguments.fault),
        seed=arguments.seed,
    )


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    try:
        asyncio.run(_serve(options_from(arguments), with_parent=arguments.until_stdin_closes))
    except AlongsideError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{arguments.host}:{arguments.port}: {error.strerror}. Choose another port or folder.\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


async def _serve(options: Options, *, with_parent: bool) -> None:
    def ready(running: Running) -> None:
        sys.stdout.write(ready_line(running) + "\n")
        sys.stdout.flush()

    serving = asyncio.create_task(run(options, ready, with_parent=with_parent))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, serving.cancel)
    try:
        await serving
    except asyncio.CancelledError:
        return


if __name__ == "__main__":
    sys.exit(main())
