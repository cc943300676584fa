"""Every answer of Twilio, and every lack of one, means what the sender should do next."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl

import orjson
import pytest
from aiohttp import web

from alongside.channels.base import Addressee, Answer, LetterRefused
from alongside.channels.transport import retry_after
from alongside.channels.twilio import Twilio, read_answer
from alongside.channels.twilio_codes import FAULTS, Blame, Fault, suppression_of
from alongside.model.enums import MessageState
from alongside.model.errors import OutcomeUnknown, Permanent, Refused, Retryable, Throttled
from tests.channels.test_twilio_request import ACCOUNT, CALLBACK, letter
from tests.fakes import key_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
NOW = 1_772_366_400.0
SID = "SM" + "c" * 32
CREATED = {"sid": SID, "status": "queued", "error_code": None}


@asynccontextmanager
async def vendor(handler: Handler, **options: Any) -> AsyncIterator[Twilio]:
    """A vendor on loopback that answers as told, and a channel to it."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    channel = Twilio(ACCOUNT, "secret", url, callback=CALLBACK, **{"timeout": 0.3, **options})
    try:
        yield channel
    finally:
        await channel.close()
        await runner.cleanup()


def to(count: int) -> tuple[Addressee, ...]:
    return tuple(Addressee(key_of(number), f"+861380000{number:04d}") for number in range(count))


def keys(count: int) -> tuple[str, ...]:
    return tuple(key_of(number) for number in range(count))


async def send(channel: Twilio, count: int = 3) -> Answer:
    return await channel.send(letter("hello", addressees=to(count)), deadline=time.monotonic() + 60)


def reply(status: int, document: Any = None, **options: Any) -> web.Response:
    body = orjson.dumps(document) if document is not None else options.pop("body", b"")
    return web.Response(status=status, body=body, **options)


def always(status: int, document: Any = None, **options: Any) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        return reply(status, document, **options)

    return answer


def refusal(code: int, status: int = 400, message: str = "no") -> bytes:
    return orjson.dumps({"code": code, "message": message, "more_info": "https://x.example", "status": status})


# --------------------------------------------------------------------------------------------------- one answer
def test_acceptance_is_a_message_with_an_id() -> None:
    assert read_answer(201, {}, orjson.dumps(CREATED), NOW) is None


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b"<html>Please log in</html>", OutcomeUnknown),
        (201, b"{}", OutcomeUnknown),
        (201, b'{"sid": "CA' + b"c" * 32 + b'"}', OutcomeUnknown),
        (204, b"", OutcomeUnknown),
        (201, orjson.dumps(CREATED | {"status": "failed", "error_code": 21610}), Permanent),
        (301, b"", Refused),
        (400, b"<html>Bad Request</html>", Refused),  # a proxy: no patient is to blame
        (400, b'["code"]', Refused),
        (400, refusal(99999), Permanent),
        (401, refusal(20003, 401), Refused),
        (401, b"", Refused),
        (403, refusal(20006, 403), Refused),
        (403, refusal(20403, 403), Refused),  # not in the table
        (404, refusal(29999, 404), Refused),
        (404, refusal(20404, 404), Refused),
        (404, b"", Refused),
        (408, b"", OutcomeUnknown),
        (429, refusal(20429, 429), Throttled),
        (429, b"", Throttled),
        (400, refusal(21611), Throttled),
        (429, refusal(63038, 429), Throttled),
        (500, refusal(20500, 500), OutcomeUnknown),
        (502, b"", OutcomeUnknown),
        (503, refusal(20503, 503), Retryable),
        (503, b"<html>", OutcomeUnknown),  # not said by the vendor: who knows what it had
        (504, b"", OutcomeUnknown),
    ],
)
def test_each_answer_has_one_meaning(status: int, body: bytes, expected: type[Exception]) -> None:
    assert type(read_answer(status, {}, body, NOW)) is expected


@pytest.mark.parametrize("code", sorted(FAULTS))
def test_each_code_does_what_its_blame_says(code: int) -> None:
    expected = {
        Blame.RECIPIENT: Permanent,
        Blame.LETTER: LetterRefused,
        Blame.ACCOUNT: Refused,
        Blame.LOAD: Throttled,
    }
    found = read_answer(400, {}, refusal(code), NOW)
    assert type(found) is expected[FAULTS[code].blame]
    assert str(code) in str(found)


@pytest.mark.parametrize(
    ("code", "suppression"),
    [(21211, "hard_bounce"), (21614, "hard_bounce"), (21610, "unsubscribe"), (30005, "hard_bounce"),
     (21408, None), (21612, None), (30003, None), (30007, None), (12345, None)],
)  # fmt: skip
async def test_a_rejected_number_says_whether_it_is_to_be_suppressed(code: int, suppression: str | None) -> None:
    async with vendor(always(400, body=refusal(code))) as channel:
        answer = await send(channel, 1)
    (reason,) = answer.rejected.values()
    assert suppression_of(reason) == suppression
    assert suppression_of(None) is None
    assert suppression_of("no_address") is None


def test_a_used_up_day_is_not_asked_for_every_second() -> None:
    for code, wait in ((63038, 900), (20429, 1)):
        found = read_answer(429, {}, refusal(code, 429), NOW)
        assert isinstance(found, Throttled)
        assert found.retry_after == wait
    found = read_answer(400, {}, refusal(21611), NOW)
    assert isinstance(found, Throttled)
    assert found.retry_after == 60


def test_one_number_abroad_does_not_stop_the_channel() -> None:
    assert Fault.of(21408).blame is Blame.RECIPIENT


def test_a_refusal_is_quoted_without_numbers() -> None:
    body = refusal(99999, message="The number +86 138-1234-5678 is odd, so is (0571) 8888 6666; code 42")
    found = read_answer(400, {}, body, NOW)
    assert isinstance(found, Permanent)
    assert "138" not in found.what
    assert "8888" not in found.what
    assert found.what.startswith("99999 The number <number>")


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "2.5"}, 2.5),
        ({"Retry-After": "Sun, 01 Mar 2026 12:00:30 GMT"}, 30),
        ({"Retry-After": "Sun, 01 Mar 2026 12:00:30 -0000"}, 30),
        ({"Retry-After": "soon"}, 7),
        ({"Retry-After": "-3"}, 7),
        ({"Retry-After": "inf"}, 7),
        ({"Retry-After": "nan"}, 7),
        ({"Retry-After": "٣"}, 7),
        ({"Retry-After": "0"}, 0.05),
        ({"Retry-After": "999999"}, 900),
        ({}, 7),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], wait: float) -> None:
    assert retry_after(headers, NOW, otherwise=7) == pytest.approx(wait)


# ------------------------------------------------------------------------------------------------------ a letter
async def test_every_recipient_gets_one_request() -> None:
    seen: Counter[str] = Counter()

    async def take(request: web.Request) -> web.Response:
        form = dict(parse_qsl((await request.read()).decode()))
        assert request.path == f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
        assert request.headers["Authorization"].startswith("Basic ")
        seen[form["To"]] += 1
        return reply(201, CREATED)

    async with vendor(take) as channel:
        answer = await send(channel, 40)
    assert sorted(answer.accepted) == list(keys(40))
    assert (answer.requests, answer.http_status, answer.trouble) == (40, 201, None)
    assert set(seen.values()) == {1}
    assert len(seen) == 40


async def test_requests_run_side_by_side_but_no_more_than_allowed() -> None:
    under_way, most = 0, 0

    async def slow(_request: web.Request) -> web.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        return reply(201, CREATED)

    async with vendor(slow, at_once=4, timeout=5) as channel:
        await send(channel, 16)
    assert most == 4


async def test_a_bad_number_does_not_hold_up_the_others() -> None:
    async def picky(request: web.Request) -> web.Response:
        form = dict(parse_qsl((await request.read()).decode()))
        bad = form["To"].endswith("5")
        return web.Response(status=400, body=refusal(21211)) if bad else reply(201, CREATED)

    async with vendor(picky) as channel:
        answer = await send(channel, 10)
    assert dict(answer.rejected) == {key_of(5): "21211 not a valid phone number"}
    assert len(answer.accepted) == 9
    assert answer.trouble is None


@pytest.mark.parametrize(
    ("status", "body", "headers", "wait"),
    [(429, refusal(20429, 429), {"Retry-After": "3"}, 3.0), (401, refusal(20003, 401), {}, None)],
)
async def test_trouble_ends_the_letter_and_nothing_is_lost(
    status: int, body: bytes, headers: dict[str, str], wait: float | None
) -> None:
    requests = 0

    async def tired(_request: web.Request) -> web.Response:
        nonlocal requests
        requests += 1
        return reply(201, CREATED) if requests <= 5 else web.Response(status=status, body=body, headers=headers)

    async with vendor(tired, at_once=2) as channel:
        answer = await send(channel, 30)
    assert len(answer.accepted) == 5
    assert sorted(answer.accepted + answer.retry) == list(keys(30))
    assert requests <= 7, "only what was under way was still tried"
    assert (answer.retry_after, answer.burn) == (wait, False)


async def test_a_refused_sender_gives_no_recipient_up() -> None:
    async with vendor(always(400, body=refusal(21606)), at_once=1) as channel:
        answer = await send(channel, 4)
    assert (answer.retry, answer.requests, answer.burn, dict(answer.rejected)) == (keys(4), 1, True, {})


async def test_a_bad_letter_is_never_sent() -> None:
    async with vendor(always(500)) as channel:
        given = letter("hello", addressees=to(2), sender_address="nobody@nowhere")
        answer = await channel.send(given, deadline=time.monotonic() + 60)
    assert (answer.retry, answer.requests, answer.burn) == (keys(2), 0, True)


async def test_silence_and_broken_connections_leave_the_outcome_unknown() -> None:
    async def silent(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(1)
        return reply(201, CREATED)

    async def drop(request: web.Request) -> web.Response:
        await request.read()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    for handler in (silent, drop):
        async with vendor(handler, timeout=0.1) as channel:
            answer = await send(channel, 1)
        assert answer.unknown == keys(1)
        assert isinstance(answer.trouble, OutcomeUnknown)


async def test_without_a_connection_nothing_was_accepted() -> None:
    channel = Twilio(ACCOUNT, "secret", "http://127.0.0.1:9", callback=CALLBACK)
    answer = await send(channel, 1)
    await channel.close()
    assert answer.retry == keys(1)
    assert isinstance(answer.trouble, Retryable)


async def test_no_request_begins_after_the_lease() -> None:
    async with vendor(always(201, CREATED)) as channel:
        answer = await channel.send(letter("hello", addressees=to(3)), deadline=time.monotonic() - 1)
    assert (answer.retry, answer.requests) == (keys(3), 0)


# ---------------------------------------------------------------------------------------------------- asking back
SINCE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def message(number: int, body: str | None, *, minutes: float = 1, status: str = "sent", **more: Any) -> dict[str, Any]:
    created = format_datetime(SINCE + timedelta(minutes=minutes))
    return {"sid": f"SM{number:032x}", "body": body, "date_created": created, "status": status,
            "direction": "outbound-api", **more}  # fmt: skip


def listed(*pages: list[dict[str, Any]]) -> Handler:
    """The list of messages in so many pages."""

    async def answer(request: web.Request) -> web.Response:
        assert request.query["To"] == "+8613800000000"
        number = int(request.query.get("Page", "0"))
        following = f"{request.path}?To=%2B8613800000000&Page={number + 1}" if number + 1 < len(pages) else None
        return reply(200, {"messages": pages[number], "next_page_uri": following})

    return answer


MARK = "u/AbC-token"
TEXT = f"Your visit is on 2 March. https://h.example/{MARK}"


@pytest.mark.parametrize(
    ("pages", "states", "conclusive"),
    [
        ([[]], (), True),
        ([[message(1, TEXT)]], (MessageState.ACCEPTED,), True),
        ([[message(1, TEXT, status="delivered")]], (MessageState.DELIVERED,), True),
        ([[message(1, TEXT, status="undelivered")]], (MessageState.BOUNCED,), True),
        ([[message(1, TEXT, status="of tomorrow")]], (MessageState.ACCEPTED,), True),
        ([[message(1, "another text")], [message(2, TEXT)]], (MessageState.ACCEPTED,), True),
        ([[message(1, TEXT), message(2, TEXT)]], (MessageState.ACCEPTED,) * 2, True),  # sent twice: to be seen
        ([[message(1, TEXT, direction="inbound")]], (), True),  # the patient quoted us
        ([[message(1, "")]], (), False),  # redacted: it may have been ours
        ([[message(1, None)]], (), False),
        ([[message(1, "", minutes=-60)]], (), True),  # from before: not ours
        ([[message(1, "", minutes=-60)], [message(2, TEXT)]], (), True),  # the second page is not asked for
        ([[message(1, "", date_created="yesterday")]], (), False),
        ([[message(number, "x")] for number in range(12)], (), False),  # more than is looked through
    ],
)
async def test_a_message_is_traced_by_its_number_and_its_text(
    pages: list[list[dict[str, Any]]], states: tuple[MessageState, ...], conclusive: bool
) -> None:
    async with vendor(listed(*pages)) as channel:
        found = await channel.trace("+8613800000000", key_of(1), MARK, SINCE)
    assert (found.states, found.conclusive) == (states, conclusive)


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (always(401), Refused),
        (always(404), Refused),
        (always(429), Throttled),
        (always(500), Retryable),
        (always(200, body=b"<html>"), Retryable),
        (always(200, {"messages": [1]}), Retryable),
        (always(200, {"messages": [], "next_page_uri": "https://elsewhere.example/"}), Retryable),
        (always(200, {"messages": [], "next_page_uri": "/2010-04-01/Accounts/ACother/Messages.json?"}), Retryable),
    ],
)
async def test_an_answer_that_teaches_nothing_is_no_absence(handler: Handler, expected: type[Exception]) -> None:
    async with vendor(handler) as channel:
        with pytest.raises(expected):
            await channel.trace("+8613800000000", key_of(1), MARK, SINCE)


async def test_an_empty_mark_would_find_everything() -> None:
    async with vendor(listed([])) as channel:
        with pytest.raises(ValueError, match="empty text"):
            await channel.trace("+8613800000000", key_of(1), " ", SINCE)


async def test_only_the_vendors_own_id_can_be_looked_up() -> None:
    async with vendor(always(200, message(1, TEXT, status="delivered"))) as channel:
        assert await channel.lookup("sid", SID) == [MessageState.DELIVERED]
        for argument, value in (("m", key_of(1)), ("b", "b" * 33), ("sid", "../Accounts")):
            with pytest.raises(Refused, match="cannot be asked"):
                await channel.lookup(argument, value)
    async with vendor(always(404, body=refusal(20404, 404))) as channel:
        assert await channel.lookup("sid", SID) == []
    channel = Twilio(ACCOUNT, "secret", "http://127.0.0.1:9", callback=CALLBACK)
    with pytest.raises(Retryable):
        await channel.lookup("sid", SID)
    await channel.close()
