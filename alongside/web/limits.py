"""How often somebody may do something: bounded memory, no store.

Every route of the application has a `Limit`; a test walks over all of them. What is never refused to somebody who holds
a valid link is leaving: there, only links that lead nowhere are counted.
"""

from __future__ import annotations

import inspect
import ipaddress
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from fastapi import HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

Endpoint = Callable[[Request], Awaitable[Response]]
#: Who asks, where the server does not know.
NOBODY = "?"


@dataclass
class PerMinute:
    """Counts in one-minute windows, by name: failures of a client, changes by a link.

    The oldest names are forgotten beyond `capacity`. What is counted is never leaving itself: that must not be refused
    to somebody who holds a valid link.
    """

    most: int = 30
    capacity: int = 10_000
    _counts: OrderedDict[str, tuple[int, int]] = field(default_factory=OrderedDict)

    def allows(self, name: str, now: float) -> bool:
        """Whether there is room for one more, at `now` in seconds."""
        minute, count = self._counts.get(name, (0, 0))
        return minute != int(now // 60) or count < self.most

    def count(self, name: str, now: float) -> None:
        minute, count = self._counts.pop(name, (0, 0))
        current = int(now // 60)
        self._counts[name] = (current, count + 1 if minute == current else 1)
        while len(self._counts) > self.capacity:
            self._counts.popitem(last=False)


@dataclass(frozen=True)
class Limit:
    """How many requests of one kind are answered in a minute.

    Attributes
    ----------
    per_client : of one client; None where only links that lead nowhere are counted (`web.links`)
    overall : of everybody; None likewise
    """

    name: str
    per_client: int | None
    overall: int | None


#: Leaving: from a mail program's own server come the clicks of thousands of patients.
LEAVING = Limit("leaving", None, None)
#: A hospital's waiting room, or a telephone company, may share one address.
PAGES = Limit("pages", 300, 6_000)
#: Links of messages on their way: a company's mail scanner follows those of all its staff.
CLICKS = Limit("clicks", 1_200, 60_000)
#: Callbacks of a vendor: three a message, at the rate at which messages leave.
CALLBACKS = Limit("callbacks", 30_000, 60_000)
#: Health checks, metrics, the description of this interface.
MACHINES = Limit("machines", 300, 3_000)
STAFF = Limit("staff", 300, 3_000)


@dataclass(frozen=True)
class Proxies:
    """Whose word on the client's address is taken: nobody's but these, and in this header alone.

    Attributes
    ----------
    networks : of the proxies in front of the application
    header : that the nearest of them sets, or appends to: `X-Forwarded-For` or the proxy's own
    """

    networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network] = ()
    header: str = "X-Forwarded-For"

    def client_of(self, request: Request) -> str:
        """Who asks: the address before the nearest proxy of ours; of IPv6 the /64 that one customer has."""
        peer = request.client.host if request.client else NOBODY
        if not self._ours(peer):
            return _network(peer)
        told = [part.strip() for value in request.headers.getlist(self.header) for part in value.split(",")]
        # From the right: whatever stands further left, a client may have written.
        return _network(next((address for address in reversed(told) if address and not self._ours(address)), peer))

    def _ours(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self.networks)


@dataclass
class Doorman:
    """Counts requests by route and client, and answers too many with 429."""

    clock: Callable[[], datetime]
    proxies: Proxies = field(default_factory=Proxies)
    _clients: dict[str, PerMinute] = field(default_factory=dict)
    _everybody: dict[str, PerMinute] = field(default_factory=dict)

    def guard(
        self, endpoint: Callable[[Request], Response | Awaitable[Response]], limit: Limit, busy: Callable[[], Response]
    ) -> Endpoint:
        """The endpoint behind the limit; `busy` answers what is too much. Its `limit` tells which one it has."""

        async def guarded(request: Request) -> Response:
            if not self.admits(limit, request):
                return busy()
            if inspect.iscoroutinefunction(endpoint):
                answer = await endpoint(request)
            else:
                answer = await run_in_threadpool(endpoint, request)
            assert isinstance(answer, Response)  # noqa: S101 - for the type alone
            return answer

        guarded.limit = limit  # type: ignore[attr-defined]  # functions take attributes; the test of all routes reads it
        return guarded

    def check(self, limit: Limit) -> Callable[[Request], Awaitable[None]]:
        """The same as a dependency of a route whose endpoint takes arguments of its own."""

        async def checked(request: Request) -> None:
            if not self.admits(limit, request):
                raise HTTPException(429, "too many requests", {"Retry-After": "60"})

        checked.limit = limit  # type: ignore[attr-defined]  # as of `guard`
        return checked

    def admits(self, limit: Limit, request: Request) -> bool:
        """Whether there is room for one more request, which is counted then."""
        client, now = self.proxies.client_of(request), self.clock().timestamp()
        wanted = [
            (most, counts.setdefault(limit.name, PerMinute(most)), name)
            for most, counts, name in (
                (limit.per_client, self._clients, client),
                (limit.overall, self._everybody, ""),
            )
            if most is not None
        ]
        if not all(counter.allows(name, now) for _, counter, name in wanted):
            return False
        for _, counter, name in wanted:
            counter.count(name, now)
        return True


def _network(address: str) -> str:
    """One customer's address: of IPv6 providers give a /64 at least, from which anybody picks addresses at will."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(found) if found.version == 4 else str(ipaddress.ip_network((found, 64), strict=False))
