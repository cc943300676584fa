"""Letters on paper: which wait, print them, note what was posted and what came back."""

from __future__ import annotations

import getpass
import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alongside.cli import options
from alongside.cli.output import AsJson, console, emit, fail, show_table, tell
from alongside.model.enums import LetterStatus, ReturnReason

if TYPE_CHECKING:
    from alongside.bootstrap import Services
    from alongside.delivery.printing import PrintReport, Stack
    from alongside.ledger.letter_list import Day, PrintedLetter

app = typer.Typer(help="Letters that are printed and posted.", no_args_is_help=True)
By = Annotated[
    str | None, typer.Option("--by", parser=options.person, metavar="NAME", help="Default: who is logged in.")
]
OfDay = Annotated[date | None, typer.Option("--day", parser=options.day, metavar="DAY", help="YYYY-MM-DD.")]
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@app.command("list")
def list_letters(
    day: OfDay = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Days at most.")] = 14,
    as_json: AsJson = False,
) -> None:
    """Days with letters and how many wait, are printed, posted, came back; with --day the letters of one."""
    from alongside.bootstrap import build
    from alongside.ledger import letter_list

    house = build()
    with house.ledger.reading() as connection:
        if day is None:
            found = letter_list.days(connection, limit)
        else:
            _show_day(house, day, letter_list.of_day(connection, day), as_json)
            return
    if as_json:
        emit([{"day": one.day.isoformat(), **_counts(one)} for one in found])
    elif not found:
        console().print("There are no letters.")
    else:
        rows = [(one.day, *_counts(one).values()) for one in found]
        show_table("", ("day", *LetterStatus), rows)


def _counts(day: Day) -> dict[str, int]:
    return {status: day.counts.get(status, 0) for status in LetterStatus}


def _show_day(house: Services, day: date, letters: list[PrintedLetter], as_json: bool) -> None:
    if as_json:
        emit([_json(one) for one in letters])
    elif not letters:
        console().print(f"There are no letters of {day}.")
    else:
        columns = ("letter", "stack", "person", "campaign", "status", "pages", "reason")
        show_table(
            "",
            columns,
            [
                (one.number, one.stack, one.person_id, one.campaign, one.status, one.pages, one.reason)
                for one in letters
            ],
        )


@app.command("print")
def print_letters(
    out: Annotated[
        Path, typer.Option("--out", parser=options.folder, metavar="FOLDER", help="Where PDF and address sheet go.")
    ],
    numbers: Annotated[list[str] | None, typer.Argument(metavar="[LETTER]...", help="Single letters, again.")] = None,
    day: OfDay = None,
    again: Annotated[bool, typer.Option("--again", help="Also what was printed before and is not posted.")] = False,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Print the letters of a day (default: today): a PDF and an address sheet for each stack.

    What was printed before is not printed again without --again, and then it is the same letter. The files hold names
    and addresses: they are readable to you alone; remove them when the letters are on their way.
    """
    from alongside.bootstrap import build
    from alongside.delivery.printing import PrintRoom

    house = build()
    now = house.clock()
    room = PrintRoom(house.ledger, house.vault, house.settings, out, by or getpass.getuser(), house.last_look)
    if numbers:
        reports = room.print_some(numbers, now)
    else:
        reports = [room.print_day(day or now.astimezone(house.zone).date(), again=again, now=now)]
    if as_json:
        emit([_report(one) for one in reports])
        return
    for report in reports:
        _say(report)


def _say(report: PrintReport) -> None:
    out = console()
    for stack in report.stacks:
        again = f", {stack.again} of them printed before" if stack.again else ""
        size = f"{_some(stack.letters, 'letter')}, {_some(stack.pages, 'page')}"
        out.print(f"{stack.day}/{stack.number}: {size}{again}.", markup=False)
        for file in stack.files:
            out.print(f"  {file}", markup=False, soft_wrap=True)
        if stack.unprintable:
            numbers = ", ".join(stack.unprintable)
            out.print(f"  Not printed, because no font here has one of their characters: {numbers}.", markup=False)
    if report.printed_before:
        out.print(f"{report.printed_before} letters of {report.day} were printed before; --again prints them again.")
    for gate, number in sorted(report.withheld.gates.items()):
        out.print(f"{number} letters are not printed any more: {gate}.", markup=False)
    if report.withheld.paused:
        out.print(f"{report.withheld.paused} letters wait: their campaign is paused.")
    if not report.stacks and not report.printed_before and not report.withheld.keys:
        out.print(f"Nothing of {report.day} waits to be printed.")


def _some(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


@app.command("posted")
def posted(
    what: Annotated[list[str], typer.Argument(metavar="DAY|DAY/STACK|LETTER...", help="What was handed to the post.")],
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Note that printed letters were handed to the post."""
    from alongside.bootstrap import build
    from alongside.delivery.posting import record_posted

    days = [_day_and_stack(one) for one in what if _DAY.match(one)]
    numbers = [one for one in what if not _DAY.match(one)]
    house, who = build(), by or getpass.getuser()
    number = 0
    if numbers:
        number += record_posted(house.ledger, numbers=numbers, by=who, now=house.clock())
    for day, stack in days:
        number += record_posted(house.ledger, day=day, stack=stack, by=who, now=house.clock())
    tell({"posted": number}, as_json, f"{number} letters are noted as posted." if number else "Noted before.")


def _day_and_stack(text: str) -> tuple[date, int | None]:
    day, slash, stack = text.partition("/")
    if slash and not (stack.isdecimal() and int(stack) > 0):
        raise fail(f"'{text}' is no stack. Write it as 2026-03-02/1.", code=2)
    return options.day(day), int(stack) if slash else None


@app.command("returned")
def returned(
    number: Annotated[str, typer.Argument(metavar="LETTER", help="Its number, as it shows in the window.")],
    reason: Annotated[ReturnReason, typer.Option("--reason", help="What the post wrote on it.")],
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Note that a letter came back.

    Nothing more is sent to its address (unless nobody fetched it, or for another reason), and the campaign's next
    channel follows where it has one.
    """
    from alongside.bootstrap import build
    from alongside.delivery.posting import record_returned

    house = build()
    letter = record_returned(house.ledger, number, reason, by=by or getpass.getuser(), now=house.clock())
    said = f"Noted: letter {letter.number} came back ({reason}). It was to {letter.person_id}, of {letter.campaign}."
    if reason is ReturnReason.DECEASED:
        said += " The hospital's own system has to know of the death: only then everything else stops, too."
    found = {"number": letter.number, "person_id": letter.person_id, "campaign": letter.campaign, "reason": reason}
    tell(found, as_json, said)


@app.command("stop")
def stop(
    number: Annotated[str, typer.Argument(metavar="LETTER", help="The number of the letter that they got.")],
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Note that a recipient wants no more letters like this; promotion by letter ends, too."""
    from alongside.bootstrap import build
    from alongside.delivery.posting import record_stopped

    house = build()
    letter = record_stopped(house.ledger, number, by=by or getpass.getuser(), now=house.clock())
    said = f"{letter.person_id} gets no more {letter.purpose} letters, and no promotion by letter."
    tell({"number": letter.number, "person_id": letter.person_id, "purpose": letter.purpose}, as_json, said)


def _report(report: PrintReport) -> dict[str, Any]:
    return {
        "day": report.day.isoformat(),
        "stacks": [_stack(one) for one in report.stacks],
        "printed_before": report.printed_before,
        "withheld": report.withheld.gates,
        "paused": report.withheld.paused,
    }


def _stack(one: Stack) -> dict[str, Any]:
    return {
        "stack": f"{one.day}/{one.number}",
        "letters": one.letters,
        "pages": one.pages,
        "again": one.again,
        "unprintable": list(one.unprintable),
        "files": [str(file) for file in one.files],
    }


def _json(one: PrintedLetter) -> dict[str, Any]:
    return {
        "number": one.number,
        "stack": one.stack,
        "person_id": one.person_id,
        "campaign": one.campaign,
        "status": one.status,
        "pages": one.pages,
        "reason": one.reason,
        "printings": one.printings,
        "listed_at": one.listed_at.isoformat(),
        "printed_at": one.printed_at and one.printed_at.isoformat(),
        "posted_at": one.posted_at and one.posted_at.isoformat(),
    }
