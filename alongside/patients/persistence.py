"""Writing the outcome of a resolution into the ledger, so that a crash anywhere is mended by the next run.

A record's fingerprint is written last: until then it counts as changed, and everything before is idempotent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import duckdb
import pyarrow as pa
import sqlalchemy as sa

from alongside.ledger import Ledger, people, schema
from alongside.ledger.groups import portions
from alongside.ledger.vault import Identity, Vault

_ROWS = 10_000
#: Columns of the golden record in the order of `Identity`, behind the person they are of.
_IDENTITY = ", ".join(["person_id", *(f"CAST({entry.name} AS VARCHAR) AS {entry.name}" for entry in fields(Identity))])


def save(duck: duckdb.DuckDBPyConnection, ledger: Ledger, vault: Vault, now: datetime) -> int:
    """Write people, merges, vault, reviews and aliases; returns how many pairs are new to the review list.

    Relations: final, merge, affected, member, golden, entry, review.
    """
    _insert(
        duck,
        ledger,
        schema.person,
        "SELECT own_id AS person_id, getvariable('now') AS minted_at, nullif(person_id, own_id) AS survivor_id "
        "FROM final WHERE unminted",
    )
    _merge(duck, ledger, now)
    _seal(duck, ledger, vault, now)
    _insert(duck, ledger, schema.vault_index, "SELECT kind, blind, person_id FROM entry")
    reviews = _insert(
        duck,
        ledger,
        schema.match_review,
        "SELECT left_alias, right_alias, probability, getvariable('now') AS seen_at FROM review",
    )
    _insert(
        duck,
        ledger,
        schema.person_alias,
        "SELECT alias_of(source, source_id) AS alias, source, own_id AS person_id, fingerprint, since FROM final "
        "WHERE fresh",
    )
    _refresh_aliases(duck, ledger)
    return reviews


def _insert(duck: duckdb.DuckDBPyConnection, ledger: Ledger, table: sa.Table, sql: str) -> int:
    reader = duck.sql(sql).to_arrow_reader(_ROWS)
    return ledger.insert_arrow(table, reader, on_conflict="ignore")


def _merge(duck: duckdb.DuckDBPyConnection, ledger: Ledger, now: datetime) -> None:
    rows = duck.execute("SELECT survivor_id, other_id, rule, probability FROM merge ORDER BY ALL").fetchall()
    for portion in portions(rows, 200):
        with ledger.begin() as connection:
            people.merge(connection, [people.Merge(*row) for row in portion], now)


def _seal(duck: duckdb.DuckDBPyConnection, ledger: Ledger, vault: Vault, now: datetime) -> None:
    """Seal the affected people anew, and forget under which entries and ids they were known before."""
    others = "own_id <> person_id AND NOT a.fresh"
    stale = f"SELECT DISTINCT own_id FROM final JOIN affected AS a USING (person_id) WHERE {others}"
    for portion in portions(_rows(duck, stale), 1000):
        with ledger.begin() as connection:
            vault.forget(connection, [person_id for (person_id,) in portion])
    known = f"SELECT {_IDENTITY} FROM golden JOIN affected AS a USING (person_id) WHERE NOT a.fresh"
    for portion in portions(_rows(duck, known), 1000):
        identities = {row[0]: Identity(*row[1:]) for row in portion}
        with ledger.begin() as connection:
            vault.store(connection, identities, now)
            vault.forget_entries(connection, list(identities))
    ledger.insert_arrow(schema.vault_person, _sealed(duck, vault, now), on_conflict="ignore")


def _sealed(duck: duckdb.DuckDBPyConnection, vault: Vault, now: datetime) -> pa.RecordBatchReader:
    """People who were never sealed before, streamed."""
    kind = pa.schema([("person_id", pa.string()), ("sealed", pa.binary()), ("updated_at", pa.timestamp("us"))])
    moment = now.astimezone(UTC).replace(tzinfo=None)
    rows = _rows(duck, f"SELECT {_IDENTITY} FROM golden JOIN affected AS a USING (person_id) WHERE a.fresh")

    def batches() -> Iterator[pa.RecordBatch]:
        for portion in portions(rows, _ROWS):
            sealed = [vault.seal(row[0], Identity(*row[1:])) for row in portion]
            ids = [row[0] for row in portion]
            yield pa.record_batch([pa.array(ids), pa.array(sealed), pa.array([moment] * len(ids))], schema=kind)

    return pa.RecordBatchReader.from_batches(kind, batches())


def _refresh_aliases(duck: duckdb.DuckDBPyConnection, ledger: Ledger) -> None:
    table = schema.person_alias
    update = (
        table.update()
        .where(table.c.alias == sa.bindparam("of_alias"))
        .values(fingerprint=sa.bindparam("new_fingerprint"), since=sa.bindparam("new_since", type_=schema.Utc()))
    )
    changed = "SELECT alias_of(source, source_id), fingerprint, since FROM final WHERE changed AND NOT fresh"
    for portion in portions(_rows(duck, changed), _ROWS):
        rows = [
            {"of_alias": alias, "new_fingerprint": fingerprint, "new_since": since.replace(tzinfo=UTC)}
            for alias, fingerprint, since in portion
        ]
        with ledger.begin() as connection:
            connection.execute(update, rows)


def _rows(duck: duckdb.DuckDBPyConnection, sql: str) -> Iterator[tuple[Any, ...]]:
    """A query's rows, fetched in portions; nothing else may run on the connection meanwhile."""
    cursor = duck.execute(sql)
    return chain.from_iterable(iter(lambda: cursor.fetchmany(_ROWS), []))
