"""`python -m benchmarks.calibration [--runs 10000] [--page docs/calibration.md]`."""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from rich.console import Console

from benchmarks.calibration.cells import measure
from benchmarks.calibration.report import write

PAGE = Path(__file__).resolve().parents[2] / "docs" / "calibration.md"


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page; 1 when a promise is not kept."""
    options = argparse.ArgumentParser("calibrate", description="Simulate experiments whose truth is known.")
    options.add_argument("--runs", type=int, default=10_000, help="simulated experiments for each world")
    options.add_argument("--page", type=Path, default=PAGE, help="where the report goes")
    wanted = options.parse_args(argv)
    if wanted.runs < 100:
        options.error("fewer than 100 runs tell nothing")
    console = Console()
    started = time.monotonic()
    with console.status("simulating") as status:
        figures = measure(wanted.runs, lambda what: status.update(f"simulating {what}"))
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("numpy", "scipy"))
    today = datetime.now(UTC).date().isoformat()
    made = f"{wanted.runs:,} experiments a world, {today}, Python {platform.python_version()}, {versions}"
    write(figures, wanted.page, made)
    broken = [figure for figure in figures if not figure.kept]
    for figure in broken:
        console.print(f"[red]{figure.section}: {figure.cell}: {figure.value:.4f}[/red]")
    minutes = (time.monotonic() - started) / 60
    console.print(f"{len(figures) - len(broken)} of {len(figures)} kept, {minutes:.1f} minutes; see {wanted.page}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
