"""What patients' pages know beside the ledger: the hospital's topics, its picture of one patient, the vault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from alongside.model.enums import Locale

if TYPE_CHECKING:
    from alongside.content import ContentCatalogue
    from alongside.content.surveys import Survey
    from alongside.ledger.vault import Vault
    from alongside.web.picture import Picture


@dataclass(frozen=True)
class Knowledge:
    """Each part may be missing; a page then shows what it can say without it.

    Attributes
    ----------
    topics : those that patients can switch off, in their words
    content : messages and surveys, as they are configured now
    picture : what the hospital's systems say
    vault : names and addresses; never shown in full
    """

    topics: Mapping[str, Mapping[Locale, str]] = field(default_factory=dict)
    picture: Picture | None = None
    vault: Vault | None = None
    content: ContentCatalogue | None = None

    def survey_of(self, message: str) -> Survey | None:
        """The survey that this message links to; None where it links to none (any more)."""
        if self.content is None or message not in self.content:
            return None
        return self.content.surveys.get(self.content.message(message).definition.survey or "")
