"""People: ids minted once, merged without loss, split without trace on anything but themselves.

Every record of every system has a person_id of its own, minted from its source and identifier (`person_alias`). Records
of one human being are joined by pointing them at one *survivor* (`person.survivor_id`, always a living person, never a
chain). Nothing that was ever written under an id is rewritten: messages, arms and consents resolve to the survivor when
they are read, so that a merge changes none of them and a split gives each side back exactly what was its own:

    LEFT JOIN person AS r ON r.person_id = x.person_id ... COALESCE(r.survivor_id, x.person_id)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger import consent, relations, schema, wishes
from alongside.ledger.groups import members, portions, survivors
from alongside.model.errors import Refused
from alongside.model.ids import keyed_hash

if TYPE_CHECKING:
    import pyarrow as pa

    from alongside.ledger.engine import Ledger

#: rule of the ids that a merged person brings along
_WITH = "with:"

__all__ = [
    "Merge",
    "PersonEvent",
    "Review",
    "alias_of",
    "decide_review",
    "history",
    "members",
    "merge",
    "person_of",
    "resolution",
    "reviews",
    "split",
    "survivors",
]


@dataclass(frozen=True)
class Merge:
    """`other_id` becomes part of `survivor_id`, because of `rule` (a key's name, `splink` or `review:<who>`)."""

    survivor_id: str
    other_id: str
    rule: str
    probability: float | None = None


@dataclass(frozen=True)
class PersonEvent:
    """One line of a person's history."""

    at: datetime
    kind: Literal["merge", "split"]
    person_id: str
    other_id: str
    rule: str
    probability: float | None


@dataclass(frozen=True)
class Review:
    """Two records that may be one person; `decision` is same, different or None while nobody has looked."""

    left_alias: str
    right_alias: str
    left_person: str
    right_person: str
    probability: float
    seen_at: datetime
    decision: str | None


def alias_of(secret: bytes, source: str, source_id: str) -> str:
    """The key of a source's record in `person_alias`, 32 hex digits."""
    return keyed_hash(secret, "alias", source, source_id)


# ---------------------------------------------------------------------------------------------------------- resolving
def resolution(ledger: Ledger) -> pa.Table:
    """`person_id, survivor_id` of everybody who was merged; all others stand for themselves."""
    return ledger.read_arrow("SELECT person_id, survivor_id FROM person WHERE survivor_id IS NOT NULL")


def person_of(connection: Connection, alias: str) -> str | None:
    """The living person behind one record, or None for a record never seen."""
    table = schema.person_alias
    own = connection.execute(sa.select(table.c.person_id).where(table.c.alias == alias)).scalar_one_or_none()
    return None if own is None else survivors(connection, [own])[own]


# --------------------------------------------------------------------------------------------------- merge and split
def merge(connection: Connection, merges: Iterable[Merge], at: datetime) -> list[Merge]:
    """Join people; ids already joined are left alone. Returns what was done, with living ids.

    Where one of the two had withdrawn a consent, the withdrawal is restated as of `at` under the same id: it wins over
    whatever the other had granted before, until a later, evidenced grant.
    """
    done = []
    for wanted in merges:
        living = survivors(connection, [wanted.survivor_id, wanted.other_id])
        survivor, other = living[wanted.survivor_id], living[wanted.other_id]
        if survivor == other:
            continue
        step = Merge(survivor, other, wanted.rule, wanted.probability)
        consent.restate_withdrawals(connection, [survivor, other], at)
        _remember(connection, "merge", step, at)
        for follower in sorted(set(members(connection, [other])) - {other}):
            _remember(connection, "merge", Merge(survivor, follower, _WITH + other, step.probability), at)
        table = schema.person
        joined = sa.or_(table.c.person_id == other, table.c.survivor_id == other)
        connection.execute(table.update().where(joined).values(survivor_id=survivor))
        done.append(step)
    _look_again(connection, {person for step in done for person in (step.survivor_id, step.other_id)})
    return done


def split(connection: Connection, survivor_id: str, leaving: Collection[str], rule: str, at: datetime) -> str:
    """Let these ids of a person's group become a person of their own; returns who speaks for them.

    It is the one who spoke for them before they were merged, so that keys are made of the same id again; where nobody
    did, the one minted first. What was recorded under the leaving ids goes with them. A withdrawal that was made while
    all were one (a page, a reply, a nurse) counts for both sides afterwards; a grant stays with the survivor.
    """
    group = members(connection, [survivor_id])
    strangers = sorted(set(leaving) - set(group))
    if strangers or survivor_id in leaving or not leaving:
        raise Refused(
            "only ids that were merged into a person can leave it",
            where=survivor_id,
            remedy="Name ids whose survivor is this person, and not the survivor itself.",
        )
    table = schema.person
    fresh = _spokesman(connection, survivor_id, leaving)
    connection.execute(table.update().where(table.c.person_id.in_(sorted(leaving))).values(survivor_id=fresh))
    connection.execute(table.update().where(table.c.person_id == fresh).values(survivor_id=None))
    consent.copy_withdrawals(connection, set(group) - set(leaving), fresh, at)
    wishes.copy_to(connection, set(group) - set(leaving), fresh, at)
    relations.copy_denials(connection, set(group) - set(leaving), fresh, at)
    _remember(connection, "split", Merge(survivor_id, fresh, rule), at)
    _look_again(connection, [survivor_id, fresh])
    return fresh


def history(connection: Connection, person_id: str) -> list[PersonEvent]:
    """Merges and splits that this id took part in, oldest first."""
    table = schema.person_event
    query = sa.select(table).where(sa.or_(table.c.person_id == person_id, table.c.other_id == person_id))
    return [
        PersonEvent(row.at, row.kind, row.person_id, row.other_id, row.rule, row.probability)
        for row in connection.execute(query.order_by(table.c.seq))
    ]


# ------------------------------------------------------------------------------------------------------- match review
def reviews(connection: Connection, *, undecided_only: bool = True) -> list[Review]:
    """Pairs of records for a person to decide, most probable first."""
    table, left, right = schema.match_review, schema.person_alias.alias("l"), schema.person_alias.alias("r")
    query = (
        sa.select(table, left.c.person_id.label("left_person"), right.c.person_id.label("right_person"))
        .join(left, left.c.alias == table.c.left_alias)
        .join(right, right.c.alias == table.c.right_alias)
        .order_by(table.c.probability.desc(), table.c.left_alias, table.c.right_alias)
    )
    if undecided_only:
        query = query.where(table.c.decision.is_(None))
    rows = connection.execute(query).all()
    living = survivors(connection, {row.left_person for row in rows} | {row.right_person for row in rows})
    return [
        Review(
            row.left_alias,
            row.right_alias,
            living[row.left_person],
            living[row.right_person],
            row.probability,
            row.seen_at,
            row.decision,
        )
        for row in rows
    ]


def decide_review(
    connection: Connection,
    aliases: tuple[str, str],
    decision: Literal["same", "different"],
    by: str,
    at: datetime,
) -> None:
    """A person's word on two records, in force at once: `same` merges, `different` splits and is never merged again."""
    left, right = sorted(aliases)
    own = _own_ids(connection, [left, right])
    table = schema.match_review
    here = sa.and_(table.c.left_alias == left, table.c.right_alias == right)
    if connection.execute(table.update().where(here).values(decision=decision)).rowcount == 0:
        row = {"left_alias": left, "right_alias": right, "probability": float(decision == "same"), "seen_at": at}
        connection.execute(table.insert().values(**row, decision=decision))
    rule = f"review:{by}"[:60]
    living = survivors(connection, own.values())
    one, two = own[left], own[right]
    if decision == "same":
        survivor, other = _elder(connection, living[one], living[two])
        merge(connection, [Merge(survivor, other, rule)], at)
    elif living[one] == living[two]:
        leaving = two if living[one] != two else one
        split(connection, living[one], _party(connection, living[one], leaving), rule, at)


def _own_ids(connection: Connection, aliases: Sequence[str]) -> dict[str, str]:
    table = schema.person_alias
    query = sa.select(table.c.alias, table.c.person_id).where(table.c.alias.in_(aliases))
    own = {row.alias: row.person_id for row in connection.execute(query)}
    if missing := [alias for alias in aliases if alias not in own]:
        raise Refused(
            "no record is known by this alias", where=missing[0], remedy="Take both aliases from the review list."
        )
    return own


def _party(connection: Connection, survivor_id: str, own_id: str) -> set[str]:
    """The ids that came into the group together with this one, as far as they are still in it."""
    table = schema.person_event
    merged = sa.and_(table.c.kind == "merge", table.c.person_id == survivor_id)
    rules = sa.select(table.c.rule).where(merged, table.c.other_id == own_id).order_by(table.c.seq.desc())
    rule = connection.execute(rules).scalars().first() or ""
    head = rule.removeprefix(_WITH) if rule.startswith(_WITH) else own_id
    followers = connection.execute(sa.select(table.c.other_id).where(merged, table.c.rule == _WITH + head)).scalars()
    return ({head, own_id} | set(followers)) & (set(members(connection, [survivor_id])) - {survivor_id})


def _spokesman(connection: Connection, survivor_id: str, leaving: Collection[str]) -> str:
    event, ids = schema.person_event, sorted(leaving)
    merged = sa.and_(event.c.kind == "merge", event.c.person_id == survivor_id, event.c.other_id.in_(ids))
    spoke = sa.select(event.c.other_id).where(merged, ~event.c.rule.startswith(_WITH))
    return _minted(connection, connection.execute(spoke).scalars().all() or ids)[0]


def _elder(connection: Connection, one: str, two: str) -> tuple[str, str]:
    ordered = _minted(connection, [one, two])
    return ordered[0], ordered[-1]


def _minted(connection: Connection, people: Collection[str]) -> list[str]:
    """These people in the order in which they were minted."""
    table = schema.person
    query = sa.select(table.c.person_id).where(table.c.person_id.in_(sorted(people)))
    return list(connection.execute(query.order_by(table.c.minted_at, table.c.person_id)).scalars())


def _remember(connection: Connection, kind: str, step: Merge, at: datetime) -> None:
    connection.execute(
        schema.person_event.insert().values(
            at=at,
            kind=kind,
            person_id=step.survivor_id,
            other_id=step.other_id,
            rule=step.rule,
            probability=step.probability,
        )
    )


def _look_again(connection: Connection, living: Collection[str]) -> None:
    """Their records count as changed in the next run, which seals the vault for the new groups."""
    table = schema.person_alias
    for portion in portions(sorted(members(connection, living))):
        connection.execute(table.update().where(table.c.person_id.in_(portion)).values(fingerprint=""))
