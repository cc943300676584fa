"""Dispatch what was planned, and settle what is unknown."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import datetime
from typing import Any

from prefect import task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import TaskRunContext

from alongside.delivery import dispatch, reconcile
from alongside.delivery.job import Progress
from alongside.ledger import claims
from alongside.ledger import runs as run_store
from alongside.ledger.claims import Scope
from alongside.ledger.messages import count_states
from alongside.ledger.runs import RunPins
from alongside.model.clock import RunClock
from alongside.model.enums import Channel
from alongside.outreach.run import is_replay
from tasks import artifacts
from tasks.context import keep, run_pins, services, traced

#: Up to so many messages are sent in this process: starting workers would take longer than sending.
FEW = 2_000
#: Prefect opens a client for every update of an artifact, which costs more than sending a batch.
SECONDS_BETWEEN_UPDATES = 2.0


@task(name="dispatch", task_run_name="dispatch-{channel}-{partition}")
@traced
def dispatch_partition(
    run_id: str, partition: int, partitions: int, root: str | None = None, channel: Channel = Channel.EMAIL
) -> dict[str, Any]:
    """Send the run's planned messages of one channel and partition; fails, to be retried, when some could not leave."""
    report = _dispatch(clock_of(run_pins(run_id, root), root), root, channel, run_id, partition, partitions)
    return keep(run_id, f"dispatch-{channel}-{partition}", report, root)


def open_channels(run_id: str | None = None, root: str | None = None) -> list[Channel]:
    """Channels on which the run (None: any run) has something that has not left."""
    house = services(root)
    with house.ledger.reading() as connection:
        return [
            channel
            for channel in house.settings.channels.set_up
            if claims.is_anything_open(connection, Scope(channel, run_id))
        ]


def close_dispatch(run_id: str, root: str | None = None) -> None:
    """Every partition is through: what was planned counts as dispatched."""
    with services(root).ledger.begin() as connection:
        for row in run_store.campaigns_of(connection, run_id):
            if row["state"] == "planned":
                run_store.mark_dispatched(connection, run_id, row["campaign"])


@task(name="dispatch what waited", task_run_name="dispatch-{channel}")
@traced
def dispatch_waiting(
    as_of: datetime | None, root: str | None = None, channel: Channel = Channel.EMAIL
) -> dict[str, Any]:
    """Send what any run planned and what had to wait: quiet hours that ended, pauses lifted, messages planned again."""
    house = services(root)
    now = house.clock()
    clock = RunClock(as_of or now, now, replay=is_replay(as_of, now))
    return _dispatch(clock, root, channel, None)


def _dispatch(
    clock: RunClock,
    root: str | None,
    channel: Channel,
    run_id: str | None,
    partition: int | None = None,
    partitions: int = 1,
) -> dict[str, Any]:
    house = services(root)
    with house.ledger.begin() as connection:
        scope = Scope(channel, run_id, partition=partition)
        waiting = sum(claims.waiting(connection, scope, clock.as_of))
    name = f"dispatch-{channel}" if partitions == 1 else f"dispatch-{channel}-{partition}"
    report = dispatch(
        house.ledger,
        house.project,
        house.settings,
        house.environment,
        clock=clock,
        channel=channel,
        run_id=run_id,
        partition=partition,
        partitions=partitions,
        workers=None if waiting > FEW else 0,
        on_progress=_progress(waiting, name),
    )
    rows = [{"state": state, "messages": count} for state, count in report.states.items()]
    artifacts.table(name, rows, "Messages by state")
    if report.stopped:
        artifacts.stopped(channel, report.stopped)
    report.require_complete()
    return report.to_json()


@task(name="settle unknown messages")
@traced
def reconcile_unknown(run_id: str, root: str | None = None) -> dict[str, Any]:
    """Ask the vendor about messages whose outcome is unknown for longer than the grace period."""
    return keep(run_id, "reconcile", _reconcile(clock_of(run_pins(run_id, root), root), root), root)


@task(name="settle unknown messages of any run")
@traced
def reconcile_waiting(as_of: datetime | None, root: str | None = None) -> dict[str, Any]:
    """The same, outside a daily run."""
    now = services(root).clock()
    return _reconcile(RunClock(as_of or now, now, replay=is_replay(as_of, now)), root)


def _reconcile(clock: RunClock, root: str | None) -> dict[str, Any]:
    house = services(root)
    with house.ledger.begin() as connection:
        unknown = count_states(connection)["unknown"]
    if not unknown:
        return {"unknown": 0}
    report = asdict(reconcile(house.ledger, house.project, house.settings, house.environment, clock=clock))
    artifacts.table("unknown", [report], "What was learnt about messages without an answer")
    return report


def clock_of(pins: RunPins, root: str | None = None) -> RunClock:
    """The run's clock as of now: a retry's wall time is later, its `as_of` is not."""
    return RunClock(pins.as_of, services(root).clock(), pins.replay)


def _progress(waiting: int, name: str) -> Any:
    """A listener that moves a progress artifact; None where nothing is observed or waiting."""
    if not waiting or TaskRunContext.get() is None:
        return None
    artifact = create_progress_artifact(
        0.0, key=f"{name}-progress", description=f"{waiting:,} messages to send", _sync=True
    )

    told = time.monotonic()

    def listen(progress: Progress) -> None:
        nonlocal told
        done = progress.accepted + progress.rejected + progress.withheld + progress.postponed + progress.unknown
        if done < waiting and time.monotonic() - told < SECONDS_BETWEEN_UPDATES:
            return
        told = time.monotonic()
        update_progress_artifact(artifact, min(100.0, 100.0 * done / waiting), _sync=True)

    return listen
