"""Fixtures that every part shares."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import sqlalchemy as sa

from alongside.ledger import Ledger

# CI tries the same examples every time, so that a change is judged by itself; everybody else explores.
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI") == "true":
    hypothesis.settings.load_profile("ci")

ROOT = Path(__file__).resolve().parent.parent
POSTGRES = os.environ.get("ALONGSIDE_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")


def _postgres_answers() -> bool:
    try:
        engine = sa.create_engine(sa.engine.make_url(POSTGRES).set(drivername="postgresql+psycopg"))
        with engine.connect():
            return True
    except sa.exc.OperationalError:
        return False


@pytest.fixture(scope="session")
def peer_data() -> Path:
    """Other people's hospitals; absent for a stranger who clones the project."""
    path = Path(os.environ.get("ALONGSIDE_PEER_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no peer data at {path}: set ALONGSIDE_PEER_DATA to run this test")
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh, empty ledger's URL: the same test runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
        return
    if not _postgres_answers():
        if os.environ.get("CI") == "true":
            pytest.fail(f"PostgreSQL does not answer at {POSTGRES}, and CI must not skip it")
        pytest.skip(f"PostgreSQL does not answer at {POSTGRES}: set ALONGSIDE_TEST_POSTGRES")
    name = f"alongside_test_{uuid.uuid4().hex[:12]}"
    url = sa.engine.make_url(POSTGRES)
    admin = sa.create_engine(url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    yield url.set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    admin.dispose()


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    store = Ledger.open(ledger_url)
    yield store
    store.engine.dispose()
