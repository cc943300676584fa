"""A stand-in inside the running event loop: it listens, and its postman works, for a block."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from aiohttp import web

#: What requests under way get when the stand-in ends.
LAST_SECONDS = 0.2


@contextlib.asynccontextmanager
async def serving(app: web.Application, host: str, port: int, work: Coroutine[Any, Any, None]) -> AsyncIterator[str]:
    """Take requests and let `work` run beside them; yields the base address."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=LAST_SECONDS)
    await runner.setup()
    async with working(work):
        try:
            await web.TCPSite(runner, host, port).start()
            yield base_url(host, runner.addresses[0][1])
        finally:
            await runner.cleanup()


@contextlib.asynccontextmanager
async def working(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Something that runs beside the block and ends with it."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def base_url(host: str, port: int) -> str:
    """`http://127.0.0.1:8025`, or `http://[::1]:8025`."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
