"""A batch's messages with what the last look needs to know of each recipient, in three queries for the whole batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger import consent, schema
from alongside.ledger.groups import in_keys_sql, key_list, members
from alongside.model.enums import Decision


@dataclass(slots=True)
class Recipient:
    """One message that waits, and its living recipient. Made once per message: a frozen class costs thrice.

    Attributes
    ----------
    person_id : the survivor, where people were merged
    sealed : the vault's record; None when the vault knows nobody of this id
    address_blind : the address that the message was planned for
    """

    key: str
    person_id: str
    address_blind: str
    template_hash: str
    variables: dict[str, Any] = field(repr=False)
    sealed: bytes | None = field(repr=False)


_WAITING = """
SELECT m.message_key, COALESCE(p.survivor_id, m.person_id), m.address_blind, m.template_hash,
       CAST(m.variables AS TEXT), v.sealed
FROM message AS m
LEFT JOIN person AS p ON p.person_id = m.person_id
LEFT JOIN vault_person AS v ON v.person_id = COALESCE(p.survivor_id, m.person_id)
WHERE m.batch_id = :batch_id AND m.state = 'planned'
ORDER BY m.message_key
"""


def waiting_recipients(connection: Connection, batch_id: str) -> list[Recipient]:
    """The batch's messages that still wait: an event may have moved others while the batch lay waiting."""
    rows = connection.execute(sa.text(_WAITING), {"batch_id": batch_id}).tuples()
    return [
        Recipient(key, person, blind, template, orjson.loads(variables), sealed)
        for key, person, blind, template, variables, sealed in rows
    ]


def planned_for(connection: Connection, batch_id: str) -> datetime | None:
    """Patient time for which the batch's messages were planned; None for an empty batch."""
    query = sa.select(schema.message.c.planned_at).where(schema.message.c.batch_id == batch_id).limit(1)
    return connection.execute(query).scalar()


_DECIDED = """
SELECT COALESCE(p.survivor_id, e.person_id), e.purpose, MAX(CASE WHEN e.decision = 'deny' THEN 1 ELSE 0 END)
FROM consent_event AS e LEFT JOIN person AS p ON p.person_id = e.person_id
WHERE {people} AND e.purpose IN (:purpose, :abroad) AND e.channel IN (:channel, '*') AND e.decided_at <= :as_of
GROUP BY 1, 2
"""


@dataclass(frozen=True)
class Standing:
    """What consent stands: who permits this purpose, and who has withdrawn consent for a vendor abroad."""

    permitted: frozenset[str]
    kept_at_home: frozenset[str]


def standing_consent(
    connection: Connection, living: Collection[str], purpose: str, channel: str, as_of: datetime
) -> Standing:
    """The rule of `alongside.ledger.consent` for one batch.

    Whoever never withdrew anything is settled by one count (its sixth sentence); only the others are decided one by
    one, by the rule itself.
    """
    ids = members(connection, living)
    query = sa.text(_DECIDED.format(people=in_keys_sql(connection, "e.person_id", "ids"))).bindparams(
        sa.bindparam("as_of", as_of, schema.Utc())
    )
    values: Mapping[str, Any] = {
        "ids": key_list(connection, ids),
        "purpose": purpose,
        "abroad": consent.CROSS_BORDER,
        "channel": channel,
    }
    permitted: set[str] = set()
    doubtful: dict[str, list[str]] = {purpose: [], consent.CROSS_BORDER: []}
    for person, about, denied in connection.execute(query, values).tuples():
        if denied:
            doubtful[about].append(person)
        elif about == purpose:
            permitted.add(person)
    decided = consent.decide(connection, doubtful[purpose], purpose, channel, as_of)
    abroad = consent.decide(connection, doubtful[consent.CROSS_BORDER], consent.CROSS_BORDER, channel, as_of)
    permitted |= {person for person, (decision, _) in decided.items() if decision is Decision.PERMIT}
    kept = frozenset(person for person, (decision, _) in abroad.items() if decision is Decision.DENY)
    return Standing(frozenset(permitted), kept)
