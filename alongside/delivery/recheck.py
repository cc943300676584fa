"""The last look before a message leaves: what may have changed since it was planned. Step 3 of the protocol."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time
from typing import Any

import orjson
from sqlalchemy.engine import Connection

from alongside.delivery.modes import destinations
from alongside.delivery.relatives import NONE, Relatives
from alongside.delivery.wishes import Said, fresh_wishes, of_batch
from alongside.ledger import inbox, recipients, seeds, suppressions
from alongside.ledger.claims import Claim
from alongside.ledger.recipients import Recipient, Standing
from alongside.ledger.vault import Contact, Vault
from alongside.ledger.warm_up import Take
from alongside.model.enums import DeliveryMode, Gate, Purpose
from alongside.outreach.quiet_hours import earliest_send
from alongside.settings import HospitalSettings


@dataclass(slots=True)
class Ready:
    """A message that may leave, and what is needed to render it. Made once per message: a frozen class costs thrice."""

    key: str
    address: str = field(repr=False)
    contact: Contact = field(repr=False)
    variables: Mapping[str, Any] = field(repr=False)
    template_hash: str
    patient: Contact | None = field(default=None, repr=False)  # whom it is about, where that is not the recipient


@dataclass(frozen=True)
class Checked:
    """A batch after the recheck.

    Attributes
    ----------
    planned_at : patient time
    withheld : key -> name of the gate
    postponed : key -> patient time at which it may leave
    readdressed : key -> blind index, where the patient's address is not the planned one any more
    abroad : the provider keeps what it is given in another country than the hospital's
    relatives : messages that are about somebody other than their recipient
    wished : what its recipients have wished since planning
    take : what of a new sender's allowance the call needs
    held_back : those of `postponed` that do not fit into the day of a new sender
    """

    ready: list[Ready]
    planned_at: datetime
    withheld: dict[str, str] = field(default_factory=dict)
    postponed: dict[str, datetime] = field(default_factory=dict)
    readdressed: dict[str, str] = field(default_factory=dict)
    abroad: bool = True
    relatives: Relatives = NONE
    wished: Mapping[str, Said] = field(default_factory=dict)
    take: Take | None = None
    held_back: frozenset[str] = frozenset()

    @property
    def leaving_take(self) -> Take | None:
        """`take` without those of `ready` that could not be rendered, or may not be said."""
        if self.take is None or not self.withheld:
            return self.take
        lost = sum(one.key in self.withheld for one in self.ready)
        return replace(self.take, bound=max(self.take.bound - lost, 0))


def recheck(
    connection: Connection,
    held: Claim,
    *,
    vault: Vault,
    settings: HospitalSettings,
    mode: DeliveryMode,
    patient_now: datetime,
    topics: Collection[str] = (),
) -> Checked:
    """Read the batch's messages and sort out those that may not leave now.

    Consent, suppression, the present address, quiet hours and what was wished since planning are looked at again; a
    pause stops the call itself.

    Parameters
    ----------
    topics : those that hold the batch's message back for who switched them off

    Raises
    ------
    VaultUnavailable : names and addresses cannot be read
    Refused : a fictional contact in live mode
    """
    waiting = recipients.waiting_recipients(connection, held.batch_id, held.purpose, held.channel.value, patient_now)
    facts = _facts(connection, held, waiting, vault, patient_now)
    hours = Hours(settings, held, patient_now)
    route = destinations(mode, held.channel, settings.delivery.staging_allow)
    abroad = settings.channel_stores_in(held.channel) != settings.hospital.country
    relatives = Relatives.of(connection, waiting, vault)
    untold = relatives.untold(connection, held.purpose, patient_now)
    planned_at = recipients.planned_for(connection, held.batch_id) or patient_now
    wished = fresh_wishes(connection, held, planned_at, patient_now, settings, topics)
    own = {one.person_id: wished.said[one.person_id] for one in waiting if one.person_id in wished.said}
    checked = Checked([], planned_at, abroad=abroad, relatives=relatives, wished=own)
    ready, said = checked.ready, _answers(connection, held, waiting, vault)
    about_others = bool(relatives.asked)
    written = orjson.loads(f"[{','.join([one.written for one in waiting])}]")
    found = zip(waiting, written, facts.contacts, facts.addresses, facts.blinds, strict=True)
    for one, variables, contact, address, blind in found:
        key, planned_for = one.key, one.address_blind
        if said is not None:
            variables["answer"] = said.get(key, "")
        # Nearly everybody agreed, said nothing else, and lives at the planned address: no gate needs to be asked.
        plain = one.said == 1 and not one.merged and not one.suppressed and blind and blind == planned_for
        if not plain and (gate := facts.closed_gate(one, blind, abroad=abroad, asked_for=said is not None)):
            checked.withheld[key] = gate
        elif key in untold:
            checked.withheld[key] = _NO_RELATIVE
        elif wished.said and said is None and (unwished := wished.gate(one.person_id, variables)):
            checked.withheld[key] = gate_name(unwished)
        elif later := hours.later(variables, wished.hours(one.person_id, variables.get("quiet"))):
            checked.postponed[key] = later
        else:
            address, refused = route(address, key)
            if refused:
                checked.withheld[key] = refused
                continue
            if blind != planned_for:
                checked.readdressed[key] = blind
            patient = relatives.patient_of(key) if about_others else None
            ready.append(Ready(key, address, contact, variables, one.template_hash, patient))
    return checked


def still_stands(connection: Connection, held: Claim, checked: Checked, patient_now: datetime) -> bool:
    """Whether every message that is about to leave still may; asked in the transaction that begins the call.

    Rendering a batch takes a while, in which a patient may leave and an event may arrive.
    """
    channel, withheld, readdressed = held.channel.value, checked.withheld, checked.readdressed
    ready = {one.key for one in checked.ready if one.key not in withheld}
    leaving = recipients.leaving_recipients(connection, held.batch_id, held.purpose, channel)
    if leaving.count != len(ready) + len(withheld) + len(checked.postponed):  # an event has moved one
        return False
    if not (leaving.suppressed & ready) <= readdressed.keys():
        return False
    if held.template == inbox.TEMPLATE or seeds.is_copy(held.campaign):  # these need no consent of their own
        return True
    doubtful = {person for key, person in leaving.doubtful.items() if key in ready}
    consent = recipients.by_whole_rule(connection, doubtful, held.purpose, channel, patient_now)
    if not doubtful <= consent.permitted or (checked.abroad and doubtful & consent.kept_at_home):
        return False
    untold = not ready.isdisjoint(checked.relatives.untold(connection, held.purpose, patient_now))
    if untold or of_batch(connection, held.batch_id, checked.planned_at) != checked.wished:
        return False
    moved = [blind for key, blind in readdressed.items() if key in ready]
    return not suppressions.suppressed(connection, moved, channel, held.purpose)


def _answers(
    connection: Connection, held: Claim, waiting: Sequence[Recipient], vault: Vault
) -> Mapping[str, str] | None:
    """The words of answers by key; None for a batch of anything else."""
    if held.template != inbox.TEMPLATE:
        return None
    return inbox.words_of(connection, vault, [one.key for one in waiting])


@dataclass(frozen=True)
class _Facts:
    """What the ledger and the vault say of a batch's recipients now.

    Attributes
    ----------
    contacts, addresses, blinds : of each waiting message; an empty address and blind index where none is known
    suppressed : blind indexes of addresses other than the planned ones
    """

    consent: Standing
    contacts: Sequence[Contact]
    addresses: Sequence[str] = field(repr=False)
    blinds: Sequence[str]
    suppressed: Collection[str]

    def closed_gate(self, one: Recipient, blind: str, *, abroad: bool, asked_for: bool) -> str | None:
        """The gate that has closed since planning, by its name in lower case.

        Parameters
        ----------
        abroad : the provider keeps what it is given in another country
        asked_for : the message answers a question of the patient's, which needs no consent of its own
        """
        if one.person_id not in self.consent.permitted and not asked_for:
            return NO_CONSENT
        # Whether consent for a vendor abroad is needed was decided by planning; a withdrawal since then counts here.
        if abroad and one.person_id in self.consent.kept_at_home and not asked_for:
            return _CROSS_BORDER
        if not blind:
            return _NO_ADDRESS
        silent = one.suppressed if blind == one.address_blind else blind in self.suppressed
        return SUPPRESSED if silent else None


def _facts(
    connection: Connection, held: Claim, waiting: Sequence[Recipient], vault: Vault, patient_now: datetime
) -> _Facts:
    channel, unseal, kind = held.channel.value, vault.unseal_contact, held.channel.address
    contacts = [unseal(one.person_id, one.sealed) if one.sealed else Contact() for one in waiting]
    addresses = [contact.address(kind) for contact in contacts]
    indexes = vault.blind_indexes(kind, addresses)
    blinds = [index if address else "" for index, address in zip(indexes, addresses, strict=True)]
    moved = [blind for one, blind in zip(waiting, blinds, strict=True) if blind and blind != one.address_blind]
    return _Facts(
        consent=recipients.standing_consent(connection, waiting, held.purpose, channel, patient_now),
        contacts=contacts,
        addresses=addresses,
        blinds=blinds,
        suppressed=suppressions.suppressed(connection, moved, channel, held.purpose),
    )


def gate_name(gate: Gate) -> str:
    """How a gate is written into a message's `reason`."""
    return (gate.name or "").lower()


NO_CONSENT, _CROSS_BORDER = gate_name(Gate.NO_CONSENT), gate_name(Gate.CROSS_BORDER)
_NO_ADDRESS, SUPPRESSED = gate_name(Gate.NO_ADDRESS), gate_name(Gate.SUPPRESSED)
_NO_RELATIVE = gate_name(Gate.NO_RELATIVE)


class Hours:
    """Quiet hours at one moment; recipients of one zone and one wish share the answer."""

    def __init__(self, settings: HospitalSettings, held: Claim, patient_now: datetime) -> None:
        self._house = settings.gates.quiet_hours
        self._zone = settings.hospital.time_zone
        self._now = patient_now
        self._exempt = Purpose(held.purpose) in self._house.exempt or not held.channel.keeps_quiet_hours
        self._known: dict[tuple[Any, ...], datetime | None] = {}

    def later(self, variables: Mapping[str, Any], quiet: Any = None) -> datetime | None:
        """When the message may leave; None for now.

        Parameters
        ----------
        variables : may hold `zone` and `urgent`
        quiet : the recipient's own quiet hours as `[from, to]`; None for the hospital's
        """
        if self._exempt or variables.get("urgent"):
            return None
        start, end = quiet or (None, None)
        wish = (variables.get("zone") or self._zone, start, end)
        if wish not in self._known:
            begins, ends = _clock(start) or self._house.start, _clock(end) or self._house.end
            moment = earliest_send(self._now, wish[0], begins, ends)
            self._known[wish] = None if moment <= self._now else moment
        return self._known[wish]


def _clock(text: str | None) -> time | None:
    try:
        return time.fromisoformat(text) if text else None
    except ValueError:
        return None
