"""A small hospital whose daily run is played step by step, without Prefect's server.

Extracts, the picture that a refresh makes of them and the plan made on it are built once a process. A test that writes
gets a copy of the whole project: keys, ledger and snapshots.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import pytest

from alongside.bootstrap import Services
from alongside.outreach.campaign_plan import CampaignPlan
from alongside.outreach.campaigns import find_campaign
from alongside.sandbox.hospital import generate
from alongside.sandbox.together import Scene, StandIns, start
from alongside.settings import Project
from tasks import context, delivery, outreach, patients, quality, runs, segments, sources
from tests.conftest import ROOT
from tests.flows.conftest import small_enough

PATIENTS = 500
AS_OF = "2026-03-01T08:00+08:00"


@dataclass
class Played:
    """A project and the steps of a run on it."""

    project: Project
    plans: dict[str, CampaignPlan] = field(default_factory=dict)

    @property
    def root(self) -> str:
        return str(self.project.root)

    @property
    def house(self) -> Services:
        return context.services(self.root)

    def refresh(
        self,
        run_id: str,
        as_of: str = AS_OF,
        roots: dict[str, str] | None = None,
        *,
        fictional_contacts: bool = False,
    ) -> str:
        """Extracts to a published snapshot; returns its id."""
        runs.start.fn(run_id, datetime.fromisoformat(as_of), None, self.root, fictional_contacts)
        sources.ingest_extracts.fn(run_id, roots or {}, self.root)
        quality.validate_data.fn(run_id, self.root)
        patients.identify.fn(run_id, fictional_contacts, self.root)
        snapshot_id = f"snapshot-{run_id}"
        patients.build_360.fn(run_id, snapshot_id, self.root)
        segments.refresh_segments.fn(run_id, snapshot_id, self.root)
        return str(segments.publish.fn(run_id, snapshot_id, self.root))

    def plan(self, run_id: str, *only: str, partitions: int = 1, commit: bool = True) -> dict[str, CampaignPlan]:
        """Every campaign in order of priority, or only those named."""
        planner = outreach.planner_of(self.house, context.run_pins(run_id, self.root), partitions)
        now, every = self.house.clock(), self.house.catalogues.campaigns
        wanted = [find_campaign(every, name) for name in only] or every
        return {item.name: planner.plan(item, now, commit=commit) for item in wanted}

    def send(self, run_id: str, partitions: int = 1) -> None:
        """Every channel and partition, one after the other."""
        for channel in delivery.open_channels(run_id, self.root):
            for partition in range(partitions):
                delivery.dispatch_partition.fn(run_id, partition, partitions, self.root, channel)

    @contextmanager
    def stand_ins(self, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[StandIns]:
        """Those of every provider, without simulated patients, announced to this process."""
        responses = self.project.config / "sandbox" / "responses.yaml"
        with start(Scene(self.house.settings, folder, responses, "http://127.0.0.1:9", patients=False)) as running:
            for name, value in running.environment.items():
                patch.setenv(name, value)
            context.services.cache_clear()
            yield running

    def copy(self, target: Path) -> Played:
        """The same project, keys and stores in another folder, to be changed at will."""
        self.house.ledger.engine.dispose()
        shutil.copytree(self.project.root, target, symlinks=True)
        return Played(Project.at(target), self.plans)


def edit(played: Played, file: str, old: str, new: str) -> None:
    """Change a file of the project, as somebody does between two runs."""
    path = played.project.root / file
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    context.services.cache_clear()


@pytest.fixture(scope="session")
def extracts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first dump of a hospital of 500, written once."""
    root = tmp_path_factory.mktemp("extracts") / "hospital"
    generate(root, patients=PATIENTS, start=date(2026, 2, 28))
    return root


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the keys, outside every project as in life."""
    return tmp_path_factory.mktemp("keys")


@contextmanager
def environment_of(keys: Path) -> Iterator[None]:
    """None of the environment's own settings, keys in the folder, a vendor that nobody could reach."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("ALONGSIDE_", "SENDGRID_", "TWILIO_", "ALIYUN_"))]:
            if name not in ("ALONGSIDE_TEST_POSTGRES", "ALONGSIDE_PEER_DATA"):
                patch.delenv(name)
        patch.setenv("ALONGSIDE_KEY_DIR", str(keys))
        patch.setenv("SENDGRID_URL", "http://127.0.0.1:9")
        context.services.cache_clear()
        yield
        context.services.cache_clear()


@pytest.fixture(autouse=True)
def _environment(keys: Path) -> Iterator[None]:
    with environment_of(keys):
        yield


def new_project(root: Path, extracts: Path | None = None) -> Played:
    project = Project.at(root)
    for folder in ("config", "templates", "expectations"):
        shutil.copytree(ROOT / folder, project.root / folder)
    small_enough(project.root)
    project.var.mkdir()
    if extracts is not None:
        (project.var / "hospital").symlink_to(extracts)
    return Played(project)


@pytest.fixture
def played(tmp_path: Path, extracts: Path) -> Played:
    """A project of its own with the extracts at hand; nothing has run yet."""
    return new_project(tmp_path / "project", extracts)


@pytest.fixture(scope="session")
def refreshed_once(tmp_path_factory: pytest.TempPathFactory, extracts: Path, keys: Path) -> Played:
    """Run r1 up to its published snapshot; to be read and copied only."""
    played = new_project(tmp_path_factory.mktemp("refreshed") / "project", extracts)
    with environment_of(keys):
        played.refresh("r1")
    return played


@pytest.fixture(scope="session")
def planned_once(tmp_path_factory: pytest.TempPathFactory, refreshed_once: Played, keys: Path) -> Played:
    """Run r1 with every campaign planned, `plans` as planning returned them; to be read and copied only."""
    with environment_of(keys):
        played = refreshed_once.copy(tmp_path_factory.mktemp("planned") / "project")
        played.plans = played.plan("r1")
    return played


@pytest.fixture
def refreshed(tmp_path: Path, refreshed_once: Played) -> Played:
    """Run r1 with its snapshot published and nothing planned, of the test's own."""
    return refreshed_once.copy(tmp_path / "refreshed")


@pytest.fixture
def planned(tmp_path: Path, planned_once: Played) -> Played:
    """Run r1 planned, of the test's own."""
    return planned_once.copy(tmp_path / "planned")
