"""What patients write back: read it, say who answers, answer, close."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alongside.cli import options
from alongside.cli.output import AsJson, console, emit, fail, show_table, tell
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
    from alongside.ledger import inbox

    house = build()
    wanted = list(ThreadStatus) if everything else [ThreadStatus.OPEN]
    with house.ledger.reading() as connection:
        found = inbox.threads(connection, wanted, limit=limit)
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
    from alongside.ledger import inbox

    house = build()
    with house.ledger.reading() as connection:
        found = inbox.find(connection, thread)
        said = inbox.entries(connection, house.vault, thread)
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
        out.print(one.words, markup=False)


@app.command("take")
def take(thread: Id, by: By = None, as_json: AsJson = False) -> None:
    """Say who answers."""
    from alongside.bootstrap import build
    from alongside.ledger import inbox
    from alongside.ledger.runs import write_audit

    house, who = build(), by or getpass.getuser()
    now = house.clock()
    with house.ledger.begin() as connection:
        inbox.assign(connection, thread, who, now)
        write_audit(connection, now, who, "inbox.take", thread, {})
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
    from alongside.delivery.replies import answer as plan
    from alongside.ledger import inbox
    from alongside.ledger.runs import write_audit

    house, who = build(), by or getpass.getuser()
    with house.ledger.reading() as connection:
        channel = inbox.find(connection, thread).channel
        locale = inbox.locale_of(connection, thread) or house.settings.hospital.default_locale
    sender = house.settings.inbox.sender
    now = house.clock()
    key = plan(house.ledger, house.vault, house.settings, thread, text, by=who, sender=sender, locale=locale, now=now)
    with house.ledger.begin() as connection:
        write_audit(connection, now, who, "inbox.answer", thread, {"message": key})
    left, why = _send(house, channel)
    said = "The provider has it." if left else f"Kept; it leaves with the next run of 'deliver': {why}"
    tell({"thread_id": thread, "message_key": key, "sent": left}, as_json, f"Answered {thread}. {said}")


@app.command("close")
def close(thread: Id, by: By = None, as_json: AsJson = False) -> None:
    """No (further) answer is needed. Whoever writes again opens a new thread."""
    from alongside.bootstrap import build
    from alongside.ledger import inbox
    from alongside.ledger.runs import write_audit

    house, who = build(), by or getpass.getuser()
    now = house.clock()
    with house.ledger.begin() as connection:
        inbox.set_status(connection, thread, ThreadStatus.CLOSED, now)
        write_audit(connection, now, who, "inbox.close", thread, {})
    tell({"thread_id": thread, "status": ThreadStatus.CLOSED}, as_json, f"Closed {thread}.")


def _send(house: Services, channel: Any) -> tuple[bool, str]:
    """Dispatch answers that wait; whether everything left, and why not."""
    from alongside.delivery import dispatch
    from alongside.delivery.replies import ANSWERS
    from alongside.model.clock import RunClock
    from alongside.model.errors import AlongsideError

    now = house.clock()
    try:
        report = dispatch(
            house.ledger,
            house.project,
            house.settings,
            house.environment,
            clock=RunClock(now, now),
            channel=channel,
            run_id=ANSWERS,
            workers=0,
        )
    except AlongsideError as error:
        return False, str(error)
    gates = ", ".join(report.progress.gates)
    if report.progress.withheld or report.progress.rejected:
        raise fail(f"The answer was not sent: {gates or 'the provider refused it'}.")
    return report.complete and report.progress.unknown == 0, "; ".join(report.reasons) or "its outcome is not known yet"


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
