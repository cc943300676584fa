"""Why was this sent, or not? One answer per patient, campaign and run, from what was decided then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from alongside.ledger import Ledger, consent
from alongside.ledger.groups import members, survivors
from alongside.ledger.people import alias_of, person_of
from alongside.ledger.schema import delivery_event, message, run, run_campaign
from alongside.model.enums import Gate
from alongside.model.errors import Refused
from alongside.outreach.gates import ORDER
from alongside.warehouse.duck import quoted

if TYPE_CHECKING:
    import duckdb

#: Gate -> (what it says, columns of the decisions file that it decided on)
_MEANING: dict[Gate, tuple[str, tuple[str, ...]]] = {
    Gate.DECEASED: ("the patient has died", ()),
    Gate.UNDER_AGE: ("a guardian decides for this age", ("age",)),
    Gate.ADMITTED: ("the patient is in the hospital now", ()),
    Gate.FULFILLED: ("what the message asks for has happened already", ()),
    Gate.NO_RELATIVE: ("nobody is known who may be told about this patient", ()),
    Gate.NO_ADDRESS: ("no address for this channel is known", ("address_state",)),
    Gate.INVALID_ADDRESS: ("the address cannot exist", ("address_state",)),
    Gate.NOT_CARRIED: ("the provider may not carry this message to that country", ("channel", "country")),
    Gate.TOO_LATE: ("it would arrive after what it is about", ("channel", "occurrence")),
    Gate.NO_CONSENT: ("no consent for this purpose and channel", ("consented", "consent_seq", "consent_decided_at")),
    Gate.CROSS_BORDER: ("the vendor stores abroad and the patient has not agreed to that", ("country", "abroad")),
    Gate.TOPIC_OFF: ("the patient does not want this topic", ()),
    Gate.SUPPRESSED: ("the address is on the suppression list", ("suppressed_because",)),
    Gate.ALREADY_SENT: ("the patient has had this message", ("last_message_at", "occurrence")),
    Gate.FREQUENCY_CAP: ("the contact budget is used up", ("recent_contacts",)),
    Gate.OWN_PACE: ("the patient wants to be written to less often", ("pace_days", "last_contact_at")),
    Gate.GENERAL_ONLY: ("the patient wants nothing that is chosen by health or conduct", ()),
    Gate.DUPLICATE_ADDRESS: ("another person with this address gets it", ()),
    Gate.HOLDOUT: ("the patient is in the hold-out that gets no marketing", ()),
    Gate.CAMPAIGN_HOLDOUT: ("the patient is in this campaign's hold-out, which shows what the campaign does", ()),
    Gate.RENDER_FAILED: ("a message could not be rendered from the patient's data", ()),
    Gate.CLAIMS_LINT: ("the text would break a rule on claims", ()),
}

_UNREADABLE = "a consent record cannot be read and counts as a withdrawal until it can be"


@dataclass(frozen=True)
class GateAnswer:
    gate: str
    meaning: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """One campaign's decision about one person in one run.

    Attributes
    ----------
    outcome : planned | withheld | not in the segment's audience
    gates : every gate that closed; the first one is what the funnel counts
    channel : on which the message was planned, or on which the person got furthest
    closed_channels : gates of the campaign's other channels, in the order in which they were tried; empty for one
        that was open and not needed
    relationship : what the recipient is to the patient; empty where the patient is written to
    message : what became of the intended message, None when there is none
    """

    run_id: str
    as_of: datetime
    campaign: str
    outcome: str
    gates: tuple[GateAnswer, ...] = ()
    variant: str = ""
    channel: str = ""
    closed_channels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    relationship: str = ""
    message: dict[str, Any] | None = None
    configuration: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def meaning_of(gate: str) -> str:
    """Why the gate of this name holds a message back, in half a sentence."""
    found = _MEANING.get(Gate[gate.upper()])
    return found[0] if found else gate.lower().replace("_", " ")


def find_person(ledger: Ledger, patient: str) -> str:
    """The person_id behind `p0123...` or `<source>:<patient's id in that source>`.

    Raises
    ------
    Refused : nobody is known by it
    """
    source, colon, source_id = patient.partition(":")
    with ledger.begin() as connection:
        if colon:
            found = person_of(connection, alias_of(ledger.info.secret, source, source_id))
        else:
            found = survivors(connection, [patient]).get(patient)
            known = sa.select(sa.literal(1)).select_from(sa.table("person")).where(sa.column("person_id") == patient)
            found = found if connection.execute(known).first() else None
    if found is None:
        remedy = "Give a person_id (p and 16 hex digits) or SOURCE:ID, for example his:P014955981."
        raise Refused("nobody is known by that", where="why", remedy=remedy)
    return found


def why(
    ledger: Ledger, duck: duckdb.DuckDBPyConnection, runs_folder: Path, person_id: str, *, runs: int = 1
) -> list[Answer]:
    """Decisions about the person in the latest `runs` runs, newest first."""
    with ledger.begin() as connection:
        query = (
            sa.select(
                run, run_campaign.c.campaign, run_campaign.c.plan_hash, run_campaign.c.state.label("planned_state")
            )
            .join(run_campaign, run_campaign.c.run_id == run.c.run_id)
            .order_by(run.c.as_of.desc(), run.c.started_at.desc(), run_campaign.c.campaign)
        )
        rows = [dict(row) for row in connection.execute(query).mappings()]
        ids = list(members(connection, [person_id]))
        sent = _messages(connection, message.c.subject_person_id.in_(ids))
        heard = _messages(connection, sa.and_(message.c.person_id.in_(ids), message.c.subject_person_id.not_in(ids)))
    wanted = list(dict.fromkeys(row["run_id"] for row in rows))[:runs]
    answers = [
        _answer(duck, runs_folder, ids, row, *(found.get((row["run_id"], row["campaign"])) for found in (sent, heard)))
        for row in rows
        if row["run_id"] in wanted
    ]
    return _naming_unreadable(ledger, answers)


def _naming_unreadable(ledger: Ledger, answers: list[Answer]) -> list[Answer]:
    """Where consent fell to a record that cannot be read: that, and where the record is found."""
    decided = {gate.facts["consent_seq"] for answer in answers for gate in answer.gates if _lacks_consent(gate)}
    with ledger.begin() as connection:
        records = consent.unreadable(connection, decided)

    def named(gate: GateAnswer) -> GateAnswer:
        record = records.get(gate.facts["consent_seq"]) if _lacks_consent(gate) else None
        return replace(gate, meaning=_UNREADABLE, facts={**gate.facts, "record": record}) if record else gate

    return [replace(answer, gates=tuple(named(gate) for gate in answer.gates)) for answer in answers]


def _lacks_consent(gate: GateAnswer) -> bool:
    return gate.facts.get("consent_seq") is not None


def _answer(
    duck: duckdb.DuckDBPyConnection,
    folder: Path,
    ids: list[str],
    row: Mapping[str, Any],
    sent: dict[str, Any] | None,
    heard: dict[str, Any] | None,
) -> Answer:
    """Parameters
    ----------
    sent : what was said about the person
    heard : what the person was told about a relative
    """
    facts = _decision(duck, folder / row["run_id"] / "decisions" / f"{row['campaign']}.parquet", ids)
    pins = {name: row[name] for name in ("snapshot_id", "config_hash", "config_commit", "plan_hash")}
    head = (row["run_id"], row["as_of"], row["campaign"])
    if facts is None and heard is not None:
        return Answer(*head, "told about a relative", channel=heard["channel"], message=heard, configuration=pins)
    if facts is None:
        outcome = (
            f"not planned: {row['planned_state']}" if row["planned_state"] not in ("planned", "dispatched") else ""
        )
        return Answer(*head, outcome=outcome or "not in the segment", configuration=pins)
    mask = Gate(facts["mask"])
    gates = tuple(_gate_answers(mask, facts))
    outcome = "withheld" if gates else "planned"
    others = {
        route["channel"]: tuple(gate.name.lower() for gate in ORDER if gate in Gate(route["gates"]) and gate.name)
        for route in facts.get("routes") or ()
        if route["channel"] != facts["channel"]
    }
    channel, relationship = facts.get("channel") or "", facts.get("relationship") or ""
    return Answer(*head, outcome, gates, facts["variant"] or "", channel, others, relationship, sent, pins)


def _gate_answers(mask: Gate, facts: Mapping[str, Any]) -> Iterator[GateAnswer]:
    for gate in ORDER:
        if gate in mask and gate.name:
            columns = _MEANING[gate][1] if gate in _MEANING else ()
            yield GateAnswer(gate.name.lower(), meaning_of(gate.name), {name: facts[name] for name in columns})


def _decision(duck: duckdb.DuckDBPyConnection, path: Path, ids: list[str]) -> dict[str, Any] | None:
    if not path.exists():
        return None
    found = duck.execute(
        f"SELECT * FROM read_parquet({quoted(path)}) WHERE list_contains($ids, person_id)", {"ids": ids}
    )
    names = [column[0] for column in found.description or []]
    rows = found.fetchall()
    return dict(zip(names, rows[0], strict=True)) if rows else None


def _messages(connection: sa.Connection, whose: sa.ColumnElement[bool]) -> dict[tuple[str, str], dict[str, Any]]:
    """(run, campaign) -> state of the message and its events, without its words."""
    columns = (
        "message_key",
        "run_id",
        "campaign",
        "state",
        "reason",
        "channel",
        "template",
        "template_hash",
        "locale",
        "variant",
    )
    # Whatever follows another message comes after it.
    order = (message.c.follows.is_not(None), message.c.planned_at, message.c.message_key)
    query = sa.select(*(message.c[name] for name in columns)).where(whose).order_by(*order)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in connection.execute(query).mappings():
        events = connection.execute(
            sa.select(delivery_event.c.kind, delivery_event.c.occurred_at, delivery_event.c.machine)
            .where(delivery_event.c.message_key == row["message_key"])
            .order_by(delivery_event.c.occurred_at)
        )
        told = {**row, "events": [dict(event) for event in events.mappings()]}
        first = found.setdefault((row["run_id"], row["campaign"]), told)
        if first is not told:
            first.setdefault("followed_by", []).append(told)
    return found
