"""The last look before a message leaves: what may have changed since it was planned. Step 3 of the protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any

from sqlalchemy.engine import Connection

from alongside.delivery.modes import destination
from alongside.ledger import claims, consent, suppressions
from alongside.ledger.claims import Claim
from alongside.ledger.vault import Contact, Vault
from alongside.model.enums import Decision, DeliveryMode, Gate, Purpose
from alongside.outreach.quiet_hours import earliest_send
from alongside.settings import HospitalSettings


@dataclass(frozen=True)
class Ready:
    """A message that may leave, and what is needed to render it."""

    key: str
    person_id: str
    address: str = field(repr=False)
    contact: Contact = field(repr=False)
    variables: Mapping[str, Any] = field(repr=False)
    template_hash: str
    planned_at: datetime


@dataclass(frozen=True)
class Checked:
    """A batch after the recheck.

    Attributes
    ----------
    withheld : key -> name of the gate
    postponed : key -> patient time at which it may leave
    readdressed : key -> blind index, where the patient's address is not the planned one any more
    """

    ready: list[Ready]
    withheld: dict[str, str] = field(default_factory=dict)
    postponed: dict[str, datetime] = field(default_factory=dict)
    readdressed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Facts:
    """What the ledger and the vault say of a batch's recipients now."""

    permitted: Mapping[str, tuple[Decision, int]]
    abroad: Mapping[str, tuple[Decision, int]]
    contacts: Mapping[str, Contact]
    blinds: Mapping[str, str]  # person_id -> blind index of the present address
    suppressed: Mapping[str, str]


def recheck(
    connection: Connection,
    held: Claim,
    *,
    vault: Vault,
    settings: HospitalSettings,
    mode: DeliveryMode,
    patient_now: datetime,
) -> Checked:
    """Read the batch's messages and sort out those that may not leave now.

    Consent, suppression, the present address and quiet hours are looked at again; a pause stops the call itself.

    Raises
    ------
    VaultUnavailable : names and addresses cannot be read
    Refused : a fictional contact in live mode
    """
    rows = list(claims.planned_messages(connection, held.batch_id))
    facts = _facts(connection, held, [row.person_id for row in rows], vault, patient_now)
    checked = Checked([])
    hours = _Hours(settings, held.purpose, patient_now)
    for row in rows:
        gate = _closed_gate(facts, row.person_id)
        if gate is not None:
            checked.withheld[row.message_key] = gate
            continue
        later = hours.later(row.variables)
        if later is not None:
            checked.postponed[row.message_key] = later
            continue
        contact = facts.contacts[row.person_id]
        goes = destination(mode, contact.email or "", row.message_key, settings.delivery.staging_allow)
        if goes.refused:
            checked.withheld[row.message_key] = goes.refused
            continue
        if facts.blinds[row.person_id] != row.address_blind:
            checked.readdressed[row.message_key] = facts.blinds[row.person_id]
        checked.ready.append(
            Ready(
                row.message_key,
                row.person_id,
                goes.address,
                contact,
                row.variables,
                row.template_hash,
                row.planned_at,
            )
        )
    return checked


def _facts(
    connection: Connection, held: Claim, person_ids: Sequence[str], vault: Vault, patient_now: datetime
) -> _Facts:
    people = sorted(set(person_ids))
    contacts = vault.address_book(connection, people)
    blinds = {
        person_id: vault.blind_index("email", contact.email) for person_id, contact in contacts.items() if contact.email
    }
    channel = held.channel.value
    return _Facts(
        permitted=consent.decide(connection, people, held.purpose, channel, patient_now),
        abroad=consent.decide(connection, people, consent.CROSS_BORDER, channel, patient_now),
        contacts=contacts,
        blinds=blinds,
        suppressed=suppressions.suppressed(connection, set(blinds.values()), channel, held.purpose),
    )


def _closed_gate(facts: _Facts, person_id: str) -> str | None:
    """The gate that has closed since planning, by its name in lower case."""
    decision = facts.permitted.get(person_id)
    if decision is None or decision[0] is not Decision.PERMIT:
        return _name(Gate.NO_CONSENT)
    # Whether consent for a vendor abroad is needed was decided by planning; a withdrawal since then counts here.
    abroad = facts.abroad.get(person_id)
    if abroad is not None and abroad[0] is Decision.DENY:
        return _name(Gate.CROSS_BORDER)
    if person_id not in facts.blinds:
        return _name(Gate.NO_ADDRESS)
    if facts.blinds[person_id] in facts.suppressed:
        return _name(Gate.SUPPRESSED)
    return None


def _name(gate: Gate) -> str:
    return (gate.name or "").lower()


class _Hours:
    """Quiet hours at one moment; recipients of one zone and one wish share the answer."""

    def __init__(self, settings: HospitalSettings, purpose: str, patient_now: datetime) -> None:
        self._house = settings.gates.quiet_hours
        self._zone = settings.hospital.time_zone
        self._now = patient_now
        self._exempt = Purpose(purpose) in self._house.exempt
        self._known: dict[tuple[Any, ...], datetime | None] = {}

    def later(self, variables: Mapping[str, Any]) -> datetime | None:
        """When the message may leave; None for now. `variables` may hold `zone`, `quiet` and `urgent`."""
        if self._exempt or variables.get("urgent"):
            return None
        start, end = variables.get("quiet") or (None, None)
        wish = (variables.get("zone") or self._zone, start, end)
        if wish not in self._known:
            moment = earliest_send(
                self._now, wish[0], _clock(start) or self._house.start, _clock(end) or self._house.end
            )
            self._known[wish] = None if moment <= self._now else moment
        return self._known[wish]


def _clock(text: str | None) -> time | None:
    try:
        return time.fromisoformat(text) if text else None
    except ValueError:
        return None
