"""What is the same for every vendor that speaks HTTP: the loop, how long to wait, what a broken connection means."""

from __future__ import annotations

import asyncio
import email.utils
import gc
import sys
import time
from collections.abc import Coroutine, Mapping
from datetime import UTC
from typing import Any, NamedTuple, TypeVar

import aiohttp
from yarl import URL

from alongside.model.errors import DeliveryError, OutcomeUnknown, Refused, Retryable

SHORTEST_WAIT, LONGEST_WAIT = 0.05, 900.0
#: Bytes a second at which even a slow line takes a large request; its way there is not the vendor's silence.
_UPLOAD_RATE = 1_000_000
Result = TypeVar("Result")


def run_loop(main: Coroutine[Any, Any, Result]) -> Result:
    """`asyncio.run` on uvloop, with which a request costs a quarter less; on Windows, which it lacks, asyncio's own."""
    if sys.platform == "win32":
        return asyncio.run(main)
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def spare_collector() -> None:
    """For a process that makes and drops thousands of small objects without cycles: look for garbage seldom.

    What was loaded stays and is never looked at again; looking costs a tenth of such a process's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


class Received(NamedTuple):
    """A vendor's whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class KeptSession:
    """Connections to one vendor that are kept open, opened when they are first needed. Belongs to one event loop.

    Parameters
    ----------
    connections : at most
    timeout : seconds without a whole answer after which the outcome is unknown, for a small request
    headers : of every request
    """

    def __init__(self, connections: int, timeout: float, headers: Mapping[str, str] | None = None) -> None:
        self._connections, self._headers = connections, headers
        self._patience = timeout
        # Who never got a connection may try again at once: that must not end as an unknown outcome.
        connect = min(10.0, timeout / 2)
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect)
        self._session: aiohttp.ClientSession | None = None
        self._ends: dict[asyncio.Timeout, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def request(
        self,
        method: str,
        url: str | URL,
        *,
        data: bytes | Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Received:
        """Send a request, follow no redirect, and read the whole answer.

        Raises
        ------
        aiohttp.ClientError, TimeoutError, OSError : there is none; `broken` says what that means
        """
        size = len(data) if isinstance(data, bytes) else 0
        limit = asyncio.timeout(None)
        async with limit:
            self._watch(limit, self._patience + size / _UPLOAD_RATE)
            try:
                async with self._opened().request(
                    method, url, data=data, headers=headers, params=params, allow_redirects=False
                ) as response:
                    return Received(response.status, response.headers, await response.read())
            finally:
                self._ends.pop(limit, None)

    def _watch(self, limit: asyncio.Timeout, seconds: float) -> None:
        """End it after so many seconds, or a twentieth of the session's patience later.

        One timer looks after all requests: aiohttp's own, three for each, cost a tenth of what a request costs.
        """
        self._ends[limit] = time.monotonic() + seconds
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._patience / 20, self._end_overdue)

    def _end_overdue(self) -> None:
        loop, now = asyncio.get_running_loop(), time.monotonic()
        for limit in [limit for limit, end in self._ends.items() if end <= now]:
            del self._ends[limit]
            limit.reschedule(loop.time())
        self._timer = loop.call_later(self._patience / 20, self._end_overdue) if self._ends else None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            # Shorter than what servers keep: a connection that the other side has closed costs an unknown outcome.
            connector = aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=15)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=self._timeout, headers=self._headers, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._session is not None:
            await self._session.close()
            self._session = None


def retry_after(headers: Mapping[str, str], now: float, *, otherwise: float = 1.0) -> float:
    """Seconds to wait by `Retry-After` (seconds or a date, RFC 9110 10.2.3), between 0.05 and 900.

    Parameters
    ----------
    now : seconds since the epoch, against a date
    otherwise : seconds when the header is missing or is not understood
    """
    text = headers.get("Retry-After", "").strip()
    wait = otherwise if not text else _seconds(text, now, otherwise)
    return min(max(wait, SHORTEST_WAIT), LONGEST_WAIT)


def _seconds(text: str, now: float, otherwise: float) -> float:
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return otherwise
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now


def broken(error: Exception, vendor: str, setting: str) -> DeliveryError | Refused:
    """What a failed request means: before its first byte nothing can have been accepted.

    Parameters
    ----------
    setting : the address's name, for the remedy
    """
    name = type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.InvalidURL):
        return Refused(name, where=vendor, remedy=f"Check {setting} and the certificates.")
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return Retryable(f"no connection ({name})", where=vendor)
    return OutcomeUnknown(f"no answer ({name})", where=vendor)
