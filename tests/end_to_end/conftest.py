"""A small hospital whose daily run is played step by step, without Prefect's server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from alongside.bootstrap import Services
from alongside.outreach.campaign_plan import CampaignPlan
from alongside.sandbox.hospital import generate
from alongside.settings import Project
from tasks import context, outreach, patients, quality, runs, segments, sources
from tests.conftest import ROOT
from tests.flows.conftest import small_enough

PATIENTS = 500
AS_OF = "2026-03-01T08:00+08:00"


@dataclass
class Played:
    """A project and the steps of a run on it."""

    project: Project

    @property
    def root(self) -> str:
        return str(self.project.root)

    @property
    def house(self) -> Services:
        return context.services(self.root)

    def refresh(self, run_id: str, as_of: str = AS_OF, roots: dict[str, str] | None = None, **more: Any) -> str:
        """Extracts to a published snapshot; returns its id."""
        runs.start.fn(run_id, datetime.fromisoformat(as_of), None, self.root)
        sources.ingest_extracts.fn(run_id, roots or {}, self.root)
        quality.validate_data.fn(run_id, self.root)
        patients.identify.fn(run_id, more.get("fictional_contacts", False), self.root)
        snapshot_id = f"snapshot-{run_id}"
        patients.build_360.fn(run_id, snapshot_id, self.root)
        segments.refresh_segments.fn(run_id, snapshot_id, self.root)
        return str(segments.publish.fn(run_id, snapshot_id, self.root))

    def plan(self, run_id: str, partitions: int = 1, *, commit: bool = True) -> dict[str, CampaignPlan]:
        """Every campaign in order of priority."""
        planner = outreach.planner_of(self.house, context.run_pins(run_id, self.root), partitions)
        now = self.house.clock()
        return {item.name: planner.plan(item, now, commit=commit) for item in self.house.catalogues.campaigns}


@pytest.fixture(scope="session")
def extracts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first dump of a hospital of 500, written once."""
    root = tmp_path_factory.mktemp("extracts") / "hospital"
    generate(root, patients=PATIENTS, start=date(2026, 2, 28))
    return root


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith(("ALONGSIDE_", "SENDGRID_"))]:
        if name not in ("ALONGSIDE_TEST_POSTGRES", "ALONGSIDE_PEER_DATA"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ALONGSIDE_KEY_DIR", str(tmp_path / "keys"))
    monkeypatch.setenv("SENDGRID_URL", "http://127.0.0.1:9")
    context.services.cache_clear()
    yield
    context.services.cache_clear()


@pytest.fixture
def played(tmp_path: Path, extracts: Path) -> Played:
    """A project of its own with the extracts at hand; nothing has run yet."""
    project = Project.at(tmp_path / "project")
    for folder in ("config", "templates", "expectations"):
        shutil.copytree(ROOT / folder, project.root / folder)
    small_enough(project.root)
    project.var.mkdir()
    (project.var / "hospital").symlink_to(extracts)
    return Played(project)
