"""What patients write back: read it, say who answers, answer, close."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alongside.cli import options
from alongside.cli.output import AsJson, console, emit, fail, harmless, show_table, tell
from alongside.model.enums import ThreadStatus

if TYPE_CHECKING:
    from alongside.bootstrap import Services
    from alongside.ledger.inbox import Entry, Thread

app = typer.Typer(help="What patients write back, and answers to it.", no_args_is_help=True)
Id = Annotated[str, typer.Argument(metavar="THREAD", help="Id of the thread, as 'inbox list' shows it.")]
By = Annotated[
    str | None, typer.Option("--by", parser=options.person, metavar="NAME", help="Default: who is logged in.")
]


@app.command("list")
def list_threads(
    everything: Annotated[bool, typer.Option("--all", help="Also what is answered or closed.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Threads at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Threads that wait for a person, the most urgent first."""
    from alongside.bootstrap import build

    house = build()
    found = house.desk.threads(list(ThreadStatus) if everything else [ThreadStatus.OPEN], limit)
    if as_json:
        emit([_thread_json(house, one) for one in found])
    elif not found:
        console().print("Nobody waits for an answer.")
    else:
        rows = [
            (one.thread_id, one.kind, one.channel, one.person_id or "unknown", one.status, one.owner, _due(house, one))
            for one in found
        ]
        show_table("", ("thread", "about", "channel", "person", "status", "owner", "answer by"), rows)


@app.command("show")
def show(thread: Id, as_json: AsJson = False) -> None:
    """One conversation. The words are the patient's: look at them where nobody else does."""
    from alongside.bootstrap import build

    house = build()
    found, said = house.desk.show(thread)
    if as_json:
        emit(_thread_json(house, found) | {"entries": [_entry_json(one) for one in said]})
        return
    out = console()
    head = (found.kind, found.status, found.channel, found.person_id or "unknown", _due(house, found))
    out.print(f"{found.thread_id}: {', '.join(head)}")
    for one in said:
        state = f" ({one.state})" if one.state else ""
        moment = one.at.astimezone(house.zone)
        out.print(f"\n{moment:%Y-%m-%d %H:%M} {one.author or 'patient'}{state}", style="bold", markup=False)
        out.print(harmless(one.words), markup=False)


@app.command("take")
def take(thread: Id, by: By = None, as_json: AsJson = False) -> None:
    """Say who answers."""
    from alongside.bootstrap import build

    who = by or getpass.getuser()
    build().desk.take(thread, who)
    tell({"thread_id": thread, "owner": who}, as_json, f"{who} answers {thread}.")


@app.command("answer")
def answer(
    thread: Id,
    text: Annotated[str, typer.Option("--text", help="The answer; the hospital's name is put in front.")],
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Answer by the way on which the patient wrote. It leaves at once, or as soon as the provider can be reached."""
    from alongside.bootstrap import build

    desk = build().desk
    channel = desk.show(thread)[0].channel
    key = desk.answer(thread, text, by or getpass.getuser())
    left = desk.send(channel)
    if left.stopped:
        raise fail(f"The answer was not sent: {left.why}.")
    said = "The provider has it." if left.sent else f"Kept; it leaves with the next run of 'deliver': {left.why}"
    tell({"thread_id": thread, "message_key": key, "sent": left.sent}, as_json, f"Answered {thread}. {said}")


@app.command("close")
def close(thread: Id, by: By = None, as_json: AsJson = False) -> None:
    """No (further) answer is needed. Whoever writes again opens a new thread."""
    from alongside.bootstrap import build

    build().desk.close(thread, by or getpass.getuser())
    tell({"thread_id": thread, "status": ThreadStatus.CLOSED}, as_json, f"Closed {thread}.")


def _due(house: Services, one: Thread) -> str:
    late = one.status is ThreadStatus.OPEN and one.due_at < house.clock()
    return f"{one.due_at.astimezone(house.zone):%Y-%m-%d %H:%M}{' (late)' if late else ''}"


def _thread_json(house: Services, one: Thread) -> dict[str, Any]:
    return {
        "thread_id": one.thread_id,
        "kind": one.kind,
        "channel": one.channel,
        "person_id": one.person_id,
        "status": one.status,
        "owner": one.owner,
        "due_at": one.due_at.isoformat(),
        "late": one.status is ThreadStatus.OPEN and one.due_at < house.clock(),
        "opened_at": one.opened_at.isoformat(),
        "updated_at": one.updated_at.isoformat(),
    }


def _entry_json(one: Entry) -> dict[str, Any]:
    return {
        "at": one.at.isoformat(),
        "author": one.author,
        "words": one.words,
        "message_key": one.message_key,
        "state": one.state,
    }
