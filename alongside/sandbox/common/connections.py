"""Connections that misbehave."""

from __future__ import annotations

import asyncio
from typing import Protocol

from aiohttp import web


class Connected(Protocol):
    """Anything that came over a connection."""

    @property
    def transport(self) -> asyncio.Transport | None: ...


def hang_up(request: Connected) -> web.Response:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)


async def never(request: Connected) -> web.Response:
    """Hold the connection until the caller gives up."""
    while request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(0.02)
    return web.Response(status=499)
