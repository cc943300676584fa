"""What staff have to look at, found in the ledger: names of campaigns and counts, no patient's value."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger import experiments
from alongside.ledger.backlog import backlog
from alongside.ledger.pauses import ITSELF
from alongside.ledger.schema import batch, message, pause, run, run_campaign
from alongside.ledger.staff_alerts import Cause
from alongside.model.enums import BatchState, Channel, MessageState, StaffEvent, Verdict
from alongside.settings import HospitalSettings

#: Beyond the grace period, in which `deliver` asks the vendor every quarter of an hour.
_ASKED_SEVERAL_TIMES = timedelta(hours=1)
_DAY = timedelta(days=1)
_HELD = ("held", "blocked")
_DEAD = (MessageState.REJECTED.value, MessageState.UNRESOLVED.value)


def find_causes(connection: Connection, settings: HospitalSettings, now: datetime) -> list[Cause]:
    """Everything that somebody has to look at now.

    Parameters
    ----------
    now : wall time
    """
    return [
        *_paused(connection),
        *_held_runs(connection),
        *_held_campaigns(connection),
        *_overdue(connection, now),
        *_unknown(connection, settings, now),
        *_dead(connection, settings, now),
        *_undecided(connection),
    ]


def _paused(connection: Connection) -> Iterator[Cause]:
    """Campaigns that paused themselves; who pauses by hand knows."""
    scopes = sa.select(pause.c.scope).where(pause.c.by == ITSELF, pause.c.scope.startswith("campaign:"))
    for scope in connection.scalars(scopes):
        yield Cause(StaffEvent.CAMPAIGN_PAUSED, scope.partition(":")[2])


def _held_runs(connection: Connection) -> Iterator[Cause]:
    """Runs that began too late, until somebody releases them."""
    waiting = sa.literal("run:") + run.c.run_id
    query = sa.select(run.c.run_id).join(pause, pause.c.scope == waiting).where(run.c.state == "held")
    for run_id in connection.scalars(query):
        yield Cause(StaffEvent.RUN_HELD, run_id)


def _held_campaigns(connection: Connection) -> Iterator[Cause]:
    """Campaigns that the last run which planned anything held or blocked."""
    planned = run.c.run_id.in_(sa.select(run_campaign.c.run_id))
    last = sa.select(run.c.run_id).where(planned).order_by(run.c.started_at.desc()).limit(1).scalar_subquery()
    query = sa.select(run_campaign.c.campaign).where(run_campaign.c.run_id == last, run_campaign.c.state.in_(_HELD))
    for campaign in connection.scalars(query):
        yield Cause(StaffEvent.CAMPAIGN_HELD, campaign)


def _overdue(connection: Connection, now: datetime) -> Iterator[Cause]:
    waiting = backlog(connection, now)
    if waiting.threads_overdue:
        yield Cause(StaffEvent.INBOX_OVERDUE, "inbox", waiting.threads_overdue)
    if waiting.calls_overdue:
        yield Cause(StaffEvent.CALLS_OVERDUE, "calls", waiting.calls_overdue)


def _unknown(connection: Connection, settings: HospitalSettings, now: datetime) -> Iterator[Cause]:
    for channel in settings.channels.set_up:
        grace = timedelta(minutes=settings.channels.of(channel).unknown_grace_minutes) + _ASKED_SEVERAL_TIMES
        query = sa.select(sa.func.count()).where(
            message.c.state == MessageState.UNKNOWN.value,
            message.c.channel == channel.value,
            message.c.updated_at < now - grace,
        )
        if count := connection.execute(query).scalar_one():
            yield Cause(StaffEvent.UNKNOWN_OVERDUE, channel.value, count)


def _dead(connection: Connection, settings: HospitalSettings, now: datetime) -> Iterator[Cause]:
    """Channels on which many messages were given up within a day, those whose batch is out of attempts included."""
    for channel in settings.channels.set_up:
        count = _given_up(connection, channel, now - _DAY, settings.delivery.max_attempts)
        if count >= settings.staff.dead_letters_from:
            yield Cause(StaffEvent.DEAD_LETTERS, channel.value, count)


def _given_up(connection: Connection, channel: Channel, since: datetime, max_attempts: int) -> int:
    refused = sa.select(sa.func.count()).where(
        message.c.state.in_(_DEAD), message.c.channel == channel.value, message.c.updated_at >= since
    )
    stuck = (
        sa.select(sa.func.count())
        .select_from(batch.join(message, message.c.batch_id == batch.c.batch_id))
        .where(batch.c.state == BatchState.PLANNED.value, batch.c.channel == channel.value)
        .where(batch.c.attempts >= max_attempts, message.c.state == MessageState.PLANNED.value)
    )
    return connection.execute(refused).scalar_one() + connection.execute(stuck).scalar_one()


def _undecided(connection: Connection) -> Iterator[Cause]:
    """Experiments whose variants go on being sent although there is a verdict, because a person has to decide."""
    for found in experiments.judged_last(connection):
        verdict = found.decision["verdict"] if found.decision else None
        # A void result is a decision only where harm is proved all the same.
        if verdict in (Verdict.STOP_FOR_HARM, Verdict.INVALID) and found.winner is None:
            yield Cause(StaffEvent.EXPERIMENT_HARMS, found.experiment)
        elif found.waits is not None or (verdict == Verdict.SHIP and found.winner is None):
            yield Cause(StaffEvent.EXPERIMENT_WAITS, found.experiment)
