"""From messages that may leave to letters: rendered, linted once more, addressed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from alongside.channels.base import Addressee, Letter
from alongside.content import BatchGroup, ContentCatalogue, RenderFailed
from alongside.content.message import CompiledMessage
from alongside.content.standard import HospitalWords, built_in_values
from alongside.delivery.recheck import Checked, Ready, gate_name
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

    def compose(self, held: Claim, checked: Checked) -> list[Letter]:
        """Letters for what is ready; what cannot be rendered, or may not be said, is added to what is withheld.

        Raises
        ------
        Refused : the message was edited after it was planned, or its sender is not configured
        """
        ready, withheld = checked.ready, checked.withheld
        locale = Locale(held.locale)
        compiled = self.catalogue.compiled(held.template, held.channel, locale)
        self._require_planned_text(compiled, ready)
        values = self._values(compiled, checked)
        failures: dict[int, RenderFailed] = {}
        groups = compiled.batch(values, failures)
        for index in failures:
            withheld[ready[index].key] = gate_name(Gate.RENDER_FAILED)
        letters = []
        for group in groups:
            if self._may_not_be_said(compiled, group):
                withheld.update((ready[index].key, gate_name(Gate.CLAIMS_LINT)) for index, _ in group.rows)
                continue
            addressees = tuple(
                Addressee(ready[index].key, ready[index].address, tokens, values[index]["unsubscribe_url"])
                for index, tokens in group.rows
            )
            text = group.skeleton
            letters.append(self._letter(held, locale, text.subject, text.text, text.html, addressees))
        return letters

    def _may_not_be_said(self, compiled: CompiledMessage, group: BatchGroup) -> bool:
        """Lint the text that a group shares, as its first recipient reads it.

        Planning has linted every message with its own values; what is new here are names and links, and rules that
        were changed since.
        """
        first = BatchGroup(group.skeleton, group.rows[:1])
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
        words = HospitalWords.of(self.settings.hospital, compiled.locale)
        zone = ZoneInfo(self.settings.hospital.time_zone)
        today = checked.planned_at.astimezone(zone).date()
        return [self._value(one, words, today, compiled.locale) for one in checked.ready]

    def _value(self, one: Ready, words: HospitalWords, today: date, locale: Locale) -> dict[str, Any]:
        variables: Mapping[str, Any] = one.variables.get("v") or {}
        return {
            **variables,
            **built_in_values(
                name=one.identity.name,
                gender=one.identity.gender or one.variables.get("gender"),
                locale=locale,
                hospital=words,
                unsubscribe_url=f"{self.public_url}/u/{sign_token(self.secret, 'unsubscribe', one.key)}",
                preferences_url=f"{self.public_url}/p/{sign_token(self.secret, 'preferences', one.key)}",
                today=today,
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
