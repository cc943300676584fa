"""Deliver: what had to wait for a morning, an operator or a vendor's answer leaves as soon as it may."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.futures import wait

from flows.identity import moment_name
from flows.parameters import DailyParameters
from tasks.delivery import dispatch_waiting, open_channels, reconcile_waiting
from tasks.outreach import follow_up
from tasks.staff import tell_staff


@flow(name="deliver", flow_run_name=moment_name, log_prints=False)
def deliver(parameters: DailyParameters | None = None) -> dict[str, Any]:
    """Settle unknown messages, plan what follows those that came to nothing, send what may leave, tell staff."""
    wanted = parameters or DailyParameters()
    reconcile_waiting(wanted.as_of, wanted.project)
    follow_up(wanted.as_of, wanted.project)
    channels = open_channels(root=wanted.project)
    sent = {channel: dispatch_waiting.submit(wanted.as_of, wanted.project, channel) for channel in channels}
    wait(list(sent.values()))
    tell_staff(wanted.project)
    return {channel.value: one.result() for channel, one in sent.items()}
