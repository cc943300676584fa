"""`alongside why`: one patient's messages, planned or withheld, and the facts that decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from alongside.cli.output import AsJson, console, emit, fail, show_table

if TYPE_CHECKING:
    from alongside.bootstrap import Services
    from alongside.outreach.why import Answer


def why(
    patient: Annotated[str, typer.Argument(help="person_id, or SOURCE:ID such as his:P014955981.")],
    runs: Annotated[int, typer.Option(help="How many of the latest runs.", min=1)] = 1,
    segment: Annotated[str | None, typer.Option(help="Take this segment apart for the patient instead.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell for every planned or withheld message which gate decided, and on what facts."""
    from alongside.bootstrap import build
    from alongside.outreach.why import find_person
    from alongside.outreach.why import why as answers_of

    house = build()
    person_id = find_person(house.ledger, patient)
    if segment is not None:
        _take_apart(house, person_id, segment, as_json)
        return
    with house.warehouse.connect() as duck:
        answers = answers_of(house.ledger, duck, house.project.var / "runs", person_id, runs=runs)
    if as_json:
        emit({"person_id": person_id, "answers": [answer.to_json() for answer in answers]})
    else:
        _show(person_id, answers)


def _take_apart(house: Services, person_id: str, segment: str, as_json: bool) -> None:
    """Each part of the segment's condition with its value for this person, in the current snapshot."""
    from alongside.segments import explain

    snapshot = house.warehouse.current()
    if snapshot is None:
        raise fail("There is no snapshot yet. Start a run first: 'alongside run'.")
    with house.warehouse.connect() as duck:
        catalogue, tables = house.catalogues.segments, snapshot.path / "tables"
        parts = explain(catalogue, segment, tables, person_id, snapshot.as_of, duck)
    if as_json:
        head = {"person_id": person_id, "segment": segment, "snapshot_id": snapshot.id, "as_of": snapshot.as_of}
        emit({**head, "parts": [part._asdict() for part in parts]})
        return
    title = f"{segment} for {person_id} as of {snapshot.as_of:%Y-%m-%d}"
    show_table(title, ("condition", "value"), [("  " * part.depth + part.expression, part.value) for part in parts])


def _show(person_id: str, answers: Sequence[Answer]) -> None:
    out = console()
    out.print(f"[bold]{person_id}[/bold]")
    for answer in answers:
        _show_answer(answer)
    if answers:
        pins = answers[0].configuration
        out.print(
            f"\nsnapshot {pins['snapshot_id']}, configuration {pins['config_commit']} ({pins['config_hash'][:12]})"
        )
    else:
        out.print("No run has planned anything yet.")


def _show_answer(answer: Answer) -> None:
    from rich.markup import escape

    out = console()
    arm = f", arm {answer.variant}" if answer.variant else ""
    way = f" by {answer.channel}" if answer.channel else ""
    way += f" to a relative ({answer.relationship})" if answer.relationship else ""
    out.print(f"\n{answer.as_of:%Y-%m-%d}  [bold]{answer.campaign}[/bold]: {answer.outcome}{way}{arm}")
    for channel, gates in answer.closed_channels.items():
        out.print(f"   {channel}: " + (", ".join(gates) or "open, and not needed"))
    for gate in answer.gates:
        facts = ", ".join(f"{name}={value}" for name, value in gate.facts.items())
        out.print(f"   {gate.gate}: {gate.meaning}" + (f" ({escape(facts)})" if facts else ""))
    if answer.message:
        reason = f" ({escape(answer.message['reason'])})" if answer.message["reason"] else ""
        out.print(f"   message {answer.message['message_key'][:12]}: {answer.message['state']}{reason}")
        for event in answer.message["events"]:
            out.print(f"      {event['occurred_at']:%Y-%m-%d %H:%M} {event['kind']}")
        for one in answer.message.get("followed_by", ()):
            out.print(f"   then by {one['channel']}, message {one['message_key'][:12]}: {one['state']}")
