"""Running the named SQL files that stand beside this module."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

_HERE = Path(__file__).parent


@cache
def text(name: str) -> str:
    """The SQL of `<name>.sql`."""
    return (_HERE / f"{name}.sql").read_text("utf-8")


def run(duck: duckdb.DuckDBPyConnection, name: str, values: Mapping[str, Any] | None = None) -> None:
    """Run every statement of `<name>.sql`; `values` are read there with `getvariable`."""
    for key, value in (values or {}).items():
        duck.execute(f"SET VARIABLE {key} = ?", [value])
    duck.execute(text(name))


def count(duck: duckdb.DuckDBPyConnection, sql: str) -> int:
    """The single number that a query returns."""
    row = duck.execute(sql).fetchone()
    return int(row[0]) if row else 0
