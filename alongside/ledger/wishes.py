"""How patients wish to be written to, in their own words on their own pages: an append-only log, like consent.

The rule, in plain words, for one person and each kind of wish by itself:

1. What was expressed last counts; what matters is when the *patient decided*, never when it was recorded.
2. An extract's `preference` is such an expression, too, dated by its `updated_at`; without a date it is older than
   everything. So a wish stands until the hospital's systems bring a decision that is dated later.
3. At the same instant the patient's own page wins.
4. Records that turned out to be one person share their wishes.

`standing` is that rule as a pure function; `patients/preference_fact.sql` is the same for sets, and a test holds both
together.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger import schema
from alongside.ledger.groups import members, survivors
from alongside.ledger.logs import append
from alongside.model.enums import Locale, Pace, WishKind
from alongside.model.ids import keyed_hash

if TYPE_CHECKING:
    import pyarrow as pa

    from alongside.ledger.engine import Ledger

#: Source of wishes among the rows of `preference` in a snapshot.
SOURCE = "alongside"
#: The patient wants what everybody gets: it ends what an extract said before.
AS_USUAL = "-"
#: Public: it names a wish, it hides nothing.
_FACT_KEY = b"alongside wish fact"
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


@dataclass(frozen=True)
class WishEvent:
    """One wish of one patient.

    Attributes
    ----------
    value : topics separated by `|`; a language; `HH:MM/HH:MM` or `-`; a channel or `-`; a pace; yes or no
    decided_at : patient time
    origin : preferences, or staff:<who>
    """

    person_id: str
    kind: WishKind
    value: str
    decided_at: datetime
    origin: str
    evidence: str = ""

    @property
    def fact(self) -> str:
        """The wish's own identity: recording it again records nothing."""
        moment = self.decided_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        return keyed_hash(_FACT_KEY, self.person_id, self.kind, self.value, moment, self.origin, self.evidence)


@dataclass(frozen=True)
class Expressed:
    """One row of `preference`, as an extract brought it."""

    updated_at: datetime | None
    source: str
    source_id: str
    channel: str | None = None
    language: str | None = None
    quiet_from: str | None = None
    quiet_to: str | None = None
    topics_off: str | None = None

    def value_of(self, kind: WishKind) -> str | None:
        """What this row says of the matter, written as a wish is; None where it says nothing."""
        if kind is WishKind.QUIET:
            readable = all(_CLOCK.fullmatch(text or "") for text in (self.quiet_from, self.quiet_to))
            return f"{self.quiet_from}/{self.quiet_to}" if readable else None
        if kind is WishKind.LANGUAGE:
            return self.language if self.language in set(Locale) else None
        return {WishKind.CHANNEL: self.channel, WishKind.TOPICS_OFF: self.topics_off}.get(kind)


@dataclass(frozen=True)
class Wishes:
    """What stands for one person; None and empty: as usual."""

    topics_off: frozenset[str] = frozenset()
    language: Locale | None = None
    quiet: tuple[str, str] | None = None
    channel: str | None = None
    pace: Pace = Pace.NORMAL
    general_only: bool = False


# ---------------------------------------------------------------------------------------------------------- writing
def record(connection: Connection, events: Iterable[WishEvent], now: datetime) -> int:
    """Append wishes; those recorded before are skipped. Returns how many were new."""
    rows = [
        {
            "person_id": event.person_id,
            "kind": event.kind.value,
            "value": event.value,
            "decided_at": event.decided_at,
            "recorded_at": now,
            "origin": event.origin[:80],
            "evidence": event.evidence[:200],
            "fact": event.fact,
        }
        for event in events
    ]
    return append(connection, schema.wish_event, rows)


def copy_to(connection: Connection, from_ids: Collection[str], to_id: str, now: datetime) -> int:
    """After a split both sides keep what was wished while they were one."""
    copies = [
        replace(event, person_id=to_id, origin=f"split:{event.origin}"[:80]) for event in _events(connection, from_ids)
    ]
    return record(connection, copies, now)


# ---------------------------------------------------------------------------------------------------------- reading
def events_of(connection: Connection, person_id: str) -> list[WishEvent]:
    """Everything a person, and those merged into them, ever wished, in the order of recording."""
    living = survivors(connection, [person_id])[person_id]
    return _events(connection, members(connection, [living]))


def standing(said: Iterable[WishEvent], expressed: Iterable[Expressed] = ()) -> Wishes:
    """The rule above for one person, over events and rows in any order."""
    own, rows = list(said), list(expressed)
    values = {kind: _newest(kind, own, rows) for kind in WishKind}
    quiet, language = values[WishKind.QUIET], values[WishKind.LANGUAGE]
    channel, pace = values[WishKind.CHANNEL], values[WishKind.PACE]
    return Wishes(
        topics_off=frozenset(filter(None, (word.strip() for word in (values[WishKind.TOPICS_OFF] or "").split("|")))),
        language=Locale(language) if language else None,
        quiet=_clocks(quiet),
        channel=None if channel == AS_USUAL else channel,
        pace=Pace(pace) if pace else Pace.NORMAL,
        general_only=values[WishKind.GENERAL_ONLY] == "yes",
    )


def _newest(kind: WishKind, said: Iterable[WishEvent], expressed: Iterable[Expressed]) -> str | None:
    beginning = datetime.min.replace(tzinfo=UTC)
    own = [(event.decided_at, event.value) for event in said if event.kind is kind]
    last = max(own, default=None, key=lambda one: one[0])
    rows = sorted(
        (one for one in expressed if one.value_of(kind) is not None), key=lambda one: (one.source, one.source_id)
    )
    row = max(rows, default=None, key=lambda one: one.updated_at or beginning)  # of equals the first
    if row is not None and (last is None or (row.updated_at or beginning) > last[0]):
        return row.value_of(kind)
    return last[1] if last is not None else None


def _clocks(quiet: str | None) -> tuple[str, str] | None:
    if not quiet or quiet == AS_USUAL:
        return None
    begins, _, ends = quiet.partition("/")
    return begins, ends


def since(connection: Connection, moment: datetime) -> dict[str, Mapping[WishKind, str]]:
    """Living person -> what they have wished since the moment (patient time), the newest of each kind."""
    found: dict[str, dict[WishKind, str]] = {}
    for row in connection.execute(_SINCE, {"b_moment": moment}):
        found.setdefault(row.living, {})[WishKind(row.kind)] = row.value
    return dict(found)


# Asked for every batch, and therefore built once.
_WISH, _PERSON = schema.wish_event, schema.person
_SINCE = (
    sa.select(sa.func.coalesce(_PERSON.c.survivor_id, _WISH.c.person_id).label("living"), _WISH.c.kind, _WISH.c.value)
    .select_from(_WISH.outerjoin(_PERSON, _PERSON.c.person_id == _WISH.c.person_id))
    .where(_WISH.c.decided_at >= sa.bindparam("b_moment", type_=_WISH.c.decided_at.type))
    .order_by(_WISH.c.decided_at, _WISH.c.seq)
)


_CURRENT = """
SELECT person_id, kind, value, decided_at
FROM (
    SELECT COALESCE(p.survivor_id, w.person_id) AS person_id, w.kind, w.value, w.decided_at,
        ROW_NUMBER() OVER (
            PARTITION BY COALESCE(p.survivor_id, w.person_id), w.kind ORDER BY w.decided_at DESC, w.seq DESC
        ) AS place
    FROM wish_event AS w LEFT JOIN person AS p ON p.person_id = w.person_id
    WHERE w.decided_at <= :as_of
) AS ranked
WHERE place = 1
"""
_END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)


def current(ledger: Ledger, as_of: datetime | None = None) -> pa.Table:
    """The newest wish of every living person and kind: person_id, kind, value, decided_at.

    Parameters
    ----------
    as_of : leave out what was wished after this moment
    """
    return ledger.read_arrow(_CURRENT, {"as_of": as_of or _END_OF_TIME})


def _events(connection: Connection, person_ids: Collection[str]) -> list[WishEvent]:
    table = schema.wish_event
    query = sa.select(table).where(table.c.person_id.in_(sorted(person_ids))).order_by(table.c.seq)
    return [
        WishEvent(row.person_id, WishKind(row.kind), row.value, row.decided_at, row.origin, row.evidence)
        for row in connection.execute(query)
    ]
