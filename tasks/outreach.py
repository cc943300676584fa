"""Plan campaigns: who is due what, who is withheld and why."""

from __future__ import annotations

from typing import Any

from prefect import task

from alongside.bootstrap import Services
from alongside.ledger.runs import RunPins
from alongside.outreach.campaigns import find_campaign
from alongside.outreach.plan import Planner
from tasks import artifacts
from tasks.context import keep, run_folder, run_pins, services


@task(name="plan campaign", task_run_name="plan {campaign}")
def plan_campaign(run_id: str, campaign: str, partitions: int, root: str | None = None) -> dict[str, Any]:
    """Plan one campaign of the run and write its intentions to the ledger."""
    house = services(root)
    wanted = find_campaign(house.catalogues.campaigns, campaign)
    planner = planner_of(house, run_pins(run_id, root), partitions)
    plan = planner.plan(wanted, house.clock(), commit=True).to_json()
    del plan["samples"]  # they state facts about somebody: for the terminal of whoever plans, not for Prefect
    rows = [{"stage": stage, "count": count} for stage, count in plan["funnel"].items()]
    artifacts.table(f"plan-{campaign}", rows, f"{campaign}: {plan['state']} {plan['reason']}".strip())
    return keep(run_id, f"plan-{campaign}", plan, root)


def planner_of(house: Services, pins: RunPins, partitions: int) -> Planner:
    """The planner of a run on the snapshot that it pinned."""
    snapshot = house.warehouse.open(pins.snapshot_id or "")
    folder = run_folder(pins.run_id, str(house.project.root))
    return Planner(house.ledger, house.warehouse, snapshot, house.settings, house.catalogues, pins, folder, partitions)
