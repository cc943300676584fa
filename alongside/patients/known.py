"""What the ledger knows of records and people, brought into DuckDB in portions of bounded size."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from alongside.ledger import Ledger

_PORTION = 500_000  # rows that are Arrow at any moment


def load(duck: duckdb.DuckDBPyConnection, ledger: Ledger) -> None:
    """Temp tables `person_known` and `alias_known`, and `reviewed` with what people decided about pairs."""
    duck.execute(
        "CREATE OR REPLACE TEMP TABLE person_known (person_id VARCHAR, survivor_id VARCHAR, minted_at TIMESTAMP);"
        "CREATE OR REPLACE TEMP TABLE alias_known "
        "(own_id VARCHAR, alias VARCHAR, fingerprint VARCHAR, since TIMESTAMP);"
        "CREATE OR REPLACE TEMP TABLE reviewed (left_id VARCHAR, right_id VARCHAR, decision VARCHAR)"
    )
    copy(duck, ledger, "person", "person_id", "p", ("person_id", "survivor_id", "minted_at"), "person_known")
    copy(duck, ledger, "person_alias", "alias", "", ("person_id", "alias", "fingerprint", "since"), "alias_known")
    decided = ledger.read_arrow("SELECT left_alias, right_alias, decision FROM match_review")
    duck.register("arrived", decided)
    duck.execute(
        "INSERT INTO reviewed SELECT least(l.own_id, r.own_id), greatest(l.own_id, r.own_id), decision FROM arrived "
        "JOIN alias_known AS l ON l.alias = left_alias JOIN alias_known AS r ON r.alias = right_alias"
    )
    duck.unregister("arrived")


def copy(
    duck: duckdb.DuckDBPyConnection,
    ledger: Ledger,
    table: str,
    key: str,
    prefix: str,
    columns: tuple[str, ...],
    into: str,
) -> None:
    """Append these columns of a table of the ledger to a table of DuckDB, by ranges of `key`.

    `key` is `prefix` and evenly spread hex digits.
    """
    names = ", ".join(columns)
    rows = ledger.read_arrow(f"SELECT COUNT(*) AS n FROM {table}")["n"][0].as_py()
    for low, high in _ranges(rows):
        arrived = ledger.read_arrow(
            f"SELECT {names} FROM {table} WHERE {key} >= :low AND {key} < :high",
            {"low": prefix + low, "high": prefix + high},
        )
        duck.register("arrived", arrived)
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
