"""`python -m alongside.sandbox.aliyun --dir DIR --port 0`: prints one line of JSON when it is ready."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from alongside.channels.transport import run_loop
from alongside.model.errors import AlongsideError
from alongside.sandbox.aliyun.launch import Running, ready_line, run
from alongside.sandbox.aliyun.options import DEFAULT_KEY_ID, DEFAULT_SECRET, Options
from alongside.sandbox.common.faults import parse_fault_text
from alongside.sandbox.common.phones import Rates, parse_rate


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser("alongside.sandbox.aliyun", description="A stand-in of Aliyun SMS on loopback.")
    found.add_argument("--dir", type=Path, required=True, help="folder of its logs and clock")
    found.add_argument("--host", default="127.0.0.1")
    found.add_argument("--port", type=int, default=0, help="0 picks a free one")
    found.add_argument("--key-id", default=DEFAULT_KEY_ID)
    found.add_argument("--secret", default=DEFAULT_SECRET)
    found.add_argument("--template", action="append", default=[], metavar="CODE=TEXT", help="a registered text")
    found.add_argument("--signature", action="append", default=[], help="a registered signature; default: any")
    found.add_argument("--webhook", help="beginning of the receiver's addresses, on loopback")
    found.add_argument("--rate", action="append", default=[], help="of the simulated patients, for example stop=0.1")
    found.add_argument("--seed", type=int, default=0, help="of the simulated patients")
    found.add_argument("--fault", action="append", default=[], help="for example throttle:rate=0.1")
    found.add_argument("--duplicates", type=float, default=0.0, help="share of reports told twice")
    found.add_argument("--reorder", type=float, default=0.0, help="share of messages whose reports come in reverse")
    found.add_argument("--no-patients", action="store_true", help="nothing happens after acceptance")
    found.add_argument("--until-stdin-closes", action="store_true", help="end together with the parent process")
    return found


def options_from(arguments: argparse.Namespace) -> Options:
    """The set-up that the command line asks for."""
    return Options(
        folder=arguments.dir,
        host=arguments.host,
        port=arguments.port,
        key_id=arguments.key_id,
        secret=arguments.secret,
        templates=dict(text.split("=", 1) for text in arguments.template),
        signatures=tuple(arguments.signature),
        webhook_url=arguments.webhook,
        rates=replace(Rates(), **dict(map(parse_rate, arguments.rate))),
        seed=arguments.seed,
        faults=tuple(parse_fault_text(text) for text in arguments.fault),
        duplicates=arguments.duplicates,
        reorder=arguments.reorder,
        patients=not arguments.no_patients,
    )


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    try:
        run_loop(_serve(options_from(arguments), with_parent=arguments.until_stdin_closes))
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
