"""`/_sandbox/*`: how a running stand-in is steered; the same for every vendor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from aiohttp import web

from alongside.model.errors import Refused
from alongside.sandbox.common.clock import StandInClock
from alongside.sandbox.common.faults import Faults, parse_fault
from alongside.sandbox.common.http import iso, json_object, json_response
from alongside.sandbox.common.loopback import require_loopback_url


class Queue(Protocol):
    """What is still to happen to accepted messages."""

    def __len__(self) -> int: ...
    def next_due(self) -> float | None: ...
    def due(self, now: float) -> int: ...


class Postman(Protocol):
    """Whoever tells the receiver what happened.

    Attributes
    ----------
    webhook_url : where
    posting : calls that are under way or wait for their next try
    """

    webhook_url: str | None

    @property
    def queue(self) -> Queue: ...
    @property
    def posting(self) -> int: ...
    def wake(self) -> None: ...
    def settled(self) -> bool: ...
    async def settle(self, timeout: float) -> bool: ...


@dataclass(frozen=True)
class Steering:
    """The control calls of one stand-in; `counters` are what `stats` tells besides the time."""

    clock: StandInClock
    postman: Postman
    faults: Faults
    counters: Callable[[], dict[str, Any]]

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/_sandbox/stats", self.stats)
        app.router.add_get("/_sandbox/pending", self.pending)
        app.router.add_post("/_sandbox/behave", self.behave)
        app.router.add_post("/_sandbox/clock", self.set_clock)
        app.router.add_post("/_sandbox/webhook", self.set_webhook)

    async def stats(self, _request: web.Request) -> web.Response:
        told = {
            "now": iso(self.clock.now()),
            "simulated_time": self.clock.simulated,
            "webhook": self.postman.webhook_url,
        }
        return json_response(told | self.counters())

    async def pending(self, _request: web.Request) -> web.Response:
        queue, now = self.postman.queue, self.clock.now()
        upcoming = queue.next_due()
        return json_response(
            {
                "now": iso(now),
                "settled": self.postman.settled(),
                "due": queue.due(now),
                "posting": self.postman.posting,
                "messages": len(queue),
                "next": None if upcoming is None else iso(upcoming),
            }
        )

    async def behave(self, request: web.Request) -> web.Response:
        """`{"faults": [{"kind": ...}], "seed": n}`: replaces the faults in force; an empty list ends them."""
        given = await json_object(request)
        plan, seed = given.get("faults", []), given.get("seed")
        if not isinstance(plan, list) or not all(isinstance(item, dict) for item in plan):
            raise Refused("faults must be a list of objects", where=request.path, remedy="See docs/sandbox.md.")
        if seed is not None and not isinstance(seed, int):
            raise Refused("seed must be an integer", where=request.path, remedy="Leave it out to keep the seed.")
        self.faults.replace([parse_fault(item) for item in plan], seed)
        return json_response({"faults": len(plan)})

    async def set_clock(self, request: web.Request) -> web.Response:
        """`{"now": ISO moment, "settle": seconds}`: advance, and wait until what is due has been told."""
        given = await json_object(request)
        try:
            self.clock.set(datetime.fromisoformat(str(given.get("now", ""))))
            patience = float(given.get("settle", 0))
        except (ValueError, TypeError) as error:
            remedy = 'Give {"now": "2026-03-01T08:00:00+08:00"}, with a time zone.'
            raise Refused("the moment is not understood", where=request.path, remedy=remedy) from error
        self.postman.wake()
        settled = await self.postman.settle(patience) if patience > 0 else self.postman.settled()
        return json_response({"now": iso(self.clock.now()), "settled": settled})

    async def set_webhook(self, request: web.Request) -> web.Response:
        """`{"url": ...}`: whom to tell from now on; null for nobody."""
        url = (await json_object(request)).get("url")
        self.postman.webhook_url = require_loopback_url(str(url)) if url else None
        return json_response({"webhook": self.postman.webhook_url})
