"""A batch's messages with what the last look needs to know of each recipient, in one query for the whole batch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger import consent, schema, suppressions
from alongside.model.enums import Decision


class Recipient(NamedTuple):
    """One message that waits, and its living recipient. Made once per message: a class of its own costs thrice.

    Attributes
    ----------
    person_id : the survivor, where people were merged
    written : the message's variables, as JSON
    sealed : the vault's record; None when the vault knows nobody of this id
    address_blind : the address that the message was planned for
    said : 1 for a person who agreed to the purpose and said nothing but yes, 2 for one who said anything else
    merged : whether the person is known by several records
    suppressed : this address may not get a message of this purpose
    subject_id : the patient whom a message to a relative is about; None where it is the recipient
    """

    key: str
    person_id: str
    address_blind: str
    template_hash: str
    written: str
    sealed: bytes | None
    said: int | None
    merged: bool
    suppressed: bool
    subject_id: str | None = None

    def __repr__(self) -> str:
        return f"Recipient(key={self.key!r})"


_WAITING = """
SELECT w.message_key, w.living, w.address_blind, w.template_hash, w.variables, v.sealed,
       (SELECT MAX(CASE WHEN e.decision <> 'permit' THEN 2 WHEN e.purpose = :purpose THEN 1 ELSE 0 END)
        FROM consent_event AS e
        WHERE e.person_id = w.living AND {said} AND e.decided_at <= :as_of),
       EXISTS (SELECT 1 FROM person AS other WHERE other.survivor_id = w.living),
       EXISTS (SELECT 1 FROM suppression AS s
               WHERE s.blind = w.address_blind AND s.channel = :channel AND s.scope IN ('all', :scope)),
       w.subject
FROM (
    SELECT m.message_key, COALESCE(p.survivor_id, m.person_id) AS living, m.address_blind, m.template_hash,
           CAST(m.variables AS TEXT) AS variables,
           CASE WHEN m.subject_person_id <> m.person_id THEN m.subject_person_id END AS subject
    FROM message AS m
    LEFT JOIN person AS p ON p.person_id = m.person_id
    WHERE m.batch_id = :batch_id AND m.state = 'planned'
) AS w
LEFT JOIN vault_person AS v ON v.person_id = w.living
"""
# What can have changed between recheck and call, in one row: a row a message would let go of the interpreter a thousand
# times while the next batch is being rendered.
_LEAVING = """
SELECT COUNT(*), {several}
FROM (
    SELECT w.message_key, w.living, w.address_blind,
           EXISTS (SELECT 1 FROM consent_event AS e
                   WHERE e.person_id = w.living AND {said} AND e.decision <> 'permit')
           OR EXISTS (SELECT 1 FROM person AS other WHERE other.survivor_id = w.living) AS doubtful,
           EXISTS (SELECT 1 FROM suppression AS s
                   WHERE s.blind = w.address_blind AND s.channel = :channel AND s.scope IN ('all', :scope))
           AS suppressed
    FROM (
        SELECT m.message_key, COALESCE(p.survivor_id, m.person_id) AS living, m.address_blind
        FROM message AS m
        LEFT JOIN person AS p ON p.person_id = m.person_id
        WHERE m.batch_id = :batch_id AND m.state = 'planned'
    ) AS w
) AS r
"""
_REMARKABLE = "FILTER (WHERE r.doubtful OR r.suppressed)"
_SEVERAL = {
    "sqlite": f"json_group_array(json_array(r.message_key, r.living, r.doubtful, r.suppressed)) {_REMARKABLE}",
    "postgresql": "CAST(json_agg(json_build_array(r.message_key, r.living, r.doubtful, r.suppressed)) "
    f"{_REMARKABLE} AS TEXT)",
}
# A person says a handful of things: SQLite is kept (by the plus) from looking for each purpose and channel by itself.
_SAID = {
    "sqlite": "+e.purpose IN (:purpose, :abroad) AND +e.channel IN (:channel, '*')",
    "postgresql": "e.purpose IN (:purpose, :abroad) AND e.channel IN (:channel, '*')",
}
# Built once: for a batch of a hundred, building a statement again would cost more than running it.
_WAITING_QUERIES = {
    store: sa.text(_WAITING.format(said=said)).bindparams(sa.bindparam("as_of", type_=schema.Utc()))
    for store, said in _SAID.items()
}
_LEAVING_QUERIES = {
    store: sa.text(_LEAVING.format(said=said, several=_SEVERAL[store])) for store, said in _SAID.items()
}
_PLANNED_AT = (
    sa.select(schema.message.c.planned_at).where(schema.message.c.batch_id == sa.bindparam("b_batch")).limit(1)
)


def waiting_recipients(
    connection: Connection, batch_id: str, purpose: str, channel: str, as_of: datetime
) -> list[Recipient]:
    """The batch's messages that still wait: an event may have moved others while the batch lay waiting.

    Parameters
    ----------
    purpose, channel : for which consent is asked
    as_of : patient time; decisions after it do not count
    """
    query = _WAITING_QUERIES[connection.dialect.name]
    rows = connection.execute(query, {**_asked(batch_id, purpose, channel), "as_of": as_of}).tuples().all()
    return list(map(Recipient._make, rows))


def _asked(batch_id: str, purpose: str, channel: str) -> dict[str, str]:
    scope = suppressions.widest_scope(purpose)
    return {
        "batch_id": batch_id,
        "purpose": purpose,
        "abroad": consent.CROSS_BORDER,
        "channel": channel,
        "scope": scope,
    }


@dataclass(frozen=True)
class Leaving:
    """What a batch's messages that still wait look like while their call is begun.

    Attributes
    ----------
    count : of all of them
    doubtful : key -> person_id of the living recipient, of whom only the whole rule tells: said no, or is merged
    suppressed : keys whose planned address may not get a message of this purpose
    """

    count: int
    doubtful: dict[str, str]
    suppressed: frozenset[str]


def leaving_recipients(connection: Connection, batch_id: str, purpose: str, channel: str) -> Leaving:
    """What can have changed since the recheck, with as little as can be asked again while a call is begun."""
    query = _LEAVING_QUERIES[connection.dialect.name]
    count, several = connection.execute(query, _asked(batch_id, purpose, channel)).tuples().one()
    rows = orjson.loads(several) if several else []
    return Leaving(
        count,
        {key: person for key, person, doubtful, _ in rows if doubtful},
        frozenset(key for key, _, _, suppressed in rows if suppressed),
    )


def planned_for(connection: Connection, batch_id: str) -> datetime | None:
    """Patient time for which the batch's messages were planned; None for an empty batch."""
    return connection.execute(_PLANNED_AT, {"b_batch": batch_id}).scalar()


@dataclass(frozen=True)
class Standing:
    """What consent stands: who permits this purpose, and who has withdrawn consent for a vendor abroad."""

    permitted: frozenset[str]
    kept_at_home: frozenset[str]


def standing_consent(
    connection: Connection, waiting: Sequence[Recipient], purpose: str, channel: str, as_of: datetime
) -> Standing:
    """The rule of `alongside.ledger.consent` for one batch.

    Whoever said nothing but yes and is one record is settled by having granted (the rule's sixth sentence); only
    the others are decided by the rule itself.
    """
    granted = frozenset([one.person_id for one in waiting if one.said == 1 and not one.merged])
    doubtful = {one.person_id for one in waiting if one.said == 2 or one.merged}
    whole = by_whole_rule(connection, doubtful, purpose, channel, as_of)
    return Standing(granted | whole.permitted, whole.kept_at_home)


def by_whole_rule(
    connection: Connection, people: Collection[str], purpose: str, channel: str, as_of: datetime
) -> Standing:
    """The rule of `alongside.ledger.consent` for these living people."""
    if not people:
        return Standing(frozenset(), frozenset())
    decided = consent.decide(connection, sorted(people), purpose, channel, as_of)
    abroad = consent.decide(connection, sorted(people), consent.CROSS_BORDER, channel, as_of)
    return Standing(
        frozenset(person for person, (decision, _) in decided.items() if decision is Decision.PERMIT),
        frozenset(person for person, (decision, _) in abroad.items() if decision is Decision.DENY),
    )
