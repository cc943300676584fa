"""`config/seeds.yaml`: members of staff who get a copy of what campaigns send."""

from __future__ import annotations

from pydantic import Field, model_validator

from alongside.model.enums import Channel, DeliveryMode, Locale, Purpose
from alongside.model.errors import ConfigurationInvalid
from alongside.model.findings import Finding, nearest
from alongside.settings.project import Project
from alongside.settings.references import Reference
from alongside.settings.strict import Strict
from alongside.settings.yaml_source import Document, read_document, validate


class Seed(Strict):
    """One reader. Addresses are personal data of an employee: the file names variables that hold them."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{1,59}$", description="a label for lists; not the person's name")
    locales: list[Locale] = Field(default_factory=lambda: list(Locale), min_length=1)
    email: Reference | None = Field(None, description="env:NAME of the variable that holds the mail address")
    phone: Reference | None = Field(None, description="env:NAME of the variable that holds the number, +86...")
    openid: Reference | None = Field(None, description="env:NAME of the variable that holds the reader's own openid")
    device_token: Reference | None = Field(None, description="env:NAME of the variable that holds the app's token")
    campaigns: list[str] = Field(default_factory=list, description="by default all")
    purposes: list[Purpose] = Field(default_factory=lambda: list(Purpose), min_length=1)

    @model_validator(mode="after")
    def _can_be_reached(self) -> Seed:
        if not self.references:
            raise ValueError("has neither email nor phone, openid or device_token")
        return self

    @property
    def references(self) -> tuple[str, ...]:
        """Where all its addresses are found."""
        found = (self.email, self.phone, self.openid, self.device_token)
        return tuple(one for one in found if one is not None)

    def reference(self, channel: Channel) -> str | None:
        """Where the address for this channel is found; None where no copy goes by it. Nobody is called for a copy."""
        return {
            Channel.EMAIL: self.email,
            Channel.SMS: self.phone,
            Channel.WECHAT: self.openid,
            Channel.PUSH: self.device_token,
        }.get(channel)

    def reads(self, campaign: str, purpose: str, locale: str) -> bool:
        return campaign in (self.campaigns or [campaign]) and purpose in self.purposes and locale in self.locales


class Seeds(Strict):
    """The whole file."""

    modes: list[DeliveryMode] = Field(
        default_factory=lambda: [DeliveryMode.LIVE], description="delivery modes in which copies are sent"
    )
    from_messages: int = Field(1, ge=1, description="a run of a campaign with fewer messages sends no copies")
    seeds: list[Seed] = Field(default_factory=list)

    @model_validator(mode="after")
    def _named_once(self) -> Seeds:
        names = [seed.name for seed in self.seeds]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"seeds: '{twice[0]}' stands twice")
        return self


def read_seeds(project: Project) -> Seeds:
    """The project's seeds; without the file there are none.

    Raises
    ------
    ConfigurationInvalid : the file has faults
    """
    document = _document(project)
    return Seeds() if document is None else validate(Seeds, document)


def check_seeds(project: Project, campaigns: list[str]) -> list[Finding]:
    """What is wrong with the file, campaigns that do not exist included."""
    document = _document(project)
    if document is None:
        return []
    try:
        found = validate(Seeds, document)
    except ConfigurationInvalid as error:
        return list(error.findings)
    return [
        document.finding(
            "seeds", place, "campaigns", number, what=f"unknown campaign '{name}'",
            remedy=nearest(name, campaigns) or "known ones are in config/campaigns/",
        )
        for place, seed in enumerate(found.seeds)
        for number, name in enumerate(seed.campaigns)
        if name not in campaigns
    ]  # fmt: skip


def _document(project: Project) -> Document | None:
    path = project.config / "seeds.yaml"
    return read_document(path) if path.is_file() else None
