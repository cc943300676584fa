"""`python -m alongside.sandbox.wechat --dir DIR --port 0`: prints one line of JSON when it is ready."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from alongside.sandbox.common import process
from alongside.sandbox.common.faults import parse_fault_text
from alongside.sandbox.wechat.followers import Rates, parse_rate
from alongside.sandbox.wechat.launch import serve
from alongside.sandbox.wechat.options import DEFAULT_APP_ID, DEFAULT_SECRET, DEFAULT_TOKEN, Options, Registered


def parser() -> argparse.ArgumentParser:
    found = process.parser("alongside.sandbox.wechat", "A stand-in of a WeChat official account on loopback.")
    found.add_argument("--app-id", default=DEFAULT_APP_ID)
    found.add_argument("--secret", default=DEFAULT_SECRET)
    found.add_argument("--token", default=DEFAULT_TOKEN, help="shared with the receiver; signs callbacks")
    found.add_argument(
        "--template", action="append", default=[], metavar="JSON", help='["id", "title", {field: label}]'
    )
    found.add_argument("--webhook", help="receiver of callbacks, on loopback")
    found.add_argument("--rate", action="append", default=[], help="of the simulated followers, for example stop=0.1")
    found.add_argument("--duplicates", type=float, default=0.0, help="share of events told twice")
    found.add_argument("--no-patients", action="store_true", help="nothing happens after acceptance")
    found.add_argument("--quota", type=int, default=1_000_000, help="messages a day")
    return found


def options_from(arguments: argparse.Namespace) -> Options:
    """The set-up that the command line asks for."""
    return Options(
        folder=arguments.dir,
        host=arguments.host,
        port=arguments.port,
        app_id=arguments.app_id,
        secret=arguments.secret,
        token=arguments.token,
        templates=tuple(Registered.from_text(text) for text in arguments.template),
        webhook_url=arguments.webhook,
        rates=Rates(**dict(map(parse_rate, arguments.rate))),
        seed=arguments.seed,
        faults=tuple(parse_fault_text(text) for text in arguments.fault),
        duplicates=arguments.duplicates,
        patients=not arguments.no_patients,
        quota=arguments.quota,
    )


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    return process.main(arguments, lambda: serve(options_from(arguments)))


if __name__ == "__main__":
    sys.exit(main())
