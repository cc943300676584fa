"""`python -m alongside.sandbox.smtp --dir DIR --port 0`: prints one line of JSON when it is ready."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from alongside.sandbox.common import process
from alongside.sandbox.common.faults import parse_fault_text
from alongside.sandbox.smtp.launch import Options, serve


def parser() -> argparse.ArgumentParser:
    found = process.parser("alongside.sandbox.smtp", "A stand-in of an SMTP server on loopback.")
    found.add_argument("--login", default="", help="USER:PASSWORD that it wants")
    found.add_argument("--refuse", action="append", default=[], help="a recipient that nobody has")
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
    return process.main(arguments, lambda: serve(options_from(arguments)))


if __name__ == "__main__":
    sys.exit(main())
