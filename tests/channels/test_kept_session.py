"""A request ends when the vendor has answered, or when waiting longer would say nothing: never much later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from alongside.channels.transport import KeptSession, Received, broken
from alongside.model.errors import OutcomeUnknown, Retryable

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PATIENCE = 0.4


@asynccontextmanager
async def session(handler: Handler, connections: int = 4) -> AsyncIterator[Callable[..., Awaitable[Received]]]:
    """Requests to a vendor on loopback."""
    app = web.Application(client_max_size=4 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    kept = KeptSession(connections, PATIENCE)
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def ask(path: str, data: bytes | None = b"{}") -> Received:
        return await kept.request("POST", url + path, data=data)

    try:
        yield ask
    finally:
        await kept.close()
        await runner.cleanup()


async def after(request: web.Request) -> web.Response:
    """Answers after the seconds that the path names."""
    await request.read()
    await asyncio.sleep(float(request.path[1:]))
    return web.Response(status=202, headers={"X-Number": "1"}, body=b"yes")


async def test_an_answer_is_read_as_a_whole() -> None:
    async with session(after) as ask:
        status, headers, body = await ask("/0")
    assert (status, headers["x-number"], body) == (202, "1", b"yes")


async def test_silence_ends_when_patience_does_and_disturbs_nobody_else() -> None:
    async with session(after) as ask:
        silent, begun = asyncio.create_task(ask("/9")), time.monotonic()
        await asyncio.sleep(PATIENCE * 0.75)
        other = asyncio.create_task(ask(f"/{PATIENCE * 0.5}"))
        with pytest.raises(TimeoutError) as told:
            await silent
        assert PATIENCE <= time.monotonic() - begun < 5
        assert not other.done()
        assert (await other).status == 202
    assert isinstance(broken(told.value, "vendor", "URL"), OutcomeUnknown)


async def test_an_answer_that_only_trickles_is_no_answer() -> None:
    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(200):
            await response.write(b".")
            await asyncio.sleep(PATIENCE / 10)
        return response

    async with session(trickle) as ask:
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            await ask("/")
        assert time.monotonic() - begun < PATIENCE * 10


async def test_a_large_request_may_take_longer_on_its_way() -> None:
    async with session(after) as ask:
        assert (await ask(f"/{PATIENCE * 2}", bytes(2_000_000))).status == 202
        with pytest.raises(TimeoutError):
            await ask(f"/{PATIENCE * 2}")


async def test_who_gets_no_connection_may_try_again() -> None:
    async with session(after, connections=1) as ask:
        first = asyncio.create_task(ask(f"/{PATIENCE * 0.8}"))
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError) as told:
            await ask("/0")
        assert isinstance(broken(told.value, "vendor", "URL"), Retryable)  # type: ignore[arg-type]
        assert (await first).status == 202


async def test_who_is_called_off_is_not_late() -> None:
    async with session(after) as ask:
        task = asyncio.create_task(ask("/9"))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
