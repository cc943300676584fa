"""Dispatch what was planned, and settle what is unknown."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import TaskRunContext

from alongside.delivery import dispatch, reconcile
from alongside.delivery.job import Progress
from alongside.ledger import runs as run_store
from alongside.ledger.messages import count_states
from alongside.ledger.runs import RunPins
from alongside.model.clock import RunClock
from alongside.model.enums import DeliveryMode
from tasks import artifacts
from tasks.context import keep, run_pins, services


@task(name="dispatch")
def dispatch_planned(run_id: str, root: str | None = None) -> dict[str, Any]:
    """Send every planned message of the run; fails, to be retried, when some could not leave."""
    house = services(root)
    pins = run_pins(run_id, root)
    with house.ledger.begin() as connection:
        waiting = count_states(connection, run_id=run_id)["planned"]
    report = dispatch(
        house.ledger,
        house.project,
        house.settings,
        house.environment,
        clock=clock_of(pins, root),
        mode=DeliveryMode(pins.mode),
        run_id=run_id,
        on_progress=_progress(waiting),
    )
    rows = [{"state": state, "messages": count} for state, count in report.states.items()]
    artifacts.table("dispatch", rows, "Messages of this run by state")
    keep(run_id, "dispatch", report.to_json(), root)
    report.require_complete()
    with house.ledger.begin() as connection:
        for row in run_store.campaigns_of(connection, run_id):
            if row["state"] == "planned":
                run_store.mark_dispatched(connection, run_id, row["campaign"])
    return report.to_json()


@task(name="settle unknown messages")
def reconcile_unknown(run_id: str, root: str | None = None) -> dict[str, Any]:
    """Ask the vendor about messages whose outcome is unknown for longer than the grace period."""
    house = services(root)
    with house.ledger.begin() as connection:
        unknown = count_states(connection)["unknown"]
    if not unknown:
        return {"unknown": 0}
    report = reconcile(
        house.ledger, house.settings, house.environment, clock=clock_of(run_pins(run_id, root), root)
    ).to_json()
    artifacts.table("unknown", [report], "What was learnt about messages without an answer")
    return keep(run_id, "reconcile", report, root)


def clock_of(pins: RunPins, root: str | None = None) -> RunClock:
    """The run's clock as of now: a retry's wall time is later, its `as_of` is not."""
    return RunClock(pins.as_of, services(root).clock(), pins.replay)


def _progress(waiting: int) -> Any:
    """A listener that moves a progress artifact; None where nothing is observed or waiting."""
    if not waiting or TaskRunContext.get() is None:
        return None
    artifact = create_progress_artifact(0.0, key="dispatch-progress", description=f"{waiting:,} messages to send")

    def listen(progress: Progress) -> None:
        update_progress_artifact(artifact, min(100.0, 100.0 * progress.settled / waiting))

    return listen
