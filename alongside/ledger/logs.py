"""Append-only logs whose rows are known by their `fact`: what is said again changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from alongside.ledger.groups import portions


def append(connection: Connection, table: sa.Table, rows: Iterable[Mapping[str, Any]]) -> int:
    """Add rows to a log with columns `seq` and unique `fact`; returns how many were new."""
    insert = sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)
    new = 0
    for portion in portions(rows):
        fresh = insert.values([dict(row) for row in portion]).on_conflict_do_nothing().returning(table.c.seq)
        new += len(connection.execute(fresh).all())
    return new
