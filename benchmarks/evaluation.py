"""Evaluating a two-arm experiment with ten metrics, against one hand-written DuckDB query a metric.

Both read the same Parquet tables (`tests/segments/scale.py`) and the same assignments and delivery events. The
baseline yields people, mean and variance by arm; ours also keeps them apart by look, and follows each guardrail's
events day by day.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alongside.analysis.concluding import conclude
from alongside.analysis.observing.observation import Observed, aggregate, observe
from alongside.ledger import Ledger, schema
from alongside.ledger import experiments as store
from alongside.outreach.experiments import ExperimentDefinition, load_metrics
from alongside.settings import Project
from benchmarks import hospital
from benchmarks.processes import ROOT
from benchmarks.timing import best_of
from tests.segments.scale import write_hospital

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

NAME = "evaluation_benchmark"
LAUNCH = datetime(2026, 1, 10, tzinfo=UTC)
AS_OF = datetime(2026, 3, 1, tzinfo=UTC)  # everybody's windows are closed
PLANNED_DAYS = 12
Row = tuple[int, float, float]  # people, mean, variance


def definition() -> ExperimentDefinition:
    """Metrics of every kind: a rate, a capped count, a mean, a count with its past, a ratio; and five guardrails."""
    known = load_metrics(Project.at(ROOT))
    changes: dict[str, dict[str, Any]] = {
        "articles_read": {"cap": 5.0},
        "home_systolic": {"within_days": 14},
        "visits": {"before_days": 90},
        "clicked": {"kind": "ratio", "per": {"from": "delivery", "event": "delivered"}},
    }

    def metric(name: str) -> dict[str, Any]:
        return known[name].model_dump(mode="json", by_alias=True) | changes.get(name, {})

    goals = ("booked_follow_up", "articles_read", "home_systolic", "visits", "clicked")
    guardrails = ("unsubscribed", "complained", "delivered", "bounced", "no_show")
    content = {
        "name": NAME,
        "campaign": NAME,
        "hypothesis": {"en": "Measured, not believed."},
        "variants": [{"name": name, "message": f"a/{name}", "share": 0.5} for name in ("control", "other")],
        "control": "control",
        "unit": "person",
        "goals": [metric(name) for name in goals],
        "guardrails": [{"metric": metric(name), "margin": 0.03} for name in guardrails],
        "design": {"base_rate": 0.15, "minimum_effect": 0.05, "planned_days": PLANNED_DAYS, "looks": "daily"},
        "decide": "report_only",
    }
    return ExperimentDefinition.model_validate(content)


# -------------------------------------------------------------------------------------------------------- preparing
def prepare(root: str, size: int) -> None:
    """The snapshot's tables, and a ledger in which everybody has an arm, a message and some events."""
    home = Path(root)
    write_hospital(_tables(home), size, threads=hospital.THREADS)
    ledger = Ledger.open(_url(home))
    with hospital.warehouse(home).connect() as connection:
        connection.execute("SELECT setseed(0.42)").fetchall()
        for table, query in _rows(size):
            ledger.insert_arrow(table, connection.sql(query).to_arrow_reader(50_000))


def _tables(home: Path) -> Path:
    return home / "evaluation"


def _url(home: Path) -> str:
    return f"sqlite:///{home / 'ledger.db'}"


def _rows(size: int) -> Iterator[tuple[Any, str]]:
    """Ledger table, and the query that makes its rows."""
    start = f"TIMESTAMP '{LAUNCH:%Y-%m-%d %H:%M:%S}'"
    arm = "CASE WHEN hash(i + 1) % 2 = 0 THEN 'control' ELSE 'other' END"
    at = f"{start} + to_seconds(CAST(hash(i + 2) % {PLANNED_DAYS * 86400} AS BIGINT))"
    person, key = "printf('p%016x', hash(i))", "printf('m%016x', hash(i))"
    people = f"FROM range({size}) AS t(i)"
    yield (
        schema.assignment,
        f"SELECT '{NAME}' AS experiment, {person} AS person_id, {arm} AS variant, {at} AS assigned_at,"
        f" 'run' AS run_id, 'email' AS channel {people}",
    )
    yield (
        schema.message,
        f"SELECT {key} AS message_key, 'b' AS batch_id, 'run' AS run_id, '{NAME}' AS campaign, '1' AS occurrence,"
        f" {person} AS person_id, {person} AS subject_person_id, 'care' AS purpose, 'email' AS channel,"
        f" 'a/b' AS template, 'h' AS template_hash, 'en' AS locale, '{NAME}' AS experiment, {arm} AS variant,"
        f" {key} AS address_blind, '{{}}' AS variables, 'delivered' AS state, {at} AS planned_at,"
        f" {at} AS accepted_at, {at} AS updated_at {people}",
    )
    shares = {"delivered": 0.97, "click": 0.12, "unsubscribe": 0.005, "complaint": 0.001, "bounce": 0.01}
    parts = [
        f"SELECT printf('{kind[:3]}%016x', hash(i)) AS event_id, {key} AS message_key, '{kind}' AS kind,"
        f" {at} + INTERVAL 1 HOUR AS occurred_at, {at} AS received_at, FALSE AS machine, '' AS detail"
        f" {people} WHERE random() < {share}"
        for kind, share in shares.items()
    ]
    yield schema.delivery_event, " UNION ALL ".join(parts)


# -------------------------------------------------------------------------------------------------------- measuring
def measure(root: str, rounds: int) -> dict[str, float]:
    """Best seconds: `ours` all of it; `reading` from the ledger; `aggregation` of what was read; `baseline`, and
    `dated`, the same with the experiment's dates in each query."""
    home = Path(root)
    ledger = Ledger.open(_url(home))
    assigned, events = read(ledger)
    observed = aggregation(home, assigned, events)
    for dated in (False, True):
        agree(observed, baseline(home, assigned, events, dated=dated))
    return best_of(
        rounds,
        {
            "ours": lambda: evaluation(home, ledger),
            "reading": lambda: read(ledger),
            "aggregation": lambda: aggregation(home, assigned, events),
            "baseline": lambda: baseline(home, assigned, events),
            "dated": lambda: baseline(home, assigned, events, dated=True),
        },
    )


def evaluate_once(root: str) -> None:
    """Alone in a process, for its memory."""
    evaluation(Path(root), Ledger.open(_url(Path(root))))


def baseline_once(root: str) -> None:
    """The same with the baseline, which gets assignments and events from the same ledger."""
    baseline(Path(root), *read(Ledger.open(_url(Path(root)))))


def evaluation(home: Path, ledger: Ledger) -> None:
    experiment = definition()
    observed = observe(experiment, LAUNCH, ledger, _tables(home), AS_OF, hospital.warehouse(home))
    conclude(experiment, observed, AS_OF)


def read(ledger: Ledger) -> tuple[pa.Table, pa.Table]:
    """Everybody's arm, and what they did with their messages."""
    kinds = ["bounce", "click", "complaint", "delivered", "unsubscribe"]
    return store.assignments(ledger, NAME), store.events(ledger, NAME, kinds)


def aggregation(home: Path, assigned: pa.Table, events: pa.Table) -> Observed:
    return aggregate(definition(), LAUNCH, assigned, events, _tables(home), AS_OF, hospital.warehouse(home))


# ---------------------------------------------------------------------------------------------------------- by hand
def baseline(home: Path, assigned: pa.Table, events: pa.Table, *, dated: bool = False) -> dict[str, dict[str, Row]]:
    """People, mean and variance by metric and arm, as an analyst would ask for them one by one.

    `dated`: by one who writes the experiment's dates into each query, so that other rows need no join.
    """
    with hospital.warehouse(home).connect() as connection:
        connection.register("assigned", assigned)
        connection.register("event", events)
        return {name: _ask(connection, query) for name, query in _by_hand(_tables(home), dated).items()}


def _ask(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, Row]:
    return {arm: (n, mean, variance) for arm, n, mean, variance in connection.execute(query).fetchall()}


def _by_hand(tables: Path, dated: bool) -> dict[str, str]:
    def table(name: str) -> str:
        return f"read_parquet('{tables / name}.parquet')"

    booked, kept = "f.booked_at", "f.service = 'follow_up' AND f.status <> 'cancelled'"
    systolic = "list_contains(f.concepts, 'systolic_bp') AND f.context = 'home'"
    happened = "CAST(count(f.person_id) > 0 AS DOUBLE)"
    often = "CAST(count(f.person_id) AS DOUBLE)"
    asked = {
        "booked_follow_up": (happened, table("appointment"), booked, kept, 7),
        "articles_read": (f"least({often}, 5)", table("interaction"), "f.occurred_at", "f.kind = 'article_read'", 14),
        "home_systolic": ("avg(f.value)", table("observation"), "f.effective_at", systolic, 14),
        "visits": (often, table("encounter"), "f.started_at", "TRUE", 30),
        "no_show": (happened, table("appointment"), "f.start_at", "f.status = 'noshow'", 7),
        "clicked": (often, "event", "f.occurred_at", "f.kind = 'click'", 7),
    }
    guardrails = {
        "unsubscribed": "unsubscribe",
        "complained": "complaint",
        "delivered": "delivered",
        "bounced": "bounce",
    }
    for name, kind in guardrails.items():
        asked[name] = (happened, "event", "f.occurred_at", f"f.kind = '{kind}'", 7)
    return {name: _query(*parts, dated) for name, parts in asked.items()}


def _query(value: str, facts: str, time: str, condition: str, days: int, dated: bool) -> str:
    last = LAUNCH + timedelta(days=PLANNED_DAYS + days)
    dates = f"AND {time} >= TIMESTAMP '{LAUNCH:%Y-%m-%d}' AND {time} < TIMESTAMP '{last:%Y-%m-%d}'" if dated else ""
    waits = timedelta(days=days + 2)
    return f"""
        SELECT variant, count(outcome), avg(outcome), var_samp(outcome)
        FROM (
            SELECT a.person_id, a.variant, {value} AS outcome
            FROM assigned AS a
            LEFT JOIN {facts} AS f
                ON f.person_id = a.person_id AND {condition} AND {time} < TIMESTAMP '{AS_OF:%Y-%m-%d}'
                AND {time} >= a.assigned_at AND {time} < a.assigned_at + INTERVAL {days} DAY
                {dates}
            WHERE a.assigned_at + INTERVAL {waits.days} DAY <= TIMESTAMP '{AS_OF:%Y-%m-%d}'
            GROUP BY a.person_id, a.variant
        )
        GROUP BY variant
    """


def agree(observed: Observed, by_hand: dict[str, dict[str, Row]]) -> None:
    """Both found the same, or this is no comparison."""
    for name, arms in by_hand.items():
        for arm in ("control", "other"):
            sums, expected = observed.sums[name][arm], arms[arm]
            found = (sums.n, sums.mean, sums.variance)
            if not all(math.isclose(one, other, rel_tol=1e-9) for one, other in zip(found, expected, strict=True)):
                raise ArithmeticError(f"{name} of {arm}: {found} by the engine, {expected} by hand")
