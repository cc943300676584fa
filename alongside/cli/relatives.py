"""Who is close to a patient, and whether they may be told: what the patient says to somebody at the hospital."""

from __future__ import annotations

import getpass
from typing import Annotated, Any

import typer

from alongside.cli import options
from alongside.cli.output import AsJson, console, emit, show_table, tell
from alongside.model.enums import Decision

app = typer.Typer(help="Relatives of a patient, and who of them may be told.", no_args_is_help=True)
Patient = Annotated[str, typer.Argument(metavar="PATIENT", help="person_id, or SOURCE:ID such as his:P014955981.")]
Relative = Annotated[str, typer.Argument(metavar="RELATIVE", help="The same of the relative, as 'list' shows it.")]
By = Annotated[
    str | None, typer.Option("--by", parser=options.person, metavar="NAME", help="Default: who is logged in.")
]
Evidence = Annotated[str, typer.Option("--evidence", help="What proves it: a form's number, a call's date.")]


@app.command("list")
def list_relatives(patient: Patient, as_json: AsJson = False) -> None:
    """Who is close to the patient, whether they decide, and whether they may be told."""
    from alongside.bootstrap import build
    from alongside.ledger.relations import Relation, relations_of
    from alongside.outreach.why import find_person

    house = build()
    person_id = find_person(house.ledger, patient)
    with house.ledger.reading() as connection:
        found = sorted(relations_of(connection, [person_id], house.clock()), key=lambda one: one.related_id)

    def row(one: Relation) -> dict[str, Any]:
        return {
            "relative": one.related_id,
            "relationship": one.relationship.value,
            "decides": one.decides,
            "may_be_told": one.decision.value,
        }

    if as_json:
        emit({"person_id": person_id, "relatives": [row(one) for one in found]})
    elif not found:
        console().print("No relative is known.")
    else:
        columns = ("relative", "relationship", "decides", "may be told")
        rows = [(one.related_id, one.relationship, _yes_or_no(one.decides), _told(one.decision)) for one in found]
        show_table(person_id, columns, rows)


@app.command("allow")
def allow(patient: Patient, relative: Relative, evidence: Evidence, by: By = None, as_json: AsJson = False) -> None:
    """The patient lets this relative know; needs evidence."""
    _decide(patient, relative, Decision.PERMIT, evidence, by, as_json)


@app.command("deny")
def deny(patient: Patient, relative: Relative, evidence: Evidence = "", by: By = None, as_json: AsJson = False) -> None:
    """This relative is told nothing more about the patient; holds for what is queued, too."""
    _decide(patient, relative, Decision.DENY, evidence, by, as_json)


def _decide(patient: str, relative: str, decision: Decision, evidence: str, by: str | None, as_json: bool) -> None:
    from alongside.bootstrap import build
    from alongside.ledger import relations
    from alongside.outreach.why import find_person

    house, who = build(), by or getpass.getuser()
    subject, related = (find_person(house.ledger, one) for one in (patient, relative))
    with house.ledger.begin() as connection:
        changed = relations.decide(connection, subject, related, decision, house.clock(), by=who, evidence=evidence)
    words = "may be told" if decision is Decision.PERMIT else "is told nothing more"
    said = f"{related} {words} about {subject}." if changed else f"That stands already: {related} {words}."
    tell({"person_id": subject, "relative": related, "decision": decision, "changed": changed}, as_json, said)


def _yes_or_no(decides: bool | None) -> str:
    return {True: "yes", False: "no", None: ""}[decides]


def _told(decision: Decision) -> str:
    return {Decision.PERMIT: "yes", Decision.DENY: "no"}.get(decision, "not asked")
