"""Validation against the same checks as hand-written DuckDB SQL would do them: one scan of each table."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import sqlglot
from sqlglot import exp

from alongside.model.canonical import TABLES
from alongside.quality import load_suites
from alongside.quality.suites import Expectation, Suite
from alongside.settings import Project
from alongside.warehouse.duck import quoted
from benchmarks import hospital
from benchmarks.timing import best_of

Counts = dict[tuple[str, str], int]


def measure(root: str, rounds: int) -> dict[str, float]:
    """Best seconds of: `ours`, `checks` (Great Expectations counting, nothing else), `baseline`, `baseline_clean`."""
    home = Path(root)
    staging = hospital.canonical(home)
    contenders = {
        "ours": lambda: validate(home, staging),
        "checks": lambda: count_by_great_expectations(home, staging),
        "baseline": lambda: count_by_hand(home, staging),
        "baseline_clean": lambda: clean_by_hand(home, staging),
    }
    agree(home, staging)
    return best_of(rounds, contenders)


def agree(root: Path, staging: Path) -> None:
    """A baseline that counts something else would be no baseline.

    Raises
    ------
    AssertionError : a check counts otherwise by hand than by Great Expectations
    """
    theirs = validate(root, staging)
    differing = {
        key: (theirs[key], count) for key, count in count_by_hand(root, staging).items() if theirs[key] != count
    }
    assert not differing, f"the hand-written checks count otherwise: {differing}"


def validate(root: Path, staging: Path) -> Counts:
    """The product's own step; unexpected rows by (table, check) of its row-level checks."""
    from alongside.quality.validation import validate as judge

    out = root / "var" / "clean"
    shutil.rmtree(out, ignore_errors=True)
    suites = load_suites(Project.at(root))
    report = judge(staging, suites, [], hospital.AS_OF, out, hospital.warehouse(root))
    return {(check.table, check.id): check.unexpected for check in report.checks}


def count_by_great_expectations(root: Path, staging: Path) -> None:
    """Great Expectations alone on the same engine, as `validate` calls it."""
    from alongside.quality import validation
    from alongside.quality.duckgx import TableValidator, Views

    suites = load_suites(Project.at(root))
    with validation.connect(hospital.warehouse(root)) as connection:
        validation.create_views(connection, staging)
        views = Views(connection)
        for table, suite in suites.items():
            validator = TableValidator(connection, views, table)
            validation.judge(validator, suite, validation._parameters(table, {}, hospital.AS_OF))


def count_by_hand(root: Path, staging: Path) -> Counts:
    """Failing rows of every row-level check: one query a table."""
    found: Counts = {}
    with hospital.warehouse(root).connect() as connection:
        for table in TABLES:
            connection.execute(_view(table, staging))
        for table, suite in load_suites(Project.at(root)).items():
            found |= _count(connection, table, suite)
    return found


def clean_by_hand(root: Path, staging: Path) -> None:
    """Counting as above, then one pass a table that writes rows without failures and, beside it, the failures."""
    out = root / "var" / "clean-by-hand"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    suites = load_suites(Project.at(root))
    with hospital.warehouse(root).connect() as connection:
        for table in TABLES:
            connection.execute(_view(table, staging))
        for table, suite in suites.items():
            _count(connection, table, suite)
            conditions = [text for _, text in _conditions(table, suite)]
            flags = ", ".join(f"coalesce({text}, false) AS c{number}" for number, text in enumerate(conditions))
            names = [f"c{number}" for number in range(len(conditions))]
            connection.execute(f"CREATE OR REPLACE TEMP TABLE judged AS SELECT file_row_number, {flags} FROM {table}")
            failed = " OR ".join(names)
            bad = quoted(out / f"{table}-failures.parquet")
            connection.execute(f"COPY (SELECT * FROM judged WHERE {failed}) TO {bad} (FORMAT parquet)")
            kept = (
                f"SELECT t.* FROM {table} AS t ANTI JOIN (SELECT * FROM judged WHERE {failed}) USING (file_row_number)"
            )
            connection.execute(f"COPY ({kept}) TO {quoted(out / f'{table}.parquet')} (FORMAT parquet)")


def _view(table: str, staging: Path) -> str:
    source = quoted(staging / f"{table}.parquet")
    return f"CREATE VIEW {table} AS SELECT * FROM read_parquet({source}, file_row_number=true)"


def _count(connection: duckdb.DuckDBPyConnection, table: str, suite: Suite) -> Counts:
    named = _conditions(table, suite)
    found: Counts = {}
    if named:
        flags = ", ".join(f"{text} AS c{number}" for number, (_, text) in enumerate(named))
        counts = ", ".join(f"count(*) FILTER (WHERE c{number})" for number in range(len(named)))
        row: Any = connection.execute(f"SELECT {counts} FROM (SELECT {flags} FROM {table})").fetchone()
        found = {(table, name): int(count) for (name, _), count in zip(named, row, strict=True)}
    for item in suite.expectations:
        if item.type == "unexpected_rows_expectation" and _condition(table, item) is None:
            query = _bound(item, table)
            whole: Any = connection.execute(f"SELECT count(*) FROM ({query})").fetchone()
            found[table, item.meta.id] = int(whole[0])
    return found


def _conditions(table: str, suite: Suite) -> Sequence[tuple[str, str]]:
    """(check, condition that a failing row fulfils) of the checks that speak of single rows."""
    pairs = [(item.meta.id, _condition(table, item)) for item in suite.expectations]
    return [(name, text) for name, text in pairs if text is not None]


def _condition(table: str, item: Expectation) -> str | None:
    if item.type == "unexpected_rows_expectation":
        return _where(_bound(item, table), table)
    write = _CONDITIONS.get(item.type)
    return None if write is None else f"({write(item.kwargs)})"


def _outside(kwargs: dict[str, Any]) -> str:
    low, high, column = kwargs.get("min_value"), kwargs.get("max_value"), kwargs["column"]
    sides = [f"{column} < {low}"] * (low is not None) + [f"{column} > {high}"] * (high is not None)
    return " OR ".join(sides)


def _listed(values: Sequence[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)


#: Great Expectations' name of a check -> what a failing row fulfils.
_CONDITIONS: dict[str, Callable[[dict[str, Any]], str]] = {
    "expect_column_values_to_not_be_null": lambda given: f"{given['column']} IS NULL",
    "expect_column_values_to_be_in_set": lambda given: f"{given['column']} NOT IN ({_listed(given['value_set'])})",
    "expect_column_values_to_be_between": _outside,
    "expect_column_values_to_match_regex": lambda given: (
        f"NOT regexp_full_match({given['column']}, '{given['regex']}')"
    ),
    "expect_compound_columns_to_be_unique": lambda given: (
        f"count(*) OVER (PARTITION BY {', '.join(given['column_list'])}) > 1"
    ),
}


def _bound(item: Expectation, table: str) -> str:
    moment = hospital.AS_OF.replace(tzinfo=None).isoformat(sep=" ")
    query: str = item.kwargs["unexpected_rows_query"]
    return query.replace("{batch}", table).replace("{as_of}", f"TIMESTAMP '{moment}'")


def _where(query: str, table: str) -> str | None:
    """The condition of `SELECT * FROM table WHERE condition`; None for queries of another shape."""
    tree = sqlglot.parse_one(query, dialect="duckdb")
    if not isinstance(tree, exp.Select) or tree.args.get("group") or tree.args.get("joins") or tree.args.get("qualify"):
        return None
    where, source = tree.args.get("where"), tree.find(exp.From)
    if where is None or source is None or source.this.name != table:
        return None
    alias = source.this.alias
    for column in where.find_all(exp.Column):
        if alias and column.table == alias:
            column.set("table", exp.to_identifier(table))
    return f"({where.this.sql(dialect='duckdb')})"
