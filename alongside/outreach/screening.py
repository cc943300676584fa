"""Every message that a candidate could get is rendered and linted before the candidate is assigned to an arm.

Arms stay comparable only if nobody falls out of one of them for the text that the arm would have brought.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from alongside.channels.acceptance import Acceptance, acceptance_of
from alongside.content import ContentCatalogue, RenderFailed
from alongside.content.batches import BatchGroup, substitute
from alongside.content.message import CompiledMessage
from alongside.content.standard import preview_built_ins
from alongside.content.visible import readable
from alongside.model.enums import Channel, Gate, Locale
from alongside.settings import HospitalSettings


@dataclass(frozen=True)
class Sample:
    """One rendered message, addressed to nobody, for the people who read a plan."""

    message: str
    channel: str
    locale: str
    subject: str
    text: str


@dataclass
class Screen:
    """Renders candidates' messages in chunks and remembers one sample and every kind of finding.

    Built-in variables are those of a fictional recipient: names and addresses stay in the vault until the message
    is really rendered, where it is linted once more.
    """

    content: ContentCatalogue
    settings: HospitalSettings
    samples: dict[tuple[str, str, str], Sample] = field(default_factory=dict)
    findings: dict[str, int] = field(default_factory=dict)

    def gates(self, message: str, channel: Channel, locale: Locale, rows: Sequence[Mapping[str, Any]]) -> list[Gate]:
        """The gate that each row's message closes: RENDER_FAILED, CLAIMS_LINT, NOT_CARRIED or NONE."""
        compiled = self.content.compiled(message, channel, locale)
        fictional = preview_built_ins(self.content.hospital_words(locale), locale, compiled.definition.to)
        values = [{**fictional, **row} for row in rows]
        failures: dict[int, RenderFailed] = {}
        groups = compiled.batch(values, failures)
        closed = [Gate.NONE] * len(rows)
        for index, failure in failures.items():
            closed[index] = Gate.RENDER_FAILED
            self._note(f"{compiled.where}: {failure.what}")
        accepted = acceptance_of(self.settings, channel)
        for group in groups:
            if accepted.applies:
                self._hold_against(accepted, compiled, group, closed)
            found = self.content.linter.lint_group(group, compiled.purpose, locale, channel)
            for index, findings in found.items():
                if any(finding.critical for finding in findings):
                    closed[index] = Gate.CLAIMS_LINT
                for finding in findings:
                    self._note(f"{compiled.where}: {finding.rule}: {finding.phrase}")
        self._sample(compiled, values)
        return closed

    def _hold_against(
        self, accepted: Acceptance, compiled: CompiledMessage, group: BatchGroup, closed: list[Gate]
    ) -> None:
        """A text that the provider would not take does not leave; the reader of the plan is told which, and why."""
        for index, row in group.rows:
            if fault := accepted.fault(compiled.sender, substitute(group.skeleton, row).text):
                closed[index] = Gate.RENDER_FAILED if fault.of_value else Gate.NOT_CARRIED
                self._note(f"{compiled.where}: {fault.what}")

    def _note(self, text: str) -> None:
        self.findings[text] = self.findings.get(text, 0) + 1

    def _sample(self, compiled: CompiledMessage, values: Sequence[Mapping[str, Any]]) -> None:
        key = (compiled.name, compiled.channel.value, compiled.locale.value)
        if key in self.samples or not values:
            return
        try:
            rendered = compiled.render(values[0])
        except RenderFailed:
            return
        self.samples[key] = Sample(*key, rendered.subject, readable(rendered.text, rendered.html))
