"""What patients answered about their appointments, for the system that holds the bookings."""

from __future__ import annotations

import csv
import sys
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from alongside.cli import options
from alongside.cli.output import AsJson, console, emit, show_table, tell

if TYPE_CHECKING:
    from alongside.ledger.appointments import Answered

app = typer.Typer(help="Patients' answers about their appointments.", no_args_is_help=True)
FIELDS = ("source", "appointment", "start_at", "answer", "answered_at", "recorded_at", "person_id")


@app.command("answers")
def answers(
    since: Annotated[
        date, typer.Option("--since", parser=options.day, metavar="DAY", help="First day, in the hospital's zone.")
    ],
    history: Annotated[bool, typer.Option("--history", help="Every answer, not only each appointment's last.")] = False,
    as_csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write a CSV file; '-' for standard output.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Answers recorded since a day: the hospital's own system confirms or cancels the bookings."""
    from alongside.bootstrap import build
    from alongside.ledger import appointments

    house = build()
    moment = datetime.combine(since, time(), house.zone).astimezone(UTC)
    with house.ledger.reading() as connection:
        found = [_row(one) for one in appointments.since(connection, moment, history=history)]
    if as_csv is not None:
        _write(found, as_csv)
        if str(as_csv) != "-":
            tell({"file": str(as_csv), "answers": len(found)}, as_json, f"{len(found)} answers are in {as_csv}.")
    elif as_json:
        emit(found)
    elif not found:
        console().print("Nobody has answered since.")
    else:
        show_table("", FIELDS, [tuple(row[name] for name in FIELDS) for row in found])


def _row(one: Answered) -> dict[str, Any]:
    values = {name: getattr(one, name) for name in FIELDS}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


def _write(rows: list[dict[str, Any]], path: Path) -> None:
    if str(path) == "-":
        _write_rows(rows, sys.stdout)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        _write_rows(rows, file)


def _write_rows(rows: list[dict[str, Any]], file: TextIO) -> None:
    writer = csv.DictWriter(file, FIELDS)
    writer.writeheader()
    writer.writerows(rows)
