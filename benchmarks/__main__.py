"""`python -m benchmarks --size 10k|100k|1m [--only NAME ...] [--rounds 3] [--record]`."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.measures import MEASURES, Context
from benchmarks.processes import ChildFailed
from benchmarks.results import Record, people, remember

PACKAGES = {
    "ingest": ("duckdb",),
    "validation": ("duckdb", "great-expectations"),
    "segments": ("duckdb",),
    "evaluation": ("duckdb", "scipy"),
    "rendering": ("jinja2",),
    "mail-bytes": (),
    "delivery-batched": ("aiohttp", "django-anymail"),
    "delivery-single": ("aiohttp", "django-post-office"),
    "run": ("duckdb", "prefect"),
}


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser("benchmarks", description="Measure Alongside against baselines in the same run.")
    found.add_argument("--size", default="10k", type=_size, help="patients: 10k, 100k, 1m, or any number")
    found.add_argument("--only", action="append", choices=list(MEASURES), help="this measure only; repeatable")
    found.add_argument("--rounds", default=3, type=int, help="timed rounds; the best one counts")
    found.add_argument("--record", action="store_true", help="write the figures into benchmarks/RESULTS.md")
    return found


def _size(text: str) -> str:
    try:
        count = people(text)
    except ValueError:
        count = 0
    if not 100 <= count <= 10_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 10k, 100k or 1m")
    return text.lower()


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table for each measure; 1 when a measure could not be taken."""
    wanted = parser().parse_args(argv)
    # Every sender is a process: without bytecode each would compile its imports again, which hides everything else.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    console = Console()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="alongside-benchmarks-") as folder:
        context = Context(people(wanted.size), Path(folder), wanted.rounds)
        for name in wanted.only or MEASURES:
            console.print(f"[dim]{name}, {wanted.size} patients ...[/dim]")
            try:
                record = take(name, wanted.size, context)
            except (ChildFailed, OSError) as error:
                console.print(f"[red]{name}: {error}[/red]")
                failed += 1
                continue
            show(record, console)
            if wanted.record:
                remember([record])
    return 1 if failed else 0


def take(name: str, size: str, context: Context) -> Record:
    """One measure with where and when it was taken."""
    before, begun = os.getloadavg()[0], time.perf_counter()
    found = MEASURES[name](context)
    return Record(
        measure=name,
        size=size,
        rows=tuple(found.rows),
        notes=tuple(found.notes),
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        load=(round(before, 1), round(os.getloadavg()[0], 1)),
        seconds=round(time.perf_counter() - begun, 1),
        machine=f"{os.cpu_count()} cores, {psutil.virtual_memory().total / (1 << 30):.0f} GiB",
        versions=_versions(PACKAGES[name]),
    )


def show(record: Record, console: Console) -> None:
    table = Table(title=f"{record.measure}, {people(record.size):,} patients (load {record.load[0]})")
    for heading in ("what", "Alongside", "baseline", "ratio", "target"):
        table.add_column(heading, justify="left" if heading in ("what", "baseline") else "right", overflow="fold")
    for row in record.rows:
        table.add_row(*row.cells(), style="red" if row.met is False else None)
    console.print(table)
    for note in record.notes:
        console.print(f"[dim]{note}[/dim]")


def _versions(packages: Sequence[str]) -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    sys.exit(main())
