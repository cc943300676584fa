"""What every connection of this package starts with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import duckdb

from alongside.patients import keyed


def prepare(duck: duckdb.DuckDBPyConnection, secret: bytes, trust: Sequence[str], now: datetime) -> None:
    """The ledger's keyed hash and `alias_of` as macros, variable `now` (UTC) and relation `trust(source, place)`."""
    keyed.install_parts(duck)
    keyed.install(duck, "ledger_hash", secret)
    duck.execute(
        "CREATE OR REPLACE TEMP MACRO alias_of(source, source_id) AS "
        "ledger_hash(hash_part('alias') || hash_part(source) || hash_part(source_id), 32)"
    )
    duck.execute("SET VARIABLE now = ?", [now.astimezone(UTC).replace(tzinfo=None)])
    names = list(dict.fromkeys(trust))
    duck.execute(
        "CREATE OR REPLACE TEMP TABLE trust AS "
        "SELECT unnest(?::VARCHAR[]) AS source, unnest(range(len(?::VARCHAR[]))) AS place",
        [names, names],
    )
