"""Reading tags and segments from a project: models, references, cycles, types; every fault with its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlglot import exp

from alongside.model.errors import ConfigurationInvalid
from alongside.model.findings import Finding
from alongside.segments.catalogue import Catalogue, Definition, Node
from alongside.segments.checker import check_expression
from alongside.segments.functions import CONCEPT_KINDS
from alongside.segments.language import Fault, Parsed, Scope, parse, references
from alongside.segments.model import NAME, SegmentFile, Tag, VocabularyFile
from alongside.segments.places import line_of, place_in
from alongside.segments.types import Type
from alongside.settings import Document, HospitalSettings, Project, read_document, read_model, validate

DEFAULT_ZONE = "Asia/Shanghai"
Concepts = Mapping[str, Collection[str]]


@dataclass
class _Entry:
    """A tag or segment as it was written, on its way to a `Definition`."""

    kind: str
    name: str
    document: Document
    model: Tag | SegmentFile
    #: field of the file -> its parsed expression
    parsed: dict[str, Parsed] = field(default_factory=dict)
    faulty: bool = False

    @property
    def node(self) -> Node:
        return self.kind, self.name

    def place(self, part: str) -> tuple[str, ...]:
        return (self.name, part) if self.kind == "tag" else (part,)

    @property
    def references(self) -> list[tuple[str, Node]]:
        """(field, tag or segment) of every reference."""
        trees = [(part, parsed.tree) for part, parsed in self.parsed.items() if parsed.tree is not None]
        return [(part, node) for part, tree in trees for node in references(tree)]


def load(project: Project, concepts: Concepts | None = None) -> Catalogue:
    """The project's catalogue; `ConfigurationInvalid` with every fault when there is one.

    `concepts` are the known names by kind; by default those of config/concepts.
    """
    catalogue, findings = read(project, concepts)
    if errors := [finding for finding in findings if finding.severity == "error"]:
        raise ConfigurationInvalid(errors)
    return catalogue


def check(project: Project, concepts: Concepts | None = None) -> list[Finding]:
    """Every fault of the project's tags and segments; reads no data and opens no database."""
    return read(project, concepts)[1]


def read(project: Project, concepts: Concepts | None = None) -> tuple[Catalogue, list[Finding]]:
    """What is right of the project's tags and segments, and what is wrong."""
    findings: list[Finding] = []
    names = {**_concept_names(project, concepts), **_vocabulary(project, findings)}
    entries = {entry.node: entry for entry in _entries(project, findings)}
    for entry in entries.values():
        _parse(entry, findings)
    order = _ordered(entries, findings)
    return _catalogue(project, entries, order, names, findings), sorted(findings)


def _catalogue(
    project: Project,
    entries: dict[Node, _Entry],
    order: list[Node],
    names: dict[str, frozenset[str]],
    findings: list[Finding],
) -> Catalogue:
    """Type by type along the references, so that `tag('x')` has its type before it is used."""
    types: dict[str, Type] = {name: Type.UNKNOWN for kind, name in entries if kind == "tag"}
    # A name whose definition is broken is still a name: its own fault is reported, not every use of it.
    types |= dict.fromkeys(_written_tags(project) - types.keys(), Type.UNKNOWN)
    segments = {name for kind, name in entries if kind == "segment"} | _segment_files(project)
    scope = Scope(names, types, segments)
    good: dict[Node, Definition] = {}
    for node in order:
        entry = entries[node]
        definition = _checked(entry, scope, findings)
        if node[0] == "tag" and definition is not None:
            types[node[1]] = definition.type
        if definition is not None and all(other in good for _, other in entry.references):
            good[node] = definition
    return Catalogue(
        {name: definition for (kind, name), definition in good.items() if kind == "tag"},
        {name: definition for (kind, name), definition in good.items() if kind == "segment"},
        tuple(good),
        scope,
        _zone(project),
    )


def _segment_files(project: Project) -> set[str]:
    return {path.stem for path in (project.config / "segments").glob("*.yaml")}


def _written_tags(project: Project) -> set[str]:
    """Names at the start of a line of config/tags, whether or not the file can be read as YAML."""
    files = (project.config / "tags").glob("*.yaml")
    texts = [path.read_text("utf-8", errors="replace") for path in files if path.is_file()]
    return {name for text in texts for name in re.findall(r"^([a-z][a-z0-9_]*)\s*:", text, re.MULTILINE)}


def _concept_names(project: Project, concepts: Concepts | None) -> dict[str, frozenset[str]]:
    """Known concepts by kind; faults of config/concepts are reported by their own check, and then nothing is known."""
    if concepts is not None:
        return {kind: frozenset(names) for kind, names in concepts.items()}
    from alongside.sources import load_concepts

    try:
        loaded = load_concepts(project)
    except ConfigurationInvalid:
        return {}
    return {kind: frozenset(loaded.names(kind)) for kind in CONCEPT_KINDS}


def _vocabulary(project: Project, findings: list[Finding]) -> dict[str, frozenset[str]]:
    path = project.config / "vocabulary.yaml"
    if not path.is_file():
        return {}
    try:
        return read_model(VocabularyFile, path).names
    except ConfigurationInvalid as error:
        findings.extend(error.findings)
        return {}


def _zone(project: Project) -> str:
    """The hospital's zone; faults of alongside.yaml are reported by the settings' own check."""
    try:
        return read_model(HospitalSettings, project.config / "alongside.yaml").hospital.time_zone
    except ConfigurationInvalid:
        return DEFAULT_ZONE


def _entries(project: Project, findings: list[Finding]) -> Iterator[_Entry]:
    seen: dict[str, Path] = {}
    for path in sorted((project.config / "tags").glob("*.yaml")):
        for entry in _guarded(_tags, path, findings):
            if entry.name in seen:
                what = f"the tag stands in {seen[entry.name].name} too"
                findings.append(entry.document.finding(entry.name, what=what, remedy="keep one of them"))
                continue
            seen[entry.name] = path
            yield entry
    for path in sorted((project.config / "segments").glob("*.yaml")):
        yield from _guarded(_segment, path, findings)


def _guarded(
    reader: Callable[[Path, list[Finding]], Iterator[_Entry]], path: Path, findings: list[Finding]
) -> list[_Entry]:
    try:
        return list(reader(path, findings))
    except ConfigurationInvalid as error:
        findings.extend(error.findings)
        return []


def _tags(path: Path, findings: list[Finding]) -> Iterator[_Entry]:
    document = read_document(path)
    if not isinstance(document.data, dict):
        raise ConfigurationInvalid(
            [document.finding(what="must be a mapping of tags", remedy="name: {level: ..., when: ...}")]
        )
    for name, body in document.data.items():
        if not NAME.fullmatch(str(name)):
            findings.append(document.finding(str(name), what=_NAME_RULE, remedy="for example lives_far_away"))
            continue
        try:
            yield _Entry("tag", name, document, _tag(document, name, body))
        except ConfigurationInvalid as error:
            findings.extend(error.findings)


_NAME_RULE = "a name starts with a small letter and has small letters, digits and _ only, at most 63"


def _tag(document: Document, name: str, body: object) -> Tag:
    """One tag of a file, its faults placed below its name."""
    inner = replace(
        document,
        data=body,
        lines={place[1:]: line for place, line in document.lines.items() if place[:1] == (name,)},
    )
    try:
        return validate(Tag, inner)
    except ConfigurationInvalid as error:
        raise ConfigurationInvalid(
            [replace(finding, field=".".join(filter(None, (name, finding.field)))) for finding in error.findings]
        ) from error


def _segment(path: Path, findings: list[Finding]) -> Iterator[_Entry]:
    document = read_document(path)
    segment = validate(SegmentFile, document)
    if segment.name != path.stem:
        findings.append(document.finding("name", what=f"differs from its file's name {path.name}", remedy="align them"))
        return
    yield _Entry("segment", segment.name, document, segment)


def _parse(entry: _Entry, findings: list[Finding]) -> None:
    for part in ("when", "value", "where", "exclude"):
        if text := str(getattr(entry.model, part, "")).strip():
            entry.parsed[part] = parsed = parse(text)
            _report(entry, part, parsed.faults, findings)


def _report(entry: _Entry, part: str, faults: Collection[Fault], findings: list[Finding]) -> None:
    for fault in faults:
        entry.faulty = True
        findings.append(expression_finding(entry.document, entry.place(part), fault))


def expression_finding(document: Document, steps: tuple[str, ...], fault: Fault) -> Finding:
    """The fault at the line where its fragment stands, within the lines of the field."""
    place = place_in(document, steps)
    line = line_of(place.path, place.line, place.until, fault)
    return Finding(place.path, line, place.field, fault.what, fault.remedy)


def _ordered(entries: dict[Node, _Entry], findings: list[Finding]) -> list[Node]:
    """Every entry after what it refers to; members of a cycle, and what refers to them, are left out."""
    state: dict[Node, str] = {}
    order: list[Node] = []
    for root in entries:
        stack: list[tuple[Node, Iterator[tuple[str, Node]]]] = []
        if root not in state:
            state[root] = "open"
            stack.append((root, iter(entries[root].references)))
        while stack:
            node, rest = stack[-1]
            step = next(
                ((part, other) for part, other in rest if other in entries and state.get(other) != "done"), None
            )
            if step is None:
                stack.pop()
                state[node] = "done"
                order.append(node)
            elif state.get(step[1]) == "open":
                _report_cycle([item for item, _ in stack], step, entries, findings)
            else:
                state[step[1]] = "open"
                stack.append((step[1], iter(entries[step[1]].references)))
    return order


def _report_cycle(
    path: list[Node], step: tuple[str, Node], entries: dict[Node, _Entry], findings: list[Finding]
) -> None:
    part, target = step
    ring = [*path[path.index(target) :], target]
    entry = entries[path[-1]]
    said = " -> ".join(name for _, name in ring)
    fault = Fault(f"refers to itself: {said}", "take one of these references out", target[1])
    for node in ring:
        entries[node].faulty = True
    findings.append(expression_finding(entry.document, entry.place(part), fault))


def _checked(entry: _Entry, scope: Scope, findings: list[Finding]) -> Definition | None:
    types: dict[str, Type] = {}
    for part, parsed in entry.parsed.items():
        if parsed.tree is not None:
            expected = None if part == "value" else Type.BOOLEAN
            types[part], faults = check_expression(parsed.tree, scope, expected)
            _report(entry, part, faults, findings)
            if types[part] is Type.LIST:
                _report(entry, part, [Fault("is a list", "use list_contains or len")], findings)
    if entry.faulty:
        return None
    return _definition(entry, next(iter(types.values())))


def _definition(entry: _Entry, kind: Type) -> Definition:
    model = entry.model
    if isinstance(model, Tag):
        (parsed,) = entry.parsed.values()
        tree = parsed.tree or exp.null()
        label = model.description
        return Definition(
            "tag", entry.name, parsed.text, tree, kind, label, label, level=model.level, source=model.source
        )
    where, exclude = entry.parsed["where"], entry.parsed.get("exclude")
    tree, text = where.tree or exp.null(), where.text
    if exclude is not None and exclude.tree is not None:
        absent = exp.Coalesce(this=exp.paren(exclude.tree), expressions=[exp.false()])
        tree = exp.and_(exp.paren(tree), exp.not_(absent, copy=False), copy=False)
        text = f"({where.text}) and not coalesce(({exclude.text}), false)"
    return Definition(
        "segment",
        entry.name,
        text,
        tree,
        Type.BOOLEAN,
        model.label,
        model.description,
        stage=model.stage,
        owner=model.owner,
        source=model.source,
    )
