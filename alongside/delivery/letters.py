"""From messages that may leave to letters: rendered, linted once more, addressed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from alongside.channels.base import Addressee, Letter
from alongside.channels.capabilities import provider_of
from alongside.content import BatchGroup, ContentCatalogue, RenderFailed, salutation
from alongside.content.message import CompiledMessage
from alongside.content.salutation import tidy_name
from alongside.content.standard import About, HospitalWords
from alongside.content.tracking import TRAP, counted, links_of, variable_of
from alongside.delivery.recheck import Checked, Ready, gate_name
from alongside.delivery.replies import answer_text
from alongside.delivery.seeding import MARKS
from alongside.ledger import inbox, seeds
from alongside.ledger.claims import Claim
from alongside.model.enums import Channel, DeliveryMode, Gate, Locale
from alongside.model.errors import Refused
from alongside.model.letter_numbers import letter_number
from alongside.model.postal import PostalAddress, envelope_lines
from alongside.model.tokens import LINKS, ClickSigner, TokenSigner
from alongside.settings import HospitalSettings

#: Of an e-mail by which a person answers: it says nothing of the matter.
_ANSWER_SUBJECT = {Locale.ZH_CN: "回复您的来信", Locale.EN: "Our answer to you"}


@dataclass(frozen=True)
class Letterhead:
    """What all letters of a batch have in common: who writes, and what stands before every text.

    Attributes
    ----------
    mark : that it is not written to a patient; empty where it is
    """

    sender_address: str
    sender_name: str
    reply_to: str
    list_id: str
    mark: str


@dataclass(frozen=True)
class Press:
    """What turns messages into letters."""

    settings: HospitalSettings
    catalogue: ContentCatalogue
    secret: bytes
    public_url: str
    mode: DeliveryMode
    _bodies: dict[tuple[str, Channel, Locale], CompiledMessage] = field(default_factory=dict, repr=False, compare=False)

    def compose(self, held: Claim, checked: Checked) -> list[Letter]:
        """Letters for what is ready; what cannot be rendered, or may not be said, is added to what is withheld.

        Raises
        ------
        Refused : the message was edited after it was planned, or its sender is not configured
        """
        ready, withheld = checked.ready, checked.withheld
        locale = Locale(held.locale)
        if held.template == inbox.TEMPLATE:
            return [self._answer(held, locale, one) for one in ready]
        compiled = self._compiled(held.template, held.channel, locale)
        self._require_planned_text(compiled, ready)
        values = self._values(compiled, checked)
        failures: dict[int, RenderFailed] = {}
        groups = compiled.batch(values, failures)
        for index in failures:
            withheld[ready[index].key] = gate_name(Gate.RENDER_FAILED)
        sayable = []
        for group in groups:
            if self._may_not_be_said(compiled, group):
                withheld.update((ready[index].key, gate_name(Gate.CLAIMS_LINT)) for index, _ in group.rows)
            else:
                sayable.append(group)
        return self._addressed(held, locale, sayable, ready, values) if sayable else []

    def _addressed(
        self,
        held: Claim,
        locale: Locale,
        groups: Sequence[BatchGroup],
        ready: Sequence[Ready],
        values: Sequence[Mapping[str, Any]],
    ) -> list[Letter]:
        head, letters = self._letterhead(held, locale), []
        for group in groups:
            addressees = tuple(
                Addressee(
                    ready[index].key,
                    # of a letter on paper: what stands on the envelope
                    values[index].get("recipient_lines") or ready[index].address,
                    tokens,
                    values[index]["unsubscribe_url"],
                )
                for index, tokens in group.rows
            )
            text = group.skeleton
            letters.append(_letter(held, head, text.subject, text.text, text.html, addressees))
        return letters

    def topics_of(self, held: Claim) -> Sequence[str]:
        """Topics that hold the batch's message back for who switched them off; none of what a person wrote."""
        if held.template == inbox.TEMPLATE or held.template not in self.catalogue:
            return ()
        return self.catalogue.message(held.template).definition.stopping_topics

    def _answer(self, held: Claim, locale: Locale, one: Ready) -> Letter:
        """What a person wrote to one patient, with the hospital's name in front of it."""
        text = answer_text(self.settings, one.variables["answer"], locale)
        to = (Addressee(one.key, one.address),)
        head = self._letterhead(held, locale)
        return replace(_letter(held, head, _ANSWER_SUBJECT[locale], text, "", to), answering=True)

    def _may_not_be_said(self, compiled: CompiledMessage, group: BatchGroup) -> bool:
        """Lint the text that a group shares, as its first recipient reads it; a text of one's own always.

        Planning has linted every message with its own values; what is new here are names and links, and rules that
        were changed since.
        """
        first = group if len(group.rows) == 1 else BatchGroup(group.skeleton, group.rows[:1])
        found = self.catalogue.linter.lint_group(first, compiled.purpose, compiled.locale, compiled.channel)
        return any(one.critical for findings in found.values() for one in findings)

    def _require_planned_text(self, compiled: CompiledMessage, ready: Sequence[Ready]) -> None:
        if any(one.template_hash != compiled.hash for one in ready):
            raise Refused(
                "the message was edited after it was planned",
                where=compiled.where,
                remedy="Undo the edit and retry the run, or let the next run plan it with the new text.",
            )

    def _values(self, compiled: CompiledMessage, checked: Checked) -> list[dict[str, Any]]:
        """What each body is rendered with: its own values, the hospital's words, and the built-in values it reads.

        Links and openings that no body reads are not made; the unsubscribe link always is: it also stands in a header.
        """
        words = HospitalWords.of(self.settings.hospital, compiled.locale)
        zone = ZoneInfo(self.settings.hospital.time_zone)
        today = checked.planned_at.astimezone(zone).date().isoformat()
        opens, on_paper, locale = "salutation" in compiled.reads, compiled.channel is Channel.LETTER, compiled.locale
        links = self._links(compiled, [one.key for one in checked.ready])
        found = []
        for one, urls in zip(checked.ready, zip(*links.values(), strict=True), strict=True):
            contact, variables = one.contact, one.variables
            values: dict[str, Any] = {
                **(variables.get("v") or {}),
                "hospital": words,
                "today": today,
                "name": contact.name,
            }
            values.update(zip(links, urls, strict=True))
            if opens:
                values["salutation"] = salutation(contact.name, contact.gender or variables.get("gender"), locale)
            if one.patient is not None:
                kin = variables.get("kin") or {}
                about = About(one.patient.name, kin.get("is"), one.patient.gender or kin.get("gender"))
                values |= about.values(locale)
            if on_paper:
                values |= self._on_paper(one)
            found.append(values)
        return found

    def _links(self, compiled: CompiledMessage, keys: Sequence[str]) -> dict[str, list[str]]:
        """By the name of each link that the body reads, and of the one for unsubscribing: that of each message."""
        found = {}
        for name in ("unsubscribe_url", *sorted(compiled.reads & LINKS.keys() - {"unsubscribe_url"})):
            address = f"{self.public_url}/{LINKS[name][0]}/"
            found[name] = [address + token for token in self._signers[name](keys)]
        for index in self._counted_links(compiled):
            address = f"{self.public_url}/c/"
            found[variable_of(index)] = [address + token for token in self._sign_click(keys, index)]
        return found

    def _on_paper(self, one: Ready) -> dict[str, Any]:
        """What a printed letter needs besides. Without a name nobody can be written to in a shared house."""
        name, home = tidy_name(one.contact.name), self.settings.hospital.country
        mark = "[staging] " if self.mode is DeliveryMode.STAGING else ""
        return {
            "letter_number": mark + letter_number(one.key),
            "recipient_lines": "\n".join(envelope_lines(PostalAddress.read(one.address), name, home)) if name else None,
            "large_type": bool(one.variables.get("large")),
        }

    def _counted_links(self, compiled: CompiledMessage) -> range:
        """Numbers of the links whose clicks are counted, the trap among them."""
        links = links_of(self.catalogue.compiled(compiled.name, compiled.channel, compiled.locale))
        return range(TRAP, len(links) + 1) if self._counts_clicks and links else range(0)

    @property
    def _counts_clicks(self) -> bool:
        return self.settings.delivery.click_tracking == "redirect"

    @cached_property
    def _sign_click(self) -> ClickSigner:
        return ClickSigner(self.secret)

    def _compiled(self, template: str, channel: Channel, locale: Locale) -> CompiledMessage:
        """The message's body, with its links counted where the hospital wants that; made once."""
        key = (template, channel, locale)
        if key not in self._bodies:
            compiled = self.catalogue.compiled(template, channel, locale)
            self._bodies[key] = counted(compiled) if self._counts_clicks else compiled
        return self._bodies[key]

    @cached_property
    def _signers(self) -> dict[str, TokenSigner]:
        """By the name of the link."""
        return {name: TokenSigner(self.secret, use) for name, (_, use) in LINKS.items()}

    def _letterhead(self, held: Claim, locale: Locale) -> Letterhead:
        senders = self.settings.channels.of(held.channel).senders
        sender = senders.get(held.sender)
        if sender is None:
            raise Refused(
                f"there is no sender {held.sender!r}",
                where=f"config/alongside.yaml: channels.{held.channel}.senders",
                remedy=f"Configured: {', '.join(sorted(senders))}.",
            )
        home = self.settings.hospital.default_locale
        # A text that the provider has approved must stay as it is.
        bare = provider_of(self.settings, held.channel).registered_only
        mark = "[staging] " if self.mode is DeliveryMode.STAGING and not bare else ""
        if seeds.is_copy(held.campaign) and not bare:
            mark += MARKS[locale]
        return Letterhead(
            sender_address=sender.address,
            sender_name=sender.name.get(locale) or sender.name.get(home, ""),
            reply_to=sender.reply_to,
            list_id=list_id(held.sender, sender.address),
            mark=mark,
        )


def _letter(
    held: Claim, head: Letterhead, subject: str, text: str, html: str, addressees: tuple[Addressee, ...]
) -> Letter:
    return Letter(
        batch_id=held.batch_id,
        sender_address=head.sender_address,
        sender_name=head.sender_name,
        reply_to=head.reply_to,
        subject=f"{head.mark}{subject}" if held.channel is Channel.EMAIL else "",
        text=text if held.channel in (Channel.EMAIL, Channel.LETTER) else f"{head.mark}{text.strip()}",
        html=html,
        list_id=head.list_id,
        addressees=addressees,
    )


def list_id(sender: str, address: str) -> str:
    """What identifies a sender's mail to the recipient's provider (RFC 2919); empty where the sender is a number."""
    domain = address.rpartition("@")[2] if "@" in address else ""
    return f"{sender}.{domain}" if domain else ""
