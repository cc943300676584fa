"""Everything about messages that can be proven before the first of them is sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from jinja2 import meta
from jinja2.exceptions import TemplateError

from alongside.content.batches import Rendered
from alongside.content.catalogue import ContentCatalogue, Message, load_leniently
from alongside.content.compose import files_of, free_names, lines_of
from alongside.content.definition import OF_THE_PATIENT
from alongside.content.environment import RenderFailed, message_environment
from alongside.model.enums import Channel, Locale
from alongside.model.errors import ConfigurationInvalid
from alongside.model.findings import Finding, nearest, relative
from alongside.settings import Project

#: Names that the vault may not know.
_NAMES = frozenset({"name", "patient_name"})


def check(project: Project, today: date | None = None) -> list[Finding]:
    """Faults of all messages, paths relative to the project. `today` (default: the system's day) decides expiry."""
    try:
        catalogue, faults = load_leniently(project)
    except ConfigurationInvalid as error:  # config/alongside.yaml itself
        return _tidy(project, error.findings)
    return _tidy(project, [*faults, *faults_of(catalogue, today)])


def faults_of(catalogue: ContentCatalogue, today: date | None = None) -> Iterator[Finding]:
    """Faults of the messages that could be read: names, bodies, words, approval."""
    day = today or datetime.now(UTC).date()
    for message in catalogue.messages.values():
        yield from _message(catalogue, message, day)


def _tidy(project: Project, faults: tuple[Finding, ...] | list[Finding]) -> list[Finding]:
    short = {
        Finding(relative(Path(f.path), project.root), f.line, f.field, f.what, f.remedy, f.severity) for f in faults
    }
    return sorted(short)


def _message(catalogue: ContentCatalogue, message: Message, today: date) -> Iterator[Finding]:
    definition, document = message.definition, message.document
    if definition.expires < today:
        what = f"expired on {definition.expires}"
        yield document.finding("expires", what=what, remedy="have the reviewers renew it")
    yield from _topics(catalogue, message)
    yield from _survey(catalogue, message)
    missing = list(_missing(message))
    yield from missing
    used: set[str] = set()
    for channel in definition.channels:
        for locale in Locale:
            try:
                undeclared = list(_names(catalogue, message, channel, locale, used))
            except ConfigurationInvalid as error:
                yield from error.findings
                used |= set(definition.variables)  # a broken body may well use them
                continue
            yield from undeclared
            if not missing and not undeclared:
                yield from _renders(catalogue, message, channel, locale)
    if not missing:
        yield from _unused(message, used)
    yield from _approval(catalogue, message, broken=bool(missing))


def _topics(catalogue: ContentCatalogue, message: Message) -> Iterator[Finding]:
    """A mistyped topic could not be switched off by the patients who do not want it."""
    for index, topic in enumerate(message.definition.topics):
        if catalogue.topics and topic not in catalogue.topics:
            remedy = nearest(topic, catalogue.topics) or "topics stand in config/vocabulary.yaml"
            yield message.document.finding("topics", index, what=f"{topic!r} is no known topic", remedy=remedy)
        elif catalogue.topics and topic not in catalogue.topic_words and topic in message.definition.stopping_topics:
            what, remedy = f"{topic!r} has no words for patients", "add them to topic_words in config/vocabulary.yaml"
            yield message.document.finding("topics", index, what=what, remedy=remedy, severity="warning")


def _survey(catalogue: ContentCatalogue, message: Message) -> Iterator[Finding]:
    """A link to a survey needs one, and the other way round."""
    name = message.definition.survey
    bodies = (
        one for channel in message.definition.channels for locale in Locale for one in message.bodies(channel, locale)
    )
    linked = any("survey_url" in path.read_text("utf-8") for path in bodies if path.is_file())
    if name is not None and name not in catalogue.surveys:
        remedy = nearest(name, catalogue.surveys) or "surveys lie in config/surveys/"
        yield message.document.finding("survey", what=f"{name!r} is no known survey", remedy=remedy)
    elif linked and name is None:
        yield message.document.finding("survey", what="is missing: a body links to survey_url", remedy="name a survey")
    elif name is not None and not linked:
        remedy = "print {{ survey_url }}, or leave the survey out"
        yield message.document.finding("survey", what="is named, and no body links to it", remedy=remedy)


def _missing(message: Message) -> Iterator[Finding]:
    for channel in message.definition.channels:
        for locale in Locale:
            for path in message.bodies(channel, locale):
                if not path.is_file():
                    remedy = f"every message exists in {' and '.join(Locale)}"
                    yield Finding(str(path), 0, "", "is missing", remedy)
            if channel is Channel.EMAIL and not message.definition.subject.get(locale):
                yield message.document.finding("subject", what=f"is missing in {locale.value}", remedy="add it")


def _names(
    catalogue: ContentCatalogue, message: Message, channel: Channel, locale: Locale, used: set[str]
) -> Iterator[Finding]:
    """Undefined variables of the bodies and of the subject; `used` collects the declared ones that occur."""
    known = {*message.definition.given, *message.definition.variables}
    seen: set[Path] = set()
    for body in message.bodies(channel, locale):
        for path in files_of(catalogue.root, body) if body.is_file() else ():
            if path not in seen:
                seen.add(path)
                free = free_names(path)
                used |= free
                for name, line in lines_of(path, free - known) if free - known else ():
                    yield Finding(str(path), line, name, "is not declared", _declare(name, known))
    if channel is Channel.EMAIL and (subject := message.definition.subject.get(locale)):
        yield from _subject_names(message, locale, subject, known, used)


def _subject_names(
    message: Message, locale: Locale, subject: str, known: set[str], used: set[str]
) -> Iterator[Finding]:
    place = ("subject", locale.value)
    try:
        names = meta.find_undeclared_variables(message_environment(locale, "UTC").parse(subject))
    except TemplateError as error:
        yield message.document.finding(*place, what=f"template syntax: {error.message}", remedy="correct it")
        return
    used |= names
    for name in sorted(names - known):
        yield message.document.finding(*place, what=f"{name!r} is not declared", remedy=_declare(name, known))


def _declare(name: str, known: set[str]) -> str:
    if name in OF_THE_PATIENT:
        return "only a message with `to: guardian` or `to: family` speaks of somebody else"
    return nearest(name, known) or "declare it under variables in message.yaml"


def _unused(message: Message, used: set[str]) -> Iterator[Finding]:
    for name in message.definition.variables:
        if name not in used:
            yield message.document.finding(
                "variables", name, what="is declared but never used", remedy="remove it", severity="warning"
            )


def _renders(catalogue: ContentCatalogue, message: Message, channel: Channel, locale: Locale) -> Iterator[Finding]:
    """Compile, render with examples (and once more without everything optional), and lint the result."""
    place = str(message.bodies(channel, locale)[0])
    try:
        compiled = catalogue.compiled(message.name, channel, locale)
    except ConfigurationInvalid as error:
        yield from error.findings
        return
    full = catalogue.preview_values(message.name, locale)
    seen: set[Rendered] = set()
    for label, values in (("examples", full), ("optional variables empty", _bare(message, full))):
        try:
            rendered = compiled.render(values)
        except RenderFailed as error:
            yield Finding(place, 0, "", f"does not render with {label}: {error.what}", error.remedy or "")
            continue
        except TemplateError as error:
            yield Finding(place, 0, "", f"template: {error.message}", "correct it")
            return
        if rendered in seen:  # the same words have the same faults
            continue
        seen.add(rendered)
        for finding in catalogue.linter.lint(rendered, compiled.purpose, locale, channel):
            severity = "error" if finding.critical else "warning"
            yield Finding(place, 0, finding.where, f"{finding.rule}: {finding.phrase}", "reword it", severity)


def _bare(message: Message, values: dict[str, Any]) -> dict[str, Any]:
    optional = {name for name, variable in message.definition.variables.items() if variable.optional}
    return {name: None if name in optional or name in _NAMES else value for name, value in values.items()}


def _approval(catalogue: ContentCatalogue, message: Message, *, broken: bool) -> Iterator[Finding]:
    approved = message.definition.approved
    if approved is None or broken:
        return
    try:
        current = catalogue.template_hash(message.name)
    except ConfigurationInvalid:
        return  # reported with its body
    if approved.hash != current:
        what = f"was approved for another version ({approved.hash[:12]}…, now {current[:12]}…)"
        yield message.document.finding("approved", "hash", what=what, remedy="have the reviewers sign this version")
