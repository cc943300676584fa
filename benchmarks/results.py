"""Rows of a measurement, and the record of them: `results.json`, from which the tables of RESULTS.md are written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
#: What stands above this line in RESULTS.md is written by people.
MARK = "<!-- Written by `python -m benchmarks --record`; words about the figures stand above this line. -->"


@dataclass(frozen=True)
class Row:
    """One figure beside its baseline.

    Attributes
    ----------
    ours, baseline : in `unit`; baseline None where the figure is held against a fixed target only
    limit : what the ratio (or, without baseline, the figure) must not exceed, or must reach when `higher`
    """

    what: str
    ours: float
    unit: str
    against: str = ""
    baseline: float | None = None
    limit: float | None = None
    higher: bool = False

    @property
    def ratio(self) -> float | None:
        return self.ours / self.baseline if self.baseline else None

    @property
    def judged(self) -> float:
        return self.ours if self.ratio is None else self.ratio

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.limit is None:
            return None
        return self.judged >= self.limit if self.higher else self.judged <= self.limit

    def cells(self) -> tuple[str, str, str, str, str]:
        """What, ours, baseline, ratio, target: as people read them."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}x"
        base = "" if self.baseline is None else f"{_figure(self.baseline)} {self.unit}, {self.against}"
        target = ""
        if self.limit is not None:
            sign = ">=" if self.higher else "<="
            unit = "x" if self.ratio is not None else f" {self.unit}"
            target = f"{sign} {_figure(self.limit)}{unit}: {'met' if self.met else 'MISSED'}"
        return self.what, f"{_figure(self.ours)} {self.unit}", base, ratio, target


def _figure(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


@dataclass(frozen=True)
class Record:
    """One measurement of one size: what, when, on what, and under which load."""

    measure: str
    size: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    date: str = ""
    load: tuple[float, float] = (0.0, 0.0)
    seconds: float = 0.0
    machine: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Record:
        rows = tuple(Row(**row) for row in given.pop("rows"))
        notes, load = tuple(given.pop("notes")), given.pop("load")
        return cls(rows=rows, notes=notes, load=(load[0], load[1]), **given)


def remember(records: Sequence[Record], folder: Path = HERE) -> None:
    """Put the records in place of earlier ones of the same size and measure, and write RESULTS.md's tables again."""
    path = folder / "results.json"
    known = [Record.from_json(item) for item in json.loads(path.read_text("utf-8"))] if path.exists() else []
    merged = {(item.size, item.measure): item for item in [*known, *records]}
    ordered = sorted(merged.values(), key=lambda item: (people(item.size), item.measure))
    path.write_text(json.dumps([asdict(item) for item in ordered], indent=1, ensure_ascii=False) + "\n", "utf-8")
    page = folder / "RESULTS.md"
    head = page.read_text("utf-8").partition(MARK)[0].rstrip() if page.exists() else "# Results"
    page.write_text(f"{head}\n\n{MARK}\n{_tables(ordered)}", "utf-8")


def people(size: str) -> int:
    """`10k` -> 10000, `1m` -> 1000000, `500` -> 500."""
    factor = {"k": 1_000, "m": 1_000_000}.get(size[-1:].lower(), 1)
    return int(size[:-1] if factor > 1 else size) * factor


def _tables(records: Sequence[Record]) -> str:
    parts = []
    size = ""
    for record in records:
        if record.size != size:
            size = record.size
            parts.append(f"\n## {people(size):,} patients")
        parts.append(f"\n### {record.measure} ({size})\n")
        parts.append(_provenance(record) + "\n")
        parts.append("| what | Alongside | baseline | ratio | target |\n| --- | --- | --- | --- | --- |")
        parts += [f"| {' | '.join(row.cells())} |" for row in record.rows]
        parts += ["", *[f"- {note}" for note in record.notes]] if record.notes else []
    return "\n".join(parts) + "\n"


def _provenance(record: Record) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in record.versions.items())
    return (
        f"`python -m benchmarks --size {record.size} --only {record.measure}`, {record.date}, {record.machine}, load "
        f"{record.load[0]:.1f} before and {record.load[1]:.1f} after; {versions}."
    )
