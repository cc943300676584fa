"""Runs and their campaigns: what pins a run, so that a retry finds it and carries on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger.schema import audit, run, run_campaign


@dataclass(frozen=True)
class RunPins:
    """What a run decided at its first step and every retry finds again."""

    run_id: str
    as_of: datetime
    config_hash: str
    config_commit: str
    mode: str
    replay: bool
    late: bool
    started_at: datetime
    scheduled_at: datetime | None = None
    snapshot_id: str | None = None
    state: str = "running"
    held_because: str | None = None


def pin_run(connection: Connection, wanted: RunPins) -> RunPins:
    """Create the run, or return the one that an earlier try of the same id created."""
    if (found := read_run(connection, wanted.run_id)) is not None:
        return found
    values = {name: getattr(wanted, name) for name in wanted.__dataclass_fields__}
    connection.execute(run.insert().values(**values))
    return wanted


def read_run(connection: Connection, run_id: str) -> RunPins | None:
    row = connection.execute(sa.select(run).where(run.c.run_id == run_id)).mappings().first()
    return RunPins(**{name: row[name] for name in RunPins.__dataclass_fields__}) if row else None


def pin_snapshot(connection: Connection, run_id: str, snapshot_id: str) -> None:
    connection.execute(run.update().where(run.c.run_id == run_id).values(snapshot_id=snapshot_id))


def finish_run(connection: Connection, run_id: str, state: str, at: datetime, because: str | None = None) -> None:
    """`completed`, `held` (waits for a person) or `failed`."""
    values = {"state": state, "finished_at": at, "held_because": because}
    connection.execute(run.update().where(run.c.run_id == run_id).values(**values))


def latest_run(connection: Connection) -> RunPins | None:
    """The run with the latest `as_of` that has a snapshot."""
    query = sa.select(run).where(run.c.snapshot_id.is_not(None)).order_by(run.c.as_of.desc(), run.c.started_at.desc())
    row = connection.execute(query.limit(1)).mappings().first()
    return RunPins(**{name: row[name] for name in RunPins.__dataclass_fields__}) if row else None


def runs_as_of(connection: Connection, as_of: datetime) -> list[RunPins]:
    """Runs of exactly this moment, oldest first."""
    rows = connection.execute(sa.select(run).where(run.c.as_of == as_of).order_by(run.c.started_at)).mappings()
    return [RunPins(**{name: row[name] for name in RunPins.__dataclass_fields__}) for row in rows]


def read_campaign_plan(connection: Connection, run_id: str, campaign: str) -> Mapping[str, Any] | None:
    """The row of `run_campaign`, or None before the campaign was planned in this run."""
    query = sa.select(run_campaign).where(run_campaign.c.run_id == run_id, run_campaign.c.campaign == campaign)
    row = connection.execute(query).mappings().first()
    return dict(row) if row else None


def record_campaign(
    connection: Connection,
    run_id: str,
    campaign: str,
    state: str,
    funnel: Mapping[str, int],
    *,
    plan_hash: str | None = None,
    planned_at: datetime | None = None,
    reason: str | None = None,
) -> None:
    """Write or overwrite what this run knows of the campaign."""
    where = sa.and_(run_campaign.c.run_id == run_id, run_campaign.c.campaign == campaign)
    values = {
        "state": state,
        "funnel": dict(funnel),
        "plan_hash": plan_hash,
        "planned_at": planned_at,
        "reason": reason,
    }
    if connection.execute(run_campaign.update().where(where).values(**values)).rowcount == 0:
        connection.execute(run_campaign.insert().values(run_id=run_id, campaign=campaign, **values))


def campaigns_of(connection: Connection, run_id: str) -> list[Mapping[str, Any]]:
    query = sa.select(run_campaign).where(run_campaign.c.run_id == run_id).order_by(run_campaign.c.campaign)
    return [dict(row) for row in connection.execute(query).mappings()]


def last_planned(connection: Connection, campaign: str, before: datetime) -> Mapping[str, Any] | None:
    """The campaign's latest dispatched or planned run before this `as_of`, for the change against it."""
    query = (
        sa.select(run_campaign, run.c.as_of)
        .join(run, run.c.run_id == run_campaign.c.run_id)
        .where(run_campaign.c.campaign == campaign, run.c.as_of < before)
        .where(run_campaign.c.state.in_(["planned", "dispatched"]))
        .order_by(run.c.as_of.desc())
        .limit(1)
    )
    row = connection.execute(query).mappings().first()
    return dict(row) if row else None


def last_planned_on(connection: Connection, snapshot_id: str, rather: str) -> str | None:
    """The run that planned last on this snapshot: `rather` when it has planned itself, None when nobody has."""
    query = (
        sa.select(run.c.run_id)
        .where(run.c.snapshot_id == snapshot_id, run.c.run_id.in_(sa.select(run_campaign.c.run_id)))
        .order_by(sa.case((run.c.run_id == rather, 0), else_=1), run.c.as_of.desc(), run.c.started_at.desc())
        .limit(1)
    )
    return connection.execute(query).scalar()


def write_audit(
    connection: Connection, at: datetime, actor: str, action: str, subject: str, details: Mapping[str, Any]
) -> None:
    """One line of the audit trail; `details` holds no patient value."""
    connection.execute(audit.insert().values(at=at, actor=actor, action=action, subject=subject, details=dict(details)))


def completed_moments(connection: Connection) -> list[datetime]:
    """`as_of` of every run that was completed."""
    return list(connection.execute(sa.select(run.c.as_of).where(run.c.state == "completed").distinct()).scalars())


def mark_dispatched(connection: Connection, run_id: str, campaign: str) -> None:
    """Everything of the campaign's plan that could leave has left."""
    where = sa.and_(run_campaign.c.run_id == run_id, run_campaign.c.campaign == campaign)
    connection.execute(run_campaign.update().where(where).values(state="dispatched"))
