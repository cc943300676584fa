"""However a request arrives, the stand-in's short way and the web framework behind it answer alike, and in order."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest

from alongside.sandbox.sendgrid import DEFAULT_API_KEY, Options, read_ndjson, serve
from alongside.sandbox.sendgrid.http import Incoming, Reply
from alongside.sandbox.sendgrid.mail import MailSend
from tests.sandbox.test_sendgrid_validation import message, personalization


def request(number: int, *extra: str, target: str = "/v3/mail/send", chunked: bool = False) -> bytes:
    body = json.dumps(message(personalizations=[personalization(f"p{number}@example.com")])).encode()
    length = "Transfer-Encoding: chunked" if chunked else f"content-length:{len(body)}"
    lines = [f"POST {target} HTTP/1.1", "host: x", f"AUTHORIZATION: Bearer {DEFAULT_API_KEY}", *extra]
    head = "\r\n".join([*lines, "Content-type: application/json; charset=utf-8", length, "", ""]).encode()
    return head + (b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body)


async def conversation(folder: Path, *pieces: bytes, answers: int) -> list[tuple[int, dict[str, str], bytes]]:
    """So many answers to these pieces on one connection: status, headers in lower case, body."""
    async with serve(Options(folder, patients=False)) as running:
        host, _, port = running.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        told = [await asyncio.wait_for(_answer(reader), 10) for _ in range(answers)]
        writer.close()
    return told


async def talk(folder: Path, *pieces: bytes, answers: int) -> tuple[list[int], list[str]]:
    """Statuses of so many answers to these pieces on one connection, and the addresses in the log."""
    told = await conversation(folder, *pieces, answers=answers)
    return [status for status, _, _ in told], [record["to"] for record in read_ndjson(folder / "accepted.ndjson")]


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(status.split()[1]), headers, await reader.readexactly(int(headers.get("content-length", 0)))


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


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"p1@example.com", b"p1@example.com", 202),
        (b"p1@example.com", b"p1_example.com", 400),
        (b"Bearer", b"Basic", 401),
        (b"application/json", b"application/html", 415),
    ],
    ids=["accepted", "refused", "wrong key", "wrong type"],
)
async def test_both_ways_give_the_same_answer(tmp_path: Path, old: bytes, new: bytes, status: int) -> None:
    ways = [request(1, chunked=chunked).replace(old, new) for chunked in (False, True)]
    told = await conversation(tmp_path, *ways, answers=2)
    for _, headers, _ in told:
        for own in ("date", "server", "content-length", "x-message-id", "x-ratelimit-reset", "x-ratelimit-remaining"):
            headers.pop(own, None)
    if status == 202:  # without a body the framework still names its type
        told[1][1].pop("content-type", None)
    assert told[0] == told[1]
    assert told[0][0] == status


async def test_a_long_row_of_refused_requests_is_answered_in_full(tmp_path: Path) -> None:
    row = request(1).replace(b"Bearer", b"Basic") * 3000 + request(2)
    assert await talk(tmp_path, row, answers=3001) == ([401] * 3000 + [202], to(2))


async def test_nothing_is_answered_before_it_is_on_disk(tmp_path: Path, disk: threading.Event) -> None:
    async with serve(Options(tmp_path, patients=False)) as running:
        host, _, port = running.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request(1) + request(2).replace(b"Bearer", b"Basic"))
        answer = asyncio.create_task(_answer(reader))
        await asyncio.sleep(0.1)
        assert not answer.done()
        disk.set()
        assert [(await answer)[0], (await _answer(reader))[0]] == [202, 401]
        writer.close()


async def test_a_fault_of_the_stand_in_leaves_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also behind a request that was answered: the second of the row is read when the first is through."""
    real = MailSend.handle

    def faulty(self: MailSend, incoming: Incoming, reply: Reply) -> None:
        if b"p2@" in incoming.body:
            raise LookupError("a fault of ours")
        real(self, incoming, reply)

    monkeypatch.setattr(MailSend, "handle", faulty)
    async with serve(Options(tmp_path, patients=False)) as running:
        host, _, port = running.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request(1) + request(2))
        assert (await _answer(reader))[0] == 202
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await asyncio.wait_for(_answer(reader), 10)
        writer.close()
