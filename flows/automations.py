"""Automations: what Prefect's server watches for, registered by `alongside deploy`.

A flow's process that is killed together with its worker leaves a run that nobody ends: Prefect would show it as
Running for ever, with no Retry button. The server itself notices the silence and marks the run Crashed; everything
after that is an ordinary retry.
"""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from uuid import UUID

from prefect import get_client
from prefect.automations import Automation, ChangeFlowRunState, EventTrigger, Posture, SendNotification
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound

from alongside.model.errors import Refused
from tasks.artifacts import STOPPED

#: On every deployment, so that no automation touches the runs of others on the same server.
TAG = "alongside"
#: The shortest that Prefect 3.8 takes; its default of 180 s would leave a dead run unnoticed for minutes.
HEARTBEAT_SECONDS = 30
#: Three missed heartbeats. Anything below the interval marks healthy runs as crashed, and they go on running.
SILENCE = timedelta(seconds=3 * HEARTBEAT_SECONDS)
#: From a worker's "I take it" to the flow's first line: imports on a busy machine, never minutes.
SLOWEST_START = timedelta(minutes=10)
#: A day, and what a daily run may take.
LONGEST_SILENCE = timedelta(hours=26)

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


def notices(block: UUID) -> list[Automation]:
    """Those that tell staff, through a notification block of theirs. Reasons of runs hold no patient's value."""
    tagged = {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{TAG}"}
    daily = {"prefect.resource.role": "flow", "prefect.resource.name": "daily"}
    return [
        _notice(
            "alongside: tell of runs in trouble",
            "A run has failed, crashed, or was taken by no worker.",
            block,
            trigger=EventTrigger(
                expect={f"prefect.flow-run.{state}" for state in ("Failed", "Crashed", "Late")},
                match={"prefect.resource.id": "prefect.flow-run.*"},
                match_related=tagged,
                for_each={"prefect.resource.id"},
                posture=Posture.Reactive,
                threshold=1,
            ),
            subject="Alongside: {{ flow.name }} is {{ flow_run.state.name }}",
            body="{{ flow_run.state.message }}\n{{ flow_run|ui_url }}",
        ),
        _notice(
            "alongside: tell of a day without a run",
            "No daily run has completed since yesterday: it failed, hangs, or never began.",
            block,
            trigger=EventTrigger(
                expect={"prefect.flow-run.Completed"},
                match={"prefect.resource.id": "prefect.flow-run.*"},
                match_related=[tagged, daily],
                posture=Posture.Proactive,
                threshold=1,
                within=LONGEST_SILENCE,
            ),
            subject="Alongside: no daily run has completed",
            body=f"None in {LONGEST_SILENCE.total_seconds() / 3600:g} hours. Look at its runs and workers in Prefect.",
        ),
        _notice(
            "alongside: tell of a campaign that paused itself",
            "Too many of its messages came back or drew complaints.",
            block,
            trigger=EventTrigger(expect={STOPPED}, posture=Posture.Reactive, threshold=1),
            subject="Alongside: a campaign has paused itself",
            body="{{ event.payload.why }}",
        ),
    ]


def register(block: UUID | None = None) -> list[str]:
    """Create the automations, or bring those of the same name up to date; returns their names.

    Parameters
    ----------
    block : notification block through which staff are told; without one nothing about that changes
    """
    names = []
    for wanted in [*automations(), *([] if block is None else notices(block))]:
        _replace(wanted)
        names.append(wanted.name)
    return names


async def _find(slug: str, name: str) -> UUID:
    async with get_client() as client:
        return (await client.read_block_document_by_name(name, slug, include_secrets=False)).id


def find_block(place: str) -> UUID:
    """The notification block that is called `<type>/<name>` in Prefect, for example `slack-webhook/hospital`.

    Raises
    ------
    Refused : there is none, or that is no name of one
    """
    slug, _, name = place.partition("/")
    remedy = "Create one under Blocks in Prefect's UI, and name it as <type>/<name>: slack-webhook/hospital."
    if not re.fullmatch(r"[a-z0-9-]+", slug) or not re.fullmatch(r"[a-z0-9-]+", name):
        raise Refused(f"'{place}' is no name of a block", where="--tell", remedy=remedy)
    try:
        return asyncio.run(_find(slug, name))
    except ObjectNotFound as error:
        raise Refused(f"Prefect has no block '{place}'", where="--tell", remedy=remedy) from error


def _notice(name: str, purpose: str, block: UUID, *, trigger: EventTrigger, subject: str, body: str) -> Automation:
    action = SendNotification(block_document_id=block, subject=subject, body=body)
    return Automation(name=name, description=purpose, trigger=trigger, actions=[action])


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
