"""Scorecards: how far each source can be trusted, by dimension, and whether it got better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from alongside.model.canonical import PROVENANCE
from alongside.quality.delivered import TableFacts
from alongside.quality.failures import by_dimension
from alongside.quality.results import DIMENSIONS, QualityReport, Scorecard
from alongside.warehouse.duck import quoted

#: Days after which an extract counts as half as timely; a source one day old scores 1.
HALF_LIFE_DAYS = 7.0
_SELF_EVIDENT = {column.name for column in PROVENANCE} | {"concepts"}


def score_sources(
    connection: sa.Connection,
    staging: Path,
    facts: Mapping[str, TableFacts],
    as_of: datetime,
    history: Sequence[QualityReport],
) -> tuple[Scorecard, ...]:
    """One scorecard per source that delivered rows.

    - completeness: share of filled cells over the columns that the source fills at all
    - validity, consistency, uniqueness: share of delivered rows without a failed expectation of that dimension;
      records that the reader could not read count against validity
    - timeliness: 1 for an extract of the last day, halved every further 7 days
    """
    filled = _completeness(facts)
    failed = by_dimension(connection)
    unread = _unread(connection, staging)
    before = {card.source: card for card in history[-1].scorecards} if history else {}
    cards = []
    for source, (rows, newest) in sorted(_delivered(facts).items()):
        delivered = rows + unread.get(source, 0)
        bad = {name: failed.get((source, name), 0) for name in DIMENSIONS}
        bad["validity"] += unread.get(source, 0)
        shares = {name: 1 - min(bad[name], delivered) / delivered for name in ("validity", "consistency", "uniqueness")}
        age = max(0.0, (as_of.replace(tzinfo=None) - newest).total_seconds() / 86400 - 1) if newest else None
        shares["timeliness"] = 1.0 if age is None else 0.5 ** (age / HALF_LIFE_DAYS)
        shares["completeness"] = filled.get(source, 1.0)
        old = before.get(source)
        previous = {name: float(getattr(old, name)) for name in DIMENSIONS} if old else {}
        cards.append(Scorecard(source=source, rows=rows, previous=previous, **shares))
    return tuple(cards)


def _delivered(facts: Mapping[str, TableFacts]) -> dict[str, tuple[int, datetime | None]]:
    """Rows and newest extract of each source over all tables."""
    found: dict[str, tuple[int, datetime | None]] = {}
    for by_source in facts.values():
        for source, part in by_source.items():
            rows, newest = found.get(source, (0, None))
            known = [moment for moment in (newest, part.newest) if moment is not None]
            found[source] = (rows + part.rows, max(known, default=None))
    return found


def _completeness(facts: Mapping[str, TableFacts]) -> dict[str, float]:
    cells: dict[str, tuple[int, int]] = {}
    for by_source in facts.values():
        for source, part in by_source.items():
            used = [count for name, count in part.filled.items() if count and name not in _SELF_EVIDENT]
            have, want = cells.get(source, (0, 0))
            cells[source] = (have + sum(used), want + part.rows * len(used))
    return {source: have / want for source, (have, want) in cells.items() if want}


def _unread(connection: sa.Connection, staging: Path) -> dict[str, int]:
    path = quoted(staging / "quarantine.parquet")
    query = f"SELECT source, count(*) FROM read_parquet({path}) WHERE action = 'row_removed' GROUP BY source"
    return {row[0]: int(row[1]) for row in connection.exec_driver_sql(query)}
