from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from alongside.ledger import Ledger
from alongside.ledger.vault import Vault
from alongside.settings.environment import Environment
from alongside.settings.hospital import HospitalSettings
from alongside.settings.yaml_source import read_model
from tests.conftest import ROOT
from tests.patients.world import World


@pytest.fixture(scope="session")
def settings() -> HospitalSettings:
    return read_model(HospitalSettings, ROOT / "config" / "alongside.yaml")


@pytest.fixture
def world(tmp_path: Path, ledger: Ledger, settings: HospitalSettings) -> World:
    """An empty hospital on each store."""
    return World(tmp_path, ledger, Vault.open(ledger, Environment(vault_key=bytes(32))), settings)


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite file: copying it is cheaper than migrating again."""
    file = tmp_path_factory.mktemp("ledger") / "empty.db"
    ledger = Ledger.open(f"sqlite:///{file}")
    with ledger.engine.connect() as connection:
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    ledger.engine.dispose()
    return file


@pytest.fixture
def small_world(tmp_path: Path, settings: HospitalSettings, empty_ledger: Path) -> World:
    """An empty hospital on SQLite, for what does not depend on the store."""
    shutil.copy(empty_ledger, tmp_path / "small.db")
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'small.db'}")
    return World(tmp_path, ledger, Vault.open(ledger, Environment(vault_key=bytes(32))), settings)
