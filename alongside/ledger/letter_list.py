"""Letters on paper: what waits to be printed, what was printed, posted and came back."""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Row

from alongside.ledger.groups import in_keys, portions
from alongside.ledger.schema import Utc, message, printed_letter
from alongside.ledger.vault import Vault
from alongside.model.enums import LetterStatus
from alongside.model.errors import Refused
from alongside.model.letter_numbers import letter_number, read_number

_COLUMNS = [column for column in printed_letter.c if column.name != "sealed"]
_SELECT = sa.select(
    *_COLUMNS,
    message.c.person_id,
    message.c.subject_person_id,
    message.c.campaign,
    message.c.purpose,
    message.c.address_blind,
    message.c.run_id,
).select_from(printed_letter.outerjoin(message, message.c.message_key == printed_letter.c.letter_id))


@dataclass(frozen=True)
class Words:
    """What is printed: the lines on the envelope, and the letter as a whole HTML document."""

    lines: tuple[str, ...] = field(repr=False)
    html: str = field(repr=False)


@dataclass(frozen=True)
class PrintedLetter:
    """One letter, as a list shows it: without name, address or words.

    Attributes
    ----------
    stack, place : which PDF of its day holds it, and where in it; None until it was first printed
    reason : why it came back, or the gate that withheld it
    subject_id : the patient whom it is about, where it goes to a relative
    """

    letter_id: str
    number: str
    day: date
    stack: int | None
    place: int | None
    status: LetterStatus
    printings: int
    pages: int | None
    reason: str | None
    listed_at: datetime
    printed_at: datetime | None
    posted_at: datetime | None
    person_id: str
    subject_id: str
    campaign: str
    purpose: str
    address_blind: str
    run_id: str


@dataclass(frozen=True)
class Day:
    """How many letters of a day have which status."""

    day: date
    counts: Mapping[LetterStatus, int]


def add(
    connection: Connection, vault: Vault, batch_id: str, letters: Mapping[str, Words], *, day: date, now: datetime
) -> None:
    """List letters by their messages' keys; what is listed already stays as it is, with its words."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    rows = [
        {
            "letter_id": letter_id,
            "number": letter_number(letter_id),
            "batch_id": batch_id,
            "day": day.isoformat(),
            "status": LetterStatus.LISTED.value,
            "printings": 0,
            "listed_at": now,
            "updated_at": now,
            "sealed": vault.seal_words(_place(letter_id), _packed(words)),
        }
        for letter_id, words in letters.items()
    ]
    connection.execute(insert(printed_letter).on_conflict_do_nothing(index_elements=["letter_id"]), rows)


def count(connection: Connection, argument: str, value: str) -> int:
    """Listed letters of a message (`m`) or of a batch (`b`)."""
    column = printed_letter.c.letter_id if argument == "m" else printed_letter.c.batch_id
    return connection.execute(sa.select(sa.func.count()).where(column == value)).scalar_one()


def days(connection: Connection, limit: int) -> list[Day]:
    """The latest days that have letters, newest first."""
    table = printed_letter.c
    latest = sa.select(table.day).distinct().order_by(table.day.desc()).limit(limit).subquery()
    query = (
        sa.select(table.day, table.status, sa.func.count())
        .join_from(printed_letter, latest, latest.c.day == table.day)
        .group_by(table.day, table.status)
        .order_by(table.day.desc())
    )
    found: dict[str, dict[LetterStatus, int]] = {}
    for day, status, number in connection.execute(query):
        found.setdefault(day, {})[LetterStatus(status)] = number
    return [Day(date.fromisoformat(day), counts) for day, counts in found.items()]


def of_day(connection: Connection, day: date) -> list[PrintedLetter]:
    """Every letter of a day, in the order of its stacks; what was never printed comes last."""
    table = printed_letter.c
    order = (table.stack.is_(None), table.stack, table.place, table.number)
    return [_letter(row) for row in connection.execute(_SELECT.where(table.day == day.isoformat()).order_by(*order))]


def find(connection: Connection, number: str) -> PrintedLetter:
    """The letter of this number, however it is typed.

    Raises
    ------
    Refused : no letter has it
    """
    kept = read_number(number)
    row = connection.execute(_SELECT.where(printed_letter.c.number == kept)).first() if kept else None
    if row is None:
        what = f"no letter has the number {number!r}" if kept else f"{number!r} is no number of a letter"
        remedy = "It stands in the window and at the foot of each page, like 7K3M-92QX-4HTB."
        raise Refused(what, where="letters", remedy=remedy)
    return _letter(row)


def words_of(connection: Connection, vault: Vault, letter_ids: Collection[str]) -> dict[str, Words]:
    """What these letters say, as they were rendered."""
    found = {}
    for portion in portions(sorted(letter_ids)):
        query = sa.select(printed_letter.c.letter_id, printed_letter.c.sealed).where(
            in_keys(connection, printed_letter.c.letter_id, portion)
        )
        for letter_id, sealed in connection.execute(query):
            found[letter_id] = _unpacked(vault.unseal_words(_place(letter_id), bytes(sealed)))
    return found


# ------------------------------------------------------------------------------------------------------------- changes
def arrange(connection: Connection, day: date, letter_ids: Sequence[str], size: int, now: datetime) -> None:
    """Put letters that stand in no stack yet into new stacks of the day, in the order given; each for good."""
    table = printed_letter.c
    last = connection.execute(sa.select(sa.func.max(table.stack)).where(table.day == day.isoformat())).scalar() or 0
    rows = [
        {"of_letter": letter_id, "to_stack": last + 1 + index // size, "to_place": index % size, "at": now}
        for index, letter_id in enumerate(letter_ids)
    ]
    update = (
        printed_letter.update()
        .where(table.letter_id == sa.bindparam("of_letter"), table.stack.is_(None))
        .values(stack=sa.bindparam("to_stack"), place=sa.bindparam("to_place"), updated_at=sa.bindparam("at"))
    )
    if rows:
        connection.execute(update, rows)


def mark_printed(connection: Connection, pages: Mapping[str, int], now: datetime) -> int:
    """These letters lie on disk as PDF, with so many pages each; returns how many anybody had printed before."""
    before = _printed_before(connection, pages)
    table, at = printed_letter.c, sa.bindparam("at", type_=Utc())
    update = (
        printed_letter.update()
        .where(table.letter_id == sa.bindparam("of_letter"))
        .values(
            printings=table.printings + 1,
            pages=sa.bindparam("of_pages"),
            printed_at=sa.func.coalesce(table.printed_at, at),
            updated_at=at,
            status=sa.case((table.status == LetterStatus.LISTED.value, LetterStatus.PRINTED.value), else_=table.status),
        )
    )
    rows = [{"of_letter": letter_id, "of_pages": number, "at": now} for letter_id, number in pages.items()]
    if rows:
        connection.execute(update, rows)
    return before


def _printed_before(connection: Connection, letter_ids: Collection[str]) -> int:
    here = in_keys(connection, printed_letter.c.letter_id, sorted(letter_ids))
    query = sa.select(sa.func.count()).where(here, printed_letter.c.printings > 0)
    return connection.execute(query).scalar_one()


def move(
    connection: Connection,
    letter_ids: Iterable[str],
    before: Sequence[LetterStatus],
    after: LetterStatus,
    now: datetime,
    reason: str | None = None,
) -> int:
    """Give letters that have one of the statuses `before` another one; returns how many had."""
    values: dict[str, Any] = {"status": after.value, "updated_at": now}
    if reason is not None:
        values["reason"] = reason
    if after is LetterStatus.POSTED:
        values["posted_at"] = now
    moved = 0
    for portion in portions(sorted(letter_ids)):
        moved += connection.execute(
            printed_letter.update()
            .where(
                in_keys(connection, printed_letter.c.letter_id, portion),
                printed_letter.c.status.in_([status.value for status in before]),
            )
            .values(**values)
        ).rowcount
    return moved


def _place(letter_id: str) -> str:
    return f"letter:{letter_id}"


def _packed(words: Words) -> str:
    """Every letter carries its whole layout, so that it can be printed again as it was: packed, a third of a page."""
    plain = orjson.dumps({"lines": words.lines, "html": words.html})
    return b64encode(zlib.compress(plain, 6)).decode()


def _unpacked(text: str) -> Words:
    found = orjson.loads(zlib.decompress(b64decode(text)))
    return Words(tuple(found["lines"]), found["html"])


def _letter(row: Row[Any]) -> PrintedLetter:
    return PrintedLetter(
        letter_id=row.letter_id,
        number=row.number,
        day=date.fromisoformat(row.day),
        stack=row.stack,
        place=row.place,
        status=LetterStatus(row.status),
        printings=row.printings,
        pages=row.pages,
        reason=row.reason,
        listed_at=row.listed_at,
        printed_at=row.printed_at,
        posted_at=row.posted_at,
        person_id=row.person_id or "",
        subject_id=row.subject_person_id or "",
        campaign=row.campaign or "",
        purpose=row.purpose or "",
        address_blind=row.address_blind or "",
        run_id=row.run_id or "",
    )
