"""What is the same for every vendor that speaks HTTP: the loop, how long to wait, what a broken connection means."""

from __future__ import annotations

import asyncio
import email.utils
import gc
import sys
from collections.abc import Coroutine, Mapping
from datetime import UTC
from typing import Any, TypeVar

import aiohttp

from alongside.model.errors import DeliveryError, OutcomeUnknown, Refused, Retryable

SHORTEST_WAIT, LONGEST_WAIT = 0.05, 900.0
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


class KeptSession:
    """Connections to one vendor that are kept open, opened when they are first needed. Belongs to one event loop.

    Parameters
    ----------
    connections : at most
    timeout : seconds without an answer after which the outcome is unknown
    headers : of every request
    """

    def __init__(self, connections: int, timeout: float, headers: Mapping[str, str] | None = None) -> None:
        self._connections, self._headers = connections, headers
        self._timeout = aiohttp.ClientTimeout(total=timeout + 30, connect=10, sock_connect=10, sock_read=timeout)
        self._session: aiohttp.ClientSession | None = None

    def __call__(self) -> aiohttp.ClientSession:
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
