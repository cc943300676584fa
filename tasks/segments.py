"""Refresh tags and segments, and publish the snapshot."""

from __future__ import annotations

from typing import Any

from prefect import task

from alongside.ledger.runs import pin_snapshot
from alongside.segments import refresh
from alongside.warehouse import Draft
from tasks import artifacts
from tasks.context import keep, kept, may_pass, run_pins, services, traced


@task(name="refresh segments", retries=1, retry_delay_seconds=10, retry_condition_fn=may_pass)
@traced
def refresh_segments(run_id: str, snapshot_id: str, root: str | None = None) -> dict[str, Any]:
    """Evaluate every tag and segment on the draft; those that read a failed field stop."""
    house = services(root)
    draft = _draft(run_id, snapshot_id, root)
    previous = house.warehouse.current()
    failed = (kept(run_id, "quality", root) or {}).get("failed_fields", {})
    tables = draft.path / "tables"
    with house.warehouse.connect() as connection:
        report = refresh(
            house.catalogues.segments,
            tables,
            tables,
            previous.path / "tables" if previous else None,
            draft.as_of,
            connection,
            list(failed),
        ).to_json()
    rows = [{"segment": name, **counts} for name, counts in report["segments"].items()]
    artifacts.table("segments", rows, "Members, and who entered and left")
    return keep(run_id, "segments", report, root)


@task(name="publish snapshot")
@traced
def publish(run_id: str, snapshot_id: str, root: str | None = None) -> str:
    """Make the draft the current snapshot, pin it to the run, and remove what still carries identifiers."""
    house = services(root)
    draft = _draft(run_id, snapshot_id, root)
    facts = {name: kept(run_id, name, root) or {} for name in ("quality", "segments", "patients", "ingest")}
    house.warehouse.publish(draft, {"run_id": run_id, **facts})
    with house.ledger.begin() as connection:
        pin_snapshot(connection, run_id, snapshot_id)
    house.warehouse.remove_staging(run_id)
    house.warehouse.expire(house.settings.warehouse.keep_snapshots_days, draft.as_of)
    return snapshot_id


def _draft(run_id: str, snapshot_id: str, root: str | None) -> Draft:
    return services(root).warehouse.resume(snapshot_id, run_pins(run_id, root).as_of)
