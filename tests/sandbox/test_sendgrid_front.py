"""However a request arrives, the stand-in's short way and the web framework behind it answer alike, and in order."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from alongside.sandbox.sendgrid import DEFAULT_API_KEY, Options, read_ndjson, serve
from tests.sandbox.test_sendgrid_validation import message, personalization


def request(number: int, *extra: str, target: str = "/v3/mail/send", chunked: bool = False) -> bytes:
    body = json.dumps(message(personalizations=[personalization(f"p{number}@example.com")])).encode()
    length = "Transfer-Encoding: chunked" if chunked else f"content-length:{len(body)}"
    lines = [f"POST {target} HTTP/1.1", "host: x", f"AUTHORIZATION: Bearer {DEFAULT_API_KEY}", *extra]
    head = "\r\n".join([*lines, "Content-type: application/json; charset=utf-8", length, "", ""]).encode()
    return head + (b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body)


async def talk(folder: Path, *pieces: bytes, answers: int) -> tuple[list[int], list[str]]:
    """Statuses of so many answers to these pieces on one connection, and the addresses in the log."""
    async with serve(Options(folder, patients=False)) as running:
        host, _, port = running.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        statuses = [await asyncio.wait_for(_status(reader), 10) for _ in range(answers)]
        writer.close()
    return statuses, [record["to"] for record in read_ndjson(folder / "accepted.ndjson")]


async def _status(reader: asyncio.StreamReader) -> int:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(b"content-length: ")[2].split(b"\r\n")[0]
    await reader.readexactly(int(length or 0))
    return int(head.split()[1])


def to(*numbers: int) -> list[str]:
    return [f"p{number}@example.com" for number in numbers]


async def test_a_request_may_come_in_single_bytes(tmp_path: Path) -> None:
    raw = request(1)
    assert await talk(tmp_path, *(raw[at : at + 1] for at in range(len(raw))), answers=1) == ([202], to(1))


async def test_requests_behind_one_another_are_answered_in_order(tmp_path: Path) -> None:
    raw = request(1) + request(2).replace(b"Bearer", b"Basic") + request(3)
    middle = len(raw) // 2
    assert await talk(tmp_path, raw[:middle], raw[middle:], answers=3) == ([202, 401, 202], to(1, 3))


@pytest.mark.parametrize(
    ("second", "status", "taken"),
    [
        (b"GET /_sandbox/stats HTTP/1.1\r\nHost: x\r\n\r\n", 200, []),
        (request(2, chunked=True), 202, [2]),
        (request(2, "Connection: close"), 202, [2]),
        (request(2, target="/v3/mail/send?x=1"), 202, [2]),
        (request(2, target="/v3/mail/sendx"), 404, []),
        (b"PUT /v3/mail/send HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405, []),
        (b"nonsense\r\n\r\n", 400, []),
    ],
    ids=["another path", "chunked", "last request", "query", "longer path", "another method", "nonsense"],
)
async def test_what_is_not_plain_goes_to_the_framework(
    tmp_path: Path, second: bytes, status: int, taken: list[int]
) -> None:
    assert await talk(tmp_path, request(1), second, answers=2) == ([202, status], to(1, *taken))


async def test_the_framework_keeps_a_connection_that_it_was_given(tmp_path: Path) -> None:
    stats = b"GET /_sandbox/stats HTTP/1.1\r\nHost: x\r\n\r\n"
    assert await talk(tmp_path, stats + request(1), stats, answers=3) == ([200, 202, 200], to(1))
