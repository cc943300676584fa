"""An access token that many requests share: fetched once, renewed before it ends, or when the vendor says it has."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

#: Seconds before its end from which a token is not used any more.
_MARGIN = 120.0


class Token(NamedTuple):
    """`seconds` is how long it holds from now on."""

    value: str
    seconds: float


class Bearer:
    """Belongs to one event loop.

    Parameters
    ----------
    fetch : asks the vendor for a token; raises what the caller of `get` should do
    """

    def __init__(self, fetch: Callable[[], Awaitable[Token]]) -> None:
        self._fetch = fetch
        self._value, self._until = "", 0.0
        self._lock = asyncio.Lock()

    async def get(self, *, instead_of: str = "") -> str:
        """The token; of requests that ask together one fetches it.

        Parameters
        ----------
        instead_of : a token that the vendor refused just now; it is not given again, unless the vendor does
        """
        async with self._lock:
            if not self._value or self._value == instead_of or time.monotonic() >= self._until:
                token = await self._fetch()
                self._value, self._until = token.value, time.monotonic() + max(token.seconds - _MARGIN, 0.0)
            return self._value
