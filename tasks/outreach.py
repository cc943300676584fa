"""Plan campaigns: who is due what, who is withheld and why."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from prefect import task

from alongside.bootstrap import Services
from alongside.delivery.seeding import Seeding, SeedReport
from alongside.ledger.runs import RunPins
from alongside.outreach.campaigns import find_campaign
from alongside.outreach.follow_up import Follower
from alongside.outreach.plan import Planner
from alongside.outreach.relations import Facts
from tasks import artifacts
from tasks.context import keep, run_folder, run_pins, services, traced


@task(name="plan campaign", task_run_name="plan {campaign}")
@traced
def plan_campaign(run_id: str, campaign: str, partitions: int, root: str | None = None) -> dict[str, Any]:
    """Plan one campaign of the run and write its intentions to the ledger."""
    house = services(root)
    wanted = find_campaign(house.catalogues.campaigns, campaign)
    planner = planner_of(house, run_pins(run_id, root), partitions)
    plan = planner.plan(wanted, house.clock(), commit=True).to_json()
    if plan["state"] == "planned":
        plan["seeds"] = asdict(copies_for_seeds(house, run_pins(run_id, root), campaign))
    del plan["samples"]  # they state facts about somebody: for the terminal of whoever plans, not for Prefect
    rows = [{"stage": stage, "count": count} for stage, count in plan["funnel"].items()]
    artifacts.table(f"plan-{campaign}", rows, f"{campaign}: {plan['state']} {plan['reason']}".strip())
    return keep(run_id, f"plan-{campaign}", plan, root)


@task(name="follow up")
@traced
def follow_up(as_of: datetime | None, root: str | None = None) -> dict[str, Any]:
    """Plan what follows messages that came to nothing, on the next channel of their campaigns."""
    house = services(root)
    snapshot, now = house.warehouse.current(), house.clock()
    wanted = [item for item in house.catalogues.campaigns if item.fallback is not None]
    if snapshot is None or not wanted:
        return {}
    moment = as_of or now
    folder = house.project.var / "follow-up"
    facts = Facts(snapshot.path / "tables", house.ledger, house.settings, moment, folder)
    follower = Follower(house.ledger, house.vault, house.settings, house.catalogues, facts)
    found = {}
    with house.warehouse.connect() as duck:
        for campaign in wanted:
            if campaign.window.holds(moment.astimezone(house.zone).date()):
                found[campaign.name] = asdict(follower.follow(duck, campaign, house.mode, now))
    rows = [
        {"campaign": name, "channel": channel, "messages": count}
        for name, done in found.items()
        for channel, count in done["planned"].items()
    ]
    if rows:
        artifacts.table("follow-up", rows, "What follows messages that came to nothing")
    return found


def copies_for_seeds(house: Services, pins: RunPins, campaign: str) -> SeedReport:
    """Plan copies for members of staff, beside the campaign's messages of this run."""
    if not house.seeds.seeds:
        return SeedReport()
    seeding = Seeding(house.ledger, house.vault, house.settings, house.seeds, house.catalogues.content)
    return seeding.plan(pins, campaign, house.clock())


def planner_of(house: Services, pins: RunPins, partitions: int) -> Planner:
    """The planner of a run on the snapshot that it pinned."""
    snapshot = house.warehouse.open(pins.snapshot_id or "")
    folder = run_folder(pins.run_id, str(house.project.root))
    return Planner(house.ledger, house.warehouse, snapshot, house.settings, house.catalogues, pins, folder, partitions)
