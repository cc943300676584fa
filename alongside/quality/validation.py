"""Validate staging: counts by Great Expectations, quarantine and cleaned tables by SQL, one table at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from alongside.model.canonical import QUARANTINE, TABLES
from alongside.quality.duckgx import TableValidator, ValidationFailed, Views, exception_of
from alongside.quality.results import CheckResult, QualityReport
from alongside.quality.scorecard import score_sources
from alongside.quality.suites import Expectation, Suite
from alongside.warehouse import Warehouse
from alongside.warehouse.duck import quoted

ROW = "file_row_number"
ROW_ACTIONS = {"remove_row": "row_removed", "remove_value": "value_removed", "report": "reported"}


@dataclass(frozen=True)
class _Outcome:
    """One expectation's result beside its configuration."""

    expectation: Expectation
    check: CheckResult


def validate(
    staging: Path,
    suites: Mapping[str, Suite],
    history: Sequence[QualityReport],
    as_of: datetime,
    out: Path,
    warehouse: Warehouse,
) -> QualityReport:
    """Judge `staging/<table>.parquet` and write cleaned tables and the complete quarantine to `out`.

    Parameters
    ----------
    staging : folder of the reader: every canonical table and its `quarantine.parquet`
    history : reports of earlier snapshots, oldest first; the last one gives the parameters `previous_*`
    out : folder that receives `<table>.parquet` without removed rows and values, and `quarantine.parquet`

    Raises
    ------
    ValidationFailed : an expectation cannot be computed on its table
    """
    out.mkdir(parents=True, exist_ok=True)
    previous = history[-1].profile if history else {}
    outcomes: list[_Outcome] = []
    rows: dict[str, tuple[int, int]] = {}
    profile: dict[str, dict[str, float]] = {}
    validators: list[TableValidator] = []
    with _engine(warehouse) as engine, engine.connect() as connection:
        for table in TABLES:
            source = quoted(staging / f"{table}.parquet")
            sql = f"CREATE VIEW {table} AS SELECT * FROM read_parquet({source}, file_row_number=true)"
            connection.exec_driver_sql(sql)
        _create_failures(connection)
        connection.commit()
        views = Views(engine)
        for table in TABLES:
            profile[table] = _profile(connection, table)
            if (suite := suites.get(table)) is not None:
                validators.append(validator := TableValidator(engine, views, table))
                found = _judge(validator, suite, _parameters(table, previous, as_of))
                _collect_failures(validator, connection, found)
                outcomes += found
            rows[table] = _write_clean(connection, table, out)
        quarantined = _write_quarantine(connection, staging, out)
        _assert_complete(connection, staging, quarantined, outcomes)
        checks = tuple(outcome.check for outcome in outcomes)
        scorecards = score_sources(connection, staging, checks, as_of, history)
    return QualityReport(checks, _failed_fields(outcomes), rows, quarantined, scorecards, profile)


@contextmanager
def _engine(warehouse: Warehouse) -> Iterator[sa.Engine]:
    """A SQLAlchemy engine on one in-memory DuckDB with the warehouse's budget."""
    spill = warehouse.root / "spill"
    spill.mkdir(parents=True, exist_ok=True)
    config = {
        "memory_limit": warehouse.memory_limit,
        "threads": warehouse.threads,
        "temp_directory": str(spill / f"quality-{hashlib.sha256(str(id(warehouse)).encode()).hexdigest()[:8]}"),
        "preserve_insertion_order": False,
    }
    engine = sa.create_engine("duckdb:///:memory:", poolclass=StaticPool, connect_args={"config": config})
    try:
        yield engine
    finally:
        engine.dispose()


def _parameters(table: str, previous: Mapping[str, Mapping[str, float]], as_of: datetime) -> dict[str, Any]:
    facts = previous.get(table, {})
    known: dict[str, Any] = {"as_of": as_of.replace(tzinfo=None).isoformat(sep=" ")}
    if facts.get("row_count"):
        known["previous_row_count"] = facts["row_count"]
        known |= {f"previous_{name}": value for name, value in facts.items() if name.startswith("null_rate_")}
    return known


def _profile(connection: sa.Connection, table: str) -> dict[str, float]:
    """Row count and share of nulls by column."""
    columns = [column.name for column in TABLES[table].columns]
    counts = ", ".join(f'count("{name}")' for name in columns)
    total, *filled = connection.exec_driver_sql(f"SELECT count(*), {counts} FROM {table}").one()
    rates = (
        {f"null_rate_{name}": 1 - count / total for name, count in zip(columns, filled, strict=True)} if total else {}
    )
    return {"row_count": float(total), **rates}


def _judge(validator: TableValidator, suite: Suite, parameters: dict[str, Any]) -> list[_Outcome]:
    expectations = [_bind_as_of(item, parameters) for item in suite.expectations]
    results = validator.run(expectations, parameters)
    pairs = zip(expectations, results, strict=True)
    return [_Outcome(item, _check(suite.table, item, result)) for item, result in pairs]


def _bind_as_of(expectation: Expectation, parameters: Mapping[str, Any]) -> Expectation:
    """Queries cannot carry `$PARAMETER`; `{as_of}` in them stands for the run's moment as a timestamp literal."""
    query = expectation.kwargs.get("unexpected_rows_query")
    if not isinstance(query, str):
        return expectation
    bound = query.replace("{as_of}", f"TIMESTAMP '{parameters['as_of']}'")
    return expectation.model_copy(update={"kwargs": {**expectation.kwargs, "unexpected_rows_query": bound}})


def _check(table: str, expectation: Expectation, result: Any) -> CheckResult:
    meta = expectation.meta
    head = (table, meta.id, expectation.type, meta.dimension, expectation.severity.value, meta.on_failure)
    if isinstance(result, str):
        return CheckResult(*head, success=True, skipped=result)
    if error := exception_of(result):
        raise ValidationFailed(
            f"'{meta.id}' cannot be computed: {error}",
            where=f"expectations/{table}.yaml",
            remedy="Check its type and kwargs against the table's columns.",
        )
    facts = result.result
    observed = facts.get("observed_value")
    if expectation.type == "unexpected_rows_expectation":
        return CheckResult(*head, success=bool(result.success), unexpected=int(observed or 0))
    return CheckResult(
        *head,
        success=bool(result.success),
        element_count=int(facts.get("element_count") or 0),
        unexpected=int(facts.get("unexpected_count") or 0),
        observed="" if observed is None else str(observed),
    )


def _create_failures(connection: sa.Connection) -> None:
    connection.exec_driver_sql(
        "CREATE TABLE failure (table_name VARCHAR, row_id BIGINT, field VARCHAR, rule VARCHAR, reason VARCHAR, "
        "action VARCHAR)"
    )


def _collect_failures(validator: TableValidator, connection: sa.Connection, outcomes: Sequence[_Outcome]) -> None:
    """Every failing row of every row-level expectation, counted against what Great Expectations counted."""
    table = validator.view
    for outcome in outcomes:
        action = ROW_ACTIONS.get(outcome.expectation.meta.on_failure)
        if action is None or outcome.check.unexpected == 0:
            continue
        meta = outcome.expectation.meta
        query = validator.failing_rows_query(outcome.expectation, ROW)
        reason = meta.why or meta.id.replace("-", " ")
        insert = sa.text(
            f"INSERT INTO failure SELECT :table_name, {ROW}, :field, :rule, :reason, :action FROM ({_escape(query)})"
        )
        values = {
            "table_name": table,
            "field": outcome.expectation.field,
            "rule": meta.id,
            "reason": reason,
            "action": action,
        }
        connection.execute(insert, values)
        counted = sa.text("SELECT count(DISTINCT row_id) FROM failure WHERE table_name = :t AND rule = :r")
        found = connection.execute(counted, {"t": table, "r": meta.id}).scalar_one()
        # DuckDB 2.0 plans joins by statistics that miss rows of an open transaction: uncommitted ones get lost.
        connection.commit()
        if found != outcome.check.unexpected:
            raise ValidationFailed(
                f"'{meta.id}' counted {outcome.check.unexpected} failing rows, but its query finds {found}",
                where=f"expectations/{table}.yaml",
                remedy="The query must return whole rows of {batch}, each once.",
            )


def _escape(query: str) -> str:
    return query.replace(":", "\\:")


def _write_clean(connection: sa.Connection, table: str, out: Path) -> tuple[int, int]:
    """The table without removed rows, and with null in place of removed values; (rows before, rows after)."""
    removable = [
        row[0]
        for row in connection.execute(
            sa.text("SELECT DISTINCT field FROM failure WHERE table_name = :t AND action = 'value_removed'"),
            {"t": table},
        )
    ]
    columns = ", ".join(
        f'CASE WHEN list_contains(v.fields, \'{name}\') THEN NULL ELSE t."{name}" END AS "{name}"'
        if name in removable
        else f't."{name}"'
        for name in TABLES[table].column_names
    )
    query = f"""
        SELECT {columns} FROM {table} AS t
        LEFT JOIN (SELECT row_id, list(DISTINCT field) AS fields FROM failure
                   WHERE table_name = '{table}' AND action = 'value_removed' GROUP BY row_id) AS v ON v.row_id = t.{ROW}
        WHERE t.{ROW} NOT IN (SELECT row_id FROM failure WHERE table_name = '{table}' AND action = 'row_removed')
    """
    target = quoted(out / f"{table}.parquet")
    after = connection.exec_driver_sql(f"COPY ({query}) TO {target} (FORMAT parquet)").scalar_one()
    before = connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
    return int(before), int(after)


def _write_quarantine(connection: sa.Connection, staging: Path, out: Path) -> int:
    """What the reader refused and what the suites refused, in one table; returns its rows."""
    names = ", ".join(QUARANTINE.names)
    found = " UNION ALL ".join(
        f"""SELECT t.source, f.table_name, t.source_file, t.source_row,
                   left(sha256(t.source || chr(31) || t.source_id), 16) AS record_key,
                   f.field, f.rule, f.reason, f.action
            FROM failure AS f JOIN {table} AS t ON t.{ROW} = f.row_id WHERE f.table_name = '{table}'"""
        for table in TABLES
    )
    reader = f"SELECT {names} FROM read_parquet({quoted(staging / 'quarantine.parquet')})"
    target = quoted(out / "quarantine.parquet")
    copied = connection.exec_driver_sql(f"COPY ({reader} UNION ALL SELECT {names} FROM ({found})) TO {target}")
    return int(copied.scalar_one())


def _assert_complete(connection: sa.Connection, staging: Path, quarantined: int, outcomes: Sequence[_Outcome]) -> None:
    """The quarantine holds every row that the reader or an expectation refused, no more and no fewer."""
    reader = quoted(staging / "quarantine.parquet")
    refused = int(connection.exec_driver_sql(f"SELECT count(*) FROM read_parquet({reader})").scalar_one())
    counted = sum(item.check.unexpected for item in outcomes if item.expectation.meta.on_failure in ROW_ACTIONS)
    if quarantined != refused + counted:
        raise ValidationFailed(
            f"the quarantine has {quarantined} rows where {refused + counted} were refused",
            where=str(staging),
            remedy="This is a fault of the program: nothing was published; keep the folder and report it.",
        )


def _failed_fields(outcomes: Sequence[_Outcome]) -> dict[str, str]:
    """Fields that a failed table-level expectation makes unfit to act on, with the expectation's id."""
    stopped: dict[str, str] = {}
    for outcome in outcomes:
        if outcome.check.success or outcome.expectation.meta.on_failure != "stop":
            continue
        table = outcome.check.table
        for column in outcome.expectation.stopped_fields or TABLES[table].column_names:
            stopped.setdefault(f"{table}.{column}", outcome.check.id)
    return stopped
