"""Artifacts: what an operator sees of a step in Prefect. Counts and names of rules only, never a patient's value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.context import FlowRunContext, TaskRunContext
from prefect.events import emit_event

#: The event of a campaign that paused itself; automations listen to it.
STOPPED = "alongside.campaign.stopped"


def key(*parts: str) -> str:
    """An artifact key: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def table(name: str, rows: Iterable[Mapping[str, Any]], description: str) -> None:
    """Publish a table; outside a flow (engine tests) nothing is published."""
    if _observed():
        create_table_artifact(key=key(name), table=[dict(row) for row in rows], description=description)


def markdown(name: str, text: str, description: str) -> None:
    if _observed():
        create_markdown_artifact(key=key(name), markdown=text, description=description)


def link(name: str, url: str, text: str) -> None:
    if _observed():
        create_link_artifact(key=key(name), link=url, link_text=text)


def stopped(channel: str, reasons: Iterable[str]) -> None:
    """Campaigns that paused themselves: a table, and an event that an automation can listen to."""
    rows = [{"why": reason, "what now": "Look, then 'alongside resume campaign:NAME'."} for reason in reasons]
    table(f"stopped-{channel}", rows, "Campaigns that paused themselves")
    if _observed():
        for row in rows:
            resource = {"prefect.resource.id": f"alongside.channel.{channel}", "prefect.resource.name": channel}
            emit_event(event=STOPPED, resource=resource, payload={"why": row["why"]})


def _observed() -> bool:
    return TaskRunContext.get() is not None or FlowRunContext.get() is not None
