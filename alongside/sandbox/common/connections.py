"""Connections that misbehave."""

from __future__ import annotations

import asyncio

from aiohttp import web


def hang_up(request: web.Request) -> web.Response:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)


async def never(request: web.Request) -> web.Response:
    """Hold the connection until the caller gives up."""
    while request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(0.02)
    return web.Response(status=499)
