"""`python -m alongside.sandbox.sendgrid --dir DIR --port 0`: prints one line of JSON when it is ready."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from alongside.sandbox.common import process
from alongside.sandbox.common.faults import parse_fault_text
from alongside.sandbox.sendgrid.launch import serve
from alongside.sandbox.sendgrid.options import DEFAULT_API_KEY, Options
from alongside.settings.project import Project

RESPONSES = "sandbox/responses.yaml"


def parser() -> argparse.ArgumentParser:
    found = process.parser("alongside.sandbox.sendgrid", "A stand-in of SendGrid on loopback.")
    found.add_argument("--api-key", default=DEFAULT_API_KEY)
    found.add_argument("--responses", type=Path, help="default: config/sandbox/responses.yaml of the project")
    found.add_argument("--no-rules", action="store_true", help="give every message the default rates")
    found.add_argument("--webhook", help="receiver of events, on loopback")
    found.add_argument("--duplicates", type=float, default=0.0, help="share of events posted twice")
    found.add_argument("--reorder", type=float, default=0.0, help="share of batches posted in reverse")
    found.add_argument("--keep-bodies", action="store_true", help="keep whole requests in bodies.ndjson")
    found.add_argument("--no-patients", action="store_true", help="nothing happens after acceptance")
    found.add_argument("--sender", action="append", default=[], help="domain that may send; default: any")
    found.add_argument("--rate-limit", type=int, default=600_000, help="requests a minute")
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
    return process.main(arguments, lambda: serve(options_from(arguments)))


if __name__ == "__main__":
    sys.exit(main())
