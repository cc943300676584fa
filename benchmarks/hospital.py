"""The demo hospital at any size, in a temporary project of its own."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from alongside.settings import Project
from alongside.warehouse import Warehouse
from benchmarks.processes import ROOT

#: The first dump is of 2026-02-28; 08:00 in Shanghai.
AS_OF = datetime(2026, 2, 28, 0, 0, tzinfo=UTC)
MEMORY_LIMIT, THREADS = "4GB", 2


def write_project(folder: Path) -> Project:
    """The repository's own configuration without rate limit and envelopes, and an empty `var/`.

    An envelope fits the hospital that approved it: a larger one's campaigns would wait for a person.
    """
    for name in ("config", "templates", "expectations"):
        shutil.copytree(ROOT / name, folder / name)
    path = folder / "config" / "alongside.yaml"
    settings: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    settings["channels"]["email"]["rate_per_second"] = 1_000_000
    path.write_text(yaml.safe_dump(settings, allow_unicode=True), "utf-8")
    for path in sorted((folder / "config" / "campaigns").glob("*.yaml")):
        campaign: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
        if "envelope" in campaign:
            campaign["envelope"]["max_audience"] = 10_000_000
            path.write_text(yaml.safe_dump(campaign, allow_unicode=True, sort_keys=False), "utf-8")
    (folder / "var").mkdir()
    return Project.at(folder)


def generate(root: str, size: int) -> int:
    """Write the first dump for so many patients below `root/var/hospital`; returns its rows."""
    from alongside.sandbox.hospital import generate as make

    folder = Path(root) / "var" / "hospital"
    return make(folder, patients=size, truth=Path(root) / "truth").total_rows


def warehouse(root: Path) -> Warehouse:
    return Warehouse(root / "var", MEMORY_LIMIT, THREADS)


def ingest(root: Path) -> Path:
    """Canonical tables of the dump: the folder that validation reads."""
    from alongside.sources import ingest as read
    from alongside.sources import load_concepts, load_sources

    project = Project.at(root)
    house = warehouse(root)
    known = load_sources(project)
    names = ("his", "lis", "crm", "app_events")
    out = house.staging("benchmark") / "canonical"
    roots = {name: project.var / "hospital" / name for name in names}
    configs = {name: known[name] for name in names}
    read(configs, roots, load_concepts(project), AS_OF, out, house, secret=b"b" * 32)
    return out


def canonical(root: Path) -> Path:
    """The same, made once."""
    out = warehouse(root).staging("benchmark") / "canonical"
    return out if (out / "quarantine.parquet").exists() else ingest(root)
