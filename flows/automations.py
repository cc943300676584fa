"""Automations: what Prefect's server watches for, registered by `alongside deploy`.

A flow's process that is killed together with its worker leaves a run that nobody ends: Prefect would show it as
Running for ever, with no Retry button. The server itself notices the silence and marks the run Crashed; everything
after that is an ordinary retry.
"""

from __future__ import annotations

from datetime import timedelta

from prefect.automations import Automation, ChangeFlowRunState, EventTrigger, Posture
from prefect.client.schemas.objects import StateType

#: On every deployment, so that no automation touches the runs of others on the same server.
TAG = "alongside"
#: The shortest that Prefect 3.8 takes; its default of 180 s would leave a dead run unnoticed for minutes.
HEARTBEAT_SECONDS = 30
#: Three missed heartbeats. Anything below the interval marks healthy runs as crashed, and they go on running.
SILENCE = timedelta(seconds=3 * HEARTBEAT_SECONDS)
#: From a worker's "I take it" to the flow's first line: imports on a busy machine, never minutes.
SLOWEST_START = timedelta(minutes=10)

_ENDED = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed")}


def automations() -> list[Automation]:
    """Every automation that Alongside registers, by its name."""
    return [
        _crashed(
            "alongside: run without heartbeat",
            "A run's process was killed together with its worker: mark it Crashed, so that it can be retried.",
            after="prefect.flow-run.heartbeat",
            unless={"prefect.flow-run.heartbeat", *_ENDED},
            within=SILENCE,
            message=f"No heartbeat for {SILENCE.seconds} s: the process was killed together with its worker.",
        ),
        _crashed(
            "alongside: run that never began",
            "A worker took a run and was killed before the flow began: mark it Crashed, so that it can be retried.",
            after="prefect.flow-run.Pending",
            unless={"prefect.flow-run.Running", "prefect.flow-run.AwaitingConcurrencySlot", *_ENDED},
            within=SLOWEST_START,
            message=f"Not begun within {SLOWEST_START.seconds // 60} minutes: its worker was killed.",
        ),
    ]


def register() -> list[str]:
    """Create the automations, or bring those of the same name up to date; returns their names."""
    names = []
    for wanted in automations():
        _replace(wanted)
        names.append(wanted.name)
    return names


def _crashed(name: str, purpose: str, *, after: str, unless: set[str], within: timedelta, message: str) -> Automation:
    """After one event and without another within a time, per run: Crashed."""
    return Automation(
        name=name,
        description=purpose,
        trigger=EventTrigger(
            after={after},
            expect=unless,
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related={"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{TAG}"},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=within,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=message)],
    )


def _replace(wanted: Automation) -> None:
    try:
        known = Automation.read(name=wanted.name)
    except ValueError:  # Prefect's word for "there is none"
        wanted.create()
        return
    wanted.id = known.id
    wanted.enabled = known.enabled  # an operator who switched it off had a reason
    wanted.update()
