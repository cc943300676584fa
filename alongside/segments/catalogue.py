"""The catalogue: every tag and segment of a project, checked, in the order in which they can be computed."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from sqlglot import exp

from alongside.model.enums import Locale, Stage
from alongside.segments.building import Build, segment_column, tag_column
from alongside.segments.columns import PERSON
from alongside.segments.language import Scope, references
from alongside.segments.model import Level
from alongside.segments.moment import Moment
from alongside.segments.translate import translate
from alongside.segments.types import Type

#: ("tag" | "segment", name)
Node = tuple[str, str]


@dataclass(frozen=True)
class Definition:
    """A tag or a segment that passed its checks.

    Attributes
    ----------
    expression : its text; a segment's includes what it excludes
    tree : the checked tree of it
    type : boolean for a segment and for a tag with `when`
    level : of a tag; None for a segment
    stage : of a segment; None for a tag
    label : its name in both languages; a tag's is its description
    """

    kind: str
    name: str
    expression: str
    tree: exp.Expr = field(compare=False, repr=False)
    type: Type
    label: Mapping[Locale, str]
    description: Mapping[Locale, str]
    level: Level | None = None
    stage: Stage | None = None
    owner: str = ""
    source: str = ""

    @property
    def node(self) -> Node:
        return self.kind, self.name

    @property
    def column(self) -> str:
        """Its column in an evaluation."""
        return tag_column(self.name) if self.kind == "tag" else segment_column(self.name)


@dataclass(frozen=True)
class Catalogue:
    """Tags and segments by name, and what expressions may refer to.

    Attributes
    ----------
    order : every tag and segment, each after what it refers to
    scope : names that an expression may use
    time_zone : the hospital's; days are counted in it
    """

    tags: Mapping[str, Definition]
    segments: Mapping[str, Definition]
    order: tuple[Node, ...]
    scope: Scope
    time_zone: str

    def definition(self, node: Node) -> Definition:
        return self.tags[node[1]] if node[0] == "tag" else self.segments[node[1]]

    def moment(self, as_of: datetime) -> Moment:
        return Moment(as_of, self.time_zone)

    def needs(self, nodes: Iterable[Node]) -> tuple[Node, ...]:
        """These nodes and all that they refer to, in the order of computation."""
        wanted: set[Node] = set()
        stack = list(nodes)
        while stack:
            if (node := stack.pop()) not in wanted:
                wanted.add(node)
                stack.extend(references(self.definition(node).tree))
        return tuple(node for node in self.order if node in wanted)

    def reads(self, kind: str, name: str) -> frozenset[str]:
        """Canonical fields, `table.column`, that the tag or segment depends on, through others too."""
        return self._reads[(kind, name)]

    def chooses_by(self, tree: exp.Expr) -> frozenset[str]:
        """Canonical fields by which an expression tells people apart, through others too.

        What tags of level `basic` read is left out: they say who somebody is, and whether they can be written to.
        """
        others = [self.definition(node) for node in references(tree)]
        telling = (self.chooses_by(other.tree) for other in others if other.level is not Level.BASIC)
        return expression_reads(tree, self.time_zone).union(*telling)

    @cached_property
    def _reads(self) -> dict[Node, frozenset[str]]:
        found: dict[Node, frozenset[str]] = {}
        for node in self.order:
            tree = self.definition(node).tree
            found[node] = expression_reads(tree, self.time_zone).union(*(found[other] for other in references(tree)))
        return found

    def stopped_by(self, blocked: Collection[str]) -> dict[Node, tuple[str, ...]]:
        """Every tag and segment that reads one of the failed fields, with those fields.

        A field is `table.column`; `table` or `table.*` means all of a table's fields.
        """
        if not blocked:
            return {}
        found = {node: failed_fields(self.reads(*node), blocked) for node in self.order}
        return {node: fields for node, fields in found.items() if fields}

    def version(self, kind: str, name: str) -> str:
        """12 hex digits that change when the definition, or any that it refers to, changes its meaning."""
        parts = [
            f"{node[0]} {node[1]} {self.definition(node).tree.sql('duckdb')}" for node in self.needs([(kind, name)])
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def failed_fields(reads: Collection[str], blocked: Collection[str]) -> tuple[str, ...]:
    """Which of the fields that are read have failed, sorted."""
    failed = set(blocked)
    whole = {name.removesuffix(".*") for name in failed if "." not in name or name.endswith(".*")}
    return tuple(sorted(name for name in reads if name in failed or name.split(".", 1)[0] in whole))


def expression_reads(tree: exp.Expr, time_zone: str) -> frozenset[str]:
    """Canonical fields that the expression itself reads, references to tags and segments aside."""
    build = Build(Moment(datetime(2000, 1, 1, tzinfo=UTC), time_zone))
    translated = translate(tree, build)
    columns = {column.name for column in translated.find_all(exp.Column)}
    from_person = [PERSON[name].reads for name in columns if name in PERSON]
    return frozenset().union(*from_person, *(feature.reads for feature in build.features))
