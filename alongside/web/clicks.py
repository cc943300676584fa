"""`/c/{token}`: a link that is counted on its way. Where it leads stands in the message, never in the link.

Scanners follow links before anybody reads the message, so a click counts as a person's only where nothing speaks
against it; once a message and link. What is a machine's is kept as one, too. Whatever it was, it is led on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from fastapi import Request
from sqlalchemy.engine import Connection
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from alongside.content.standard import HospitalWords
from alongside.content.tracking import TRAP, links_of, target_of
from alongside.ledger import Ledger
from alongside.ledger.events import DeliveryEvent, record_events
from alongside.ledger.schema import delivery_event, message
from alongside.model.enums import Channel, EventKind
from alongside.model.tokens import CLICK, read_click
from alongside.settings import HospitalSettings
from alongside.web.knowledge import Knowledge
from alongside.web.links import Links
from alongside.web.withdrawal import Sent

USE = CLICK
#: Nobody reads and clicks so soon after the provider took or delivered a message.
TOO_SOON = timedelta(seconds=2)
#: Nobody clicks every link of a message within so little.
AT_ONCE = timedelta(seconds=3)
_SCANNERS = re.compile(
    r"bot\b|crawl|spider|scan|preview|proxy|safelinks|barracuda|mimecast|proofpoint|symantec|trendmicro|fireeye"
    r"|forcepoint|cloudmark|curl|wget|python|java/|go-http|headless|okhttp|libwww|facebookexternalhit",
    re.IGNORECASE,
)
_HEADERS = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Robots-Tag": "noindex, nofollow"}


@dataclass(frozen=True)
class Click:
    """What is known of one request."""

    sent: Sent
    index: int
    links: int
    machine: bool
    patient_now: datetime
    wall: datetime


@dataclass(frozen=True)
class Clicks:
    """The redirect."""

    links: Links
    ledger: Ledger
    settings: HospitalSettings
    known: Knowledge
    clock: Callable[[], datetime]
    patient_clock: Callable[[], datetime]

    async def follow(self, request: Request) -> Response:
        """GET and HEAD."""
        told = read_click(self.ledger.info.secret, request.path_params["token"])
        sent = await self.links.find(request, told[0] if told else None)
        if isinstance(sent, Response) or told is None:
            return sent if isinstance(sent, Response) else self.links.pages.lost(404)
        index = told[1]
        count, target = self._target(sent, index)
        if not sent.of_nobody:
            machine = request.method == "HEAD" or index == TRAP or _is_scanner(request)
            click = Click(sent, index, count, machine, self.patient_clock(), self.clock())
            await run_in_threadpool(note, self.ledger, click)
        return RedirectResponse(target, 302, headers=_HEADERS)

    def _target(self, sent: Sent, index: int) -> tuple[int, str]:
        """How many links the message has, and where this one leads; home, where the message is not what it was."""
        home, content = self.settings.hospital.website, self.known.content
        if content is None or sent.template not in content or sent.channel != Channel.EMAIL:
            return 0, home
        compiled = content.compiled(sent.template, Channel.EMAIL, sent.locale)
        if compiled.hash != sent.template_hash:
            return 0, home
        values = {**(sent.variables.get("v") or {}), "hospital": HospitalWords.of(self.settings.hospital, sent.locale)}
        return len(links_of(compiled)), target_of(compiled, index, values) or home


def note(ledger: Ledger, click: Click) -> None:
    """Record the click: a person's once a message and link, a machine's once, too."""
    key = click.sent.key
    with ledger.begin() as connection:
        # PostgreSQL: clicks of one message queue here; SQLite has one writer anyway.
        query = sa.select(message.c.updated_at).where(message.c.message_key == key).with_for_update()
        soon = click.wall - connection.execute(query).scalar_one() < TOO_SOON
        recent = _recent(connection, key, click.wall)
        seen = {*recent, click.index}
        everything = TRAP in seen or (click.links > 1 and len(seen) >= click.links)
        if everything:
            _take_back(connection, key, click.wall)
        machine = click.machine or soon or everything
        name = f"{'scan' if machine else 'click'}:{key}:{click.index}"
        told = f"link {click.index}"
        event = DeliveryEvent(name, key, EventKind.CLICK, click.patient_now, machine=machine, detail=told)
        record_events(connection, [event], received_at=click.wall)


def _recent(connection: Connection, key: str, wall: datetime) -> set[int]:
    """Numbers of this message's links that were followed just now."""
    table = delivery_event
    query = sa.select(table.c.event_id).where(
        table.c.message_key == key, table.c.kind == EventKind.CLICK.value, table.c.received_at >= wall - AT_ONCE
    )
    ours = (event_id.split(":") for event_id in connection.scalars(query))
    return {int(parts[2]) for parts in ours if parts[0] in ("click", "scan") and len(parts) == 3}


def _take_back(connection: Connection, key: str, wall: datetime) -> None:
    """What seemed a person's just now was the beginning of a machine's round."""
    table = delivery_event
    query = sa.select(table.c.event_id).where(
        table.c.message_key == key, table.c.event_id.startswith("click:"), table.c.received_at >= wall - AT_ONCE
    )
    for event_id in list(connection.scalars(query)):
        scan = f"scan:{event_id.removeprefix('click:')}"
        known = connection.execute(sa.select(table.c.event_id).where(table.c.event_id == scan)).first()
        mine = table.c.event_id == event_id
        if known is not None:
            connection.execute(table.delete().where(mine))
        else:
            connection.execute(table.update().where(mine).values(event_id=scan, machine=True))


def _is_scanner(request: Request) -> bool:
    agent = request.headers.get("User-Agent", "")
    return not agent or bool(_SCANNERS.search(agent))
