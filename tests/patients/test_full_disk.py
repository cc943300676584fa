"""A disk that ends while a snapshot is written: said plainly, and the snapshot before stays current."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from alongside.ledger import Ledger
from alongside.ledger.vault import Vault
from alongside.model.errors import StoreUnavailable
from alongside.patients import build_snapshot
from alongside.segments import Catalogue, load, refresh
from alongside.settings import Environment, HospitalSettings, Project
from alongside.warehouse import Draft, Snapshot
from tests.conftest import ROOT
from tests.ledgers import SqliteLedgers
from tests.patients.world import NOW, World, patient

PEOPLE = 40
_WORDS = "{zh_CN: 说明, en: words}"
_TAG = f'elder: {{level: basic, when: "age >= 60", description: {_WORDS}}}\n'
_SEGMENT = (
    f"name: unreachable\nlabel: {_WORDS}\ndescription: {_WORDS}\nstage: prevention\nwhere: email_state = 'missing'\n"
)


@contextmanager
def disk_that_ends(at: int) -> Iterator[None]:
    """The kernel refuses every byte of a file beyond the first `at`: a full disk for whoever writes more."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@dataclass(frozen=True)
class House:
    """A hospital whose snapshot `yesterday` is current."""

    world: World
    segments: Catalogue
    yesterday: Snapshot

    def begin(self, name: str) -> Draft:
        return self.world.warehouse.begin(name, NOW)


def _build(world: World, draft: Draft) -> None:
    build_snapshot(
        world.clean, draft, world.ledger, world.vault, as_of=NOW, settings=world.settings, warehouse=world.warehouse
    )


def _refresh(segments: Catalogue, draft: Draft) -> None:
    with duckdb.connect() as duck:
        refresh(segments, draft.path / "tables", draft.path / "tables", None, NOW, duck)


def _catalogue(root: Path) -> Catalogue:
    """A project of one tag and one segment."""
    for name, text in {"tags/tags.yaml": _TAG, "segments/unreachable.yaml": _SEGMENT}.items():
        (root / "config" / name).parent.mkdir(parents=True)
        (root / "config" / name).write_text(text, "utf-8")
    shutil.copy(ROOT / "config" / "alongside.yaml", root / "config")
    return load(Project.at(root), {})


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, sqlite_ledgers: SqliteLedgers, settings: HospitalSettings
) -> Iterator[House]:
    root = tmp_path_factory.mktemp("house")
    ledger = Ledger.open(sqlite_ledgers.place(root / "ledger.db"))
    world = World(root, ledger, Vault.open(ledger, Environment(vault_key=bytes(32))), settings)
    names = [f"p{number}" for number in range(PEOPLE)]
    world.resolve(*(patient(name, full_name=f"Patient {name}", mrn=name, birth_date="1980-05-06") for name in names))
    segments = _catalogue(root / "project")
    draft = world.warehouse.begin("yesterday", NOW)
    _build(world, draft)
    _refresh(segments, draft)
    yield House(world, segments, world.warehouse.publish(draft, {}))
    ledger.engine.dispose()


@pytest.fixture
def today(house: House) -> Draft:
    """A draft that lacks its tags and segments; its 360 is yesterday's."""
    draft = house.begin("today")
    shutil.copytree(house.yesterday.path / "tables", draft.path / "tables", dirs_exist_ok=True)
    for name in ("tag", "membership"):
        draft.table(name).unlink()
    return draft


def require_clear(error: StoreUnavailable, draft: Draft, what: str) -> None:
    assert what in error.what
    assert str(error.where).startswith(str(draft.path))
    assert "space" in str(error.remedy)
    assert "the previous snapshot stays current" in str(error.remedy)


def require_untouched(house: House) -> None:
    current = house.world.warehouse.current()
    assert current == house.yesterday
    assert current.tables == house.yesterday.tables
    assert pq.read_table(current.table("person")).num_rows == PEOPLE


def test_while_the_360_is_written(house: House) -> None:
    draft = house.begin("360")
    with disk_that_ends(house.yesterday.table("person").stat().st_size - 1), pytest.raises(StoreUnavailable) as caught:
        _build(house.world, draft)
    require_clear(caught.value, draft, "out of memory or disk")
    require_untouched(house)


@pytest.mark.parametrize("table", ["tag", "membership"])
def test_while_tags_and_segments_are_written(house: House, today: Draft, table: str) -> None:
    with disk_that_ends(house.yesterday.table(table).stat().st_size - 1), pytest.raises(StoreUnavailable) as caught:
        _refresh(house.segments, today)
    require_clear(caught.value, today, "segments cannot be read or written")
    require_untouched(house)


def test_while_it_is_published_and_a_retry_with_space_again_succeeds(house: House, today: Draft) -> None:
    _refresh(house.segments, today)
    with disk_that_ends(1), pytest.raises(StoreUnavailable) as caught:
        house.world.warehouse.publish(today, {})
    require_clear(caught.value, today, "the snapshot cannot be written: File too large")
    require_untouched(house)
    assert house.world.warehouse.publish(today, {}) == house.world.warehouse.current()
