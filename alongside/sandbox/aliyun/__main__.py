"""`python -m alongside.sandbox.aliyun --dir DIR --port 0`: prints one line of JSON when it is ready."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from alongside.sandbox.aliyun.launch import serve
from alongside.sandbox.aliyun.options import DEFAULT_KEY_ID, DEFAULT_SECRET, Options
from alongside.sandbox.common import process
from alongside.sandbox.common.faults import parse_fault_text
from alongside.sandbox.common.phones import Rates, parse_rate


def parser() -> argparse.ArgumentParser:
    found = process.parser("alongside.sandbox.aliyun", "A stand-in of Aliyun SMS on loopback.")
    found.add_argument("--key-id", default=DEFAULT_KEY_ID)
    found.add_argument("--secret", default=DEFAULT_SECRET)
    found.add_argument("--template", action="append", default=[], metavar="CODE=TEXT", help="a registered text")
    found.add_argument("--signature", action="append", default=[], help="a registered signature; default: any")
    found.add_argument("--webhook", help="beginning of the receiver's addresses, on loopback")
    found.add_argument("--rate", action="append", default=[], help="of the simulated patients, for example stop=0.1")
    found.add_argument("--duplicates", type=float, default=0.0, help="share of reports told twice")
    found.add_argument("--reorder", type=float, default=0.0, help="share of messages whose reports come in reverse")
    found.add_argument("--no-patients", action="store_true", help="nothing happens after acceptance")
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
    return process.main(arguments, lambda: serve(options_from(arguments)))


if __name__ == "__main__":
    sys.exit(main())
