"""Addresses that may not be written to. Known by their blind index only, so that a row outlives the person's erasure.

Scope `all` stops every message to the address, `marketing` only marketing. Only one
kind is ever lifted: an address that `unfollowed` is open again once its owner follows again.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from alongside.ledger import schema
from alongside.ledger.groups import in_bound_keys, key_list, portions
from alongside.model.addresses import normalise
from alongside.model.enums import Channel, Purpose
from alongside.model.errors import DataInvalid
from alongside.model.findings import Finding

if TYPE_CHECKING:
    import pyarrow as pa

    from alongside.ledger.engine import Ledger
    from alongside.ledger.vault import Vault

Scope = Literal["all", "marketing"]
REASONS = ("hard_bounce", "complaint", "unsubscribe", "unfollowed", "refused", "import", "erasure", "staff")
_SCOPES = ("all", "marketing")
_COLUMNS = ("address", "scope", "reason", "date")
_LONGEST_LINE = 10_000
#: What other tools call our reasons; anything else is kept as `import`.
_REASON_WORDS = {
    "bounce": "hard_bounce",
    "bounced": "hard_bounce",
    "hard bounce": "hard_bounce",
    "hardbounce": "hard_bounce",
    "invalid": "hard_bounce",
    "spam": "complaint",
    "spam report": "complaint",
    "abuse": "complaint",
    "unsubscribed": "unsubscribe",
    "opt-out": "unsubscribe",
    "optout": "unsubscribe",
    "退订": "unsubscribe",
    "投诉": "complaint",
    "退信": "hard_bounce",
}


@dataclass(frozen=True)
class Suppression:
    """One address on one channel; `blind` is `Vault.blind_index(Channel.address, normalised address)`."""

    blind: str
    channel: str
    scope: str
    reason: str
    since: datetime
    origin: str


@dataclass(frozen=True)
class ImportReport:
    """What became of a file: every line is either added, known before, or a fault with its line and reason."""

    read: int
    added: int
    known: int
    faults: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


# ------------------------------------------------------------------------------------------------------ write and ask
def add(connection: Connection, suppressions: Collection[Suppression]) -> int:
    """Add them; those in force already keep their first reason and date. Returns how many are new."""
    table = schema.suppression
    insert = sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)
    added = 0
    for portion in portions(suppressions, 500):
        rows = {(entry.blind, entry.channel, entry.scope): asdict(entry) for entry in reversed(portion)}
        fresh = insert.values(list(rows.values())).on_conflict_do_nothing().returning(table.c.blind)
        added += len(connection.execute(fresh).all())
    return added


def reopen(connection: Connection, blind: str, channel: str, since: datetime) -> bool:
    """Somebody follows again who had stopped to; whether something changed. Whatever else they had asked for stands."""
    table = schema.suppression
    here = (
        table.c.blind == blind,
        table.c.channel == channel,
        table.c.reason == "unfollowed",
        table.c.since <= since,
    )
    return connection.execute(table.delete().where(*here)).rowcount > 0


def suppressed(connection: Connection, blinds: Collection[str], channel: str, purpose: str) -> dict[str, str]:
    """Blind index -> reason, for those of these addresses that may not get a message of this purpose."""
    scopes = tuple(sorted({"all", widest_scope(purpose)}))
    found: dict[str, str] = {}
    for portion in portions(sorted(set(blinds))):
        values = {"b_blinds": key_list(connection, portion), "b_channel": channel}
        rows = connection.execute(_suppressing(connection.dialect.name == "postgresql", scopes), values)
        found.update((row.blind, row.reason) for row in rows)
    return found


def widest_scope(purpose: str) -> str:
    """Besides `all`, the scope of suppressions that silences a message of this purpose."""
    return "marketing" if purpose == Purpose.MARKETING else "all"


@cache
def _suppressing(postgresql: bool, scopes: tuple[str, ...]) -> sa.Select[Any]:
    """Built once: the last look asks it of every batch."""
    table = schema.suppression
    return (
        sa.select(table.c.blind, table.c.reason)
        .where(
            in_bound_keys(postgresql, table.c.blind, "b_blinds"),
            table.c.channel == sa.bindparam("b_channel"),
            table.c.scope.in_(scopes),
        )
        .order_by(table.c.scope.desc())
    )


def is_suppressed(connection: Connection, blinds: Collection[str], channel: str, purpose: str) -> set[str]:
    """Those of these addresses that may not get a message of this purpose."""
    return set(suppressed(connection, blinds, channel, purpose))


def listing(ledger: Ledger) -> pa.Table:
    """`blind, channel, scope, reason, since, origin` of all suppressions, newest first."""
    return ledger.read_arrow(
        "SELECT blind, channel, scope, reason, since, origin FROM suppression "
        "ORDER BY since DESC, blind, channel, scope"
    )


# ------------------------------------------------------------------------------------------------------------- import
def import_csv(
    path: Path,
    connection: Connection,
    vault: Vault,
    now: datetime,
    channel: Channel = Channel.EMAIL,
    region: str = "CN",
) -> ImportReport:
    """Take over another tool's opt-outs: `address` and optionally `scope`, `reason`, `date`, with a header line.

    A line that cannot be understood is reported (never with the address itself) and costs nothing but itself. An
    unknown scope or an unreadable date loses no opt-out: the line is taken with scope `all`, or as of `now`, and
    reported.

    Raises
    ------
    DataInvalid : the file cannot be read, or has no `address` column
    """
    lines = _lines(path)
    faults: list[Finding] = []
    read = added = 0
    for portion in portions(_parsed(path, lines, faults, now, channel, region), 500):
        entries = [
            Suppression(
                vault.blind_index(channel.address, line.address), channel, line.scope, line.reason, line.since, "import"
            )
            for line in portion
        ]
        read += len(entries)
        added += add(connection, entries)
    unusable = sum(fault.severity == "error" for fault in faults)
    return ImportReport(read + unusable, added, read - added, tuple(faults))


@dataclass(frozen=True)
class _Line:
    address: str
    scope: str
    reason: str
    since: datetime


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str] | None]]:
    """(line number, values by column, None for an unreadable line) of the file, in whatever dialect old tools write.

    Every physical line is parsed for itself: no address holds a line break, and a stray quote must not swallow what
    follows.
    """
    lines = re.split(r"\r\n|\r|\n", _decoded(path))
    first = lines[0] if lines else ""
    delimiter = max(",;\t|", key=first.count)
    header = [name.strip().lower() for name in _cells(first, delimiter) or []]
    bare = len(header) == 1 and "@" in header[0]  # a list without a header, as many tools export it
    if "address" not in header and not bare:
        raise DataInvalid(
            "no column 'address'",
            where=f"{path}:1",
            remedy=f"The first line names the columns: {', '.join(_COLUMNS)} (only address is required).",
        )
    names = ["address"] if bare else header
    for number, line in enumerate(lines if bare else lines[1:], 1 if bare else 2):
        if line.strip(" \t,;|"):
            cells = _cells(line, delimiter)
            yield number, None if cells is None else dict(zip(names, cells, strict=False))


def _cells(line: str, delimiter: str) -> list[str] | None:
    if len(line) > _LONGEST_LINE:
        return None
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error:
        return None


def _decoded(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataInvalid(
            f"cannot be read: {error.strerror}", where=str(path), remedy="Check the path and its permissions."
        ) from error
    for encoding in ("utf-16", "utf-8-sig", "gb18030"):
        if encoding == "utf-16" and not raw.startswith((b"\xff\xfe", b"\xfe\xff")):
            continue
        try:
            return raw.decode(encoding).replace("\0", "")
        except UnicodeDecodeError:
            continue
    raise DataInvalid("is neither UTF-8 nor GB18030", where=str(path), remedy="Save it as UTF-8.")


def _parsed(
    path: Path,
    lines: Iterator[tuple[int, dict[str, str] | None]],
    faults: list[Finding],
    now: datetime,
    channel: Channel,
    region: str,
) -> Iterator[_Line]:
    def fault(number: int, field: str, what: str, severity: str) -> None:
        faults.append(Finding(str(path), number, field, what, severity=severity))

    for number, cells in lines:
        if cells is None:
            fault(number, "", f"cannot be parsed, or is longer than {_LONGEST_LINE:,} characters", "error")
            continue
        written = cells.get("address", "")
        address = normalise(channel.address, written, region)
        if address is None:
            fault(number, "address", "is not a valid address" if written else "is empty", "error")
            continue
        scope = cells.get("scope", "").lower() or "all"
        if scope not in _SCOPES:
            fault(number, "scope", "is neither all nor marketing, taken as all", "warning")
            scope = "all"
        since = _date(cells.get("date", ""), now)
        if since is None:
            fault(number, "date", "is not a date like 2026-03-01 in the past, taken as today", "warning")
        yield _Line(address, scope, _reason(cells.get("reason", "")), since or now)


def _reason(text: str) -> str:
    word = text.lower().replace("_", " ")
    plain = word.replace(" ", "_")
    return plain if plain in REASONS else _REASON_WORDS.get(word, "import")


def _date(text: str, now: datetime) -> datetime | None:
    """The moment written, `now` where none is, None where it cannot be read or lies ahead."""
    if not text:
        return now
    try:
        moment = datetime.fromisoformat(text.replace("/", "-"))
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    # a date without zone may be a local "today" that UTC has not reached
    return min(aware, now) if aware <= now + timedelta(days=1) else None
