"""What is held of a patient, as far as the holder of a link may see it.

A link proves a mailbox, and an old message may be in other hands: so nothing here says more than the message itself
could have said. Addresses are masked; of messages stand day, way and kind, never their words; no diagnosis, no result.
Everything else is given after a person has checked who asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger import Ledger, data_requests, experiments, holdouts, inbox
from alongside.ledger.consent import ANY_CHANNEL, CROSS_BORDER, ConsentEvent, events_of, standing
from alongside.ledger.data_requests import DataRequest
from alongside.ledger.groups import members, survivors
from alongside.ledger.inbox import Task
from alongside.ledger.protocol import TAKEN
from alongside.ledger.relations import relations_of
from alongside.ledger.schema import message
from alongside.ledger.vault import Contact, Vault
from alongside.model.enums import Channel, Decision, Purpose, Relationship, ThreadKind
from alongside.settings import HospitalSettings
from alongside.web.choices import ORIGIN
from alongside.web.knowledge import Knowledge
from alongside.web.manner import Manner, read_manner
from alongside.web.withdrawal import ORIGIN as UNSUBSCRIBED
from alongside.web.withdrawal import Sent

#: Messages that one page shows; the newest, with the count of all.
MOST_MESSAGES = 200
#: Decisions that a patient took with us, not with the hospital.
_BY_PATIENT = (ORIGIN, UNSUBSCRIBED)


@dataclass(frozen=True)
class SentMessage:
    at: datetime
    channel: str
    purpose: Purpose


@dataclass(frozen=True)
class Agreement:
    """Where consent stands for one purpose (or a vendor abroad) on one channel.

    Attributes
    ----------
    since : when the patient last decided about it
    by_patient : on a page of ours or by a reply; else the hospital wrote it down
    """

    purpose: str
    channel: str
    permitted: bool
    since: datetime
    by_patient: bool


@dataclass(frozen=True)
class Relative:
    """Somebody who may be told about the patient; `name` is masked. `decides`: as their guardian."""

    relationship: Relationship
    name: str
    decides: bool


@dataclass(frozen=True)
class Held:
    """What a patient's page tells of themselves; `email`, `phone` and `name` are masked, empty where none is known.

    `relatives` are those who may be told. Whom the patient has excluded stands nowhere: it may be that very person who
    reads along in the mailbox. `comparisons` counts the experiments in which the patient has an arm: their names, like
    those of campaigns, could tell a diagnosis. `without_marketing`: drawn by lot into the global hold-out.
    """

    name: str
    email: str
    phone: str
    messages: tuple[SentMessage, ...]
    messages_total: int
    agreements: tuple[Agreement, ...]
    manner: Manner
    requests: dict[ThreadKind, DataRequest]
    relatives: tuple[Relative, ...] = ()
    comparisons: int = 0
    without_marketing: bool = False

    @property
    def agreements_by_purpose(self) -> dict[str, list[Agreement]]:
        found: dict[str, list[Agreement]] = {}
        for one in self.agreements:
            found.setdefault(one.purpose, []).append(one)
        return found


def read_held(ledger: Ledger, sent: Sent, settings: HospitalSettings, known: Knowledge, now: datetime) -> Held:
    """What is held of the recipient of this message at `now`."""
    manner = read_manner(ledger, sent, settings, known)
    with ledger.reading() as connection:
        living = survivors(connection, [sent.person_id])[sent.person_id]
        contact = _contact(connection, known.vault, living)
        records = sorted(members(connection, [living]))
        total, messages = _messages(connection, records)
        channels = [channel.value for channel in settings.channels.set_up]
        return Held(
            name=masked(contact.name or "", 1, 0),
            email=masked_email(contact.email or ""),
            phone=masked(contact.phone or "", 0, 2),
            messages=tuple(messages),
            messages_total=total,
            agreements=tuple(_agreements(events_of(connection, living), channels)),
            manner=manner,
            requests=data_requests.open_requests(connection, living),
            relatives=tuple(_relatives(connection, known.vault, living, now)),
            comparisons=experiments.count_of(connection, records),
            without_marketing=holdouts.is_kept_out(
                holdouts.of_marketing(ledger.info.secret), living, settings.gates.global_holdout
            ),
        )


def ask(
    ledger: Ledger,
    vault: Vault,
    sent: Sent,
    kind: ThreadKind,
    words: str,
    *,
    due_at: datetime,
    patient_now: datetime,
    wall: datetime,
) -> DataRequest:
    """Put a wish to see or delete everything before a person; asking again changes nothing while it is open.

    Parameters
    ----------
    words : what the person reads in the inbox
    """
    with ledger.begin() as connection:
        living = survivors(connection, [sent.person_id])[sent.person_id]
        task_id = f"{kind}:{living}:{sent.key}:{patient_now.isoformat()}"
        task = Task(task_id, kind, Channel(sent.channel), sent.address_blind, living, sent.key, words, due_at)
        secret = ledger.info.secret
        return data_requests.ask(connection, vault, task, patient_now=patient_now, now=wall, secret=secret)


def as_json(held: Held, hospital: str, now: datetime) -> dict[str, Any]:
    """The same for a program: ISO moments in UTC, names as in the documentation."""
    wishes = held.manner.wishes
    return {
        "hospital": hospital,
        "at": now.isoformat(),
        "contact": {"name": held.name, "email": held.email, "phone": held.phone},
        "messages_total": held.messages_total,
        "messages": [
            {"at": one.at.isoformat(), "channel": one.channel, "purpose": one.purpose} for one in held.messages
        ],
        "consents": [
            {
                "purpose": one.purpose,
                "channel": one.channel,
                "decision": Decision.PERMIT if one.permitted else Decision.DENY,
                "since": one.since.isoformat(),
                "decided": "by you, with a message" if one.by_patient else "with the hospital",
            }
            for one in held.agreements
        ],
        "choices": {
            "topics_off": sorted(wishes.topics_off),
            "pace": wishes.pace,
            "quiet_hours": list(held.manner.quiet),
            "language": held.manner.language,
            "channel": wishes.channel,
            "general_only": wishes.general_only,
        },
        "relatives": [
            {"relationship": one.relationship, "name": one.name, "decides": one.decides} for one in held.relatives
        ],
        "comparisons": held.comparisons,
        "without_marketing": held.without_marketing,
        "requests": [
            {"kind": one.kind, "asked_at": one.asked_at.isoformat(), "due_at": one.due_at.isoformat()}
            for one in held.requests.values()
        ],
    }


def masked(text: str, first: int, last: int) -> str:
    """All but the first and last characters as dots, always five of them: a length tells something, too."""
    if not text:
        return ""
    return f"{text[:first]}•••••{text[len(text) - last :] if last else ''}"


def masked_email(address: str) -> str:
    """The first letter and the domain's end: a•••••@•••••.com."""
    name, at, domain = address.partition("@")
    return f"{masked(name, 1, 0)}@•••••.{domain.rpartition('.')[2]}" if at else ""


def _contact(connection: Connection, vault: Vault | None, living: str) -> Contact:
    found = vault.address_book(connection, [living]).get(living) if vault is not None else None
    return found or Contact()


def _relatives(connection: Connection, vault: Vault | None, living: str, now: datetime) -> Iterator[Relative]:
    found = [
        one
        for one in relations_of(connection, [living], now)
        if one.decision is Decision.PERMIT or (one.decides and one.decision is not Decision.DENY)
    ]
    names = vault.address_book(connection, [one.related_id for one in found]) if vault is not None and found else {}
    for one in sorted(found, key=lambda one: (one.relationship, one.related_id)):
        contact = names.get(one.related_id) or Contact()
        yield Relative(one.relationship, masked(contact.name or "", 1, 0), bool(one.decides))


def _messages(connection: Connection, ids: Sequence[str]) -> tuple[int, list[SentMessage]]:
    at = sa.func.coalesce(message.c.accepted_at, message.c.planned_at, type_=message.c.planned_at.type)
    taken = [state.value for state in TAKEN]
    wanted = (message.c.person_id.in_(ids), message.c.state.in_(taken), message.c.campaign != inbox.CAMPAIGN)
    total = connection.execute(sa.select(sa.func.count()).select_from(message).where(*wanted)).scalar_one()
    query = (
        sa.select(at.label("at"), message.c.channel, message.c.purpose)
        .where(*wanted)
        .order_by(sa.desc("at"))
        .limit(MOST_MESSAGES)
    )
    return int(total), [SentMessage(row.at, row.channel, Purpose(row.purpose)) for row in connection.execute(query)]


def _agreements(events: Sequence[ConsentEvent], channels: Sequence[str]) -> list[Agreement]:
    found = []
    for purpose in (*Purpose, CROSS_BORDER):
        own = [event for event in events if event.purpose == purpose]
        for channel in channels:
            applies = [event for event in own if event.channel in (channel, ANY_CHANNEL)]
            if applies:
                last = max(applies, key=lambda event: event.decided_at)
                permitted = standing(own, channel) is Decision.PERMIT
                found.append(Agreement(purpose, channel, permitted, last.decided_at, last.origin in _BY_PATIENT))
    return found
