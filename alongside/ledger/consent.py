"""The consent log: append-only, one for extracts, pages, replies and staff.

The rule, in plain words, for one person, one purpose and one channel:

1. Nothing recorded means no consent.
2. A decision for the channel itself and a decision for all channels (`*`) both apply.
3. Only decisions taken by the moment asked about count; what matters is when the *patient decided*, never when an
   extract happened to bring it. So an old grant that is delivered again every night changes nothing.
4. A withdrawal is lifted only by a grant that was decided later *and* names its evidence. At the same instant the
   withdrawal wins.
5. A withdrawal for the channel itself is lifted only by a grant for that channel: agreeing to everything in general
   does not undo a particular no. A withdrawal for all channels is lifted by a later grant for all, or, on its channel,
   for one. Consent stands when every withdrawal has been lifted.
6. While nothing was ever withdrawn, any grant counts.
7. A record that cannot be read (`unknown`) may be a withdrawal, so it counts as one: for its purpose and channel, all
   channels when that is what cannot be read. It ends as a withdrawal ends, or once the same record can be read (`read`,
   which names the same record in its evidence); then only what it says counts.
8. Records that turned out to be one person share their decisions; at a merge each side's withdrawals are restated, so
   that a withdrawal wins over what the other side had granted before. What could not be read is not restated: a later
   proven grant of the other side is one of the same person.

`standing` is that rule as a pure function; the SQL below is tested to agree with it on both stores and in DuckDB.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger import schema
from alongside.ledger.copying import copy
from alongside.ledger.groups import PORTION, in_keys_sql, key_list, members, survivors
from alongside.ledger.logs import append
from alongside.ledger.runs import write_audit
from alongside.model.enums import Decision
from alongside.model.ids import keyed_hash

if TYPE_CHECKING:
    import duckdb

    from alongside.ledger.engine import Ledger

#: What consent is asked for beyond the purposes of a message.
CROSS_BORDER = "cross_border"
ANY_CHANNEL = "*"
#: Public: it names a decision, it hides nothing. The same key in SQL gives the same facts.
FACT_KEY = b"alongside consent fact"
#: Evidence of a grant that nobody gave: `--fictional-contacts` invents it for synthetic patients.
FICTIONAL = "fictional"
_INVENTED = "consent.invented"
_END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class ConsentEvent:
    """One decision of one patient, as somebody recorded it.

    Attributes
    ----------
    decided_at : when the patient decided
    origin : extract:<source>, unsubscribe, preferences, import, staff:<who> or simulation
    evidence : form, call or page that proves it; a grant without one never lifts a withdrawal. Of an `unknown` or
        `read` one it is `record <record_key of the quarantine>#<how often the record had been read before>`
    """

    person_id: str
    purpose: str
    channel: str
    decision: Decision
    decided_at: datetime
    origin: str
    evidence: str = ""

    @property
    def fact(self) -> str:
        """The decision's own identity: recording it again records nothing."""
        moment = self.decided_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        parts = (self.person_id, self.purpose, self.channel, self.decision, moment, self.origin, self.evidence)
        return keyed_hash(FACT_KEY, *parts)


def record(connection: Connection, events: Iterable[ConsentEvent], now: datetime) -> int:
    """Append decisions; those recorded before are skipped. Returns how many were new."""
    rows = [
        {
            "person_id": event.person_id,
            "purpose": event.purpose,
            "channel": event.channel,
            "decision": event.decision,
            "decided_at": event.decided_at,
            "recorded_at": now,
            "origin": event.origin[:80],
            "evidence": event.evidence[:200],
            "fact": event.fact,
        }
        for event in events
    ]
    return append(connection, schema.consent_event, rows)


def mark_invented(connection: Connection, now: datetime) -> None:
    """Note in the audit trail, before the first invented grant is recorded, that this log is no real one."""
    if not holds_invented(connection):
        write_audit(connection, now, "--fictional-contacts", _INVENTED, "consent_event", {"evidence": FICTIONAL})


def holds_invented(connection: Connection) -> bool:
    """Whether an invented grant was ever recorded. The audit trail tells; the log would have to be read as a whole."""
    query = sa.select(sa.exists().where(schema.audit.c.action == _INVENTED))
    return bool(connection.execute(query).scalar_one())


def standing(events: Sequence[ConsentEvent], channel: str) -> Decision | None:
    """The rule above over all events of one person and purpose, in any order; None means never asked."""
    applies = [event for event in events if event.channel in (channel, ANY_CHANNEL)]
    read = {event.evidence for event in events if event.decision == Decision.READ}
    unread = [event for event in applies if event.decision == Decision.UNKNOWN and event.evidence not in read]
    withdrawals = [event for event in applies if event.decision == Decision.DENY] + unread
    grants = [event for event in applies if event.decision == Decision.PERMIT]
    if all(any(_lifts(grant, withdrawal, channel) for grant in grants) for withdrawal in withdrawals):
        return Decision.PERMIT if grants else None
    return Decision.DENY


def _lifts(grant: ConsentEvent, withdrawal: ConsentEvent, channel: str) -> bool:
    as_particular = withdrawal.channel == ANY_CHANNEL or grant.channel == channel
    return grant.decided_at > withdrawal.decided_at and bool(grant.evidence) and as_particular


#: {only} restricts the events, {channel} is the channel asked about: an expression over an event `e`. It holds for
#: SQLite, PostgreSQL and DuckDB; {events} and {people} name the tables of the log and of who was merged into whom.
_STATE = """
WITH event AS (
    SELECT
        COALESCE(p.survivor_id, e.person_id) AS person_id,
        e.purpose, e.channel, e.decided_at, e.seq,
        CASE WHEN e.decision = 'unknown' THEN 'deny' ELSE e.decision END AS decision,
        e.evidence <> '' AS proven
    FROM {events} AS e LEFT JOIN {people} AS p ON p.person_id = e.person_id
    WHERE e.decided_at <= :as_of AND e.decision <> 'read' {only}
        AND (e.decision <> 'unknown' OR NOT EXISTS (
            SELECT 1 FROM {events} AS r
            WHERE r.person_id = e.person_id AND r.decision = 'read' AND r.evidence = e.evidence
                AND r.decided_at <= :as_of
        ))
),
asked AS (SELECT DISTINCT e.person_id, e.purpose, {channel} AS channel FROM event AS e),
applies AS (
    SELECT
        a.person_id, a.purpose, a.channel, e.decision, e.decided_at, e.seq, e.proven,
        e.channel = a.channel AS particular
    FROM asked AS a
    JOIN event AS e
        ON e.person_id = a.person_id AND e.purpose = a.purpose AND (e.channel = a.channel OR e.channel = '*')
),
latest AS (
    SELECT
        person_id, purpose, channel,
        MAX(CASE WHEN decision = 'deny' AND particular THEN decided_at END) AS particular_no,
        MAX(CASE WHEN decision = 'deny' AND NOT particular THEN decided_at END) AS general_no,
        MAX(CASE WHEN decision = 'permit' AND proven AND particular THEN decided_at END) AS particular_yes,
        MAX(CASE WHEN decision = 'permit' AND proven THEN decided_at END) AS any_yes
    FROM applies GROUP BY person_id, purpose, channel
),
decided AS (
    SELECT
        person_id, purpose, channel,
        particular_no IS NULL AND general_no IS NULL AS unopposed,
        CASE
            WHEN (particular_no IS NULL OR particular_yes > particular_no)
                AND (general_no IS NULL OR any_yes > general_no)
            THEN 'permit' ELSE 'deny'
        END AS decision
    FROM latest
),
ranked AS (
    SELECT
        a.person_id, a.purpose, a.channel, a.decision, a.decided_at, a.seq,
        ROW_NUMBER() OVER (
            PARTITION BY a.person_id, a.purpose, a.channel ORDER BY a.decided_at DESC, a.seq DESC
        ) AS place
    FROM applies AS a
    JOIN decided AS d
        ON d.person_id = a.person_id AND d.purpose = a.purpose AND d.channel = a.channel AND d.decision = a.decision
    WHERE d.decision = 'deny' OR d.unopposed OR a.proven
)
SELECT person_id, purpose, channel, decision, decided_at, seq FROM ranked WHERE place = 1
"""
_ONE_CHANNEL = "CAST(:channel AS VARCHAR(12))"
_EVENT = ("person_id", "purpose", "channel", "decision", "decided_at", "seq", "evidence")
_MERGED = "survivor_id IS NOT NULL"
_COPIES = """
CREATE OR REPLACE TEMP TABLE logged_consent (
    person_id VARCHAR, purpose VARCHAR, channel VARCHAR, decision VARCHAR, decided_at TIMESTAMP, seq BIGINT,
    evidence VARCHAR
);
CREATE OR REPLACE TEMP TABLE logged_person (person_id VARCHAR, survivor_id VARCHAR)
"""


def copy_log(duck: duckdb.DuckDBPyConnection, ledger: Ledger) -> None:
    """The log as it is now, as temp tables `logged_consent` and `logged_person` (who was merged into whom)."""
    duck.execute(_COPIES)
    copy(duck, ledger, "consent_event", "fact", "", _EVENT, "logged_consent")
    copy(duck, ledger, "person", "person_id", "p", ("person_id", "survivor_id"), "logged_person", _MERGED)


def decide_all(duck: duckdb.DuckDBPyConnection, channel: str | None = None, as_of: datetime | None = None) -> None:
    """What stands, as temp table `decided(person_id, purpose, channel, decision, decided_at, seq)`: living people.

    Reads `logged_consent` and `logged_person`. The rule runs in DuckDB, which decides a million people within its
    memory limit in seconds; the stores take minutes.

    Parameters
    ----------
    channel : answer for this channel, one row per person and purpose that was ever decided for it. Without it there is
        a row for every channel a person decided about, and the row of `*` answers for all channels that have none.
    as_of : leave out what was decided after this moment

    `seq` is the event that decided.
    """
    only, asked = "", "e.channel"
    values: dict[str, Any] = {"as_of": (as_of or _END_OF_TIME).astimezone(UTC).replace(tzinfo=None)}
    if channel is not None:
        only, asked = "AND e.channel IN ($channel, '*')", "CAST($channel AS VARCHAR)"
        values |= {"channel": channel}
    state = _STATE.format(only=only, channel=asked, events="logged_consent", people="logged_person")
    duck.execute(f"CREATE OR REPLACE TEMP TABLE decided AS {state.replace(':as_of', '$as_of')}", values)


def decide(
    connection: Connection,
    person_ids: Collection[str],
    purpose: str,
    channel: str,
    as_of: datetime | None = None,
) -> dict[str, tuple[Decision, int]]:
    """What stands for these people, by the id asked for (merged ids answer for their survivor): decision and event.

    Somebody who was never asked lacks: there is no consent.
    """
    living = survivors(connection, person_ids)
    group = members(connection, set(living.values()))
    only = f"AND e.purpose = :purpose AND (e.channel = {_ONE_CHANNEL} OR e.channel = '*')"
    only += f" AND {in_keys_sql(connection, 'e.person_id', 'ids')}"
    state = _STATE.format(only=only, channel=_ONE_CHANNEL, events="consent_event", people="person")
    query = sa.text(state).bindparams(
        sa.bindparam("as_of", as_of or _END_OF_TIME, type_=schema.Utc()),
        sa.bindparam("purpose", purpose),
        sa.bindparam("channel", channel),
    )
    found: dict[str, tuple[Decision, int]] = {}
    for ids in _whole_groups(group):
        for row in connection.execute(query, {"ids": key_list(connection, ids)}):
            found[row.person_id] = (Decision(row.decision), int(row.seq))
    return {asked: found[person_id] for asked, person_id in living.items() if person_id in found}


def _whole_groups(group: dict[str, str]) -> Iterable[list[str]]:
    """Portions that never tear a group apart: half of a person's events would be half of the truth."""
    portion: list[str] = []
    last = ""
    for person_id in sorted(group, key=lambda member: (group[member], member)):
        if len(portion) >= PORTION and group[person_id] != last:
            yield portion
            portion = []
        portion.append(person_id)
        last = group[person_id]
    if portion:
        yield portion


def events_of(connection: Connection, person_id: str) -> list[ConsentEvent]:
    """Everything ever recorded for a person and those merged into them, in the order of recording."""
    living = survivors(connection, [person_id])[person_id]
    return _events(connection, members(connection, [living]))


def unreadable(connection: Connection, events: Collection[int]) -> dict[int, str]:
    """Those of the events (`seq`) that are records which could not be read, with the words by which to find them."""
    table = schema.consent_event
    query = sa.select(table.c.seq, table.c.origin, table.c.evidence).where(
        table.c.seq.in_(sorted(events)), table.c.decision == Decision.UNKNOWN
    )
    return {
        row.seq: f"{row.origin.removeprefix('extract:')}, record_key {row.evidence.split()[-1].partition('#')[0]}"
        for row in connection.execute(query)
    }


def restate_withdrawals(connection: Connection, person_ids: Collection[str], at: datetime) -> int:
    """Repeat, as of `at` and under the same id, every withdrawal that stands for these living people."""
    restated = []
    for living in sorted(person_ids):
        events = [
            event
            for event in _events(connection, members(connection, [living]))
            if event.decided_at <= at and event.decision in (Decision.PERMIT, Decision.DENY)
        ]
        for purpose, channel in sorted({(event.purpose, event.channel) for event in events}):
            of_purpose = [event for event in events if event.purpose == purpose]
            if standing(of_purpose, channel) == Decision.DENY:
                restated.append(ConsentEvent(living, purpose, channel, Decision.DENY, at, "merge"))
    return record(connection, restated, at)


def copy_withdrawals(connection: Connection, from_ids: Collection[str], to_id: str, now: datetime) -> int:
    """Withdrawals made by the person themselves or staff (not by a system's record) count for the split-off one too."""
    own = [
        replace(event, person_id=to_id, origin=f"split:{event.origin}"[:80])
        for event in _events(connection, from_ids)
        if event.decision == Decision.DENY and not event.origin.startswith(("extract:", "merge"))
    ]
    return record(connection, own, now)


def _events(connection: Connection, person_ids: Collection[str]) -> list[ConsentEvent]:
    table = schema.consent_event
    query = sa.select(table).where(table.c.person_id.in_(sorted(person_ids))).order_by(table.c.seq)
    return [
        ConsentEvent(
            row.person_id,
            row.purpose,
            row.channel,
            Decision(row.decision),
            row.decided_at,
            row.origin,
            row.evidence,
        )
        for row in connection.execute(query)
    ]
