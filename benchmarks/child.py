"""`python -m benchmarks.child MODULE:FUNCTION`: JSON arguments on standard input, the answer as the last line out."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import sys
from typing import NoReturn


def main() -> NoReturn:
    module, _, name = sys.argv[1].partition(":")
    arguments = json.loads(sys.stdin.read())
    with contextlib.redirect_stdout(sys.stderr):  # whatever a library prints is not the answer
        answer = getattr(importlib.import_module(f"benchmarks.{module}"), name)(**arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
    sys.stdout.write(json.dumps({"answer": answer, "own_peak_mb": peak / scale}) + "\n")
    sys.stdout.flush()
    os._exit(0)  # nothing is left to do, and taking down the interpreter takes seconds and complains


if __name__ == "__main__":
    main()
