"""What a click on "unsubscribe" means in the ledger. One transaction; the second click finds nothing left to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger import Ledger, seeds
from alongside.ledger.consent import ConsentEvent, decide, record
from alongside.ledger.events import DeliveryEvent, record_events
from alongside.ledger.schema import message, run
from alongside.ledger.suppressions import Suppression, add
from alongside.model.enums import Decision, DeliveryMode, EventKind, Locale, Purpose

ORIGIN = "unsubscribe"


@dataclass(frozen=True)
class Sent:
    """The message that an unsubscribe link belongs to.

    Attributes
    ----------
    sent_at : wall time of the run that sent it
    staged : staging sent it to an address of our own; a click there says nothing about the patient
    subject_id : whom the message is about
    template, template_hash : name of the message, and the version that was planned
    variables : what it was planned with
    """

    key: str
    person_id: str
    purpose: Purpose
    channel: str
    locale: Locale
    address_blind: str
    sent_at: datetime
    staged: bool = False
    subject_id: str = ""
    campaign: str = ""
    template: str = ""
    template_hash: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def of_nobody(self) -> bool:
        """Whether it went to an address of our own: what is said by its link says nothing about a patient."""
        return self.staged or seeds.is_copy(self.campaign)


def find(ledger: Ledger, message_key: str, default_locale: Locale) -> Sent | None:
    """The message, or None when this ledger does not know it (any more)."""
    query = (
        sa.select(message, run.c.mode, run.c.started_at)
        .select_from(message.outerjoin(run, run.c.run_id == message.c.run_id))
        .where(message.c.message_key == message_key)
    )
    with ledger.begin() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        return None
    locale = Locale(row.locale) if row.locale in set(Locale) else default_locale
    staged = row.mode == DeliveryMode.STAGING
    return Sent(
        key=row.message_key,
        person_id=row.person_id,
        purpose=Purpose(row.purpose),
        channel=row.channel,
        locale=locale,
        address_blind=row.address_blind,
        sent_at=row.started_at or row.updated_at,
        staged=staged,
        subject_id=row.subject_person_id,
        campaign=row.campaign,
        template=row.template,
        template_hash=row.template_hash,
        variables=row.variables if isinstance(row.variables, dict) else {},
    )


def withdraw(ledger: Ledger, sent: Sent, *, everything: bool, now: datetime, wall: datetime) -> bool:
    """Stop this kind of message and promotion, or everything, for the person and at the address.

    Returns whether something changed. A purpose that is already refused is left as it is, so that neither a second
    click nor a mail program's repeated one-click call writes anything; but a link works again after a new consent.

    Parameters
    ----------
    now : patient time: when the decision was taken
    wall : wall time: when it was recorded
    """
    if sent.staged:
        return False
    with ledger.begin() as connection:
        # PostgreSQL: two clicks at once queue here; SQLite has one writer anyway.
        connection.execute(sa.select(message.c.message_key).where(message.c.message_key == sent.key).with_for_update())
        changed = record(connection, _denials(connection, sent, everything, now), wall)
        changed += add(connection, [_suppression(sent, everything, now)])
        if changed:
            record_events(connection, [_event(sent, everything, now)], received_at=wall)
    return changed > 0


def _denials(connection: Connection, sent: Sent, everything: bool, now: datetime) -> Sequence[ConsentEvent]:
    found = []
    for purpose in Purpose if everything else sorted({sent.purpose, Purpose.MARKETING}):
        standing = decide(connection, [sent.person_id], purpose, sent.channel).get(sent.person_id)
        if standing is None or standing[0] is not Decision.DENY:
            evidence = f"message {sent.key}"
            found.append(ConsentEvent(sent.person_id, purpose, sent.channel, Decision.DENY, now, ORIGIN, evidence))
    return found


def _suppression(sent: Sent, everything: bool, now: datetime) -> Suppression:
    scope = "all" if everything else "marketing"
    return Suppression(sent.address_blind, sent.channel, scope, ORIGIN, now, f"message {sent.key}")


def _event(sent: Sent, everything: bool, now: datetime) -> DeliveryEvent:
    """So that experiments count it: an unsubscribe is an outcome of the message, counted once."""
    detail = "all messages" if everything else "this kind of message"
    return DeliveryEvent(f"one-click:{sent.key}", sent.key, EventKind.UNSUBSCRIBE, now, detail=detail)
