"""Precision and recall of identity resolution, measured on the demo hospital, whose truth is known."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from alongside.ledger import Ledger
from alongside.ledger.vault import Vault
from alongside.patients import PERSON_MAP
from alongside.sandbox.hospital import advance, generate
from alongside.settings.environment import Environment
from alongside.settings.hospital import HospitalSettings
from alongside.settings.project import Project
from alongside.sources import ingest, load_concepts, load_sources, source_roots
from tests.conftest import ROOT
from tests.patients.world import NOW, World

#: docs/patient-identity.md says how to measure at other sizes
PATIENTS = int(os.environ.get("ALONGSIDE_IDENTITY_PATIENTS", "900"))
SEED = int(os.environ.get("ALONGSIDE_IDENTITY_SEED", "11"))
DAYS = 2


@dataclass(frozen=True)
class Accuracy:
    """Over pairs of records: how many joined ones are one person, and how many of one person are joined."""

    precision: float
    recall: float
    records: int


def accuracy(person_map: Path, truth: Path) -> Accuracy:
    """Compare `person_map.parquet` with the generator's `truth/records`."""
    duck = duckdb.connect()
    duck.execute(
        "CREATE TABLE record AS SELECT m.person_id AS found, t.person FROM read_parquet(?) AS m "
        "JOIN (SELECT DISTINCT * FROM read_parquet(?)) AS t "
        "ON t.source = m.source AND t.source_id = m.patient_source_id",
        [str(person_map), str(truth / "records" / "*.parquet")],
    )

    def pairs(columns: str) -> int:
        sql = f"SELECT sum(n * (n - 1)) / 2 FROM (SELECT count(*) AS n FROM record GROUP BY {columns})"
        return int(duck.execute(sql).fetchall()[0][0])

    both, found, truly = pairs("found, person"), pairs("found"), pairs("person")
    return Accuracy(both / found, both / truly, duck.execute("SELECT count(*) FROM record").fetchall()[0][0])


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, settings: HospitalSettings) -> World:
    """The demo hospital's dump and first days, resolved night after night as in production."""
    root = tmp_path_factory.mktemp("demo")
    hospital = root / "var" / "hospital"
    generate(hospital, PATIENTS, SEED)
    ledger = Ledger.open(f"sqlite:///{root / 'ledger.db'}")
    world = World(root, ledger, Vault.open(ledger, Environment(vault_key=bytes(32))), settings)
    project = Project.at(ROOT, root / "var")
    sources = {name: source for name, source in load_sources(project).items() if name in settings.sources}
    for day in range(DAYS):
        if day:
            advance(hospital, date(2026, 2, 28) + timedelta(days=day))
        now = NOW + timedelta(days=day - 1, hours=1)
        roots = source_roots(project, sources)
        ingest(sources, roots, load_concepts(project), now, world.clean, world.warehouse, ledger.info.secret)
        world.again(now)
    return world


def test_records_are_joined_right_and_almost_all_of_them(demo: World) -> None:
    measured = accuracy(demo.clean.parent / PERSON_MAP, demo.root / "var" / "hospital" / "truth")
    sys.stdout.write(f"{measured}\n")  # shown by pytest -s
    assert measured.records > 2.5 * PATIENTS
    assert measured.precision >= 0.995, measured
    assert measured.recall >= 0.98, measured


def test_the_measure_tells_one_big_group_from_the_truth(demo: World, tmp_path: Path) -> None:
    file = tmp_path / "all.parquet"
    duckdb.execute(
        "COPY (SELECT source, source_id AS patient_source_id, 'p1' AS person_id "
        f"FROM '{demo.clean / 'patient.parquet'}') TO '{file}'"
    )
    measured = accuracy(file, demo.root / "var" / "hospital" / "truth")
    assert measured.precision < 0.01
    assert measured.recall == 1
