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
from alongside.segments.configuration import expression_finding
from alongside.segments.evaluation import Evaluation, materialised, sql
from alongside.segments.features import Sources
from alongside.segments.language import Fault, parse, references
from alongside.segments.types import Type
from alongside.settings import Document

if TYPE_CHECKING:
    import duckdb

#: from a variable's name to (file, line, field) of its expression
Places = Callable[[str], tuple[str, int, str]]


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
            return connection.execute(self.select_sql(tables, as_of, people)).to_arrow_table()
        people.create_view("variables_people", replace=True)
        try:
            return connection.execute(self.select_sql(tables, as_of, "variables_people")).to_arrow_table()
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
    expressions: Mapping[str, str], catalogue: Catalogue, where: Places | Document | None = None, *place: str
) -> list[Finding]:
    """Every fault of the expressions.

    `where` tells where a variable's expression stands: a document, in which `place` leads to the mapping of
    variables, or a function to (file, line, field).
    """
    found: list[Finding] = []
    for name, text in expressions.items():
        for fault in _faults(text, catalogue):
            if isinstance(where, Document):
                found.append(expression_finding(where, (*place, name), fault))
            else:
                path, line, spot = where(name) if where else ("", 0, name)
                found.append(Finding(path, line, spot, fault.what, fault.remedy))
    return found


def _faults(text: str, catalogue: Catalogue) -> list[Fault]:
    parsed = parse(text)
    if parsed.tree is None:
        return list(parsed.faults)
    kind, faults = check_expression(parsed.tree, catalogue.scope)
    if kind is Type.LIST:
        faults.append(Fault("is a list", "a message variable is a single value: use list_contains or len"))
    return faults
