"""The tags and segments that the project ships: complete, useful, and equal to what an analyst writes by hand."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from alongside.model.enums import Stage
from alongside.segments import Catalogue, refresh
from alongside.segments.model import Level
from tests.segments.by_hand import refresh_by_hand
from tests.segments.hospital import AS_OF, rows
from tests.segments.scale import write_hospital

PEOPLE = 3000


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hospital(tmp_path_factory.mktemp("hospital"), PEOPLE)


def test_four_levels_of_tags_and_five_stages_of_segments(shipped: Catalogue) -> None:
    assert len(shipped.tags) >= 28
    assert len(shipped.segments) >= 24
    assert {tag.level for tag in shipped.tags.values()} == set(Level)
    assert {segment.stage for segment in shipped.segments.values()} == set(Stage)


def test_every_segment_has_an_owner_and_a_source_and_spares_the_dead(shipped: Catalogue) -> None:
    for segment in shipped.segments.values():
        assert segment.owner
        assert segment.source, segment.name
        assert "patient.deceased_at" in shipped.reads("segment", segment.name), segment.name


def test_the_refresh_gives_the_rows_of_hand_written_sql(
    shipped: Catalogue, tables: Path, duck: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    ours, theirs, before = tmp_path / "ours", tmp_path / "theirs", tmp_path / "before"
    for folder in (ours, before):
        folder.mkdir()
    report = refresh(shipped, tables, before, None, AS_OF, duck)
    empty = sorted(name for name, count in report.segments.items() if count.members == 0)
    assert empty == [], "a segment without members compares nothing"
    # A third of yesterday's rows did not exist then, and some existed that no longer do.
    duck.execute(
        f"COPY (SELECT segment, person_id, since - INTERVAL 9 DAY AS since FROM '{before}/membership.parquet' "
        "WHERE hash(person_id) % 3 > 0 UNION ALL SELECT 'pre_op_checklist', 'gone', TIMESTAMP '2026-01-01') "
        f"TO '{before}/membership.parquet'"
    )
    refresh(shipped, tables, ours, before, AS_OF, duck)
    refresh_by_hand(shipped, tables, theirs, before, duck)
    for name in ("tag", "membership", "membership_change"):
        assert rows(ours / f"{name}.parquet") == rows(theirs / f"{name}.parquet"), name
