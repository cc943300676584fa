"""Campaign: plan -> dispatch, for one campaign or for all that are enabled."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from prefect import flow
from prefect.concurrency.sync import concurrency
from prefect.futures import wait
from prefect.settings import PREFECT_API_URL

from flows.identity import begin_on_snapshot
from flows.parameters import StepParameters
from tasks.context import services
from tasks.delivery import close_dispatch, dispatch_partition, open_channels
from tasks.outreach import follow_up, plan_campaign
from tasks.runs import finish, funnels, hold_late_run, is_held
from tasks.staff import tell_staff


@flow(name="campaign", flow_run_name="campaigns", log_prints=False)
def campaign(parameters: StepParameters | None = None) -> dict[str, Any]:
    """Plan in order of priority, then dispatch what was planned. A late run plans, and waits for a person."""
    wanted = parameters or StepParameters()
    root = wanted.daily.project
    run = begin_on_snapshot(wanted.daily, wanted.run_id)
    house = services(root)
    names = wanted.daily.campaigns or [item.name for item in house.catalogues.campaigns]
    partitions = wanted.daily.partitions or house.settings.warehouse.partitions
    with _turn():
        if run.late:
            hold_late_run(run.run_id, root)
        follow_up(wanted.daily.as_of, root)
        plans = {name: plan_campaign(run.run_id, name, partitions, root) for name in names}
        _dispatch(run.run_id, partitions, root)
    held = is_held(run.run_id, root)
    if wanted.run_id is None:
        finish(run.run_id, held, root)
        tell_staff(root)
    return {"plans": plans, "funnels": funnels(run.run_id, root), "held": held}


def _dispatch(run_id: str, partitions: int, root: str | None) -> None:
    """One task a channel and partition, side by side: a slow channel holds up no other, nor does one that fails.

    Each has workers of its own. Fails, once all have ended, when one of them has failed.
    """
    sent = [
        dispatch_partition.submit(run_id, number, partitions, root, channel)
        for channel in open_channels(run_id, root)
        for number in range(partitions)
    ]
    wait(sent)
    for one in sent:
        one.result()
    close_dispatch(run_id, root)


def _turn() -> AbstractContextManager[Any]:
    """One run at a time plans: what the first decides, caps and budgets of the second must see.

    The limit is the server's, so that only runs on a server that others share ask for it. It keeps plans sensible;
    that nothing is sent twice is the ledger's work, with or without it.
    """
    if PREFECT_API_URL.value() is None:
        return nullcontext()
    return concurrency("alongside-outreach", occupy=1, timeout_seconds=3600, strict=False)
