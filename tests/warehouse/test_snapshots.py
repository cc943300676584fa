"""Snapshots are published whole or not at all, and the one before stays current when anything fails."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alongside.model.errors import StoreUnavailable
from alongside.warehouse import Warehouse

MORNING = datetime(2026, 3, 1, tzinfo=UTC)


def _publish(warehouse: Warehouse, name: str, as_of: datetime = MORNING) -> None:
    draft = warehouse.begin(name, as_of)
    draft.table("person").write_bytes(b"rows of " + name.encode())
    warehouse.publish(draft, {"rows": 1})


def test_nobody_sees_a_snapshot_before_it_is_published(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    assert warehouse.current() is None
    draft = warehouse.begin("one", MORNING)
    draft.table("person").write_bytes(b"half")
    assert warehouse.current() is None
    assert warehouse.all() == []


def test_the_published_one_is_current_and_knows_its_moment(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    _publish(warehouse, "one")
    _publish(warehouse, "two", MORNING + timedelta(days=1))
    current = warehouse.current()
    assert current is not None
    assert (current.id, current.as_of) == ("two", MORNING + timedelta(days=1))
    assert current.table("person").read_bytes() == b"rows of two"


@pytest.mark.parametrize("call", ["fsync", "rename", "replace"])
def test_a_full_disk_leaves_the_previous_snapshot_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    warehouse = Warehouse(tmp_path)
    _publish(warehouse, "one")
    draft = warehouse.begin("two", MORNING + timedelta(days=1))
    draft.table("person").write_bytes(b"rows")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, full)
        with pytest.raises(StoreUnavailable, match="previous snapshot stays current"):
            warehouse.publish(draft, {})
    current = warehouse.current()
    assert current is not None
    assert current.id == "one"
    assert current.table("person").read_bytes() == b"rows of one"


def test_a_retry_starts_its_draft_anew(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    warehouse.begin("one", MORNING).table("person").write_bytes(b"of a crashed try")
    draft = warehouse.begin("one", MORNING)
    assert not draft.table("person").exists()


def test_old_snapshots_expire_but_never_the_current_one(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    for day in range(4):
        _publish(warehouse, f"s{day}", MORNING + timedelta(days=day))
    assert warehouse.expire(1, MORNING + timedelta(days=60)) == ["s0", "s1", "s2"]
    assert [item.id for item in warehouse.all()] == ["s3"]


def test_an_expired_snapshot_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="gone is gone"):
        Warehouse(tmp_path).open("gone")


def test_staging_is_private(tmp_path: Path) -> None:
    folder = Warehouse(tmp_path).staging("run")
    assert folder.stat().st_mode & 0o777 == 0o700


def test_memory_is_bounded_and_divided(tmp_path: Path) -> None:
    with Warehouse(tmp_path, "1GB", 2).connect(share=2) as duck:
        limit = duck.execute("SELECT current_setting('memory_limit')").fetchall()[0][0]
    assert limit in ("476.8 MiB", "500.0 MB", "476.9 MiB")
