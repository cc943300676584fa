"""Reading and checking `config/sources/` and `config/concepts/`, without data and without DuckDB."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from alongside.model.canonical import TABLES
from alongside.model.errors import ConfigurationInvalid, Refused
from alongside.model.findings import Finding, nearest
from alongside.settings import Project
from alongside.settings.yaml_source import Document, read_document, validate
from alongside.sources.concepts import Concepts, collect_concepts
from alongside.sources.config import FileMapping, SourceConfig, mapping_faults

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def load_sources(project: Project) -> dict[str, SourceConfig]:
    """Every source of `config/sources/` by name; all faults of all files in one `ConfigurationInvalid`."""
    sources, faults = _collect(project)
    if faults:
        raise ConfigurationInvalid(faults)
    return sources


def check(project: Project) -> list[Finding]:
    """Everything that is wrong with sources and concepts; an empty list when all is well."""
    sources, faults = _collect(project)
    concepts, concept_faults = collect_concepts(project)
    return sorted([*faults, *concept_faults, *_unit_faults(concepts), *_local_systems(project, sources, concepts)])


def source_roots(
    project: Project, sources: Mapping[str, SourceConfig], given: Mapping[str, Path] | None = None
) -> dict[str, Path]:
    """Where each of `sources` is read from: what was `given` (`--source NAME=PATH`), else its default root."""
    given = given or {}
    for name in given:
        if name not in sources:
            raise Refused(f"there is no source {name!r}", remedy=nearest(name, sources) or "See config/sources/.")
    roots: dict[str, Path] = {}
    for name, source in sources.items():
        if name in given:
            roots[name] = given[name]
        elif source.root is not None:
            roots[name] = project.var / source.root
        else:
            raise Refused(
                f"source {name} has no default folder",
                where=str(source.path),
                remedy=f"Say where its extract lies: --source {name}=PATH.",
            )
    return roots


def _collect(project: Project) -> tuple[dict[str, SourceConfig], list[Finding]]:
    sources: dict[str, SourceConfig] = {}
    faults: list[Finding] = []
    for path in sorted((project.config / "sources").glob("*.yaml")):
        try:
            document = read_document(path)
            source = SourceConfig.named(path.stem, validate(SourceConfig, document), path)
        except ConfigurationInvalid as error:
            faults.extend(error.findings)
            continue
        found = list(_faults(document, source))
        faults.extend(found)
        if not found:
            sources[path.stem] = source
    return sources, faults


def _faults(document: Document, source: SourceConfig) -> Iterator[Finding]:
    if not _NAME.fullmatch(source.name):
        yield document.finding(what="the file's name is the source's name: small letters, digits and _ only")
    for table, mappings in source.tables.items():
        if table not in TABLES:
            remedy = nearest(table, TABLES) or f"tables: {', '.join(TABLES)}"
            yield document.finding("tables", table, what="is not a canonical table", remedy=remedy)
            continue
        for index, mapping in enumerate(mappings):
            for place, what, remedy in mapping_faults(table, mapping):
                yield document.finding("tables", table, index, *place, what=what, remedy=remedy)
        yield from _shared_keys(document, table, mappings)


def _shared_keys(document: Document, table: str, mappings: list[FileMapping]) -> Iterator[Finding]:
    """Two files that feed one table need prefixes that keep their identifiers apart."""
    seen: dict[str, int] = {}
    for index, mapping in enumerate(mappings):
        if mapping.id_prefix in seen:
            what = f"has the same id_prefix as file {seen[mapping.id_prefix] + 1} of this table"
            remedy = "give each file its own, so that equal numbers stay two records"
            yield document.finding("tables", table, index, "id_prefix", what=what, remedy=remedy)
        seen.setdefault(mapping.id_prefix, index)


def _unit_faults(concepts: Concepts) -> Iterator[Finding]:
    known = set(concepts.spellings.values())
    for concept in concepts.concepts:
        for unit in [concept.unit, *concept.convert] if concept.unit else []:
            if unit not in known:
                remedy = nearest(unit, known) or "add it there"
                yield Finding("config/concepts/units.yaml", 0, concept.name, f"unit {unit!r} is not listed", remedy)


def _local_systems(project: Project, sources: Mapping[str, SourceConfig], concepts: Concepts) -> Iterator[Finding]:
    """A mapping that names a local code system which no concept mentions is most likely mistyped."""
    mentioned = {system for _, system, _, _ in concepts.patterns()}
    for source in sources.values():
        for table, mappings in source.tables.items():
            for index, mapping in enumerate(mappings):
                system = mapping.columns.get("system")
                if system and system.value and system.value.startswith("local:") and system.value not in mentioned:
                    document = read_document(source.path)
                    yield document.finding(
                        *("tables", table, index, "columns", "system"),
                        what=f"no concept knows a code of {system.value!r}",
                        remedy=nearest(system.value, mentioned) or "add its codes in config/concepts/",
                        severity="warning",
                    )
