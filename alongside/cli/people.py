"""`alongside why`: one patient's messages, planned or withheld, and the facts that decided."""

from __future__ import annotations

from typing import Annotated

import typer

from alongside.cli.output import AsJson, console, emit


def why(
    patient: Annotated[str, typer.Argument(help="person_id, or SOURCE:ID such as his:P014955981.")],
    runs: Annotated[int, typer.Option(help="How many of the latest runs.", min=1)] = 1,
    as_json: AsJson = False,
) -> None:
    """Tell for every planned or withheld message which gate decided, and on what facts."""
    from alongside.bootstrap import build
    from alongside.outreach.why import find_person
    from alongside.outreach.why import why as answers_of

    house = build()
    person_id = find_person(house.ledger, patient)
    with house.warehouse.connect() as duck:
        answers = answers_of(house.ledger, duck, house.project.var / "runs", person_id, runs=runs)
    if as_json:
        emit({"person_id": person_id, "answers": [answer.to_json() for answer in answers]})
        return
    out = console()
    out.print(f"[bold]{person_id}[/bold]")
    for answer in answers:
        arm = f", arm {answer.variant}" if answer.variant else ""
        out.print(f"\n{answer.as_of:%Y-%m-%d}  [bold]{answer.campaign}[/bold]: {answer.outcome}{arm}")
        for gate in answer.gates:
            facts = ", ".join(f"{name}={value}" for name, value in gate.facts.items())
            out.print(f"   {gate.gate}: {gate.meaning}" + (f" ({facts})" if facts else ""))
        if answer.message:
            reason = f" ({answer.message['reason']})" if answer.message["reason"] else ""
            out.print(f"   message {answer.message['message_key'][:12]}: {answer.message['state']}{reason}")
            for event in answer.message["events"]:
                out.print(f"      {event['occurred_at']:%Y-%m-%d %H:%M} {event['kind']}")
    if answers:
        pins = answers[0].configuration
        out.print(
            f"\nsnapshot {pins['snapshot_id']}, configuration {pins['config_commit']} ({pins['config_hash'][:12]})"
        )
    else:
        out.print("No run has planned anything yet.")
