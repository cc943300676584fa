"""One query that computes any number of expressions for all people: each table is scanned once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from alongside.segments.building import Build
from alongside.segments.catalogue import Catalogue, Definition, Node
from alongside.segments.columns import PERSON
from alongside.segments.features import Sources, group_queries
from alongside.segments.language import references
from alongside.segments.moment import Moment
from alongside.segments.translate import translate
from alongside.segments.types import Type


@dataclass
class Evaluation:
    """Collects expressions by layer, then writes the query.

    A layer may use the columns of the layers before it; layer 0 sees columns of `person`, features and what `given`
    relations bring (tags and segments that are materialised already).
    """

    moment: Moment
    sources: Sources
    build: Build = field(init=False)
    layers: list[dict[str, exp.Expr]] = field(default_factory=list)
    given: list[exp.Select] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.build = Build(self.moment)

    def add(self, column: str, tree: exp.Expr, layer: int, boolean: bool = False) -> None:
        """Compute the checked tree as this column; a boolean that is null is false."""
        translated = translate(tree, self.build)
        if boolean:
            translated = exp.Coalesce(this=exp.paren(translated), expressions=[exp.false()])
        while len(self.layers) <= layer:
            self.layers.append({})
        self.layers[layer][column] = translated

    def query(self, columns: Mapping[str, str]) -> exp.Select:
        """One row a person: `person_id` and these computed columns (own name -> name in the result)."""
        query = self._base()
        for layer in self.layers:
            computed = [expression.as_(name, quoted=True) for name, expression in layer.items()]
            query = exp.select("*", *computed, copy=False).from_(query.subquery("people", copy=False), copy=False)
        wanted = [exp.column(name, quoted=True).as_(given, quoted=True) for name, given in columns.items()]
        return exp.select("person_id", *wanted, copy=False).from_(query.subquery("people", copy=False), copy=False)

    def _base(self) -> exp.Select:
        """Used columns of `person` beside the features of every history."""
        groups = group_queries(self.build.features, self.moment, self.sources)
        joined = [(query, [item.column for item in members]) for members, query in groups]
        joined += [(query, [name for name in query.named_selects if name != "person_id"]) for query in self.given]
        used = sorted({"person_id", *self._person_columns()})
        # Relatives whom the hospital does not treat are nobody's audience.
        people = exp.select(*used).from_(self.sources.table("person")).where("is_patient")
        base = self.sources.restrict(people)
        if not joined:
            return base
        columns = [exp.column(name, table="person") for name in used]
        query = exp.select(*columns).from_(base.subquery("person", copy=False), copy=False)
        for index, (right, names) in enumerate(joined):
            alias = f"history_{index}"
            query.select(*(exp.column(name, table=alias, quoted=True) for name in names), copy=False)
            same = exp.column("person_id", table="person").eq(exp.column("person_id", table=alias))
            query.join(right.subquery(alias, copy=False), on=same, join_type="left", copy=False)
        return query

    def _person_columns(self) -> set[str]:
        trees = [tree for layer in self.layers for tree in layer.values()]
        return {column.name for tree in trees for column in tree.find_all(exp.Column) if column.name in PERSON}


def layers_of(catalogue: Catalogue, nodes: Sequence[Node]) -> dict[Node, int]:
    """Layer of each tag and segment: 0 when it refers to none of the nodes, else above those it refers to."""
    found: dict[Node, int] = {}
    for node in nodes:
        below = [found[other] + 1 for other in references(catalogue.definition(node).tree) if other in found]
        found[node] = max(below, default=0)
    return found


def add_definitions(evaluation: Evaluation, catalogue: Catalogue, nodes: Sequence[Node]) -> int:
    """Compute these tags and segments; returns the first layer that sees all of them."""
    layers = layers_of(catalogue, nodes)
    for node, layer in layers.items():
        definition = catalogue.definition(node)
        evaluation.add(definition.column, definition.tree, layer, definition.type is Type.BOOLEAN)
    return max(layers.values(), default=-1) + 1


def materialised(definitions: Sequence[Definition], sources: Sources) -> list[exp.Select]:
    """Tags and segments as the snapshot has them: relations of `person_id` and their columns."""
    tags = [item for item in definitions if item.kind == "tag"]
    segments = [item for item in definitions if item.kind == "segment"]
    found = []
    if tags:
        columns = [exp.column(item.name, quoted=True).as_(item.column, quoted=True) for item in tags]
        found.append(sources.restrict(exp.select("person_id", *columns).from_(sources.table("tag"))))
    if segments:
        found.append(_membership(segments, sources))
    return found


def _membership(segments: Sequence[Definition], sources: Sources) -> exp.Select:
    names = [exp.Literal.string(item.name) for item in segments]
    columns = [
        exp.func("bool_or", exp.column("segment").eq(name), dialect="duckdb").as_(item.column, quoted=True)
        for item, name in zip(segments, names, strict=True)
    ]
    rows = exp.select("person_id", *columns).from_(sources.table("membership"))
    return sources.restrict(rows.where(exp.column("segment").isin(*names)).group_by("person_id"))


def sql(query: exp.Expr) -> str:
    """The query's text in DuckDB's dialect."""
    return query.sql(dialect="duckdb")


def null_of(kind: Type) -> exp.Expr:
    """A typed null, for the column of a tag that is not computed."""
    names: Mapping[Type, str] = {Type.BOOLEAN: "BOOLEAN", Type.NUMBER: "DOUBLE", Type.MOMENT: "TIMESTAMP"}
    return exp.cast(exp.null(), names.get(kind, "VARCHAR"))
