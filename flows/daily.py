"""The daily run, as a table of contents."""

from __future__ import annotations

from typing import Any

from prefect import flow

from flows.campaign import campaign
from flows.evaluate import evaluate
from flows.identity import begin, moment_name
from flows.parameters import DailyParameters, StepParameters
from flows.refresh import refresh
from tasks import runs
from tasks.staff import tell_staff


@flow(name="daily", flow_run_name=moment_name, log_prints=False)
def daily(parameters: DailyParameters | None = None) -> dict[str, Any]:
    """Refresh the picture of every patient, plan and send what is due, and learn from what came back."""
    wanted = parameters or DailyParameters()
    run = begin(wanted)
    step = StepParameters(run_id=run.run_id, daily=wanted)
    snapshot_id = refresh(step)
    sent = campaign(step)
    results = evaluate(step)
    summary = runs.finish(run.run_id, sent["held"], wanted.project)
    tell_staff(wanted.project)
    return {
        "run_id": run.run_id,
        "as_of": run.as_of.isoformat(),
        "snapshot_id": snapshot_id,
        "funnel": summary["total"],
        "campaigns": summary["campaigns"],
        "states": summary["states"],
        "unknown": summary["total"].get("unknown", 0),
        "experiments": results,
        "held": summary["held"],
    }
