"""Why somebody belongs to a segment or not: every part of its expression with its value for that person."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sqlglot import exp

from alongside.model.errors import Refused
from alongside.model.findings import nearest
from alongside.segments.catalogue import Catalogue, Node
from alongside.segments.evaluation import Evaluation, add_definitions, sql
from alongside.segments.features import Sources
from alongside.segments.language import references
from alongside.segments.types import Type

if TYPE_CHECKING:
    import duckdb

_CONNECTIVES = (exp.And, exp.Or, exp.Not, exp.Paren)


class Explained(NamedTuple):
    """`depth` is 0 for the segment itself; parts of a part are one deeper."""

    expression: str
    value: object
    depth: int


class _Part(NamedTuple):
    text: str
    tree: exp.Expr
    depth: int
    boolean: bool


def explain(
    catalogue: Catalogue,
    segment: str,
    tables: Path,
    person_id: str,
    as_of: datetime,
    connection: duckdb.DuckDBPyConnection,
) -> list[Explained]:
    """The segment's expression taken apart, in reading order; other segments and tags are taken apart in turn.

    Values are one patient's: show them to who may see them, write them nowhere.
    """
    if segment not in catalogue.segments:
        remedy = nearest(segment, catalogue.segments) or "Segments stand in config/segments."
        raise Refused(f"'{segment}' is not a known segment", where=segment, remedy=remedy)
    parts = list(_parts(catalogue, ("segment", segment), 0))
    sources = Sources(tables, "explain_person")
    evaluation = Evaluation(catalogue.moment(as_of), sources)
    layer = add_definitions(evaluation, catalogue, catalogue.needs([("segment", segment)]))
    for index, part in enumerate(parts):
        evaluation.add(f"part {index}", part.tree, layer, part.boolean)
    query = sql(evaluation.query({f"part {index}": f"part {index}" for index in range(len(parts))}))
    row = _one_row(query, person_id, connection)
    if row is None:
        raise Refused(
            "the snapshot has no such person", where=person_id, remedy="Check the person_id and the snapshot."
        )
    return [Explained(part.text, value, part.depth) for part, value in zip(parts, row[1:], strict=True)]


def _one_row(query: str, person_id: str, connection: duckdb.DuckDBPyConnection) -> tuple[object, ...] | None:
    connection.execute("CREATE OR REPLACE TEMP TABLE explain_person AS SELECT ?::VARCHAR AS person_id", [person_id])
    try:
        row: tuple[object, ...] | None = connection.execute(query).fetchone()
        return row
    finally:
        connection.execute("DROP TABLE IF EXISTS explain_person")


def _parts(catalogue: Catalogue, node: Node, depth: int) -> Iterator[_Part]:
    """The definition as a whole, then its parts."""
    definition = catalogue.definition(node)
    text = f"{definition.kind} {definition.name}"
    yield _Part(text, definition.tree, depth, definition.type is Type.BOOLEAN)
    yield from _inner(catalogue, definition.tree, depth + 1)


def _inner(catalogue: Catalogue, tree: exp.Expr, depth: int) -> Iterator[_Part]:
    """Conditions that 'and', 'or' and 'not' connect, each followed by the values that it compares."""
    if isinstance(tree, exp.Coalesce) and isinstance(tree.this, exp.Paren):
        tree = tree.this  # `coalesce((condition), false)`, as an exclusion is written
    if isinstance(tree, _CONNECTIVES):
        same_kind = type(tree)
        for child in tree.iter_expressions():
            inner = child.unnest()
            if isinstance(inner, (same_kind, exp.Not)) or isinstance(tree, (exp.Not, exp.Paren)):
                yield from _inner(catalogue, inner, depth)
            else:
                yield from _condition(catalogue, inner, depth)
        return
    yield from _condition(catalogue, tree, depth)


def _condition(catalogue: Catalogue, tree: exp.Expr, depth: int) -> Iterator[_Part]:
    yield _Part(_words(tree), tree, depth, boolean=False)
    if isinstance(tree, _CONNECTIVES):
        yield from _inner(catalogue, tree, depth + 1)
        return
    for node in references(tree):
        yield from _parts(catalogue, node, depth + 1)
    for leaf in _leaves(tree):
        yield _Part(_words(leaf), leaf, depth + 1, boolean=False)


def _leaves(tree: exp.Expr) -> Iterator[exp.Expr]:
    """Columns and functions of history within a condition; none when the condition is one itself."""
    seen: set[str] = set()
    stack = list(tree.iter_expressions())[::-1] if not isinstance(tree, exp.Anonymous) else []
    while stack:
        node = stack.pop()
        if not isinstance(node, (exp.Column, exp.Anonymous)):
            stack.extend(list(node.iter_expressions())[::-1])
        elif (text := _words(node)) not in seen and not list(references(node)):
            seen.add(text)
            yield node


def _words(tree: exp.Expr) -> str:
    return tree.sql(dialect="duckdb", normalize_functions=False)
