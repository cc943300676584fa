"""What each source delivered of a table, in one scan: rows, newest extract, filled cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from alongside.model.canonical import TABLES


@dataclass(frozen=True)
class Delivered:
    """One source's rows of one table; `filled` counts the values of each column that are there."""

    rows: int
    newest: datetime | None
    filled: Mapping[str, int]


#: By source.
TableFacts = Mapping[str, Delivered]


def scan(connection: sa.Connection, table: str) -> dict[str, Delivered]:
    """Facts of the view `table` by source."""
    names = TABLES[table].column_names
    counts = ", ".join(f'count("{name}")' for name in names)
    query = f"SELECT source, count(*), max(extract_date)::TIMESTAMP, {counts} FROM {table} GROUP BY source"
    return {
        source: Delivered(int(rows), newest, dict(zip(names, map(int, filled), strict=True)))
        for source, rows, newest, *filled in connection.exec_driver_sql(query)
    }


def total_rows(facts: TableFacts) -> int:
    return sum(part.rows for part in facts.values())


def profile(table: str, facts: TableFacts) -> dict[str, float]:
    """What the next snapshot is compared with: row count, and share of nulls by column when there are rows."""
    rows = total_rows(facts)
    if not rows:
        return {"row_count": 0.0}
    rates = {
        f"null_rate_{name}": 1 - sum(part.filled[name] for part in facts.values()) / rows
        for name in TABLES[table].column_names
    }
    return {"row_count": float(rows), **rates}
