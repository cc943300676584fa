"""The `alongside` command: parse, call, print."""

from __future__ import annotations


def main() -> None:
    """Entry point: exit code 0 done, 1 refused or failed with a clear reason, 2 usage."""
    from alongside.cli.app import run_app

    run_app()
