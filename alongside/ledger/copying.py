"""Tables of the ledger, brought into DuckDB in portions of bounded size: sets are decided there, and may spill."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

    from alongside.ledger.engine import Ledger

_PORTION = 500_000  # rows that are Arrow at any moment


def copy(
    duck: duckdb.DuckDBPyConnection,
    ledger: Ledger,
    table: str,
    key: str,
    prefix: str,
    columns: tuple[str, ...],
    into: str,
    where: str = "TRUE",
) -> None:
    """Append these columns of a table of the ledger, of the rows that fulfil `where`, to a table of DuckDB.

    `key` is `prefix` and evenly spread hex digits: large tables arrive by ranges of it.
    """
    names = ", ".join(columns)
    rows = ledger.read_arrow(f"SELECT COUNT(*) AS n FROM {table} WHERE {where}")["n"][0].as_py()
    ranges = list(_ranges(rows))
    # A table that is one portion is read as it lies, which is twice as fast as by an index over its keys.
    part = f"{where} AND {key} >= :low AND {key} < :high" if len(ranges) > 1 else where
    for low, high in ranges:
        limits = {"low": prefix + low, "high": prefix + high} if len(ranges) > 1 else {}
        duck.register("arrived", ledger.read_arrow(f"SELECT {names} FROM {table} WHERE {part}", limits))
        duck.execute(f"INSERT INTO {into} SELECT {names} FROM arrived")  # in the order of the table's columns
        duck.unregister("arrived")


def _ranges(rows: int) -> Iterator[tuple[str, str]]:
    """Half-open ranges of hex digits that part evenly spread keys into portions."""
    digits = 0
    while rows > _PORTION * 16**digits:
        digits += 1
    count = 16**digits
    for place in range(count):
        low = f"{place:0{digits}x}" if digits else ""
        # 'g' comes after every hex digit
        high = f"{place + 1:0{digits}x}" if place + 1 < count else "g"
        yield low, high
