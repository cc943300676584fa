"""Scorecards: how far each source can be trusted, by dimension, and whether it got better."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from alongside.model.canonical import PROVENANCE, TABLES
from alongside.quality.results import DIMENSIONS, CheckResult, QualityReport, Scorecard
from alongside.warehouse.duck import quoted

#: Days after which an extract counts as half as timely; a source one day old scores 1.
HALF_LIFE_DAYS = 7.0
_SELF_EVIDENT = {column.name for column in PROVENANCE} | {"concepts"}


def score_sources(
    connection: sa.Connection,
    staging: Path,
    checks: Sequence[CheckResult],
    as_of: datetime,
    history: Sequence[QualityReport],
) -> tuple[Scorecard, ...]:
    """One scorecard per source that delivered rows.

    - completeness: share of filled cells over the columns that the source fills at all
    - validity, consistency, uniqueness: share of delivered rows without a failed expectation of that dimension;
      records that the reader could not read count against validity
    - timeliness: 1 for an extract of the last day, halved every further 7 days
    """
    filled = _completeness(connection)
    failed = _failing_rows(connection, checks)
    unread = _unread(connection, staging)
    before = {card.source: card for card in history[-1].scorecards} if history else {}
    cards = []
    for source, (rows, newest) in sorted(_delivered(connection).items()):
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


def _delivered(connection: sa.Connection) -> dict[str, tuple[int, datetime | None]]:
    parts = " UNION ALL ".join(f"SELECT source, extract_date FROM {table}" for table in TABLES)
    query = f"SELECT source, count(*), max(extract_date)::TIMESTAMP FROM ({parts}) GROUP BY source"
    return {row[0]: (int(row[1]), row[2]) for row in connection.exec_driver_sql(query)}


def _completeness(connection: sa.Connection) -> dict[str, float]:
    cells: dict[str, tuple[float, float]] = {}
    for table, definition in TABLES.items():
        names = [column.name for column in definition.columns if column.name not in _SELF_EVIDENT]
        counts = ", ".join(f'count("{name}")' for name in names)
        query = f"SELECT source, count(*), {counts} FROM {table} GROUP BY source"
        for source, rows, *filled in connection.exec_driver_sql(query):
            used = [count for count in filled if count]
            have, want = cells.get(source, (0.0, 0.0))
            cells[source] = (have + sum(used), want + rows * len(used))
    return {source: have / want for source, (have, want) in cells.items() if want}


def _failing_rows(connection: sa.Connection, checks: Sequence[CheckResult]) -> dict[tuple[str, str], int]:
    """(source, dimension) -> rows with at least one failed expectation of that dimension."""
    dimension_of = {(check.table, check.id): check.dimension for check in checks}
    totals: dict[tuple[str, str], int] = {}
    for table in TABLES:
        rules = [(rule, name) for (owner, rule), name in dimension_of.items() if owner == table]
        for dimension in sorted({name for _, name in rules}):
            wanted = ", ".join(f"'{rule}'" for rule, name in rules if name == dimension)
            query = f"""
                SELECT t.source, count(DISTINCT f.row_id) FROM failure AS f
                JOIN {table} AS t ON t.file_row_number = f.row_id
                WHERE f.table_name = '{table}' AND f.rule IN ({wanted}) GROUP BY t.source"""
            for source, count in connection.exec_driver_sql(query):
                totals[source, dimension] = totals.get((source, dimension), 0) + int(count)
    return totals


def _unread(connection: sa.Connection, staging: Path) -> dict[str, int]:
    path = quoted(staging / "quarantine.parquet")
    query = f"SELECT source, count(*) FROM read_parquet({path}) WHERE action = 'row_removed' GROUP BY source"
    return {row[0]: int(row[1]) for row in connection.exec_driver_sql(query)}
