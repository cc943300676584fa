"""Every answer, and every lack of one, means what the sender should do next."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import web

from alongside.channels.base import Answer
from alongside.channels.sendgrid import SendGrid, read_answer
from alongside.model.enums import MessageState
from alongside.model.errors import OutcomeUnknown, Permanent, Refused, Retryable, Throttled
from tests.fakes import key_of, letter

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
NOW = 1_772_366_400.0


@asynccontextmanager
async def vendor(handler: Handler, **options: Any) -> AsyncIterator[SendGrid]:
    """A vendor on loopback that answers as told, and a channel to it."""
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    channel = SendGrid("SG.test", f"http://127.0.0.1:{runner.addresses[0][1]}", **{"timeout": 0.3, **options})
    try:
        yield channel
    finally:
        await channel.close()
        await runner.cleanup()


async def send(channel: SendGrid, count: int = 3, **options: Any) -> Answer:
    return await channel.send(letter(count, **options), deadline=time.monotonic() + 60)


def always(status: int, **options: Any) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, **options)

    return answer


def keys(count: int) -> tuple[str, ...]:
    return tuple(key_of(number) for number in range(count))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, OutcomeUnknown), (204, OutcomeUnknown), (301, Refused), (400, Permanent), (401, Refused), (403, Refused),
        (404, Refused), (405, Refused), (413, Permanent), (415, Refused), (429, Throttled), (500, OutcomeUnknown),
        (502, OutcomeUnknown), (503, Retryable), (504, OutcomeUnknown),
    ],
)  # fmt: skip
def test_each_status_has_one_meaning(status: int, expected: type[Exception]) -> None:
    assert type(read_answer(status, {}, b"", NOW)) is expected
    assert read_answer(202, {}, b"", NOW) is None


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "2.5"}, 2.5),
        ({"Retry-After": "Sun, 01 Mar 2026 12:00:30 GMT"}, 30),
        ({"Retry-After": "soon"}, 1),
        ({"X-RateLimit-Reset": str(int(NOW) + 7)}, 7),
        ({"X-RateLimit-Reset": "1"}, 0.05),
        ({"Retry-After": "999999"}, 900),
        ({}, 1),
    ],
)
def test_the_vendor_says_how_long_to_wait(headers: dict[str, str], wait: float) -> None:
    found = read_answer(429, headers, b"", NOW)
    assert isinstance(found, Throttled)
    assert found.retry_after == pytest.approx(wait)


def test_a_refusal_is_quoted_without_addresses() -> None:
    body = orjson.dumps({"errors": [{"message": "Does not contain a valid address: wei@example.com", "field": None}]})
    found = read_answer(400, {}, body, NOW)
    assert isinstance(found, Permanent)
    assert found.what == "Does not contain a valid address: <address>"


async def test_acceptance_is_202_and_nothing_else() -> None:
    async with vendor(always(202)) as channel:
        assert (await send(channel)).accepted == keys(3)


async def test_a_captive_portal_is_never_acceptance() -> None:
    async with vendor(always(200, text="<html>Please log in</html>", content_type="text/html")) as channel:
        answer = await send(channel)
    assert answer.accepted == ()
    assert answer.unknown == keys(3)
    assert "Check the proxy" in str(answer.trouble)


async def test_nothing_is_tried_on_after_the_key_was_refused() -> None:
    async with vendor(always(401)) as channel:
        answer = await channel.send(letter(3, same_address=True), deadline=time.monotonic() + 60)
    assert (answer.retry, answer.requests, answer.burn) == (keys(3), 1, False)
    assert "SENDGRID_API_KEY" in str(answer.trouble)


async def test_one_bad_recipient_is_found_by_halves_and_nobody_gets_two() -> None:
    accepted: list[str] = []

    async def grumpy(request: web.Request) -> web.Response:
        sent = [item["custom_args"]["m"] for item in orjson.loads(await request.read())["personalizations"]]
        if key_of(5) in sent:
            return web.Response(status=400, body=b'{"errors":[{"message":"Bad Request","field":null}]}')
        accepted.extend(sent)
        return web.Response(status=202)

    async with vendor(grumpy) as channel:
        answer = await send(channel, 16)
    assert sorted(accepted) == sorted(answer.accepted) == sorted(set(keys(16)) - {key_of(5)})
    assert dict(answer.rejected) == {key_of(5): "Bad Request"}


async def test_a_recipient_that_the_vendor_names_costs_one_more_request() -> None:
    requests = 0

    async def precise(request: web.Request) -> web.Response:
        nonlocal requests
        requests += 1
        sent = [item["custom_args"]["m"] for item in orjson.loads(await request.read())["personalizations"]]
        if key_of(5) in sent:
            field = f"personalizations.{sent.index(key_of(5))}.to.0.email"
            return web.Response(status=400, body=orjson.dumps({"errors": [{"message": "no", "field": field}]}))
        return web.Response(status=202)

    async with vendor(precise) as channel:
        answer = await send(channel, 16)
    assert (requests, len(answer.accepted), dict(answer.rejected)) == (2, 15, {key_of(5): "no"})


async def test_a_fault_of_the_letter_gives_no_recipient_up() -> None:
    refusal = orjson.dumps({"errors": [{"message": "not allowed", "field": "from.email"}]})
    async with vendor(always(400, body=refusal)) as channel:
        answer = await send(channel)
    assert (answer.retry, answer.rejected, answer.burn) == (keys(3), {}, True)


async def test_no_connection_is_no_doubt() -> None:
    channel = SendGrid("SG.test", "http://127.0.0.1:1")
    answer = await send(channel)
    await channel.close()
    assert (answer.retry, answer.unknown) == (keys(3), ())


async def test_silence_and_a_broken_line_leave_doubt() -> None:
    async def silent(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(5)
        return web.Response(status=202)

    async def broken(request: web.Request) -> web.Response:
        await request.read()
        assert request.transport is not None
        request.transport.abort()
        return web.Response(status=202)

    for behaviour in (silent, broken):
        async with vendor(behaviour) as channel:
            assert (await send(channel)).unknown == keys(3)


async def test_more_than_a_thousand_and_shared_addresses_go_in_several_requests() -> None:
    sizes: list[int] = []

    async def strict(request: web.Request) -> web.Response:
        sent = [item["to"][0]["email"] for item in orjson.loads(await request.read())["personalizations"]]
        sizes.append(len(sent))
        return web.Response(status=202 if len(sent) == len(set(sent)) <= 1000 else 400)

    async with vendor(strict) as channel:
        assert len((await send(channel, 2500)).accepted) == 2500
        assert sizes == [1000, 1000, 500]
        sizes.clear()
        assert len((await send(channel, 3, same_address=True)).accepted) == 3
    assert sizes == [1, 1, 1]


async def test_no_request_begins_after_the_lease() -> None:
    async with vendor(always(202)) as channel:
        answer = await channel.send(letter(2), deadline=time.monotonic() - 1)
    assert (answer.retry, answer.requests) == (keys(2), 0)


async def test_the_activity_feed_is_asked_by_argument() -> None:
    asked: list[str] = []

    async def feed(request: web.Request) -> web.Response:
        asked.append(request.query["query"])
        return web.json_response({"messages": [{"status": "delivered"}, {"status": "not_delivered"}]})

    async with vendor(feed) as channel:
        found = await channel.lookup("b", "b1")
    assert asked == ["unique_args['b']=\"b1\""]
    assert found == [MessageState.DELIVERED, MessageState.ACCEPTED]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (always(429), Throttled),
        (always(403), Refused),
        (always(200, text="<html>"), Retryable),
        (always(500), Retryable),
    ],
)
async def test_a_feed_that_does_not_answer_teaches_nothing(answer: Handler, expected: type[Exception]) -> None:
    async with vendor(answer) as channel:
        with pytest.raises(expected):
            await channel.lookup("m", "k")
