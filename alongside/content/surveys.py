"""Surveys: `config/surveys/*.yaml`, answered on a page behind a message's link (`survey_url`)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from pydantic import ConfigDict, Field, field_validator, model_validator

from alongside.model.enums import Locale
from alongside.model.errors import ConfigurationInvalid
from alongside.model.findings import Finding, nearest
from alongside.settings import Document, Project, read_document, validate
from alongside.settings.strict import Strict

_NAME = r"^[a-z][a-z0-9_]{1,59}$"


def _both_languages(texts: dict[Locale, str]) -> dict[Locale, str]:
    missing = [locale.value for locale in Locale if not texts.get(locale, "").strip()]
    if missing:
        raise ValueError(f"text is missing in {' and '.join(missing)}")
    return texts


class Question(Strict):
    """A question that a number answers."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    name: str = Field(pattern=_NAME, description="questionnaire under which answers are known: config/vocabulary.yaml")
    text: dict[Locale, str]
    lowest: int = Field(alias="from", ge=0, le=10)
    highest: int = Field(alias="to", ge=1, le=10)
    low: dict[Locale, str] = Field(description="what the lowest number means")
    high: dict[Locale, str] = Field(description="what the highest number means")

    _languages = field_validator("text", "low", "high")(_both_languages)

    @model_validator(mode="after")
    def _ascending(self) -> Question:
        if self.highest <= self.lowest:
            raise ValueError("'to' must be greater than 'from'")
        return self

    @property
    def numbers(self) -> range:
        return range(self.lowest, self.highest + 1)


class Recovery(Strict):
    """When the words of an answer reach a person."""

    question: str
    at_most: int = Field(description="a score this low or lower")
    answer_within_hours: float = Field(48, gt=0)


class Survey(Strict):
    """One file of config/surveys/."""

    name: str = Field(pattern=_NAME)
    title: dict[Locale, str]
    lead: dict[Locale, str]
    questions: list[Question] = Field(min_length=1, max_length=6, description="the first one has to be answered")
    comment: dict[Locale, str] | None = Field(None, description="asks for words; without it there is no field for them")
    valid_days: int = Field(30, ge=1, le=180, description="how long the link works, and answers can be changed")
    recovery: Recovery | None = None

    _languages = field_validator("title", "lead")(_both_languages)

    @field_validator("comment")
    @classmethod
    def _asked_in_both(cls, texts: dict[Locale, str] | None) -> dict[Locale, str] | None:
        return texts if texts is None else _both_languages(texts)

    @model_validator(mode="after")
    def _whole(self) -> Survey:
        names = [question.name for question in self.questions]
        if len(set(names)) < len(names):
            raise ValueError("asks a question twice")
        if self.recovery is not None and self.recovery.question not in names:
            raise ValueError(f"recovery.question {self.recovery.question!r} is not asked here")
        if self.recovery is not None and self.comment is None:
            raise ValueError("recovery needs words: add 'comment'")
        return self


@dataclass(frozen=True)
class SurveyFile:
    """A survey and the document that it was read from, for findings that name lines."""

    survey: Survey
    document: Document


def read(project: Project) -> tuple[list[SurveyFile], list[Finding]]:
    """Every survey; those with faults are reported and left out."""
    found: list[SurveyFile] = []
    faults: list[Finding] = []
    for path in sorted((project.config / "surveys").glob("*.yaml")):
        try:
            document = read_document(path)
            survey = validate(Survey, document)
        except ConfigurationInvalid as error:
            faults += error.findings
            continue
        if survey.name != path.stem:
            faults.append(
                document.finding("name", what=f"differs from its file's name {path.name}", remedy="align them")
            )
        found.append(SurveyFile(survey, document))
    known = _listed(project)
    faults += [fault for file in found for fault in _unknown(file, known)]
    return found, faults


def load(project: Project) -> dict[str, Survey]:
    """Surveys by name.

    Raises
    ------
    ConfigurationInvalid : any file has a fault
    """
    files, faults = read(project)
    if faults:
        raise ConfigurationInvalid(faults)
    return {file.survey.name: file.survey for file in files}


def _unknown(file: SurveyFile, known: Collection[str]) -> Iterator[Finding]:
    """Questions whose answers no segment could read."""
    for index, question in enumerate(file.survey.questions):
        if known and question.name not in known:
            remedy = nearest(question.name, known) or "add it to surveys in config/vocabulary.yaml"
            what = f"{question.name!r} is no known survey"
            yield file.document.finding("questions", index, "name", what=what, remedy=remedy)


def _listed(project: Project) -> tuple[str, ...]:
    """The hospital's own list; empty (nothing to hold against) where there is none."""
    path = project.config / "vocabulary.yaml"
    data: Mapping[str, object] = (read_document(path).data or {}) if path.is_file() else {}
    listed = data.get("surveys")
    return tuple(str(name) for name in listed) if isinstance(listed, list) else ()
