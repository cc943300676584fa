"""`message.yaml`: what a message is for, whom it addresses, what it reads and who answers for it."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from alongside.model.enums import Channel, Locale, Purpose, Stage, Written
from alongside.settings.strict import Strict

#: Channels whose bodies a message can carry so far, and the files each needs.
BODIES: dict[Channel, tuple[str, ...]] = {
    Channel.EMAIL: ("mjml", "txt"),
    Channel.SMS: ("txt",),
    Channel.WECHAT: ("txt",),
    Channel.PUSH: ("txt",),
    Channel.CALL: ("txt",),
    Channel.LETTER: ("html",),
}

#: Given to every template; see `alongside.content.standard`.
BUILT_IN: dict[str, str] = {
    "name": "the recipient's full name, may be null: prefer `salutation`",
    "salutation": "the opening of the letter, in the reader's language",
    "hospital": "hospital.name, .postal_address, .phone, .website",
    "unsubscribe_url": "signed link that stops this kind of message",
    "preferences_url": "signed link to the page where patients choose what they receive",
    "survey_url": "signed link to the page of the message's survey",
    "appointment_url": "signed link to the page where a patient says whether they come",
    "today": "the day for which the message was planned",
    "letter_number": "of a printed letter: stands on it and on the list of what was posted",
    "recipient_lines": "of a printed letter: name and postal address, below each other",
    "large_type": "of a printed letter: whether the reader is of the age for large type",
}

#: Of these, what only a message to a relative is given: it speaks of somebody else.
OF_THE_PATIENT: dict[str, str] = {
    "patient_name": "the name of the patient whom the message is about, may be null: prefer `patient_relation`",
    "patient_relation": "the patient in the reader's words: your father, 您的父亲",
}
BUILT_IN |= OF_THE_PATIENT


class Variable(Strict):
    """One fact about the recipient that the message states or decides on."""

    value: str = Field(min_length=1, description="expression in the language of segments")
    example: Any = Field(description="a fictional value for previews; one for all languages, or one per language")
    description: str = Field(min_length=3)
    optional: bool = Field(False, description="may be null; then the text must do without it")
    reveals: Literal["public", "personal", "health"] | None = Field(
        None, description="what it really gives away, where that is less than the fields it reads"
    )
    because: str = Field("", description="why; needed with reveals, and signed with the text")

    @model_validator(mode="after")
    def _reasoned(self) -> Variable:
        if (self.reveals is not None) != bool(self.because.strip()):
            raise ValueError("reveals and because stand together")
        return self

    def example_for(self, locale: Locale) -> Any:
        if isinstance(self.example, dict):
            return self.example.get(locale.value)
        return self.example


class Source(Strict):
    """Where a medical statement comes from."""

    title: str = Field(min_length=3)
    publisher: str = Field(min_length=2)
    year: int = Field(ge=1950, le=2100)
    states: str = Field(min_length=3, description="what the message takes from it")


class Approved(Strict):
    """A signature under exactly one version of the text."""

    hash: str = Field(pattern="^[0-9a-f]{64}$", description="the version that `alongside preview` prints")
    role: str
    day: date  # not `on`: in YAML that word is a yes


class MessageDefinition(Strict):
    """The contents of one `message.yaml`."""

    purpose: Purpose
    stage: Stage
    to: Written = Field(
        Written.PATIENT, description="whom the text speaks to: patient, guardian (of a child), or family"
    )
    topics: list[str] = Field(default_factory=list, description="topics a patient can switch off")
    audience: str = Field(min_length=3, description="in words: who should get this")
    sender: str = Field("care", pattern="^[a-z][a-z_]*$", description="a name under channels.email.senders")
    channels: list[Channel] = Field(default_factory=lambda: [Channel.EMAIL], min_length=1)
    subject: dict[Locale, str] = Field(default_factory=dict, description="of the e-mail, per language")
    variables: dict[str, Variable] = Field(default_factory=dict)
    survey: str | None = Field(None, description="file of config/surveys that `survey_url` leads to")
    reviewers: list[str] = Field(min_length=1, description="roles that sign this text")
    sources: list[Source] = Field(default_factory=list)
    expires: date = Field(description="after this day the text must be reviewed before it is sent again")
    approved: Approved | None = None

    @field_validator("variables")
    @classmethod
    def _not_built_in(cls, variables: dict[str, Variable]) -> dict[str, Variable]:
        for name in variables:
            if name in BUILT_IN:
                raise ValueError(f"{name!r} is given to every message: do not declare it")
            if not (name.isascii() and name.isidentifier() and name == name.lower()):
                raise ValueError(f"{name!r} is no variable name: use lower case letters, digits and _")
        return variables

    @field_validator("channels")
    @classmethod
    def _supported(cls, channels: list[Channel]) -> list[Channel]:
        if missing := [channel.value for channel in channels if channel not in BODIES]:
            known = ", ".join(channel.value for channel in BODIES)
            raise ValueError(f"{missing[0]!r} has no body yet; channels with bodies: {known}")
        return channels

    @property
    def stopping_topics(self) -> list[str]:
        """Topics that hold the message back for whoever switched them off: none where it is the reader's own care.

        Whoever wants to read nothing about operations still hears how to prepare for theirs, or their child's.
        """
        return [] if self.purpose is Purpose.CARE and self.to is not Written.FAMILY else list(self.topics)

    @model_validator(mode="after")
    def _sender_fits_purpose(self) -> MessageDefinition:
        if (self.purpose is Purpose.MARKETING) != (self.sender == "marketing"):
            raise ValueError(f"purpose {self.purpose.value!r} may not be sent by sender {self.sender!r}")
        return self

    @model_validator(mode="after")
    def _relatives_hear_of_care(self) -> MessageDefinition:
        """What is said of a patient to somebody else serves the patient (PIPL 29: a separate consent per purpose)."""
        if self.to is not Written.PATIENT and self.purpose in (Purpose.MARKETING, Purpose.RESEARCH):
            raise ValueError(f"a message to {self.to.value!r} may not have purpose {self.purpose.value!r}")
        return self

    @property
    def given(self) -> frozenset[str]:
        """Built-in variables that the message may use."""
        return frozenset(BUILT_IN) - (frozenset(OF_THE_PATIENT) if self.to is Written.PATIENT else frozenset())
