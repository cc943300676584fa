"""Evaluate: unknown messages are settled, experiments judged, the report written."""

from __future__ import annotations

from typing import Any

from prefect import flow

from flows.identity import begin_on_snapshot
from flows.parameters import StepParameters
from tasks.analysis import evaluate_experiments, write_report
from tasks.delivery import reconcile_unknown
from tasks.runs import finish


@flow(name="evaluate", flow_run_name="evaluate", log_prints=False)
def evaluate(parameters: StepParameters | None = None) -> dict[str, Any]:
    """Returns the experiments' results as JSON by name."""
    wanted = parameters or StepParameters()
    root = wanted.daily.project
    run = begin_on_snapshot(wanted.daily, wanted.run_id)
    reconcile_unknown(run.run_id, root)
    results = evaluate_experiments(run.run_id, root)
    write_report(run.run_id, root)
    if wanted.run_id is None:
        finish(run.run_id, root=root)
    return results
