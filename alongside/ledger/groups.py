"""Which ids are one living person: see `alongside.ledger.people` for what the ids mean."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger import schema

PORTION = 1000  # ids in a statement: SQLite allows 32,766 bound values, PostgreSQL 65,535
Item = TypeVar("Item")


def survivors(connection: Connection, person_ids: Collection[str]) -> dict[str, str]:
    """The living person behind each id; an id that was never minted stands for itself."""
    found = {person_id: person_id for person_id in person_ids}
    table = schema.person
    for portion in portions(sorted(found)):
        query = sa.select(table.c.person_id, table.c.survivor_id).where(
            table.c.person_id.in_(portion), table.c.survivor_id.is_not(None)
        )
        found.update((row.person_id, row.survivor_id) for row in connection.execute(query))
    return found


def members(connection: Connection, living: Collection[str]) -> dict[str, str]:
    """Every id that resolves to one of these living people (themselves included), with its living person."""
    found = {person_id: person_id for person_id in living}
    table = schema.person
    for portion in portions(sorted(living)):
        query = sa.select(table.c.person_id, table.c.survivor_id).where(table.c.survivor_id.in_(portion))
        found.update((row.person_id, row.survivor_id) for row in connection.execute(query))
    return found


def portions(items: Iterable[Item], size: int = PORTION) -> Iterator[list[Item]]:
    """The items in lists of at most `size`."""
    rest = iter(items)
    while portion := list(islice(rest, size)):
        yield portion
