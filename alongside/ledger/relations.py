"""Who is close to a patient and may hear about them (L7): an append-only log, one for extracts and staff.

The rule, in plain words, for one patient and one relative:

1. What was decided last stands; at the same moment a no wins over a yes, and what was recorded later over the rest.
2. Decisions count from the moment at which the patient, or the law, took them, never from when an extract brought them:
   an old yes that is delivered again every night revives nothing.
3. Family is told only after a yes. Whoever decides for a patient (a child's parent, an adult's legal guardian) needs no
   such yes, but a no (a court's, for example) stops them, too.
4. Records that turned out to be one person share their relations.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger.engine import Ledger
from alongside.ledger.groups import in_keys_sql, key_list, members, portions, survivors
from alongside.ledger.logs import append
from alongside.ledger.runs import write_audit
from alongside.ledger.schema import Utc, relation_event
from alongside.model.enums import Decision, Relationship, Written
from alongside.model.errors import Refused
from alongside.model.ids import keyed_hash

if TYPE_CHECKING:
    import pyarrow as pa

#: Public: it names a statement, it hides nothing. The same key in SQL gives the same facts.
FACT_KEY = b"alongside relation fact"
Pair = tuple[str, str]  # patient, relative
#: What a statement consists of, in the order of `fact_of`.
_SAID = ("person_id", "related_id", "relationship", "decides", "decision", "decided_at", "origin")

_STANDING = """
SELECT subject_id, related_id, relationship, decides, decision
FROM (
    SELECT told.*, row_number() OVER (
        PARTITION BY subject_id, related_id
        ORDER BY decided_at DESC, CASE WHEN decision = 'deny' THEN 0 ELSE 1 END, seq DESC
    ) AS place
    FROM (
        SELECT COALESCE(s.survivor_id, e.person_id) AS subject_id, COALESCE(r.survivor_id, e.related_id) AS related_id,
               e.relationship, e.decides, e.decision, e.decided_at, e.seq
        FROM relation_event AS e
        LEFT JOIN person AS s ON s.person_id = e.person_id
        LEFT JOIN person AS r ON r.person_id = e.related_id
        WHERE e.decided_at <= :as_of {only}
    ) AS told
) AS ranked
WHERE place = 1 AND subject_id <> related_id
"""


@dataclass(frozen=True)
class Relation:
    """What stands between a patient and a relative; ids of living people.

    Attributes
    ----------
    decides : True for a legal guardian, False for a parent who may not decide, None where nothing is said
    decision : whether the relative may be told; `unknown` where nobody asked
    """

    subject_id: str
    related_id: str
    relationship: Relationship
    decides: bool | None
    decision: Decision

    def hears(self, written: Written) -> bool:
        """Whether a message to family, or to whoever decides, may still go to this relative (the rule's third)."""
        if written is Written.FAMILY:
            return self.decision is Decision.PERMIT
        return self.decision is not Decision.DENY


def all_relations(ledger: Ledger, as_of: datetime) -> pa.Table:
    """What stands at a moment, for everybody: subject_id, related_id, relationship, decides, decision."""
    return ledger.read_arrow(_STANDING.format(only=""), {"as_of": as_of})


def relations_of(connection: Connection, subjects: Collection[str], as_of: datetime) -> Iterator[Relation]:
    """What stands at a moment for these patients, of whom any id may be given."""
    living = survivors(connection, subjects)
    group = sorted(members(connection, set(living.values())))
    only = f"AND {in_keys_sql(connection, 'e.person_id', 'ids')}"
    query = sa.text(_STANDING.format(only=only)).bindparams(sa.bindparam("as_of", as_of, type_=Utc()))
    # All ids of one person go together: half of the events would be half of the truth.
    wanted = set(living.values())
    for row in connection.execute(query, {"ids": key_list(connection, group)}):
        if row.subject_id in wanted:
            decides = None if row.decides is None else bool(row.decides)
            yield Relation(
                row.subject_id, row.related_id, Relationship(row.relationship), decides, Decision(row.decision)
            )


def may_hear(connection: Connection, asked: Collection[tuple[Pair, Written]], as_of: datetime) -> set[Pair]:
    """Those of the pairs whose relative may be told about the patient at that moment; ids as they were given."""
    if not asked:
        return set()
    pairs = [pair for pair, _ in asked]
    living = survivors(connection, {one for pair in pairs for one in pair})
    found: dict[Pair, Relation] = {}
    for portion in portions(sorted({subject for subject, _ in pairs})):
        for relation in relations_of(connection, portion, as_of):
            found[relation.subject_id, relation.related_id] = relation
    heard = set()
    for (subject, related), written in asked:
        relation_now = found.get((living[subject], living[related]))
        if relation_now is not None and relation_now.hears(written):
            heard.add((subject, related))
    return heard


def fact_of(
    subject: str,
    related: str,
    relationship: str,
    decides: bool | None,
    decision: str,
    decided_at: datetime,
    origin: str,
) -> str:
    """What makes a statement the same one again; in SQL: patients/relations.sql."""
    day = decided_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    known = "" if decides is None else str(decides).lower()
    return keyed_hash(FACT_KEY, subject, related, relationship, known, decision, day, origin)


def decide(
    connection: Connection, subject: str, related: str, decision: Decision, now: datetime, *, by: str, evidence: str
) -> bool:
    """Record what a patient said to a person of the hospital about telling this relative; False where nothing changes.

    Raises
    ------
    Refused : they are not known as relatives, or nothing proves a yes
    """
    if decision is Decision.PERMIT and not evidence.strip():
        remedy = "Give it with --evidence: a form's number, a call's date."
        raise Refused("a yes needs evidence", where=f"{subject}, {related}", remedy=remedy)
    known = {one.related_id: one for one in relations_of(connection, [subject], now)}
    relation = known.get(survivors(connection, [related])[related])
    if relation is None:
        raise Refused(
            "they are not known as relatives",
            where=f"{subject}, {related}",
            remedy="'alongside relatives list PATIENT' shows who is; relations come with the hospital's extracts.",
        )
    if relation.decision is decision:
        return False
    origin = f"staff:{by}"[:80]
    said = {
        "person_id": relation.subject_id,
        "related_id": relation.related_id,
        "relationship": relation.relationship.value,
        "decides": relation.decides,
        "decision": decision.value,
        "decided_at": now,
        "origin": origin,
    }
    append(connection, relation_event, [_row(said, evidence, now)])
    write_audit(
        connection, now, by, f"relative.{decision.value}", relation.subject_id, {"relative": relation.related_id}
    )
    return True


def copy_denials(connection: Connection, from_ids: Collection[str], to_id: str, now: datetime) -> int:
    """What the hospital was told not to tell counts for the split-off person, too, as patient and as relative."""
    columns = [relation_event.c[name] for name in (*_SAID, "evidence")]
    copies = []
    for side in ("person_id", "related_id"):
        query = sa.select(*columns).where(
            relation_event.c[side].in_(sorted(from_ids)),
            relation_event.c.decision == Decision.DENY.value,
            ~relation_event.c.origin.startswith("extract:"),
        )
        for row in connection.execute(query).mappings():
            said = {**{name: row[name] for name in _SAID}, side: to_id, "origin": f"split:{row['origin']}"[:80]}
            copies.append(_row(said, row["evidence"], now))
    return append(connection, relation_event, copies)


def _row(said: Mapping[str, Any], evidence: str, now: datetime) -> dict[str, Any]:
    return {**said, "recorded_at": now, "evidence": evidence[:200], "fact": fact_of(*(said[name] for name in _SAID))}
