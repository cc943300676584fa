"""Validate staging: counts by Great Expectations, quarantine and cleaned tables by SQL, one table at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from alongside.model.canonical import TABLES
from alongside.quality import delivered, failures
from alongside.quality.duckgx import TableValidator, ValidationFailed, Views, exception_of
from alongside.quality.failures import ROW, Outcome
from alongside.quality.results import CheckResult, QualityReport
from alongside.quality.scorecard import score_sources
from alongside.quality.suites import Expectation, Suite
from alongside.warehouse import Warehouse
from alongside.warehouse.duck import quoted


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
    outcomes: list[Outcome] = []
    rows: dict[str, tuple[int, int]] = {}
    facts: dict[str, delivered.TableFacts] = {}
    with connect(warehouse) as connection:
        create_views(connection, staging)
        views = Views(connection)
        for table in TABLES:
            facts[table] = delivered.scan(connection, table)
            failed: Sequence[Outcome] = ()
            if (suite := suites.get(table)) is not None:
                validator = TableValidator(connection, views, table)
                found = judge(validator, suite, _parameters(table, previous, as_of))
                failed = failures.collect(validator, connection, found)
                outcomes += found
            before = delivered.total_rows(facts[table])
            rows[table] = failures.write_clean(connection, table, staging, out, before, failed)
        quarantined, unread = failures.write_quarantine(connection, staging, out)
        _assert_complete(staging, quarantined, unread, outcomes)
        scorecards = score_sources(connection, staging, facts, as_of, history)
    checks = tuple(outcome.check for outcome in outcomes)
    profile = {table: delivered.profile(table, found) for table, found in facts.items()}
    return QualityReport(checks, _failed_fields(outcomes), rows, quarantined, scorecards, profile)


def create_views(connection: sa.Connection, staging: Path) -> None:
    """Every canonical table as a view with its rows numbered, and the tables of failing rows."""
    for table in TABLES:
        source = quoted(staging / f"{table}.parquet")
        connection.exec_driver_sql(f"CREATE VIEW {table} AS SELECT * FROM read_parquet({source}, {ROW}=true)")
    failures.create(connection)
    connection.commit()


@contextmanager
def connect(warehouse: Warehouse) -> Iterator[sa.Connection]:
    """A SQLAlchemy connection to an in-memory DuckDB with the warehouse's budget, which spills into its folder."""
    spill = warehouse.root / "spill"
    spill.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="quality-", dir=spill) as folder:
        config = {
            "memory_limit": warehouse.memory_limit,
            "threads": warehouse.threads,
            "temp_directory": folder,
            "preserve_insertion_order": False,
        }
        engine = sa.create_engine("duckdb:///:memory:", poolclass=StaticPool, connect_args={"config": config})
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()


def _parameters(table: str, previous: Mapping[str, Mapping[str, float]], as_of: datetime) -> dict[str, Any]:
    facts = previous.get(table, {})
    known: dict[str, Any] = {"as_of": as_of.replace(tzinfo=None).isoformat(sep=" ")}
    if facts.get("row_count"):
        known["previous_row_count"] = facts["row_count"]
        known |= {f"previous_{name}": value for name, value in facts.items() if name.startswith("null_rate_")}
    return known


def judge(validator: TableValidator, suite: Suite, parameters: dict[str, Any]) -> list[Outcome]:
    """Great Expectations' result of every expectation of one table, in the suite's order."""
    expectations = [_bind_as_of(item, parameters) for item in suite.expectations]
    results = validator.run(expectations, parameters)
    pairs = zip(expectations, results, strict=True)
    return [Outcome(item, _check(suite.table, item, result)) for item, result in pairs]


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


def _assert_complete(staging: Path, quarantined: int, unread: int, outcomes: Sequence[Outcome]) -> None:
    """The quarantine holds every row that the reader or an expectation refused, no more and no fewer."""
    counted = sum(item.check.unexpected for item in outcomes if item.action)
    if quarantined != unread + counted:
        raise ValidationFailed(
            f"the quarantine has {quarantined} rows where {unread + counted} were refused",
            where=str(staging),
            remedy="This is a fault of the program: nothing was published; keep the folder and report it.",
        )


def _failed_fields(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """Fields that a failed table-level expectation makes unfit to act on, with the expectation's id."""
    stopped: dict[str, str] = {}
    for outcome in outcomes:
        if outcome.check.success or outcome.expectation.meta.on_failure != "stop":
            continue
        table = outcome.check.table
        for column in outcome.expectation.stopped_fields or TABLES[table].column_names:
            stopped.setdefault(f"{table}.{column}", outcome.check.id)
    return stopped
