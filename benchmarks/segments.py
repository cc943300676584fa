"""Segment refresh against what an analyst would write by hand, on a synthetic snapshot (`tests/segments/scale.py`)."""

from __future__ import annotations

import shutil
from pathlib import Path

from alongside.segments import load, refresh
from alongside.settings import Project
from benchmarks import hospital
from benchmarks.processes import ROOT
from benchmarks.timing import best_of
from tests.segments.by_hand import refresh_by_hand
from tests.segments.hospital import AS_OF
from tests.segments.scale import write_hospital


def prepare(root: str, size: int) -> None:
    """Write the snapshot, and a membership to compare with."""
    write_hospital(Path(root) / "segments", size, threads=hospital.THREADS)
    _ours(Path(root), None, Path(root) / "before")


def measure(root: str, rounds: int) -> dict[str, float]:
    """Best seconds of `ours` and `baseline`."""
    home = Path(root)
    return best_of(rounds, {"ours": lambda: ours(home), "baseline": lambda: baseline(home)})


def ours(root: Path) -> None:
    _ours(root, root / "before", root / "ours")


def _ours(root: Path, previous: Path | None, out: Path) -> None:
    catalogue = load(Project.at(ROOT))
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with hospital.warehouse(root).connect() as connection:
        refresh(catalogue, root / "segments", out, previous, AS_OF, connection)


def baseline(root: Path) -> None:
    catalogue = load(Project.at(ROOT))  # for the names of its tags and segments; ours loads it as well
    with hospital.warehouse(root).connect() as connection:
        refresh_by_hand(catalogue, root / "segments", root / "by-hand", root / "before", connection)
