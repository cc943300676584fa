"""Nothing travels further than its sensitivity allows (G2): proven from fields to places, before any rendering."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import Field, field_validator

from alongside.channels.capabilities import Sensitivity, provider_of
from alongside.content import ContentCatalogue
from alongside.content.compose import files_of, lines_of
from alongside.content.definition import BODIES
from alongside.content.environment import message_environment
from alongside.content.flow import Place, places_of
from alongside.model.canonical import TABLES
from alongside.model.enums import Channel, Locale
from alongside.model.errors import ConfigurationInvalid, Refused
from alongside.model.findings import Finding, nearest
from alongside.segments import Catalogue, compile_variables
from alongside.settings import HospitalSettings, Project, read_document, validate
from alongside.settings.strict import Strict

FILE = "sensitivity.yaml"
#: What the built-in variables give away.
_BUILT_IN = {
    "name": Sensitivity.PERSONAL,
    "salutation": Sensitivity.PERSONAL,
    "hospital": Sensitivity.PUBLIC,
    "unsubscribe_url": Sensitivity.PUBLIC,  # an opaque token
    "preferences_url": Sensitivity.PUBLIC,
    "survey_url": Sensitivity.PUBLIC,
    "appointment_url": Sensitivity.PUBLIC,
    "today": Sensitivity.PUBLIC,
    "patient_name": Sensitivity.PERSONAL,
    "patient_relation": Sensitivity.PERSONAL,
    "letter_number": Sensitivity.PUBLIC,
    "recipient_lines": Sensitivity.PERSONAL,
    "large_type": Sensitivity.PERSONAL,
}
_WORDS = tuple(level.name.lower() for level in Sensitivity)


def _level(word: str) -> Sensitivity:
    try:
        return Sensitivity[word.upper()]
    except KeyError:
        raise ValueError(f"{word!r} is no level: {', '.join(_WORDS)}") from None


class Ceilings(Strict):
    """The highest level that may stand in each place of a channel's messages."""

    body: str
    subject: str = "public"
    url: str = "public"

    @field_validator("body", "subject", "url")
    @classmethod
    def _known(cls, word: str) -> str:
        _level(word)
        return word

    def of(self, place: Place) -> Sensitivity:
        return _level(getattr(self, place.value))


class SensitivityRules(Strict):
    """config/sensitivity.yaml."""

    levels: dict[str, str] = Field(default_factory=dict, description="table.column or table.*: public to clinical")
    ceilings: dict[Channel, Ceilings] = Field(default_factory=dict)

    @field_validator("levels")
    @classmethod
    def _known(cls, levels: dict[str, str]) -> dict[str, str]:
        for word in levels.values():
            _level(word)
        return levels

    def of_field(self, name: str) -> Sensitivity:
        """The level of `table.column`; clinical where nothing says otherwise."""
        fitting = [pattern for pattern in self.levels if fnmatchcase(name, pattern)]
        return _level(self.levels[max(fitting, key=len)]) if fitting else Sensitivity.CLINICAL

    def ceiling(self, channel: Channel, place: Place, settings: HospitalSettings) -> Sensitivity:
        """What may stand there at most, by configuration and by what the provider can carry."""
        own = self.ceilings.get(channel)
        allowed = own.of(place) if own else Sensitivity.PUBLIC
        try:
            return min(allowed, provider_of(settings, channel).ceiling)
        except Refused:  # a channel that the hospital does not have
            return allowed


@dataclass(frozen=True)
class Breach:
    """A variable that reaches a place which may not carry what it reads."""

    message: str
    file: Path
    line: int
    variable: str
    reads: str
    level: Sensitivity
    channel: Channel
    place: Place
    ceiling: Sensitivity

    def finding(self) -> Finding:
        what = (
            f"reads {self.reads} ({self.level.name.lower()}) and reaches the {self.place} of {self.channel}, "
            f"which may carry {self.ceiling.name.lower()} at most"
        )
        remedy = "leave it out there, or state in message.yaml what it really gives away (reveals and because)"
        return Finding(str(self.file), self.line, self.variable, what, remedy)


def read(project: Project) -> tuple[SensitivityRules, list[Finding]]:
    """The rules, and their faults: patterns that fit no field, fields without a level."""
    path = project.config / FILE
    try:
        document = read_document(path)
        rules = validate(SensitivityRules, document)
    except ConfigurationInvalid as error:
        return SensitivityRules(), list(error.findings)
    fields = [f"{table}.{column}" for table, of in TABLES.items() for column in of.column_names]
    faults = [
        document.finding("levels", pattern, what=f"{pattern} fits no field", remedy=nearest(pattern, fields) or "")
        for pattern in rules.levels
        if not any(fnmatchcase(name, pattern) for name in fields)
    ]
    bare = sorted({name.split(".")[0] for name in fields if not any(fnmatchcase(name, one) for one in rules.levels)})
    faults += [
        document.finding("levels", what=f"{table} has fields without a level", remedy="add one") for table in bare
    ]
    return rules, faults


def load(project: Project) -> SensitivityRules:
    """The rules.

    Raises
    ------
    ConfigurationInvalid : they have faults
    """
    rules, faults = read(project)
    if faults:
        raise ConfigurationInvalid(faults)
    return rules


def breaches(
    name: str, channel: Channel, content: ContentCatalogue, segments: Catalogue, rules: SensitivityRules
) -> Iterator[Breach]:
    """Every way in which a message's variables could tell too much on a channel."""
    told = _levels(name, content, segments, rules)
    for locale in Locale:
        compiled = content.compiled(name, channel, locale)
        environment = message_environment(locale, content.hospital.time_zone)
        for part, source in compiled.sources.items():
            for variable, places in sorted(places_of(source, environment, part).items()):
                level, reads = told.get(variable, (Sensitivity.PUBLIC, ""))
                for place in sorted(places):
                    ceiling = rules.ceiling(channel, place, content.settings)
                    if level > ceiling:
                        file, line = _where(content, name, channel, locale, part, variable)
                        yield Breach(name, file, line, variable, reads, level, channel, place, ceiling)


def require_discreet(
    name: str, channel: Channel, content: ContentCatalogue, segments: Catalogue, rules: SensitivityRules
) -> None:
    """Refuse to plan what would tell too much.

    Raises
    ------
    Refused : with the first way in which it would
    """
    for breach in breaches(name, channel, content, segments, rules):
        finding = breach.finding()
        raise Refused(
            f"'{finding.field}' {finding.what}", where=f"{finding.path}:{finding.line}", remedy=finding.remedy
        )


def _levels(
    name: str, content: ContentCatalogue, segments: Catalogue, rules: SensitivityRules
) -> Mapping[str, tuple[Sensitivity, str]]:
    """Variable -> its level, and the most telling field that it reads."""
    found = {built_in: (level, built_in) for built_in, level in _BUILT_IN.items()}
    for variable, definition in content.message(name).definition.variables.items():
        fields = compile_variables({variable: definition.value}, segments).reads
        most = max(sorted(fields), key=rules.of_field, default="")
        level = rules.of_field(most) if most else Sensitivity.PUBLIC
        if definition.reveals is not None:
            level = min(level, _level(definition.reveals))
        found[variable] = (level, most)
    return found


def _where(
    content: ContentCatalogue, name: str, channel: Channel, locale: Locale, part: str, variable: str
) -> tuple[Path, int]:
    """File and first line where the body, or a layout of it, reads the variable."""
    message = content.message(name)
    if part == "subject":
        return message.document.path, message.document.line("subject", locale.value)
    kind = BODIES[channel][0] if part == "html" else "txt"
    body = message.body(channel, locale, kind)
    for file in files_of(content.root, body):
        if lines := lines_of(file, {variable}):
            return file, lines[0][1]
    return body, 0
