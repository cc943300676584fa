"""Pauses: what an operator has told to be silent, until told otherwise."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger.schema import batch, pause
from alongside.model.errors import Refused

ALL = "all"
#: Who paused what paused itself.
ITSELF = "alongside"
_FORMS = "all, channel:<name>, campaign:<name> or run:<id>"


def set_pause(connection: Connection, scope: str, *, by: str, reason: str, now: datetime) -> bool:
    """Silence a scope; returns False when it was silent already (the first reason stands).

    Raises
    ------
    Refused : the scope has none of the forms `all`, `channel:<name>`, `campaign:<name>`, `run:<id>`
    """
    _check(scope)
    if connection.execute(sa.select(pause.c.scope).where(pause.c.scope == scope)).first():
        return False
    connection.execute(pause.insert().values(scope=scope, since=now, by=by, reason=reason))
    return True


def lift_pause(connection: Connection, scope: str) -> bool:
    """Let a scope speak again; returns False when it was not silent. Batches that waited go out with the next run."""
    _check(scope)
    return connection.execute(pause.delete().where(pause.c.scope == scope)).rowcount > 0


def active_pauses(connection: Connection) -> dict[str, str]:
    """Scope -> reason."""
    rows = connection.execute(sa.select(pause.c.scope, pause.c.reason).order_by(pause.c.scope))
    return {row.scope: row.reason for row in rows}


def not_paused() -> sa.ColumnElement[bool]:
    """A condition on `batch`: nothing silences it. Part of every claim and of every call."""
    scopes = [
        ALL,
        sa.literal("channel:") + batch.c.channel,
        sa.literal("campaign:") + batch.c.campaign,
        sa.literal("run:") + batch.c.run_id,
    ]
    return ~sa.exists().where(pause.c.scope.in_(scopes))


def _check(scope: str) -> None:
    kind, _, name = scope.partition(":")
    if scope != ALL and not (kind in ("channel", "campaign", "run") and name):
        raise Refused(f"{scope!r} is nothing that can be paused", remedy=f"Name one of: {_FORMS}.")
