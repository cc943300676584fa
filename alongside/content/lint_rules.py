"""`config/lint/*.yaml`: what a message may not say, with the rule's source."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from pydantic import Field, field_validator

from alongside.model.enums import Channel, Locale, Purpose, Severity
from alongside.model.errors import ConfigurationInvalid
from alongside.model.findings import Finding
from alongside.settings.strict import Strict
from alongside.settings.yaml_source import read_document, validate

_HAN = "\u3400-\u9fff\uf900-\ufaff"
_BETWEEN_HAN = re.compile(rf"(?<=[{_HAN}])[\s.*·_\-~|]+(?=[{_HAN}])")
_URL = re.compile(r"https?://[!-~]+")


class Rule(Strict):
    """One rule: phrases and patterns that must not occur where it applies."""

    rule: str = Field(pattern="^[a-z][a-z_]*$")
    source: str = Field(min_length=3, description="law or house rule")
    purposes: list[Purpose]
    severity: Severity = Severity.CRITICAL
    where: list[str] = Field(default_factory=lambda: ["subject", "html", "text"])
    channels: list[Channel] = Field(default_factory=list, description="empty: all")
    unless_sourced: bool = False
    phrases: dict[Locale, list[str]] = Field(default_factory=dict)
    patterns: list[str] = Field(default_factory=list)

    @field_validator("patterns")
    @classmethod
    def _compiles(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
        return patterns


class LintFile(Strict):
    rules: list[Rule] = Field(default_factory=list)
    source_marks: list[str] = Field(default_factory=list)
    traditional: dict[str, str] = Field(default_factory=dict, description="traditional character -> simplified")

    @field_validator("traditional")
    @classmethod
    def _single(cls, table: dict[str, str]) -> dict[str, str]:
        for left, right in table.items():
            if len(left) != 1 or len(right) != 1:
                raise ValueError(f"{left!r}: {right!r} must map one character to one")
        return table


@dataclass(frozen=True, eq=False)
class Phrase:
    """One forbidden wording: its rule, how a finding names it, and its pattern over normalised text."""

    rule: Rule
    shown: str
    pattern: str
    needle: str = ""  # what `folded` text contains whenever the pattern matches; empty for a free pattern

    @cached_property
    def expression(self) -> re.Pattern[str]:
        """Compiled when its needle was found: of some hundred phrases a process meets a few."""
        return re.compile(self.pattern, re.IGNORECASE)


@dataclass(frozen=True)
class LintRules:
    """Every rule of a project."""

    phrases: tuple[Phrase, ...]
    source_marks: tuple[str, ...]
    traditional: dict[int, str]

    @classmethod
    def load(cls, folder: Path) -> LintRules:
        """All files of `config/lint`; faults of all of them are raised together."""
        files: list[LintFile] = []
        faults: list[Finding] = []
        for path in sorted(folder.glob("*.yaml")):
            try:
                files.append(validate(LintFile, read_document(path)))
            except ConfigurationInvalid as error:
                faults += error.findings
        if not files and not faults:
            faults.append(Finding(str(folder), 0, "", "holds no rules", "restore config/lint from the distribution"))
        if faults:
            raise ConfigurationInvalid(faults)
        table = {ord(left): right for file in files for left, right in file.traditional.items()}
        phrases = tuple(phrase for file in files for rule in file.rules for phrase in _phrases(rule, table))
        marks = tuple(mark for file in files for mark in file.source_marks)
        return cls(phrases, marks, table)

    def normalise(self, text: str) -> str:
        return normalise(text, self.traditional)


@cache
def shipped_rules() -> LintRules:
    """The rules of this distribution, for callers without a project."""
    here = Path(__file__).resolve()
    for folder in (here.parents[1] / "_shipped" / "config" / "lint", here.parents[2] / "config" / "lint"):
        if folder.is_dir():
            return LintRules.load(folder)
    raise ConfigurationInvalid([Finding("config/lint", 0, "", "is missing", "reinstall alongside")])


def normalise(text: str, traditional: dict[int, str]) -> str:
    """One spelling for what reads the same.

    Addresses of links are dropped, widths unified (NFKC), invisible characters removed, listed traditional characters
    simplified, blanks collapsed, and blanks or dots between Han characters removed.
    """
    plain = unicodedata.normalize("NFKC", _URL.sub(" ", text))
    if not plain.isascii():
        plain = "".join(char for char in plain if char in "\n\t" or unicodedata.category(char) not in {"Cf", "Cc"})
        plain = _BETWEEN_HAN.sub("", plain.translate(traditional))
    return " ".join(plain.split())


def _phrases(rule: Rule, traditional: dict[int, str]) -> list[Phrase]:
    found = [
        Phrase(rule, phrase, _pattern(plain := normalise(phrase, traditional)), folded(plain))
        for phrases in rule.phrases.values()
        for phrase in phrases
    ]
    return found + [Phrase(rule, pattern, pattern) for pattern in rule.patterns]


def folded(text: str) -> str:
    """Lower case, with hyphens as blanks: for a quick look whether a phrase can occur at all."""
    return text.lower().replace("-", " ")


def _pattern(phrase: str) -> str:
    escaped = re.escape(phrase)
    if phrase.isascii():  # words of a language with blanks: whole words, and risk-free is risk free
        escaped = rf"(?<![a-z0-9]){escaped.replace(chr(92) + ' ', '[ -]')}(?![a-z0-9])"
    return escaped
