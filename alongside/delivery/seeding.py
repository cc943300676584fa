"""Seeds: members of staff who get a copy of each text that a campaign's run sends, with a fictional patient's values.

A copy goes the way of every message, through claim, call and settlement, and is sent exactly once. Where patients are
looked at again before it leaves, it is looked at by rules of its own: there is nobody's consent to ask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection

from alongside.content import ContentCatalogue
from alongside.content.standard import fictional_reader
from alongside.delivery.modes import destinations
from alongside.delivery.recheck import NO_CONSENT, SUPPRESSED, Checked, Hours, Ready
from alongside.ledger import Ledger, consent, recipients, seeds, suppressions
from alongside.ledger.claims import Claim
from alongside.ledger.runs import RunPins
from alongside.ledger.seeds import Copy, Text
from alongside.ledger.vault import Contact, Vault
from alongside.model.addresses import normalise
from alongside.model.enums import Channel, Decision, DeliveryMode, Locale, Written
from alongside.model.ids import keyed_hash
from alongside.settings import HospitalSettings, Seeds
from alongside.settings.references import resolve
from alongside.settings.seeds import Seed

#: In front of a copy's subject, or of its text where there is no subject. What staging puts there stands before it.
MARKS: Mapping[Locale, str] = {Locale.ZH_CN: "[内部样张] ", Locale.EN: "[seed copy] "}


@dataclass(frozen=True)
class SeedReport:
    """What came of one campaign's run.

    Attributes
    ----------
    copies : that were planned now
    unreachable : variables of the environment that hold no address
    """

    copies: int = 0
    unreachable: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seeding:
    """Plans copies beside the messages of a run."""

    ledger: Ledger
    vault: Vault
    settings: HospitalSettings
    seeds: Seeds
    content: ContentCatalogue

    def plan(
        self, run: RunPins, campaign: str, now: datetime, variables: Mapping[str, str] | None = None
    ) -> SeedReport:
        """One copy a seed and text of the campaign's plan; again at will: a key that is known is not planned twice.

        The key is made of seed, campaign, text and the run's day: a second run of the day repeats nothing but a text
        that was edited in between.

        Parameters
        ----------
        variables : where addresses are found; by default the process's environment
        """
        if not self.seeds.seeds or DeliveryMode(run.mode) not in self.seeds.modes:
            return SeedReport()
        with self.ledger.reading() as connection:
            texts, messages = seeds.texts_of(connection, run.run_id, campaign)
        if messages < self.seeds.from_messages:
            return SeedReport()
        wanted = [(seed, text) for text in texts for seed in self._readers(campaign, text)]
        copies, missing = [], []
        for seed, text in wanted:
            reference = seed.reference(Channel(text.channel)) or ""
            address = _normalised(Channel(text.channel), resolve(reference, variables), self.settings.hospital.country)
            if address:
                copies.append(self._copy(seed, text, address, campaign, run.as_of))
            else:
                missing.append(reference.removeprefix("env:"))
        planned = 0
        if copies:
            with self.ledger.begin() as connection:
                planned = seeds.write_copies(
                    connection, self.vault, copies, run_id=run.run_id, campaign=campaign, planned_at=run.as_of, now=now
                )
        return SeedReport(planned, tuple(dict.fromkeys(missing)))

    def _readers(self, campaign: str, text: Text) -> Iterator[Seed]:
        for seed in self.seeds.seeds:
            if seed.reads(campaign, text.purpose, text.locale) and seed.reference(Channel(text.channel)):
                yield seed

    def _copy(self, seed: Seed, text: Text, address: str, campaign: str, as_of: datetime) -> Copy:
        secret, channel, locale = self.ledger.info.secret, Channel(text.channel), Locale(text.locale)
        body = self.content.compiled(text.template, channel, locale).hash
        day = as_of.astimezone(ZoneInfo(self.settings.hospital.time_zone)).date().isoformat()
        return Copy(
            message_key=keyed_hash(secret, "seed copy", seed.name, campaign, text.channel, text.locale, body, day),
            text=text,
            seed=seed.name,
            person_id=seeds.reader(secret, seed.name),
            template_hash=body,
            occurrence=day,
            variables=self._variables(text.template, locale),
            address=address,
            address_blind=self.vault.blind_index(channel.address, address),
        )

    def _variables(self, template: str, locale: Locale) -> dict[str, Any]:
        """The message's own example values, which its author wrote for previews: never those of a patient."""
        definition = self.content.message(template).definition
        found: dict[str, Any] = {"v": {name: one.example_for(locale) for name, one in definition.variables.items()}}
        if definition.to is not Written.PATIENT:
            about = fictional_reader(locale, definition.to)[2]
            found["kin"] = {"is": about.relationship, "gender": about.gender, "as": definition.to.value}
        return found


def _normalised(channel: Channel, text: str, country: str) -> str:
    """The address as addresses are kept; empty where there is none, or none of this channel."""
    return (normalise(channel.address, text, country) if text else None) or ""


def unreachable(of: Seeds, variables: Mapping[str, str] | None = None) -> list[str]:
    """Variables of the environment that should hold a seed's address and do not."""
    references = [one for seed in of.seeds for one in seed.references]
    return [one.removeprefix("env:") for one in references if not resolve(one, variables)]


def recheck_copies(
    connection: Connection,
    held: Claim,
    *,
    vault: Vault,
    settings: HospitalSettings,
    mode: DeliveryMode,
    patient_now: datetime,
) -> Checked:
    """The last look at a batch of copies: who left by a copy's own link, or whose address is dead, gets no more.

    Quiet hours are the hospital's; staging rewrites the address as any other.

    Raises
    ------
    VaultUnavailable : addresses cannot be read
    """
    waiting = seeds.waiting_copies(connection, vault, held.batch_id)
    channel, locale = held.channel.value, Locale(held.locale)
    silent = suppressions.suppressed(connection, [one.address_blind for one in waiting], channel, held.purpose)
    said = consent.decide(connection, {one.person_id for one in waiting}, held.purpose, channel, patient_now)
    left = {person for person, (decision, _) in said.items() if decision is Decision.DENY}
    route = destinations(mode, held.channel, settings.delivery.staging_allow)
    later = Hours(settings, held, patient_now).later({}, None)
    checked = Checked([], recipients.planned_for(connection, held.batch_id) or patient_now)
    for one in waiting:
        address, refused = route(one.address, one.message_key)
        if one.person_id in left or one.address_blind in silent or refused:
            reason = NO_CONSENT if one.person_id in left else refused or SUPPRESSED
            checked.withheld[one.message_key] = reason
        elif later is not None:
            checked.postponed[one.message_key] = later
        else:
            checked.ready.append(_ready(one, address, locale))
    return checked


def _ready(one: seeds.Waiting, address: str, locale: Locale) -> Ready:
    name, gender, about = fictional_reader(locale)
    patient = Contact(about.name, gender=about.gender) if one.variables.get("kin") else None
    return Ready(one.message_key, address, Contact(name, gender=gender), one.variables, one.template_hash, patient)
