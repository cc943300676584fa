"""Worlds that no plan foresees: the numbers have to be the right ones there, too, and no verdict a false one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alongside.analysis import ExperimentResult, evaluate
from alongside.ledger import Ledger
from alongside.model.enums import Verdict
from tests.analysis.world import LAUNCH, World, definition, due, moments, people

NEXT_DAY = LAUNCH + timedelta(days=1)
CONTROL, PERSONAL = people(400, "c"), people(400, "v")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.engine.dispose()


def _on_day(world: World, day: float) -> ExperimentResult:
    as_of = LAUNCH + timedelta(days=day)
    return evaluate(world.experiment, world.ledger, world.tables, as_of, world.warehouse)


def _read_articles(world: World, who: list[str]) -> None:
    table = pa.table(
        {"person_id": who, "kind": ["article_read"] * len(who), "occurred_at": moments([NEXT_DAY] * len(who))}
    )
    pq.write_table(table, world.tables / "interaction.parquet")


def test_a_guardrail_that_is_a_count_waits_for_the_planned_day(store: Ledger, tmp_path: Path):
    """Read at every run as if it were the only time, it would stop many variants that do no harm."""
    world = World(store, tmp_path, definition(margins={"articles_read": 0.01}))
    world.assign({**dict.fromkeys(CONTROL, "control"), **dict.fromkeys(PERSONAL, "personal")})
    world.write_bookings()
    _read_articles(world, [*CONTROL[:200], *PERSONAL[:160]])
    assert [_on_day(world, day).verdict for day in (16, 18, 20)] == [Verdict.NOT_MATURE] * 3
    assert evaluate(world.experiment, store, world.tables, due(world.experiment), world.warehouse).verdict is (
        Verdict.STOP_FOR_HARM
    )
