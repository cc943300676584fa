"""`python -m alongside.sandbox.sendgrid --dir DIR --port 0`: prints one line of JSON when it is ready."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from alongside.channels.transport import run_loop
from alongside.model.errors import AlongsideError
from alongside.sandbox.common.faults import parse_fault_text
from alongside.sandbox.sendgrid.launch import Running, ready_line, run
from alongside.sandbox.sendgrid.options import DEFAULT_API_KEY, Options
from alongside.settings.project import Project

RESPONSES = "sandbox/responses.yaml"


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser("alongside.sandbox.sendgrid", description="A stand-in of SendGrid on loopback.")
    found.add_argument("--dir", type=Path, required=True, help="folder of its log, keys and clock")
    found.add_argument("--host", default="127.0.0.1")
    found.add_argument("--port", type=int, default=0, help="0 picks a free one")
    found.add_argument("--api-key", default=DEFAULT_API_KEY)
    found.add_argument("--responses", type=Path, help="default: config/sandbox/responses.yaml of the project")
    found.add_argument("--no-rules", action="store_true", help="give every message the default rates")
    found.add_argument("--seed", type=int, default=0, help="of the simulated patients")
    found.add_argument("--webhook", help="receiver of events, on loopback")
    found.add_argument("--fault", action="append", default=[], help="for example throttle:rate=0.1,retry_after=2")
    found.add_argument("--duplicates", type=float, default=0.0, help="share of events posted twice")
    found.add_argument("--reorder", type=float, default=0.0, help="share of batches posted in reverse")
    found.add_argument("--keep-bodies", action="store_true", help="keep whole requests in bodies.ndjson")
    found.add_argument("--no-patients", action="store_true", help="nothing happens after acceptance")
    found.add_argument("--sender", action="append", default=[], help="domain that may send; default: any")
    found.add_argument("--rate-limit", type=int, default=600_000, help="requests a minute")
    found.add_argument("--until-stdin-closes", action="store_true", help="end together with the parent process")
    return found


def options_from(arguments: argparse.Namespace) -> Options:
    """The set-up that the command line asks for."""
    responses = arguments.responses
    if responses is None and not arguments.no_rules:
        responses = Project.find().config / RESPONSES
    return Options(
        folder=arguments.dir,
        host=arguments.host,
        port=arguments.port,
        api_key=arguments.api_key,
        responses=responses,
        seed=arguments.seed,
        webhook_url=arguments.webhook,
        faults=tuple(parse_fault_text(text) for text in arguments.fault),
        duplicates=arguments.duplicates,
        reorder=arguments.reorder,
        keep_bodies=arguments.keep_bodies,
        patients=not arguments.no_patients,
        senders=tuple(arguments.sender),
        rate_limit=arguments.rate_limit,
    )


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    try:
        run_loop(_serve(options_from(arguments), until_stdin_closes=arguments.until_stdin_closes))
    except AlongsideError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{arguments.host}:{arguments.port}: {error.strerror}. Choose another port or folder.\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


async def _serve(options: Options, *, until_stdin_closes: bool) -> None:
    def ready(running: Running) -> None:
        sys.stdout.write(ready_line(running) + "\n")
        sys.stdout.flush()

    serving = asyncio.create_task(run(options, ready, until_stdin_closes=until_stdin_closes))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, serving.cancel)
    try:
        await serving
    except asyncio.CancelledError:
        return


if __name__ == "__main__":
    sys.exit(main())
