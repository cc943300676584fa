"""Variables of messages: the same language, any single value, for the people of a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from alongside.model.errors import ConfigurationInvalid
from alongside.model.findings import Finding
from alongside.segments.catalogue import Catalogue, Definition, expression_reads
from alongside.segments.checker import check_expression
from alongside.segments.evaluation import Evaluation, materialised, sql
from alongside.segments.features import Sources
from alongside.segments.language import Fault, parse, references
from alongside.segments.places import Place, line_of, place_in
from alongside.segments.types import Type
from alongside.settings import Document

if TYPE_CHECKING:
    import duckdb

#: from a variable's name to where its expression stands
Places = Callable[[str], Place]


@dataclass(frozen=True)
class CompiledVariables:
    """Checked expressions by name.

    Attributes
    ----------
    types : type of each value
    reads : canonical fields, `table.column`, that any of them depends on
    """

    catalogue: Catalogue
    trees: Mapping[str, exp.Expr] = field(repr=False)
    types: Mapping[str, Type]
    reads: frozenset[str]

    def select_sql(self, tables: Path, as_of: datetime, people: str = "") -> str:
        """SQL of `person_id` and a column for each variable, one row a person.

        Parameters
        ----------
        tables : folder of a snapshot's Parquet tables; tags and segments are read as it has them
        people : name of a table or view whose `person_id`s alone are wanted; empty for everybody
        """
        sources = Sources(tables, people)
        evaluation = Evaluation(self.catalogue.moment(as_of), sources)
        evaluation.given = materialised(self._references(), sources)
        for name, tree in self.trees.items():
            evaluation.add(f"variable {name}", tree, 0, self.types[name] is Type.BOOLEAN)
        return sql(evaluation.query({f"variable {name}": name for name in self.trees}))

    def evaluate(
        self,
        connection: duckdb.DuckDBPyConnection,
        tables: Path,
        as_of: datetime,
        people: str | duckdb.DuckDBPyRelation = "",
    ) -> Any:
        """The values as a `pyarrow.Table`; `people` as in `select_sql`, or a relation with `person_id`."""
        if isinstance(people, str):
            return connection.sql(self.select_sql(tables, as_of, people)).to_arrow_table()
        people.create_view("variables_people", replace=True)
        try:
            return connection.sql(self.select_sql(tables, as_of, "variables_people")).to_arrow_table()
        finally:
            connection.execute("DROP VIEW IF EXISTS variables_people")

    def _references(self) -> list[Definition]:
        nodes = {node for tree in self.trees.values() for node in references(tree)}
        return [self.catalogue.definition(node) for node in sorted(nodes)]


def compile_variables(expressions: Mapping[str, str], catalogue: Catalogue) -> CompiledVariables:
    """Check and compile; `ConfigurationInvalid` with every fault (`check_variables` names their lines)."""
    if findings := check_variables(expressions, catalogue):
        raise ConfigurationInvalid(findings)
    trees = {name: tree for name, text in expressions.items() if (tree := parse(text).tree) is not None}
    types = {name: check_expression(tree, catalogue.scope)[0] for name, tree in trees.items()}
    reads: frozenset[str] = frozenset()
    for tree in trees.values():
        reads |= expression_reads(tree, catalogue.time_zone)
        reads = reads.union(*(catalogue.reads(*node) for node in references(tree)))
    return CompiledVariables(catalogue, trees, types, reads)


def check_variables(
    expressions: Mapping[str, str],
    catalogue: Catalogue,
    where: Places | None = None,
    *,
    condition: bool = False,
) -> list[Finding]:
    """Every fault of the expressions.

    Parameters
    ----------
    where : from a variable's name to the file, line and field of its expression; `in_document` makes one
    condition : each must be true or false, as `fulfilled_when` of a campaign
    """
    found: list[Finding] = []
    for name, text in expressions.items():
        place = where(name) if where else Place("", 0, name)
        for fault in _faults(text, catalogue, Type.BOOLEAN if condition else None):
            line = line_of(place.path, place.line, place.until, fault) if place.line else 0
            found.append(Finding(place.path, line, place.field, fault.what, fault.remedy))
    return found


def in_document(document: Document, *place: str, leaf: str = "") -> Places:
    """Places in a document: `place` leads to the mapping of variables, `leaf` to the expression within one.

    `in_document(message, "variables", leaf="value")` for `variables: {name: {value: expression}}`.
    """

    def find(name: str) -> Place:
        steps = tuple(filter(None, (*place, name, leaf)))
        return place_in(document, steps)

    return find


def _faults(text: str, catalogue: Catalogue, expected: Type | None) -> list[Fault]:
    parsed = parse(text)
    if parsed.tree is None:
        return list(parsed.faults)
    kind, faults = check_expression(parsed.tree, catalogue.scope, expected)
    if kind is Type.LIST:
        faults.append(Fault("is a list", "a message variable is a single value: use list_contains or len"))
    return faults
