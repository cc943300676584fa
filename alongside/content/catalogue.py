"""All messages of a project: `templates/<stage>/<topic>/message.yaml` and the bodies beside it."""

from __future__ import annotations

import hashlib
import json
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alongside.content.compose import compose_html, compose_text, fingerprint
from alongside.content.definition import BODIES, MessageDefinition, Variable
from alongside.content.environment import message_environment
from alongside.content.letter_markup import compose_letter
from alongside.content.lint import Identity, Linter
from alongside.content.lint_rules import LintRules
from alongside.content.message import CompiledMessage
from alongside.content.standard import HospitalWords, preview_built_ins
from alongside.content.surveys import Survey
from alongside.content.surveys import read as read_surveys
from alongside.model.enums import Channel, Locale, Stage, Written
from alongside.model.errors import ConfigurationInvalid, Refused
from alongside.model.findings import Finding, nearest
from alongside.settings import HospitalSettings, Project, read_model
from alongside.settings.hospital import Hospital
from alongside.settings.yaml_source import Document, read_document, validate

#: Compiled bodies of this process for as long as any catalogue uses them, by everything that decides them: a run plans
#: and delivers in one process, with a catalogue of its own for each.
_BODIES: weakref.WeakValueDictionary[tuple[str, ...], CompiledMessage] = weakref.WeakValueDictionary()


@dataclass(frozen=True)
class Message:
    """One message as written: its definition and where its files lie."""

    name: str
    definition: MessageDefinition
    document: Document = field(repr=False, compare=False)

    @property
    def folder(self) -> Path:
        return self.document.path.parent

    def body(self, channel: Channel, locale: Locale, kind: str) -> Path:
        """The file of one body; `kind` is mjml, txt or html."""
        return self.folder / f"{channel.value}.{locale.value}.{kind}.j2"

    def bodies(self, channel: Channel, locale: Locale) -> list[Path]:
        return [self.body(channel, locale, kind) for kind in BODIES[channel]]


@dataclass
class ContentCatalogue:
    """Messages by name. Bodies are compiled when they are first asked for, once per process."""

    root: Path
    settings: HospitalSettings
    messages: Mapping[str, Message]
    rules: LintRules
    topics: tuple[str, ...] = ()
    topic_words: Mapping[str, Mapping[Locale, str]] = field(default_factory=dict)
    surveys: Mapping[str, Survey] = field(default_factory=dict)
    _compiled: dict[tuple[str, Channel, Locale], CompiledMessage] = field(default_factory=dict, repr=False)
    _linter: Linter | None = field(default=None, repr=False)

    @property
    def hospital(self) -> Hospital:
        return self.settings.hospital

    def __contains__(self, name: object) -> bool:
        return name in self.messages

    def __iter__(self) -> Iterator[str]:
        return iter(self.messages)

    def topics_for_patients(self) -> dict[str, dict[Locale, str]]:
        """Topics that a patient can switch off, in their words, by name."""
        used = {topic for message in self.messages.values() for topic in message.definition.stopping_topics}
        plain = {topic: dict.fromkeys(Locale, topic.replace("_", " ")) for topic in sorted(used)}
        return {topic: {**words, **self.topic_words.get(topic, {})} for topic, words in plain.items()}

    def message(self, name: str) -> Message:
        """The message of this name, or `Refused` with the nearest one."""
        if name not in self.messages:
            hint = nearest(name, self.messages) or "See templates/ for their names."
            raise Refused(f"no message is called {name!r}", where="templates", remedy=hint)
        return self.messages[name]

    def compiled(self, name: str, channel: Channel, locale: Locale) -> CompiledMessage:
        """The message ready to render. A missing or faulty body raises `ConfigurationInvalid`."""
        key = (name, channel, locale)
        if key not in self._compiled:
            self._compiled[key] = self._compile(self.message(name), channel, locale)
        return self._compiled[key]

    def template_hash(self, name: str) -> str:
        """sha256 over everything that decides this message's bytes, in every channel and language: what is approved."""
        message = self.message(name)
        digest = hashlib.sha256()
        for channel in sorted(message.definition.channels):
            for locale in Locale:
                digest.update(_hash(self.root, message, channel, locale).encode())
        return digest.hexdigest()

    @property
    def linter(self) -> Linter:
        """The claims lint with this hospital's rules and identity."""
        if self._linter is None:
            words = {locale: self.hospital_words(locale) for locale in Locale}
            self._linter = Linter(
                self.rules, {locale: Identity(one.name, one.postal_address) for locale, one in words.items()}
            )
        return self._linter

    def hospital_words(self, locale: Locale) -> HospitalWords:
        return HospitalWords.of(self.hospital, locale)

    def preview_values(self, name: str, locale: Locale) -> dict[str, Any]:
        """Values of a recipient who does not exist: example values, and clearly fictional built-ins."""
        definition = self.message(name).definition
        examples = {key: variable.example_for(locale) for key, variable in definition.variables.items()}
        return {**preview_built_ins(self.hospital_words(locale), locale, definition.to), **examples}

    def _compile(self, message: Message, channel: Channel, locale: Locale) -> CompiledMessage:
        definition = message.definition
        if channel not in definition.channels:
            raise Refused(
                f"{message.name} has no body for {channel.value}",
                where=str(message.document.path),
                remedy=f"It has: {', '.join(definition.channels)}.",
            )
        body_hash = _hash(self.root, message, channel, locale)
        key = (str(self.root), message.name, body_hash, definition.model_dump_json(), self.hospital.time_zone)
        if (known := _BODIES.get(key)) is not None:
            return known
        sources: dict[str, str] = {}
        if channel is Channel.LETTER:
            sources["html"] = compose_letter(self.root, message.body(channel, locale, "html"))
        else:
            sources["text"] = compose_text(self.root, message.body(channel, locale, "txt"))
        if channel is Channel.EMAIL:
            sources["subject"] = _subject(message, locale)
            sources["html"] = compose_html(self.root, message.body(channel, locale, "mjml"))
        environment = message_environment(locale, self.hospital.time_zone)
        compiled = CompiledMessage(message.name, channel, locale, definition, sources, body_hash, environment)
        _BODIES[key] = compiled
        return compiled


def _subject(message: Message, locale: Locale) -> str:
    subject = message.definition.subject.get(locale)
    if not subject:
        what = f"has no subject in {locale.value}"
        raise ConfigurationInvalid([message.document.finding("subject", what=what, remedy="add it")])
    return subject


def _hash(root: Path, message: Message, channel: Channel, locale: Locale) -> str:
    definition = message.definition
    content = {
        "channel": channel.value,
        "locale": locale.value,
        "purpose": definition.purpose.value,
        "sender": definition.sender,
        "subject": definition.subject.get(locale, ""),
        "variables": {name: _signed(variable) for name, variable in sorted(definition.variables.items())},
        **({"survey": definition.survey} if definition.survey else {}),
        "bodies": [fingerprint(root, path) for path in message.bodies(channel, locale)],
    }
    if definition.to is not Written.PATIENT:
        content["to"] = definition.to.value
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _signed(variable: Variable) -> str | list[str]:
    """What of a variable is part of the version that reviewers sign."""
    return variable.value if variable.reveals is None else [variable.value, variable.reveals, variable.because]


def load(project: Project) -> ContentCatalogue:
    """The catalogue of a project. Faults of all definitions are raised together (`ConfigurationInvalid`).

    Bodies are read when they are compiled; `check` proves all of them.
    """
    catalogue, faults = load_leniently(project)
    if faults:
        raise ConfigurationInvalid(faults)
    return catalogue


def load_leniently(project: Project) -> tuple[ContentCatalogue, list[Finding]]:
    """What can be read, and what is wrong with the rest."""
    faults: list[Finding] = []
    messages: dict[str, Message] = {}
    for path in sorted(project.templates.glob("*/*/message.yaml")):
        try:
            message = _read(project.templates, path)
            messages[message.name] = message
        except ConfigurationInvalid as error:
            faults += error.findings
    settings = read_model(HospitalSettings, project.config / "alongside.yaml")
    try:
        rules = LintRules.load(project.config / "lint")
    except ConfigurationInvalid as error:
        faults += error.findings
        rules = LintRules((), (), {})
    topics, words = _topics(project)
    asked, more = read_surveys(project)
    faults += more
    known = {file.survey.name: file.survey for file in asked}
    return ContentCatalogue(project.templates, settings, messages, rules, topics, words, known), faults


def _topics(project: Project) -> tuple[tuple[str, ...], dict[str, dict[Locale, str]]]:
    """The hospital's list of topics, empty (nothing to hold against) where there is none, and patients' words for them.

    What cannot be read is left out here: the file has a check of its own.
    """
    path = project.config / "vocabulary.yaml"
    data = (read_document(path).data or {}) if path.is_file() else {}
    listed, words = data.get("topics"), data.get("topic_words")
    topics = tuple(str(topic) for topic in listed) if isinstance(listed, list) else ()
    found = {
        str(topic): {locale: str(texts[locale.value]) for locale in Locale if texts.get(locale.value)}
        for topic, texts in (words.items() if isinstance(words, dict) else ())
        if isinstance(texts, dict)
    }
    return topics, found


def _read(root: Path, path: Path) -> Message:
    document = read_document(path)
    definition = validate(MessageDefinition, document)
    stage, topic = path.parent.relative_to(root).parts
    if stage not in {known.value for known in Stage}:
        remedy = nearest(stage, [known.value for known in Stage]) or "name the folder after a life-cycle stage"
        raise ConfigurationInvalid([document.finding(what=f"folder {stage!r} is no stage", remedy=remedy)])
    if definition.stage.value != stage:
        what = f"is {definition.stage.value!r}, but the message lies in {stage!r}"
        raise ConfigurationInvalid([document.finding("stage", what=what, remedy="move it or correct the stage")])
    return Message(f"{stage}/{topic}", definition, document)
