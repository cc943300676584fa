"""Ingest: extracts of the hospital's systems to canonical tables in staging."""

from __future__ import annotations

from typing import Any

from prefect import task

from alongside.sources import ingest, load_concepts, load_sources
from tasks import artifacts
from tasks.context import keep, may_pass, run_pins, services, traced


@task(name="ingest extracts", retries=2, retry_delay_seconds=[10, 60], retry_condition_fn=may_pass)
@traced
def ingest_extracts(run_id: str, roots: dict[str, str], root: str | None = None) -> dict[str, Any]:
    """Read every source as of the run's moment; returns the readers' report in counts."""
    house = services(root)
    folders = house.source_roots(roots)
    known = load_sources(house.project)
    report = ingest(
        {name: known[name] for name in folders},
        folders,
        load_concepts(house.project),
        run_pins(run_id, root).as_of,
        house.warehouse.staging(run_id) / "canonical",
        house.warehouse,
        secret=house.ledger.info.secret,
    ).to_json()
    artifacts.table("ingest", report.get("tables", []), "Rows read, kept and refused by source and table")
    return keep(run_id, "ingest", report, root)
