"""Which ids are one living person: see `alongside.ledger.people` for what the ids mean."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import TypeVar

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger import schema

PORTION = 1000  # ids in a statement: SQLite allows 32,766 bound values, PostgreSQL 65,535
Item = TypeVar("Item")


def in_keys(connection: Connection, column: sa.ColumnElement[str], keys: Collection[str]) -> sa.ColumnElement[bool]:
    """`column IN keys` as one bound value, so that a thousand keys neither change nor lengthen the statement."""
    if connection.dialect.name == "postgresql":
        return column == sa.any_(sa.bindparam(None, list(keys), sa.ARRAY(sa.String), unique=True))
    values = sa.func.json_each(orjson.dumps(list(keys)).decode()).table_valued("value")
    return column.in_(sa.select(values.c.value))


def in_bound_keys(postgresql: bool, column: sa.ColumnElement[str], name: str) -> sa.ColumnElement[bool]:
    """The same for a statement that is built once: the value `key_list` is bound to `name` when it is executed."""
    if postgresql:
        return column == sa.any_(sa.bindparam(name, type_=sa.ARRAY(sa.String)))
    values = sa.func.json_each(sa.bindparam(name, type_=sa.String)).table_valued("value")
    return column.in_(sa.select(values.c.value))


def in_keys_sql(connection: Connection, column: str, name: str) -> str:
    """The same as text, for the value `key_list` bound to `:name`."""
    if connection.dialect.name == "postgresql":
        return f"{column} = ANY(CAST(:{name} AS VARCHAR[]))"
    return f"{column} IN (SELECT value FROM json_each(:{name}))"


def key_list(connection: Connection, keys: Collection[str]) -> list[str] | str:
    return list(keys) if connection.dialect.name == "postgresql" else orjson.dumps(list(keys)).decode()


def survivors(connection: Connection, person_ids: Collection[str]) -> dict[str, str]:
    """The living person behind each id; an id that was never minted stands for itself."""
    found = {person_id: person_id for person_id in person_ids}
    table = schema.person
    for portion in portions(sorted(found)):
        query = sa.select(table.c.person_id, table.c.survivor_id).where(
            in_keys(connection, table.c.person_id, portion), table.c.survivor_id.is_not(None)
        )
        found.update((row.person_id, row.survivor_id) for row in connection.execute(query))
    return found


def members(connection: Connection, living: Collection[str]) -> dict[str, str]:
    """Every id that resolves to one of these living people (themselves included), with its living person."""
    found = {person_id: person_id for person_id in living}
    table = schema.person
    for portion in portions(sorted(living)):
        query = sa.select(table.c.person_id, table.c.survivor_id).where(
            in_keys(connection, table.c.survivor_id, portion)
        )
        found.update((row.person_id, row.survivor_id) for row in connection.execute(query))
    return found


def portions(items: Iterable[Item], size: int = PORTION) -> Iterator[list[Item]]:
    """The items in lists of at most `size`."""
    rest = iter(items)
    while portion := list(islice(rest, size)):
        yield portion
