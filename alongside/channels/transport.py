"""What is the same for every vendor that speaks HTTP: the loop, how long to wait, what a broken connection means."""

from __future__ import annotations

import asyncio
import email.utils
import gc
import sys
from collections.abc import Coroutine, Mapping
from datetime import UTC
from typing import Any, NamedTuple, TypeVar

import aiohttp
from yarl import URL

from alongside.model.errors import DeliveryError, OutcomeUnknown, Refused, Retryable

SHORTEST_WAIT, LONGEST_WAIT = 0.05, 900.0
#: Bytes a second at which even a slow line takes a large request; its way there is not the vendor's silence.
_UPLOAD_RATE = 1_000_000
_SMALL = 100_000  # bytes
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
        self._connect = min(10.0, timeout / 2)
        self._timeout = self._limits(0)
        self._session: aiohttp.ClientSession | None = None

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
        limits = self._timeout if size < _SMALL else self._limits(size)
        async with self._opened().request(
            method, url, data=data, headers=headers, params=params, timeout=limits, allow_redirects=False
        ) as response:
            return Received(response.status, response.headers, await response.read())

    def _limits(self, size: int) -> aiohttp.ClientTimeout:
        """One limit for the whole, none for each reading: a timer that is wound up again at every piece costs more."""
        total = self._patience + size / _UPLOAD_RATE
        return aiohttp.ClientTimeout(total=total, connect=self._connect, sock_connect=self._connect)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            # Shorter than what servers keep: a connection that the other side has closed costs an unknown outcome.
            connector = aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=15)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=self._timeout, headers=self._headers, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    async def close(self) -> None:
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
