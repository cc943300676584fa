"""Failing rows: found by Great Expectations' own queries, counted against its results, kept with their reasons."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from alongside.model.canonical import QUARANTINE, TABLES
from alongside.quality.duckgx import TableValidator, ValidationFailed
from alongside.quality.results import CheckResult
from alongside.quality.suites import Expectation
from alongside.warehouse.duck import quoted

ROW = "file_row_number"
ROW_ACTIONS = {"remove_row": "row_removed", "remove_value": "value_removed", "report": "reported"}

_CREATE_RULE = (
    "CREATE TABLE row_rule (table_name VARCHAR, number INTEGER, field VARCHAR, rule VARCHAR, dimension VARCHAR, "
    "reason VARCHAR, action VARCHAR)"
)
_CREATE_FAILURE = (
    "CREATE TABLE failure (table_name VARCHAR, row_id BIGINT, number INTEGER, source VARCHAR, source_file VARCHAR, "
    "source_row BIGINT, record_key VARCHAR)"
)


@dataclass(frozen=True)
class Outcome:
    """One expectation's result beside its configuration."""

    expectation: Expectation
    check: CheckResult

    @property
    def action(self) -> str | None:
        """What happens to its failing rows; None when it speaks of the whole table."""
        return ROW_ACTIONS.get(self.expectation.meta.on_failure)


def create(connection: sa.Connection) -> None:
    """The tables that the other functions fill and read."""
    connection.exec_driver_sql(_CREATE_RULE)
    connection.exec_driver_sql(_CREATE_FAILURE)


def collect(validator: TableValidator, connection: sa.Connection, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Keep every failing row of every row-level expectation of one table; returns the outcomes that have some.

    Raises
    ------
    ValidationFailed : a query finds other rows than Great Expectations counted
    """
    table = validator.view
    failed = [outcome for outcome in outcomes if outcome.action and outcome.check.unexpected]
    if not failed:
        return []
    queries = validator.failing_rows_queries([outcome.expectation for outcome in failed], ROW)
    found = " UNION ALL ".join(
        f"SELECT {ROW} AS row_id, {number} AS number FROM ({query})" for number, query in enumerate(queries)
    )
    connection.execute(
        sa.text("INSERT INTO row_rule VALUES (:table_name, :number, :field, :rule, :dimension, :reason, :action)"),
        [_rule(table, number, outcome) for number, outcome in enumerate(failed)],
    )
    # As the driver's own text: a query of a suite may hold colons and percent signs.
    connection.exec_driver_sql(
        f"INSERT INTO failure SELECT '{table}', f.row_id, f.number, t.source, t.source_file, t.source_row, "
        f"left(sha256(t.source || chr(31) || t.source_id), 16) FROM ({found}) AS f JOIN {table} AS t "
        f"ON t.{ROW} = f.row_id"
    )
    # DuckDB 2.0 plans joins by statistics that miss rows of an open transaction: uncommitted ones get lost.
    connection.commit()
    numbers = f"SELECT number, count(DISTINCT row_id) FROM failure WHERE table_name = '{table}' GROUP BY number"
    counted = {int(number): int(count) for number, count in connection.exec_driver_sql(numbers)}
    for number, outcome in enumerate(failed):
        _assert_same(outcome.check, counted.get(number, 0))
    return failed


def _rule(table: str, number: int, outcome: Outcome) -> dict[str, str | int | None]:
    meta = outcome.expectation.meta
    return {
        "table_name": table,
        "number": number,
        "field": outcome.expectation.field,
        "rule": meta.id,
        "dimension": meta.dimension,
        "reason": meta.why or meta.id.replace("-", " "),
        "action": outcome.action,
    }


def _assert_same(check: CheckResult, found: int) -> None:
    if found != check.unexpected:
        raise ValidationFailed(
            f"'{check.id}' counted {check.unexpected} failing rows, but its query finds {found}",
            where=f"expectations/{check.table}.yaml",
            remedy="The query must return whole rows of {batch}, each once.",
        )


def write_clean(
    connection: sa.Connection, table: str, staging: Path, out: Path, rows: int, failed: Sequence[Outcome]
) -> tuple[int, int]:
    """The table without removed rows, and with null in place of removed values; (rows before, rows after)."""
    emptied = {item.expectation.field for item in failed if item.action == "value_removed"}
    removed = any(item.action == "row_removed" for item in failed)
    target = out / f"{table}.parquet"
    if not emptied and not removed:
        _same_file(staging / target.name, target)
        return rows, rows
    columns = ", ".join(
        f'CASE WHEN list_contains(v.fields, \'{name}\') THEN NULL ELSE t."{name}" END AS "{name}"'
        if name in emptied
        else f't."{name}"'
        for name in TABLES[table].column_names
    )
    refused = (
        "SELECT {what} FROM failure AS f JOIN row_rule AS r ON r.table_name = f.table_name AND r.number = f.number "
        f"WHERE f.table_name = '{table}' AND r.action = '{{action}}'"
    )
    query = f"SELECT {columns} FROM {table} AS t"
    if emptied:
        fields = refused.format(what="row_id, list(DISTINCT field) AS fields", action="value_removed")
        query += f" LEFT JOIN ({fields} GROUP BY row_id) AS v ON v.row_id = t.{ROW}"
    if removed:
        gone = refused.format(what="row_id", action="row_removed")
        query += f" ANTI JOIN ({gone}) AS g ON g.row_id = t.{ROW}"
    after = connection.exec_driver_sql(f"COPY ({query}) TO {quoted(target)} (FORMAT parquet)").scalar_one()
    return rows, int(after)


def _same_file(source: Path, target: Path) -> None:
    """One file under both names where the file system can: neither is ever changed in place."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def write_quarantine(connection: sa.Connection, staging: Path, out: Path) -> tuple[int, int]:
    """What the reader refused and what the suites refused, in one table; (all rows, the reader's)."""
    names = ", ".join(QUARANTINE.names)
    reader = f"SELECT {names} FROM read_parquet({quoted(staging / 'quarantine.parquet')})"
    ours = f"SELECT {names} FROM failure JOIN row_rule USING (table_name, number)"
    target = quoted(out / "quarantine.parquet")
    copied = connection.exec_driver_sql(f"COPY ({reader} UNION ALL {ours}) TO {target}").scalar_one()
    refused = connection.exec_driver_sql(f"SELECT count(*) FROM ({reader})").scalar_one()
    return int(copied), int(refused)


def by_dimension(connection: sa.Connection) -> dict[tuple[str, str], int]:
    """(source, dimension) -> rows with at least one failed expectation of that dimension."""
    query = (
        "SELECT source, dimension, count(DISTINCT (table_name, row_id)) FROM failure JOIN row_rule "
        "USING (table_name, number) GROUP BY source, dimension"
    )
    return {(source, dimension): int(count) for source, dimension, count in connection.exec_driver_sql(query)}
