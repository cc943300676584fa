"""A vendor that accepts the last request of an allowance and says when the next one begins is not asked before."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from alongside.channels.base import Answer
from alongside.channels.sendgrid import SendGrid, rest_of
from alongside.delivery.pacing import Breaker
from tests.fakes import letter

HEADERS: dict[str, str] = {}


@pytest.fixture
async def vendor() -> AsyncIterator[SendGrid]:
    """The channel, towards a vendor that accepts everything with the headers in `HEADERS`."""

    async def accept(_request: web.Request) -> web.Response:
        return web.Response(status=202, headers=HEADERS)

    app = web.Application()
    app.router.add_post("/v3/mail/send", accept)
    async with TestServer(app) as server:
        channel = SendGrid("key", str(server.make_url("")))
        yield channel
        await channel.close()
    HEADERS.clear()


@pytest.mark.parametrize(("remaining", "rests"), [("1", False), ("0", True)])
async def test_the_last_of_an_allowance_is_accepted_and_tells_how_long_to_rest(
    vendor: SendGrid, remaining: str, rests: bool
) -> None:
    HEADERS.update({"X-RateLimit-Remaining": remaining, "X-RateLimit-Reset": str(int(time.time()) + 30)})
    answer = await vendor.send(letter(3), deadline=time.monotonic() + 10)
    assert len(answer.accepted) == 3
    assert answer.trouble is None
    assert (20 < answer.rest <= 30) is rests


@pytest.mark.parametrize("headers", [{}, {"X-RateLimit-Remaining": "0"}, {"X-RateLimit-Reset": "99999999999"}])
def test_without_both_headers_nobody_rests(headers: Mapping[str, str]) -> None:
    assert rest_of(headers, 0.0) == 0.0


def test_a_rest_is_no_failure() -> None:
    breaker = Breaker(now=lambda: 100.0)
    breaker.learn(Answer(accepted=("a",), rest=7.0))
    assert (breaker.resting, breaker.failures, breaker.is_open) == (7.0, 0, False)
