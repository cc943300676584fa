"""Ingest against DuckDB reading the same files into Parquet as they stand: no mapping, no units, no keys, no checks."""

from __future__ import annotations

import codecs
import shutil
from pathlib import Path
from typing import Any

import duckdb

from alongside.warehouse.duck import quoted
from benchmarks import hospital
from benchmarks.timing import best_of


def measure(root: str, rounds: int) -> dict[str, float]:
    """Best seconds of `ours` and `baseline`."""
    home = Path(root)
    contenders = {"ours": lambda: hospital.ingest(home), "baseline": lambda: copy_as_it_stands(home)}
    return best_of(rounds, contenders)


def copy_as_it_stands(root: Path) -> int:
    """Every extract to Parquet, all columns text; returns the rows."""
    out = root / "var" / "as-it-stands"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    extracts = sorted(path for path in (root / "var" / "hospital").rglob("*.*") if path.is_file())
    with hospital.warehouse(root).connect() as connection:
        return sum(_copy(connection, path, out) for path in extracts)


def _copy(connection: duckdb.DuckDBPyConnection, path: Path, out: Path) -> int:
    target = quoted(out / f"{path.parent.parent.name}-{path.name}.parquet")
    if path.suffix == ".parquet":
        rows = f"read_parquet({quoted(path)})"
    elif "lis" in path.parts:
        rows = _csv(_utf8(path, out), "|")
    else:
        rows = _csv(path, ",")
    found: Any = connection.execute(f"COPY (SELECT * FROM {rows}) TO {target} (FORMAT parquet)").fetchone()
    return int(found[0])


def _csv(path: Path, delimiter: str) -> str:
    return (
        f"read_csv({quoted(path)}, header=true, all_varchar=true, delim='{delimiter}', quote='\"', strict_mode=false)"
    )


def _utf8(path: Path, out: Path) -> Path:
    """DuckDB reads GB18030 with an extension only that is not part of it."""
    copy = out / f"utf8-{path.name}"
    with codecs.open(str(path), encoding="gb18030") as source, copy.open("w", encoding="utf-8", newline="") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
    return copy
