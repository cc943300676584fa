"""What stands in `config/tags/*.yaml` and `config/segments/*.yaml`."""

from __future__ import annotations

import re
from enum import StrEnum

from pydantic import Field, RootModel, field_validator, model_validator

from alongside.model.enums import Locale, Stage
from alongside.settings.strict import Strict

NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")


class Level(StrEnum):
    """The four levels of tags: who, what condition, what conduct, what need."""

    BASIC = "basic"
    MEDICAL = "medical"
    BEHAVIOUR = "behaviour"
    NEED = "need"


def _both_languages(texts: dict[Locale, str]) -> dict[Locale, str]:
    missing = [locale.value for locale in Locale if not texts.get(locale, "").strip()]
    if missing:
        raise ValueError(f"text is missing in {' and '.join(missing)}")
    return texts


class Tag(Strict):
    """One tag: `when` makes it yes or no, `value` gives it a number, text or date."""

    level: Level
    when: str = Field("", description="condition; whoever meets it carries the tag")
    value: str = Field("", description="expression of a number, text or date")
    description: dict[Locale, str]
    source: str = Field("", description="where the rule comes from: guideline, version, or house policy")

    _languages = field_validator("description")(_both_languages)

    @model_validator(mode="after")
    def _one_expression(self) -> Tag:
        if bool(self.when.strip()) == bool(self.value.strip()):
            raise ValueError("needs either 'when' (a condition) or 'value' (a number, text or date)")
        return self


class TagFile(RootModel[dict[str, Tag]]):
    """Tags by name."""


class SegmentFile(Strict):
    """One segment; `name` is the file's name without `.yaml`."""

    name: str = Field(pattern=NAME.pattern)
    label: dict[Locale, str]
    description: dict[Locale, str]
    stage: Stage
    where: str = Field(description="condition; whoever meets it belongs to the segment")
    exclude: str = Field("", description="condition; whoever meets it does not belong")
    owner: str = Field("", description="team that answers for it")
    source: str = Field("", description="where the rule comes from: guideline, version, or house policy")

    _languages = field_validator("label", "description")(_both_languages)

    @field_validator("where")
    @classmethod
    def _not_blank(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("is empty: write a condition such as age >= 60")
        return text


class VocabularyFile(Strict):
    """`config/vocabulary.yaml`: the hospital's own words; a list that is left out is not checked."""

    departments: list[str] = Field(default_factory=list)
    services: list[str] = Field(default_factory=list)
    topics: list[str] = Field(default_factory=list)
    surveys: list[str] = Field(default_factory=list)
    topic_words: dict[str, dict[Locale, str]] = Field(
        default_factory=dict, description="topics in the words of patients, who may switch them off on their page"
    )

    @field_validator("topic_words")
    @classmethod
    def _languages(cls, words: dict[str, dict[Locale, str]]) -> dict[str, dict[Locale, str]]:
        return {name: _both_languages(texts) for name, texts in words.items()}

    @model_validator(mode="after")
    def _known_topics(self) -> VocabularyFile:
        if strange := sorted(set(self.topic_words) - set(self.topics)):
            raise ValueError(f"topic_words names {strange[0]!r}, which is not among the topics")
        return self

    @property
    def names(self) -> dict[str, frozenset[str]]:
        """By the kind of parameter that takes them; empty lists are left out."""
        kinds = {
            "department": self.departments,
            "service": self.services,
            "topic": self.topics,
            "survey": self.surveys,
        }
        return {kind: frozenset(words) for kind, words in kinds.items() if words}
