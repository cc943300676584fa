"""Start and finish a run."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from prefect import task

from alongside import telemetry
from alongside.channels.capabilities import provider_of
from alongside.ledger import runs as run_store
from alongside.ledger.messages import count_messages
from alongside.ledger.pauses import active_pauses, set_pause
from alongside.ledger.runs import RunPins
from alongside.model.enums import Channel, MessageState
from alongside.model.errors import Refused
from alongside.outreach.campaign_plan import funnel_order
from alongside.outreach.run import RunRequest, start_run
from tasks import artifacts
from tasks.context import run_pins, services, traced


@task(name="start run")
@traced
def start(
    run_id: str,
    as_of: datetime | None,
    scheduled_at: datetime | None,
    root: str | None = None,
    fictional_contacts: bool = False,
) -> RunPins:
    """Pin as_of, configuration and mode in the ledger, or find what an earlier try pinned."""
    house = services(root)
    house.catalogues  # noqa: B018  # a fault in the configuration shows now, not after an hour of reading extracts
    request = RunRequest(
        run_id=run_id,
        mode=house.mode,
        config_hash=house.configuration_hash(),
        config_commit=house.configuration_commit(),
        vendor_url=house.environment.account(provider_of(house.settings, Channel.EMAIL).provider).url,
        max_lateness=timedelta(hours=house.settings.delivery.max_lateness_hours),
        as_of=as_of.replace(tzinfo=house.zone) if as_of is not None and as_of.tzinfo is None else as_of,
        scheduled_at=scheduled_at,
        fictional_contacts=fictional_contacts,
    )
    return start_run(house.ledger, request, house.clock())


@task(name="take current snapshot")
@traced
def take_snapshot(run_id: str, root: str | None = None) -> RunPins:
    """Pin the published snapshot to a run that makes none of its own; a retry finds the same one pinned.

    Raises
    ------
    Refused : nothing was ever published
    """
    house = services(root)
    current = house.warehouse.current()
    if current is None:
        raise Refused(
            "there is no snapshot of patients yet",
            where=str(house.project.var / "snapshots"),
            remedy="Run the deployment 'daily' or 'refresh' first ('alongside run' on one machine).",
        )
    with house.ledger.begin() as connection:
        run_store.pin_snapshot(connection, run_id, current.id)
    return run_pins(run_id, root)


@task(name="hold late run")
@traced
def hold_late_run(run_id: str, root: str | None = None) -> None:
    """A run that started too late plans, but nothing of it leaves until somebody says so (once: a release stands)."""
    house = services(root)
    hours = house.settings.delivery.max_lateness_hours
    with house.ledger.begin() as connection:
        if run_store.campaigns_of(connection, run_id):
            return  # an earlier try planned and held it; if it is free now, a person has released it
        set_pause(
            connection,
            f"run:{run_id}",
            by="schedule",
            reason=f"started more than {hours:g} hours late",
            now=house.clock(),
        )


def is_held(run_id: str, root: str | None = None) -> bool:
    """Whether the run as a whole waits for a person."""
    with services(root).ledger.begin() as connection:
        return f"run:{run_id}" in active_pauses(connection)


@task(name="finish run")
@traced
def finish(run_id: str, held: bool = False, root: str | None = None) -> dict[str, Any]:
    """Write the run's end and publish its funnel; `held` says why nothing may leave, or None."""
    house = services(root)
    because = f"it started late: send it with 'alongside resume run:{run_id}'" if held else None
    with house.ledger.begin() as connection:
        run_store.finish_run(connection, run_id, "held" if held else "completed", house.clock(), because)
    began = round(run_pins(run_id, root).started_at.timestamp() * 1e9)
    telemetry.record_run(run_id, began, outcome="held" if held else "completed")
    found = funnels(run_id, root)
    rows = [{"campaign": campaign, **stages} for campaign, stages in found["campaigns"].items()]
    if rows:  # a refresh or an evaluation plans nothing, and the funnel that was published last stays in view
        artifacts.table("funnel", rows, "Patients and messages, campaign by campaign")
    return {**found, "held": because}


def funnels(run_id: str, root: str | None = None) -> dict[str, Any]:
    """`campaigns`: name -> stage -> count; `total`: stage -> count; states and reasons of every campaign."""
    ledger = services(root).ledger
    with ledger.begin() as connection:
        planned = run_store.campaigns_of(connection, run_id)
        delivered = count_messages(connection, run_id=run_id, follow_ups=False)
        followed = count_messages(connection, run_id=run_id, follow_ups=True)
    campaigns: dict[str, dict[str, int]] = {}
    for row in planned:
        stages = dict(row["funnel"])
        if row["state"] in ("planned", "dispatched"):
            stages |= _delivery_stages(row["campaign"], delivered)
            if tried := sum(count for (name, _), count in followed.items() if name == row["campaign"]):
                stages["followed_up"] = tried
        campaigns[row["campaign"]] = {stage: stages[stage] for stage in funnel_order(list(stages))}
    total: dict[str, int] = {}
    for stages in campaigns.values():
        for stage, count in stages.items():
            total[stage] = total.get(stage, 0) + count
    return {
        "campaigns": campaigns,
        "total": {stage: total[stage] for stage in funnel_order(list(total))},
        "states": {row["campaign"]: {"state": row["state"], "reason": row["reason"]} for row in planned},
    }


def _delivery_stages(campaign: str, counts: dict[tuple[str, MessageState], int]) -> dict[str, int]:
    """What delivery made of the planned messages; `accepted` counts everything that the vendor has taken."""
    own = {state: counts.get((campaign, state), 0) for state in MessageState}
    taken = (
        MessageState.ACCEPTED,
        MessageState.DEFERRED,
        MessageState.DELIVERED,
        MessageState.BOUNCED,
        MessageState.DROPPED,
    )
    return {
        "withheld": own[MessageState.WITHHELD],
        "rejected": own[MessageState.REJECTED],
        "unknown": own[MessageState.UNKNOWN] + own[MessageState.UNRESOLVED],
        "accepted": sum(own[state] for state in taken),
        "delivered": own[MessageState.DELIVERED],
        "bounced": own[MessageState.BOUNCED] + own[MessageState.DROPPED],
    }
