"""What patients' pages know beside the ledger: the hospital's topics, its picture of one patient, the vault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from alongside.content.flow import Place
from alongside.model.enums import Channel, Locale
from alongside.outreach.sensitivity import SensitivityRules

if TYPE_CHECKING:
    from alongside.content import ContentCatalogue
    from alongside.content.surveys import Survey
    from alongside.ledger.vault import Vault
    from alongside.settings import HospitalSettings
    from alongside.web.picture import Picture


@dataclass(frozen=True)
class Knowledge:
    """Each part may be missing; a page then shows what it can say without it.

    Attributes
    ----------
    topics : those that patients can switch off, in their words
    content : messages and surveys, as they are configured now
    telling : campaigns whose cancelled appointments reach a person
    sensitivity : what a page may show: as much as the message that led to it
    picture : what the hospital's systems say
    vault : names and addresses; never shown in full
    """

    topics: Mapping[str, Mapping[Locale, str]] = field(default_factory=dict)
    picture: Picture | None = None
    vault: Vault | None = None
    content: ContentCatalogue | None = None
    telling: frozenset[str] = frozenset()
    sensitivity: SensitivityRules = field(default_factory=SensitivityRules)
    settings: HospitalSettings | None = None

    def survey_of(self, message: str) -> Survey | None:
        """The survey that this message links to; None where it links to none (any more)."""
        if self.content is None or message not in self.content:
            return None
        return self.content.surveys.get(self.content.message(message).definition.survey or "")

    def tells_staff(self, campaign: str) -> bool:
        """Whether somebody has to be told of an appointment that a patient cancels by this campaign's message."""
        return campaign in self.telling

    def may_name_department(self, channel: str) -> bool:
        """Whether the body of a message on this channel may name a department, and so its page."""
        if self.settings is None:
            return False
        ceiling = self.sensitivity.ceiling(Channel(channel), Place.BODY, self.settings)
        return self.sensitivity.of_field("appointment.department") <= ceiling
