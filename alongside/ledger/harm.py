"""What mailbox providers and carriers count against a sender: messages that came back, and complaints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger.groups import in_keys
from alongside.ledger.schema import IN_TROUBLE, audit, delivery_event, message
from alongside.model.enums import Channel, EventKind, MessageState

_CAME_BACK = (MessageState.BOUNCED.value, MessageState.REJECTED.value)
#: Patient time of the answer. What the vendor refused at once has no moment of acceptance.
_ANSWERED_AT = sa.func.coalesce(message.c.accepted_at, message.c.updated_at)
#: A literal, not a parameter: only so does SQLite look into the index of complaints alone.
IS_COMPLAINT = delivery_event.c.kind == sa.literal_column(f"'{EventKind.COMPLAINT.value}'")


@dataclass(frozen=True)
class Harm:
    """Messages of one campaign on one channel.

    Attributes
    ----------
    came_back : bounced, blocked, or refused by the vendor for good
    complaints : of which a recipient complained
    """

    came_back: int
    complaints: int


def harm(connection: Connection, channel: Channel, campaign: str, since: datetime) -> Harm:
    """What went wrong with messages that were answered since then (patient time). Reads only those that did."""
    mine = _mine(channel, campaign, since)
    bad = (IN_TROUBLE, message.c.state.in_(_CAME_BACK))
    came_back = sa.select(sa.func.count()).select_from(message).where(*bad, *mine)
    # In two steps: asked in one, SQLite goes through the whole campaign and looks for each message's complaint.
    keys = list(connection.execute(sa.select(delivery_event.c.message_key.distinct()).where(IS_COMPLAINT)).scalars())
    of_these = sa.select(sa.func.count()).select_from(message)
    complained = of_these.where(in_keys(connection, message.c.message_key, keys), *mine)
    return Harm(connection.execute(came_back).scalar_one(), connection.execute(complained).scalar_one() if keys else 0)


def answered(connection: Connection, channel: Channel, campaign: str, since: datetime) -> int:
    """Messages that the vendor took or refused since then (patient time)."""
    known = sa.or_(message.c.accepted_at.is_not(None), message.c.state.in_(_CAME_BACK))
    query = sa.select(sa.func.count()).select_from(message).where(known, *_mine(channel, campaign, since))
    return connection.execute(query).scalar_one()


def resumed_at(connection: Connection, scopes: Sequence[str]) -> datetime | None:
    """When somebody last let one of these scopes speak again (wall time)."""
    query = sa.select(sa.func.max(audit.c.at)).where(audit.c.action == "resume", audit.c.subject.in_(scopes))
    return connection.execute(query).scalar()


def _mine(channel: Channel, campaign: str, since: datetime) -> list[sa.ColumnElement[bool]]:
    return [message.c.campaign == campaign, message.c.channel == channel.value, since <= _ANSWERED_AT]
