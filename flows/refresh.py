"""Refresh: extracts -> data quality -> people -> patient 360 -> segments -> a published snapshot."""

from __future__ import annotations

from prefect import flow

from alongside.ledger.runs import RunPins
from flows.identity import begin
from flows.parameters import DailyParameters, StepParameters
from tasks.patients import build_360, identify
from tasks.quality import validate_data
from tasks.runs import finish
from tasks.segments import publish, refresh_segments
from tasks.sources import ingest_extracts


@flow(name="refresh", flow_run_name="refresh", log_prints=False)
def refresh(parameters: StepParameters | None = None) -> str:
    """Returns the id of the snapshot; a retry finds it published and does nothing."""
    wanted = parameters or StepParameters()
    run = begin(wanted.daily, wanted.run_id)
    snapshot_id = run.snapshot_id or _rebuild(run, wanted.daily)
    if wanted.run_id is None:
        finish(run.run_id, root=wanted.daily.project)
    return snapshot_id


def _rebuild(run: RunPins, daily: DailyParameters) -> str:
    root = daily.project
    snapshot_id = f"{run.as_of:%Y%m%dT%H%M}-{run.run_id[:8]}"
    ingest_extracts(run.run_id, daily.sources, root)
    validate_data(run.run_id, root)
    identify(run.run_id, daily.fictional_contacts, root)
    build_360(run.run_id, snapshot_id, root)
    refresh_segments(run.run_id, snapshot_id, root)
    return publish(run.run_id, snapshot_id, root)
