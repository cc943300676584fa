"""Whether a patient comes to an appointment: what the link is about, how it stands now, and what an answer writes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa

from alongside.delivery.relatives import Relatives
from alongside.ledger import Ledger, appointments, inbox
from alongside.ledger.appointments import Answered
from alongside.ledger.data_requests import ACTOR
from alongside.ledger.events import record_events, was_read
from alongside.ledger.groups import survivors
from alongside.ledger.inbox import Task
from alongside.ledger.runs import write_audit
from alongside.ledger.schema import person
from alongside.ledger.vault import Vault
from alongside.model.enums import AppointmentAnswer, Channel, ThreadKind
from alongside.outreach.appointments import VARIABLE
from alongside.web.picture import Booking, Picture
from alongside.web.withdrawal import Sent


class Standing(StrEnum):
    """How the appointment of a message stands when its link is opened."""

    BOOKED = "booked"
    MOVED = "moved"  # to another moment than the message said
    CANCELLED = "cancelled"  # by the hospital's own system
    PASSED = "passed"
    GONE = "gone"  # the hospital's system does not know it any more


@dataclass(frozen=True)
class Reference:
    """The appointment that a message was planned with."""

    source: str
    id: str
    at: datetime


@dataclass(frozen=True)
class Coming:
    """An appointment as its page shows it.

    Attributes
    ----------
    at : the moment that counts now
    department : where the page may name it
    answer : what the patient answered last
    """

    reference: Reference
    standing: Standing
    at: datetime
    department: str | None
    answer: AppointmentAnswer | None


def reference_of(sent: Sent) -> Reference | None:
    """None for a message that is about no appointment."""
    told = sent.variables.get(VARIABLE)
    if not isinstance(told, dict) or not all(told.get(name) for name in ("source", "id", "at")):
        return None
    return Reference(str(told["source"]), str(told["id"]), datetime.fromisoformat(told["at"]).astimezone(UTC))


def may_not_know(ledger: Ledger, sent: Sent, now: datetime) -> bool:
    """Whether the message told a relative who may not hear about the patient any more, nor when they come instead."""
    if sent.subject_id == sent.person_id:
        return False
    with ledger.reading() as connection:
        return sent.key in Relatives.of_messages(connection, [sent.key]).untold(connection, sent.purpose, now)


def read_coming(
    ledger: Ledger, picture: Picture | None, sent: Sent, reference: Reference, now: datetime, *, names_department: bool
) -> Coming:
    """How it stands at `now` (patient time), by the current snapshot where there is one."""
    with ledger.reading() as connection:
        last = appointments.latest(connection, reference.source, reference.id, reference.at)
        subject = survivors(connection, [sent.subject_id])[sent.subject_id]
    seen = picture.booking(subject, reference.source, reference.id) if picture is not None else None
    at = seen.start_at if seen is not None and seen.start_at is not None else reference.at
    return Coming(
        reference,
        _standing(reference, seen, at, now, known=picture is not None),
        at,
        seen.department if seen is not None and names_department else None,
        last.answer if last is not None else None,
    )


def _standing(reference: Reference, seen: Booking | None, at: datetime, now: datetime, *, known: bool) -> Standing:
    if at <= now:
        return Standing.PASSED
    if seen is None:
        return Standing.GONE if known else Standing.BOOKED
    if seen.status == "cancelled":
        return Standing.CANCELLED
    return Standing.BOOKED if at == reference.at else Standing.MOVED


def answer(
    ledger: Ledger,
    vault: Vault | None,
    sent: Sent,
    reference: Reference,
    said: AppointmentAnswer,
    words: str,
    *,
    now: datetime,
    wall: datetime,
    due_within: timedelta | None,
) -> AppointmentAnswer:
    """Record the answer, unless it was answered so last; returns the answer that stands then. A no is final: whoever
    says yes after it, by this message or another, finds the no.

    Parameters
    ----------
    words : what a person reads in the inbox of one who cannot come
    now : patient time
    wall : wall time
    due_within : by then a person deals with a cancellation; None where the campaign asks for nobody
    """
    with ledger.begin() as connection:
        # PostgreSQL: clicks at once, by any message about this patient, queue here; SQLite has one writer anyway.
        subject = survivors(connection, [sent.subject_id])[sent.subject_id]
        connection.execute(sa.select(person.c.person_id).where(person.c.person_id == subject).with_for_update())
        last = appointments.latest(connection, reference.source, reference.id, reference.at)
        if last is not None and last.answer is AppointmentAnswer.CANCEL:
            return last.answer
        living = survivors(connection, [sent.person_id])[sent.person_id]
        told = Answered(sent.key, living, reference.source, reference.id, reference.at, said, now, wall)
        if not appointments.record(connection, told):
            return said
        record_events(connection, [was_read(sent.key, "appointment", now)], received_at=wall)
        if said is AppointmentAnswer.CANCEL and due_within is not None and vault is not None:
            task_id, channel = (
                f"appointment:{reference.source}:{reference.id}:{reference.at.isoformat()}",
                Channel(sent.channel),
            )
            due_at, secret = wall + due_within, ledger.info.secret
            task = Task(task_id, ThreadKind.APPOINTMENT, channel, sent.address_blind, living, sent.key, words, due_at)
            thread_id = inbox.open_task(connection, vault, task, patient_now=now, now=wall, secret=secret)
            write_audit(connection, wall, ACTOR, "appointment.cancel", thread_id, {"message": sent.key})
    return said
