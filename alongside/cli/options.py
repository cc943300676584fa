"""Values of options that need more than a type: a wrong one is wrong usage (exit code 2), said in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo

import typer

#: Beyond these years arithmetic with zones and ages overflows; nobody was or will be a patient then.
_YEARS = range(1900, 2200)
#: What the ledger's columns for names of people hold.
_LONGEST_NAME = 120
Dated = TypeVar("Dated", date, datetime)
_SCOPES = "all, channel:NAME, campaign:NAME or run:ID"


def moment(text: str) -> datetime:
    """A moment in ISO 8601; without a zone it stays naive, and is the hospital's."""
    return _dated(text, datetime.fromisoformat, "moment", "2026-03-01T08:00")


def in_zone(moment: datetime | None, zone: ZoneInfo) -> datetime | None:
    """A moment that was written without a zone is the hospital's."""
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=zone)


def day(text: str) -> date:
    """A day in ISO 8601."""
    return _dated(text, date.fromisoformat, "day", "2026-02-28")


def _dated(text: str, read: Callable[[str], Dated], kind: str, example: str) -> Dated:
    try:
        found = read(text)
    except ValueError:
        found = None
    if found is None or found.year not in _YEARS:
        raise typer.BadParameter(f"'{text}' is no {kind}. Write it as {example}.")
    return found


def plan_hash(text: str) -> str:
    """The hash of a plan, whole or the part of it that `alongside plan` prints; in lower case."""
    from alongside.outreach.approval import PRINTED, is_plan_hash

    found = text.strip().lower()
    if not is_plan_hash(found):
        raise typer.BadParameter(f"'{text}' is no hash of a plan: give {PRINTED} to 64 of its hexadecimal digits.")
    return found


def scope(text: str) -> str:
    """What can be paused, by its form; whether it exists is for the command to find out."""
    kind, _, name = text.partition(":")
    if text != "all" and not (kind in ("channel", "campaign", "run") and name):
        raise typer.BadParameter(f"'{text}' is nothing that can be paused. Name one of: {_SCOPES}.")
    return text


def person(text: str) -> str:
    """The name of whoever decides, as the audit trail keeps it."""
    found = text.strip()
    if not 0 < len(found) <= _LONGEST_NAME:
        raise typer.BadParameter(f"give a name of 1 to {_LONGEST_NAME} characters.")
    return found


def address(text: str) -> str:
    """A mail address as it was written, a number in E.164 form, or what a machine made: an openid, a device's token."""
    from alongside.model.addresses import normalise, normalise_email, normalise_phone

    if "@" in text:
        if normalise_email(text) is None:
            raise typer.BadParameter(f"'{text}' is no e-mail address.")
        return text.strip()
    if made := normalise("openid", text) or normalise("device_token", text):
        return made
    number = normalise_phone(text) if text.strip().startswith("+") else None
    if number is None:
        raise typer.BadParameter(f"'{text}' is neither an e-mail address nor a number with its country code (+86 ...).")
    return number


def character(text: str) -> str:
    """One character, such as the separator of a CSV's columns; `\\t` is a tab, which a shell hardly lets one type."""
    found = "\t" if text == r"\t" else text
    if len(found) != 1:
        raise typer.BadParameter(f"'{text}' is not one character.")
    return found


def new_file(text: str) -> Path:
    """A file that can be written where the path says."""
    found = Path(text)
    if found.is_dir():
        raise typer.BadParameter(f"'{text}' is a folder. Name a file.")
    if not found.parent.is_dir():
        raise typer.BadParameter(f"there is no folder '{found.parent}'. Create it, or name another file.")
    return found


def folder(text: str) -> Path:
    """A folder that is there or can be made; nothing on its way is a file."""
    found = Path(text)
    standing = next(path for path in (found, *found.absolute().parents) if path.exists())
    if not text or not standing.is_dir():
        raise typer.BadParameter(f"'{text}' cannot be a folder: {standing} is a file.")
    return found


def pool(text: str) -> str:
    """A name that Prefect takes for a work pool."""
    if not text.strip() or set(text) & set("/%&<>"):
        raise typer.BadParameter(f"'{text}' is no name of a work pool: letters, digits and hyphens are.")
    return text


def fault(text: str) -> str:
    """A fault of the stand-in, as docs/sandbox.md lists them."""
    from alongside.model.errors import Refused
    from alongside.sandbox.common.faults import parse_fault_text

    try:
        parse_fault_text(text)
    except Refused as error:
        raise typer.BadParameter(str(error)) from None
    return text


#: A port to listen on.
Port = Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 picks a free one.")]
