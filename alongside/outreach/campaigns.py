"""Campaigns: who (a segment) hears what (a message), how often, within which bounds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pydantic import Field, field_validator, model_validator

from alongside.model.enums import Channel, Locale, Purpose, Relationship, Written
from alongside.model.errors import ConfigurationInvalid, Refused
from alongside.model.findings import Finding, nearest
from alongside.settings import Document, Project, read_document, validate
from alongside.settings.strict import Strict


class Window(Strict):
    """Days on which the campaign may plan, inclusive; open where a bound is missing."""

    first: date | None = Field(None, alias="from")
    last: date | None = Field(None, alias="to")

    def holds(self, day: date) -> bool:
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)


class Repeat(Strict):
    """When the same person may hear the campaign again: never, after some days, or once per value of an expression."""

    every_days: int | None = Field(None, ge=1, description="not again within so many days of the last message")
    per: str | None = Field(None, description="once per value of this expression, for example next_appointment_at")

    @model_validator(mode="after")
    def _one_rule(self) -> Repeat:
        if self.every_days is not None and self.per is not None:
            raise ValueError("give every_days or per, not both")
        return self


class Fallback(Strict):
    """What follows on the campaign's next channel when a message came to nothing on one."""

    after_hours: float = Field(24, gt=0, description="accepted, and no word of its arrival for so long")
    unread_after_hours: float | None = Field(
        None, gt=0, description="accepted, and no sign of a reader for so long; without it arrival is enough"
    )
    within_days: float = Field(7, gt=0, description="nothing follows later than this after a message")


class Envelope(Strict):
    """Bounds within which an unattended run proceeds; outside them it holds the campaign and says why."""

    max_audience: int = Field(ge=1, description="planned messages of one run")
    max_change: float | None = Field(None, gt=0, description="largest growth against the last run: 0.5 is +50 %")
    max_cost: float | None = Field(None, ge=0, description="in the hospital's currency")


class Campaign(Strict):
    """One file of config/campaigns/."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{2,59}$")
    description: dict[Locale, str]
    segment: str
    message: str = Field(description="<stage>/<topic>; what everybody gets who is in no experiment")
    channels: list[Channel] = Field(
        default_factory=lambda: [Channel.EMAIL],
        min_length=1,
        description="ways to the patient, best first; a patient's own preference comes before this order",
    )
    fallback: Fallback | None = Field(
        None, description="without it a message that fails is not tried on another channel"
    )
    relatives: list[Relationship] | None = Field(
        None, min_length=1, description="who of the family or the guardians is told, best first; all where missing"
    )
    priority: int = Field(50, ge=0, le=100, description="higher plans first and wins the contact budget")
    window: Window = Window.model_validate({})
    repeat: Repeat = Repeat.model_validate({})
    fulfilled_when: str | None = Field(None, description="segment expression: what was asked for has happened")
    inpatients: bool = Field(False, description="also write to people who are in the hospital now")
    cancellations_to_inbox: bool = Field(
        False, description="who says by the message's link that they cannot come becomes a task for a person"
    )
    urgent: bool = Field(False, description="passes the frequency cap and quiet hours; care only")
    holdout: float = Field(
        0.0, ge=0, le=0.2, description="share of people kept without this campaign, to measure what it does; never care"
    )
    cost_per_message: float = Field(0.0, ge=0)
    envelope: Envelope
    approve_plan: bool = Field(False, description="a one-off campaign: its exact plan hash needs approval")
    enabled: bool = True

    @field_validator("channels")
    @classmethod
    def _each_once(cls, channels: list[Channel]) -> list[Channel]:
        if len(set(channels)) < len(channels):
            raise ValueError("names a channel twice")
        return channels


@dataclass(frozen=True)
class CampaignFile:
    """A campaign and the document that it was read from, for findings that name lines."""

    campaign: Campaign
    document: Document


def read_campaigns(project: Project) -> tuple[list[CampaignFile], list[Finding]]:
    """Every campaign file; those with faults are reported and left out."""
    found: list[CampaignFile] = []
    faults: list[Finding] = []
    for path in sorted((project.config / "campaigns").glob("*.yaml")):
        try:
            document = read_document(path)
            campaign = validate(Campaign, document)
        except ConfigurationInvalid as error:
            faults += error.findings
            continue
        if campaign.name != path.stem:
            faults.append(
                document.finding("name", what=f"differs from its file's name {path.name}", remedy="align them")
            )
        found.append(CampaignFile(campaign, document))
    return found, faults


def load_campaigns(project: Project) -> list[Campaign]:
    """Enabled campaigns in planning order: highest priority first, then by name.

    Raises
    ------
    ConfigurationInvalid : any file has a fault
    """
    files, faults = read_campaigns(project)
    if faults:
        raise ConfigurationInvalid(faults)
    campaigns = [file.campaign for file in files if file.campaign.enabled]
    return sorted(campaigns, key=lambda campaign: (-campaign.priority, campaign.name))


def find_campaign(campaigns: Iterable[Campaign], name: str) -> Campaign:
    """The campaign of this name, or a refusal that names the nearest one."""
    by_name = {campaign.name: campaign for campaign in campaigns}
    if name not in by_name:
        raise Refused(f"unknown campaign '{name}'", where="config/campaigns", remedy=nearest(name, by_name))
    return by_name[name]


def check_references(
    files: Iterable[CampaignFile], segments: Collection[str], messages: Mapping[str, Written]
) -> list[Finding]:
    """Campaigns that name a segment or a message which does not exist, or relatives whom the message does not address.

    Parameters
    ----------
    messages : name -> whom it speaks to
    """
    faults: list[Finding] = []
    for file in files:
        campaign, document = file.campaign, file.document
        if campaign.segment not in segments:
            faults.append(_unknown(document, "segment", campaign.segment, segments))
        if campaign.message not in messages:
            faults.append(_unknown(document, "message", campaign.message, messages))
        elif campaign.relatives is not None and messages[campaign.message] is Written.PATIENT:
            what = f"are named, but '{campaign.message}' speaks to the patient"
            remedy = "remove them, or write a message with `to: family` or `to: guardian` in its message.yaml"
            faults.append(document.finding("relatives", what=what, remedy=remedy))
    return faults


def _unknown(document: Document, field: str, name: str, known: Collection[str]) -> Finding:
    folder = {"segment": "config/segments", "message": "templates"}[field]
    remedy = nearest(name, known) or f"known ones are in {folder}/"
    return document.finding(field, what=f"unknown {field} '{name}'", remedy=remedy)


def check_holdouts(files: Iterable[CampaignFile], purposes: Mapping[str, Collection[Purpose]]) -> Iterator[Finding]:
    """Hold-outs that would withhold care.

    Parameters
    ----------
    purposes : campaign -> purposes of the messages that it could send
    """
    for file in files:
        campaign = file.campaign
        care = Purpose.CARE in purposes.get(campaign.name, ())
        if campaign.holdout and (care or campaign.urgent):
            what = f"{'care is' if care else 'an urgent message is'} withheld from nobody to measure what it does"
            remedy = "remove it, and compare two wordings in an experiment"
            yield file.document.finding("holdout", what=what, remedy=remedy)


def path_of(project: Project, name: str) -> Path:
    return project.config / "campaigns" / f"{name}.yaml"
