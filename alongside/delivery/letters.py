"""From messages that may leave to letters: rendered, linted once more, addressed."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from alongside.channels.base import Addressee, Letter
from alongside.content import ContentCatalogue, RenderFailed
from alongside.content.message import CompiledMessage
from alongside.content.standard import HospitalWords, built_in_values
from alongside.delivery.recheck import Ready
from alongside.ledger.claims import Claim
from alongside.model.enums import DeliveryMode, Gate, Locale
from alongside.model.errors import Refused
from alongside.model.tokens import sign_token
from alongside.settings import HospitalSettings


@dataclass(frozen=True)
class Press:
    """What turns messages into letters."""

    settings: HospitalSettings
    catalogue: ContentCatalogue
    secret: bytes
    public_url: str
    mode: DeliveryMode

    def compose(self, held: Claim, ready: Sequence[Ready], withheld: MutableMapping[str, str]) -> list[Letter]:
        """Letters for these messages; those that cannot be rendered, or may not be said, are put into `withheld`.

        Raises
        ------
        Refused : the message was edited after it was planned, or its sender is not configured
        """
        locale = Locale(held.locale)
        compiled = self.catalogue.compiled(held.template, held.channel, locale)
        self._require_planned_text(compiled, ready)
        values = self._values(compiled, ready)
        failures: dict[int, RenderFailed] = {}
        groups = compiled.batch(values, failures)
        for index in failures:
            withheld[ready[index].key] = _name(Gate.RENDER_FAILED)
        letters = []
        for group in groups:
            findings = self.catalogue.linter.lint_group(group, compiled.purpose, locale, held.channel)
            said = {index for index, found in findings.items() if any(one.critical for one in found)}
            for index in said:
                withheld[ready[index].key] = _name(Gate.CLAIMS_LINT)
            addressees = tuple(
                Addressee(ready[index].key, ready[index].address, tokens, values[index]["unsubscribe_url"])
                for index, tokens in group.rows
                if index not in said
            )
            if addressees:
                text = group.skeleton
                letters.append(self._letter(held, locale, text.subject, text.text, text.html, addressees))
        return letters

    def _require_planned_text(self, compiled: CompiledMessage, ready: Sequence[Ready]) -> None:
        if any(one.template_hash != compiled.hash for one in ready):
            raise Refused(
                "the message was edited after it was planned",
                where=compiled.where,
                remedy="Undo the edit and retry the run, or let the next run plan it with the new text.",
            )

    def _values(self, compiled: CompiledMessage, ready: Sequence[Ready]) -> list[dict[str, Any]]:
        words = HospitalWords.of(self.settings.hospital, compiled.locale)
        zone = ZoneInfo(self.settings.hospital.time_zone)
        return [self._value(one, words, zone, compiled.locale) for one in ready]

    def _value(self, one: Ready, words: HospitalWords, zone: ZoneInfo, locale: Locale) -> dict[str, Any]:
        variables: Mapping[str, Any] = one.variables.get("v") or {}
        gender = one.contact.gender or one.variables.get("gender")
        return {
            **variables,
            **built_in_values(
                name=one.contact.name,
                gender=gender,
                locale=locale,
                hospital=words,
                unsubscribe_url=f"{self.public_url}/u/{sign_token(self.secret, 'unsubscribe', one.key)}",
                preferences_url=f"{self.public_url}/p/{sign_token(self.secret, 'preferences', one.key)}",
                today=one.planned_at.astimezone(zone).date(),
            ),
        }

    def _letter(
        self, held: Claim, locale: Locale, subject: str, text: str, html: str, addressees: tuple[Addressee, ...]
    ) -> Letter:
        senders = self.settings.channels.email.senders
        sender = senders.get(held.sender)
        if sender is None:
            raise Refused(
                f"there is no sender {held.sender!r}",
                where="config/alongside.yaml: channels.email.senders",
                remedy=f"Configured: {', '.join(sorted(senders))}.",
            )
        home = self.settings.hospital.default_locale
        return Letter(
            batch_id=held.batch_id,
            sender_address=sender.address,
            sender_name=sender.name.get(locale) or sender.name.get(home, ""),
            reply_to=sender.reply_to,
            subject=f"[staging] {subject}" if self.mode is DeliveryMode.STAGING else subject,
            text=text,
            html=html,
            list_id=f"{held.sender}.{sender.address.rpartition('@')[2]}",
            addressees=addressees,
        )


def _name(gate: Gate) -> str:
    return (gate.name or "").lower()
