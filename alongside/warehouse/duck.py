"""In-memory DuckDB connections with a stated memory budget and a spill folder of their own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb


@contextmanager
def connect(spill: Path, memory_limit: str = "4GB", threads: int = 2) -> Iterator[duckdb.DuckDBPyConnection]:
    """A fresh in-memory database, UTC, that spills into a private folder below `spill`, removed afterwards.

    DuckDB takes 80 % of the machine and spills into the working directory unless told otherwise.
    """
    spill.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="duckdb-", dir=spill) as folder:
        connection = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": memory_limit,
                "threads": threads,
                "temp_directory": folder,
                "preserve_insertion_order": False,
            },
        )
        try:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection
        finally:
            connection.close()


def quoted(path: Path) -> str:
    """A path as a SQL string literal."""
    return "'" + str(path).replace("'", "''") + "'"
