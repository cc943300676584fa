"""A ledger is made and changed by its migrations, and refuses a release that does not know its shape."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from alongside.ledger import Ledger, experiments, migrations, schema
from alongside.ledger.upgrading import upgrade
from alongside.model.errors import Refused, StoreUnavailable


def test_migrated_tables_are_those_of_the_schema(ledger: Ledger) -> None:
    with ledger.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, schema.metadata) == []


def test_head_is_the_newest_script() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_current_head() == migrations.HEAD


def _identity(url: str) -> str:
    return Ledger.open(url).info.ledger_id


def test_many_first_opens_at_once_make_one_ledger(bare_url: str) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        identities = pool.map(_identity, [bare_url] * 8)
    assert len(set(identities)) == 1


@pytest.mark.parametrize(("found", "remedy"), [("0000", "ledger upgrade"), ("9999", "newer")])
def test_a_ledger_of_another_release_is_refused_with_its_remedy(bare_url: str, found: str, remedy: str) -> None:
    ledger = Ledger.open(bare_url)
    with ledger.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :v"), {"v": found})
    ledger.engine.dispose()
    with pytest.raises(Refused, match=remedy):
        Ledger.open(bare_url)


def test_upgrade_creates_and_is_harmless_when_repeated(bare_url: str) -> None:
    assert upgrade(bare_url) == (None, migrations.HEAD)
    before = Ledger.open(bare_url).info
    assert upgrade(bare_url) == (migrations.HEAD, migrations.HEAD)
    assert Ledger.open(bare_url).info == before


def test_assignments_outlive_the_upgrade_that_knows_households(bare_url: str) -> None:
    """A ledger of schema 0010 with an experiment under way: its people keep their arms, and belong to no cluster."""
    ledger = Ledger.open(bare_url)
    row = {"experiment": "wording", "person_id": "p1", "variant": "control", "run_id": "r1", "channel": "email"}
    with ledger.begin() as connection:
        connection.execute(sa.text("ALTER TABLE assignment DROP COLUMN cluster_id"))
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0010'"))
        old = sa.table("assignment", *(sa.column(name) for name in (*row, "assigned_at")))
        connection.execute(old.insert().values(**row, assigned_at=sa.func.current_timestamp()))
    ledger.engine.dispose()
    with pytest.raises(Refused, match="ledger upgrade"):
        Ledger.open(bare_url)
    assert upgrade(bare_url) == ("0010", migrations.HEAD)
    upgraded = Ledger.open(bare_url)
    found = experiments.assignments(upgraded, "wording").select(["person_id", "variant", "cluster_id"]).to_pylist()
    assert found == [{"person_id": "p1", "variant": "control", "cluster_id": None}]


def test_upgrade_leaves_a_newer_ledger_alone(bare_url: str) -> None:
    ledger = Ledger.open(bare_url)
    with ledger.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    ledger.engine.dispose()
    with pytest.raises(Refused, match="newer"):
        upgrade(bare_url)


def test_a_file_that_is_no_ledger_says_so(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_text("patient_no,name\n" * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        Ledger.open(f"sqlite:///{path}")


def test_a_server_that_does_not_answer_says_so_without_the_password() -> None:
    with pytest.raises(StoreUnavailable, match="did not answer") as caught:
        Ledger.open("postgresql://someone:hunter2@127.0.0.1:1/nothing")
    assert "hunter2" not in str(caught.value)


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file, not a folder")
    with pytest.raises(StoreUnavailable, match="ALONGSIDE_LEDGER_URL"):
        Ledger.open(f"sqlite:///{tmp_path}/var/deeper/ledger.db")
