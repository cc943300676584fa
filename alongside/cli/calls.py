"""Calls that people have to make: who, what to say, until when, and what came of it."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alongside.cli import options
from alongside.cli.output import AsJson, console, emit, harmless, show_table, tell
from alongside.model.enums import CallOutcome, CallStatus

if TYPE_CHECKING:
    from alongside.bootstrap import Services
    from alongside.ledger.call_list import Call

app = typer.Typer(help="Calls that people have to make.", no_args_is_help=True)
Id = Annotated[str, typer.Argument(metavar="CALL", help="Id of the call, as 'calls list' shows it.")]
By = Annotated[
    str | None, typer.Option("--by", parser=options.person, metavar="NAME", help="Default: who is logged in.")
]


@app.command("list")
def list_calls(
    everything: Annotated[bool, typer.Option("--all", help="Also what is done or given up.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Calls at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Calls to make, the most urgent first.

    Whoever has died, withdrawn consent or wished otherwise meanwhile is taken off the list first.
    """
    from alongside.bootstrap import build
    from alongside.delivery.calling import look_again
    from alongside.ledger import call_list

    house = build()
    look_again(house.ledger, house.last_look, house.clock())
    with house.ledger.reading() as connection:
        found = call_list.calls(connection, everything=everything, limit=limit)
    if as_json:
        emit([_json(house, one) for one in found])
    elif not found:
        console().print("Nobody has to be called.")
    else:
        columns = ("call", "person", "campaign", "status", "tries", "owner", "call by")
        show_table(
            "",
            columns,
            [
                (one.task_id, one.person_id, one.campaign, one.status, one.tries, one.owner, _due(house, one))
                for one in found
            ],
        )


@app.command("show")
def show(call: Id, as_json: AsJson = False) -> None:
    """Whom to call and what to say. Look at it where nobody else does."""
    from alongside.bootstrap import build
    from alongside.delivery.calling import look_again
    from alongside.ledger import call_list

    house = build()
    look_again(house.ledger, house.last_look, house.clock())
    with house.ledger.reading() as connection:
        card = call_list.card(connection, house.vault, call)
        contact = house.vault.address_book(connection, [card.call.person_id]).get(card.call.person_id)
    name = contact.name if contact else None
    if as_json:
        words = {"name": name, "number": card.number, "script": card.script, "notes": card.notes}
        emit(_json(house, card.call) | words)
        return
    out = console()
    out.print(harmless(f"{name or 'unknown'}  {card.number}"), style="bold", markup=False)
    out.print(f"{card.call.campaign}, call by {_due(house, card.call)}, tried {card.call.tries} times\n", markup=False)
    out.print(harmless(card.script), markup=False)
    if card.notes:
        out.print(f"\n{harmless(card.notes)}", markup=False)


@app.command("take")
def take(call: Id, by: By = None, as_json: AsJson = False) -> None:
    """Say who calls."""
    from alongside.bootstrap import build
    from alongside.delivery.calling import look_again
    from alongside.ledger import call_list
    from alongside.ledger.runs import write_audit

    house, who = build(), by or getpass.getuser()
    now = house.clock()
    look_again(house.ledger, house.last_look, now)
    with house.ledger.begin() as connection:
        call_list.take(connection, call, who, now)
        write_audit(connection, now, who, "call.take", call, {})
    tell({"task_id": call, "owner": who}, as_json, f"{who} calls.")


@app.command("record")
def record(
    call: Id,
    outcome: Annotated[CallOutcome, typer.Option("--outcome", help="What came of this try.")],
    note: Annotated[str, typer.Option(help="For whoever calls next; kept sealed.")] = "",
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Write down what came of a try.

    A wrong number is called no more. Who wants no calls gets none of this kind. Who was not reached as often as
    `channels.call.tries` says is given up, and the campaign's next channel follows where it has one.
    """
    from alongside.bootstrap import build
    from alongside.delivery import record_call

    house, who = build(), by or getpass.getuser()
    status = record_call(house.ledger, house.vault, house.settings, call, outcome, note=note, by=who, now=house.clock())
    said = {
        CallStatus.OPEN: "It stays on the list.",
        CallStatus.DONE: "It is done.",
        CallStatus.GIVEN_UP: "Nobody is called there any more.",
    }
    tell({"task_id": call, "outcome": outcome, "status": status}, as_json, f"Recorded {outcome}. {said[status]}")


def _due(house: Services, one: Call) -> str:
    late = one.status is CallStatus.OPEN and one.due_at < house.clock()
    return f"{one.due_at.astimezone(house.zone):%Y-%m-%d %H:%M}{' (late)' if late else ''}"


def _json(house: Services, one: Call) -> dict[str, Any]:
    return {
        "task_id": one.task_id,
        "person_id": one.person_id,
        "campaign": one.campaign,
        "status": one.status,
        "tries": one.tries,
        "outcome": one.outcome,
        "owner": one.owner,
        "due_at": one.due_at.isoformat(),
        "late": one.status is CallStatus.OPEN and one.due_at < house.clock(),
        "listed_at": one.listed_at.isoformat(),
    }
