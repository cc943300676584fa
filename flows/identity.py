"""Which run is this? The root flow run's id, the same on every retry."""

from __future__ import annotations

from datetime import datetime

from prefect.runtime import flow_run

from alongside.ledger.runs import RunPins
from flows.parameters import DailyParameters
from tasks import runs


def begin(daily: DailyParameters, run_id: str | None = None) -> RunPins:
    """Pin the run in the ledger at its first step, or find it pinned."""
    scheduled: datetime | None = flow_run.scheduled_start_time
    by_schedule = bool(flow_run.get_parent_flow_run_id() is None and _was_scheduled())
    identity = run_id or str(flow_run.root_flow_run_id or flow_run.id)
    moment = scheduled if by_schedule else None
    return runs.start(identity, daily.as_of, moment, daily.project, daily.fictional_contacts)


def begin_on_snapshot(daily: DailyParameters, run_id: str | None = None) -> RunPins:
    """The same for what reads the picture of patients: a run that made none of its own takes the current one."""
    run = begin(daily, run_id)
    return run if run.snapshot_id is not None else runs.take_snapshot(run.run_id, daily.project)


def moment_name() -> str:
    """A run is called after its flow and the moment that it is for."""
    given = (flow_run.parameters or {}).get("parameters")
    as_of = given.get("as_of") if isinstance(given, dict) else getattr(given, "as_of", None)
    moment = as_of or flow_run.scheduled_start_time
    return f"{flow_run.flow_name} {str(moment)[:16]}"


def _was_scheduled() -> bool:
    """Whether a schedule, not a person, asked for this run (Prefect tags such runs `auto-scheduled`)."""
    return "auto-scheduled" in (flow_run.tags or [])
