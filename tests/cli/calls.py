"""`python -m tests.cli.calls FILE`: commands one after the other in one process, as FILE (JSON) lists them.

Importing the flows and starting Prefect's server cost half a minute of a core, more than a small run itself: commands
that need them share them. Each finds the environment that the process began with, whatever an earlier one exported.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from alongside.cli.app import app


def main(file: Path) -> None:
    given = dict(os.environ)
    done = [_call(given, **call) for call in json.loads(file.read_text("utf-8"))]
    file.write_text(json.dumps(done), "utf-8")


def _call(given: dict[str, str], home: str, words: list[str]) -> dict[str, Any]:
    for name in [name for name in os.environ if name.startswith(("ALONGSIDE_", "SENDGRID_"))]:
        del os.environ[name]
    os.environ.update(given, ALONGSIDE_HOME=home)
    found = CliRunner().invoke(app, words)
    return {"code": found.exit_code, "out": found.stdout, "err": f"{found.stderr}{found.exception or ''}"}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
