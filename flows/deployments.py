"""Deployments: which flow runs when, registered by `alongside deploy`."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

from prefect import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.flows import Flow
from prefect.schedules import Cron

from alongside.settings import HospitalSettings, Project, read_model
from flows import automations
from flows.campaign import campaign
from flows.daily import daily
from flows.deliver import deliver
from flows.evaluate import evaluate
from flows.refresh import refresh

#: Where the installed `flows` package lies.
CODE = Path(__file__).resolve().parent.parent
#: flow -> (file, schedule or None, what it is for)
DEPLOYED: dict[str, tuple[Flow[..., Any], str, str | None, str]] = {
    "daily": (daily, "flows/daily.py:daily", "0 8 * * *", "refresh, plan, send and evaluate, every morning"),
    "refresh": (refresh, "flows/refresh.py:refresh", None, "rebuild the patient 360 and segments; sends nothing"),
    "campaign": (campaign, "flows/campaign.py:campaign", None, "plan and send on the current picture"),
    "deliver": (deliver, "flows/deliver.py:deliver", "*/15 * * * *", "send what waited; settle unknown messages"),
    "evaluate": (
        evaluate,
        "flows/evaluate.py:evaluate",
        None,
        "judge experiments on a run's picture, write the report",
    ),
}
#: One run at a time plans and sends (the ledger forbids doubles anyway; this keeps runs from waiting on locks).
OUTREACH_LIMIT = "alongside-outreach"


def register(project: Path, pool: str) -> list[str]:
    """Create or update the work pool, the concurrency limit and every deployment; returns their names.

    The deployments run the installed flows on the hospital's project, from whichever folder a worker is started.
    """
    settings = read_model(HospitalSettings, Project.at(project).config / "alongside.yaml")
    asyncio.run(_prepare(pool))
    names = []
    for name, (flow, entrypoint, cron, purpose) in DEPLOYED.items():
        schedule = Cron(cron, timezone=settings.hospital.time_zone) if cron else None
        # `deploy` of Prefect 3.8.8 asks its server for workers in a form that the server refuses; `apply` does not ask.
        deployment = flow.from_source(source=str(CODE), entrypoint=entrypoint).to_deployment(
            name="alongside",
            schedules=[schedule] if schedule else [],
            parameters={"parameters": _defaults(name, project)},
            concurrency_limit=1,
            description=purpose,
            tags=[automations.TAG],
            # in the deployment, not in the worker's environment: the automation counts on this pulse
            job_variables={"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(automations.HEARTBEAT_SECONDS)}},
        )
        deployment.apply(work_pool_name=pool)
        names.append(f"{name}/alongside")
    return names


def _defaults(name: str, project: Path) -> dict[str, Any]:
    own = {"project": str(project)}
    return own if name in ("daily", "deliver") else {"daily": own}


async def _prepare(pool: str) -> None:
    async with get_client() as client:
        with suppress(ObjectAlreadyExists):
            await client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
        with suppress(ObjectAlreadyExists):
            await client.create_global_concurrency_limit(
                GlobalConcurrencyLimitCreate(name=OUTREACH_LIMIT, limit=1, active=True)
            )
