"""Value sets: what a code of any system means, and in which unit a measurement is kept.

`config/concepts/*.yaml` hold one `kind` each; `units.yaml` holds the spellings of units.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from alongside.model.enums import Locale
from alongside.model.errors import ConfigurationInvalid
from alongside.model.findings import Finding, nearest
from alongside.settings import Project
from alongside.settings.strict import Strict
from alongside.settings.yaml_source import Document, read_document, validate
from alongside.sources.vocabulary import SYSTEMS

Kind = Literal["condition", "observation", "procedure", "medication", "immunization", "allergy"]
UNITS_FILE = "units.yaml"


def _quoted(code: object) -> object:
    if not isinstance(code, str):
        raise ValueError(f"code {code} must stand in quotes, so that YAML does not change it")
    return code


Code = Annotated[str, BeforeValidator(_quoted), Field(min_length=1, max_length=64)]


class Conversion(Strict):
    """canonical = value * factor + offset."""

    factor: float
    offset: float = 0.0


def _short(value: object) -> object:
    return {"factor": value} if isinstance(value, int | float) else value


Converted = Annotated[Conversion, BeforeValidator(_short, json_schema_input_type=float | Conversion)]


class ConceptSpec(Strict):
    """One clinical meaning. A code that ends in `*` stands for all codes that begin so."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    label: dict[Locale, str]
    codes: dict[str, list[Code]] = Field(default_factory=dict)
    unit: str = Field("", description="canonical UCUM unit; empty for text")
    plausible: tuple[float, float] | None = Field(None, description="lowest and highest number that can be true")
    convert: dict[str, Converted] = Field(default_factory=dict)

    @field_validator("codes")
    @classmethod
    def _known_systems(cls, codes: dict[str, list[str]]) -> dict[str, list[str]]:
        for system in codes:
            if system not in SYSTEMS and not system.startswith("local:"):
                hint = nearest(system, SYSTEMS) or f"one of {', '.join(sorted(SYSTEMS))} or local:<source>"
                raise ValueError(f"{system!r} is not a known code system; {hint}")
        return codes

    @model_validator(mode="after")
    def _unit_belongs_to_numbers(self) -> ConceptSpec:
        if not self.unit and (self.convert or self.plausible):
            raise ValueError("'convert' and 'plausible' need a 'unit'")
        if self.plausible and self.plausible[0] >= self.plausible[1]:
            raise ValueError("'plausible' is [lowest, highest]")
        return self


class ConceptFile(Strict):
    kind: Kind
    concepts: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], ConceptSpec]


class UnitFile(Strict):
    """UCUM unit -> the spellings that extracts use for it (case and spaces do not matter)."""

    spellings: dict[str, list[str]]


@dataclass(frozen=True)
class Concept:
    """One clinical meaning, as the readers use it."""

    name: str
    kind: str
    label: dict[Locale, str]
    codes: dict[str, tuple[str, ...]]
    unit: str = ""
    plausible: tuple[float, float] | None = None
    convert: dict[str, Conversion] = field(default_factory=dict)

    def means(self, system: str, code: str) -> bool:
        return any(_matches(pattern, code) for pattern in self.codes.get(system, ()))


@dataclass(frozen=True)
class Concepts:
    """All value sets of a project."""

    concepts: tuple[Concept, ...]
    spellings: dict[str, str] = field(default_factory=dict)  # folded spelling -> UCUM unit

    def names(self, kind: str | None = None) -> set[str]:
        """Names of all concepts, or of those of one kind (condition, observation, ...)."""
        return {concept.name for concept in self.concepts if kind in (None, concept.kind)}

    def get(self, kind: str, name: str) -> Concept:
        """The concept of this kind and name; `KeyError` when there is none."""
        for concept in self.concepts:
            if (concept.kind, concept.name) == (kind, name):
                return concept
        raise KeyError(f"no {kind} concept {name!r}")

    def observation(self, name: str) -> Concept:
        """The observation concept of this name: its `unit`, `plausible` range and conversions."""
        return self.get("observation", name)

    def of_code(self, kind: str, system: str, code: str) -> tuple[str, ...]:
        """Names of the concepts that a code means, sorted."""
        found = (item.name for item in self.concepts if item.kind == kind and item.means(system, code))
        return tuple(sorted(found))

    def patterns(self) -> Iterator[tuple[str, str, str, str]]:
        """(kind, system, pattern, name) of every code of every concept."""
        for concept in self.concepts:
            for system, codes in concept.codes.items():
                for code in codes:
                    yield concept.kind, system, code, concept.name


def _matches(pattern: str, code: str) -> bool:
    return code.startswith(pattern[:-1]) if pattern.endswith("*") else code == pattern


def fold_unit(text: str) -> str:
    """The spelling of a unit without what never matters: spaces, case, the two micro signs, full-width slashes."""
    return text.replace(" ", "").replace("µ", "u").replace("μ", "u").replace("／", "/").replace("％", "%").lower()


def load_concepts(project: Project) -> Concepts:
    """All of `config/concepts/`; every fault of every file in one `ConfigurationInvalid`."""
    concepts, faults = collect_concepts(project)
    if errors := [finding for finding in faults if finding.severity == "error"]:
        raise ConfigurationInvalid(errors)
    return concepts


def collect_concepts(project: Project) -> tuple[Concepts, list[Finding]]:
    """What could be read, and what is wrong with the rest."""
    folder = project.config / "concepts"
    found: list[Concept] = []
    faults: list[Finding] = []
    spellings: dict[str, str] = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            document = read_document(path)
            if path.name == UNITS_FILE:
                spellings = _spellings(document, faults)
            else:
                _add(document, found, faults)
        except ConfigurationInvalid as error:
            faults.extend(error.findings)
    return Concepts(tuple(found), spellings), faults


def _spellings(document: Document, faults: list[Finding]) -> dict[str, str]:
    folded: dict[str, str] = {}
    for unit, spellings in validate(UnitFile, document).spellings.items():
        for spelling in [unit, *spellings]:
            other = folded.setdefault(fold_unit(spelling), unit)
            if other != unit:
                what = f"{spelling!r} is already a spelling of {other!r}"
                faults.append(document.finding("spellings", unit, what=what, remedy="keep one"))
    return folded


def _add(document: Document, found: list[Concept], faults: list[Finding]) -> None:
    file = validate(ConceptFile, document)
    for name, spec in file.concepts.items():
        codes = {system: tuple(patterns) for system, patterns in spec.codes.items()}
        concept = Concept(name, file.kind, spec.label, codes, spec.unit, spec.plausible, spec.convert)
        faults.extend(_conflicts(document, concept, found))
        found.append(concept)


def _conflicts(document: Document, concept: Concept, others: list[Concept]) -> Iterator[Finding]:
    for other in others:
        if other.name == concept.name:
            what = f"is already the name of a {other.kind} concept"
            yield document.finding("concepts", concept.name, what=what, remedy="choose another name")
        elif other.kind == concept.kind == "observation" and other.unit != concept.unit:
            for system, codes in concept.codes.items():
                for code in set(codes) & set(other.codes.get(system, ())):
                    what = f"{system} {code} also means {other.name}, which is kept in {other.unit or 'text'!r}"
                    yield document.finding("concepts", concept.name, "codes", system, what=what, remedy="use one unit")
