"""Snapshots: written beside, published by one atomic rename, expired by age.

var/snapshots/<id>/manifest.json        what it is, row counts
var/snapshots/<id>/tables/<name>.parquet
var/snapshots/CURRENT                   the id of the published one
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from alongside.model.errors import StoreUnavailable
from alongside.warehouse import duck


@dataclass(frozen=True)
class Snapshot:
    """A published, immutable picture of all patients as of one moment."""

    id: str
    path: Path
    as_of: datetime
    manifest: dict[str, Any]

    def table(self, name: str) -> Path:
        """The Parquet file of one table."""
        return self.path / "tables" / f"{name}.parquet"

    @property
    def tables(self) -> list[str]:
        return sorted(file.stem for file in (self.path / "tables").glob("*.parquet"))


@dataclass(frozen=True)
class Draft:
    """A snapshot being written: nobody reads it until it is published."""

    id: str
    path: Path
    as_of: datetime

    def table(self, name: str) -> Path:
        return self.path / "tables" / f"{name}.parquet"


class Warehouse:
    """The analytical store below `root` (usually the project's `var/`)."""

    def __init__(self, root: Path, memory_limit: str = "4GB", threads: int = 2) -> None:
        self.root = root
        self.memory_limit = memory_limit
        self.threads = threads

    @property
    def _snapshots(self) -> Path:
        return self.root / "snapshots"

    @contextmanager
    def connect(self, share: int = 1) -> Iterator[duckdb.DuckDBPyConnection]:
        """A DuckDB connection with the budget divided by `share` processes."""
        number, unit = (
            self.memory_limit.rstrip("MGB ").strip(),
            self.memory_limit.strip()[-2:],
        )
        budget = f"{float(number) / share:g}{unit}"
        with duck.connect(self.root / "spill", budget, max(1, self.threads // share)) as connection:
            yield connection

    def staging(self, name: str) -> Path:
        """A private folder (mode 0700) for rows that still carry identifiers; the caller removes it."""
        path = self.root / "staging" / name
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.chmod(0o700)
        return path

    def remove_staging(self, name: str) -> None:
        shutil.rmtree(self.root / "staging" / name, ignore_errors=True)

    def begin(self, snapshot_id: str, as_of: datetime) -> Draft:
        """Start writing a snapshot; an unpublished earlier try of the same id is thrown away."""
        path = self._snapshots / f".building-{snapshot_id}"
        try:
            shutil.rmtree(path, ignore_errors=True)
            (path / "tables").mkdir(parents=True)
        except OSError as error:
            raise _disk(error, path) from error
        return Draft(snapshot_id, path, as_of)

    def resume(self, snapshot_id: str, as_of: datetime) -> Draft:
        """The draft that an earlier step began, as it stands."""
        building = self._snapshots / f".building-{snapshot_id}"
        if not building.is_dir():
            raise StoreUnavailable(
                f"the draft of snapshot {snapshot_id} is gone",
                where=str(building),
                remedy="Start the run's refresh again from its first step.",
            )
        return Draft(snapshot_id, building, as_of)

    def publish(self, draft: Draft, facts: dict[str, Any]) -> Snapshot:
        """Make the draft the current snapshot. Durable and atomic: readers see the old one or the new one."""
        final = self._snapshots / draft.id
        manifest = {"id": draft.id, "as_of": draft.as_of.isoformat(), **facts}
        try:
            (draft.path / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False), "utf-8")
            for file in [*sorted(draft.path.rglob("*")), draft.path]:
                _fsync(file)
            if final.exists():
                shutil.rmtree(final)
            os.rename(draft.path, final)
            self._point_to(draft.id)
        except OSError as error:
            raise _disk(error, draft.path) from error
        return self.open(draft.id)

    def _point_to(self, snapshot_id: str) -> None:
        pointer = self._snapshots / "CURRENT"
        fresh = self._snapshots / f".CURRENT-{os.getpid()}"
        fresh.write_text(snapshot_id + "\n", "utf-8")
        _fsync(fresh)
        os.replace(fresh, pointer)
        _fsync(self._snapshots)

    def open(self, snapshot_id: str) -> Snapshot:
        path = self._snapshots / snapshot_id
        try:
            manifest = json.loads((path / "manifest.json").read_text("utf-8"))
        except FileNotFoundError as error:
            raise StoreUnavailable(
                f"snapshot {snapshot_id} is gone",
                where=str(path),
                remedy="It expired; start a new run.",
            ) from error
        return Snapshot(snapshot_id, path, datetime.fromisoformat(manifest["as_of"]), manifest)

    def current(self) -> Snapshot | None:
        """The published snapshot, or None before the first one."""
        try:
            return self.open((self._snapshots / "CURRENT").read_text("utf-8").strip())
        except FileNotFoundError:
            return None

    def all(self) -> list[Snapshot]:
        """Every snapshot still kept, oldest `as_of` first."""
        if not self._snapshots.is_dir():
            return []
        found = [
            self.open(path.name)
            for path in self._snapshots.iterdir()
            if (path / "manifest.json").is_file() and not path.name.startswith(".")
        ]
        return sorted(found, key=lambda snapshot: (snapshot.as_of, snapshot.id))

    def expire(self, keep_days: int, as_of: datetime) -> list[str]:
        """Remove snapshots older than `keep_days`, never the current one; returns the removed ids."""
        current = self.current()
        limit = as_of - timedelta(days=keep_days)
        old = [item for item in self.all() if item.as_of < limit and current is not None and item.id != current.id]
        for item in old:
            shutil.rmtree(item.path, ignore_errors=True)
        return [item.id for item in old]


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _disk(error: OSError, path: Path) -> StoreUnavailable:
    return StoreUnavailable(
        f"the snapshot cannot be written: {error.strerror}",
        where=str(path),
        remedy="Free space on that disk and run again; the previous snapshot stays current.",
    )
