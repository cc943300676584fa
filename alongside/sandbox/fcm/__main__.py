"""`python -m alongside.sandbox.fcm --dir DIR --port 0`: prints one line of JSON when it is ready."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from alongside.sandbox.common import process
from alongside.sandbox.common.faults import parse_fault_text
from alongside.sandbox.fcm.launch import serve
from alongside.sandbox.fcm.options import PROJECT, Options


def parser() -> argparse.ArgumentParser:
    found = process.parser("alongside.sandbox.fcm", "A stand-in of Firebase Cloud Messaging on loopback.")
    found.add_argument("--project", default=PROJECT)
    found.add_argument("--gone", type=float, default=0.0, help="share of devices whose app was removed")
    return found


def options_from(arguments: argparse.Namespace) -> Options:
    """The set-up that the command line asks for."""
    return Options(
        folder=arguments.dir,
        host=arguments.host,
        port=arguments.port,
        project=arguments.project,
        gone=arguments.gone,
        seed=arguments.seed,
        faults=tuple(parse_fault_text(text) for text in arguments.fault),
    )


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    return process.main(arguments, lambda: serve(options_from(arguments)))


if __name__ == "__main__":
    sys.exit(main())
