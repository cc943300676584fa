"""A complete answer is read whatever its form and however it arrives; anything else is no answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from alongside.channels.http1 import Client, NoAnswer, NotConnected, Untrusted, read_reply

ACCEPTED = b"HTTP/1.1 202 Accepted\r\nX-Message-Id: m\r\nContent-Length: 0\r\n\r\n"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.mark.parametrize(
    ("raw", "status", "body", "kept"),
    [
        (ACCEPTED, 202, b"", True),
        (b"HTTP/1.1 200 OK\r\ncontent-LENGTH:  5 \r\n\r\nhello", 200, b"hello", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202\r\nContent-Length: 0\r\n\r\n", 202, b"", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
        (b"HTTP/1.0 202 Accepted\r\nContent-Length: 0\r\n\r\n", 202, b"", False),
        (b"HTTP/1.1 202 Accepted\r\nConnection: keep-alive, close\r\nContent-Length: 0\r\n\r\n", 202, b"", False),
        (
            b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
            400, b"abc0123456789", True,
        ),
        (b"HTTP/1.1 400 Bad\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nT: x\r\n\r\n", 400, b"a", True),
    ],
)  # fmt: skip
def test_an_answer_is_read_once_its_last_byte_is_there(raw: bytes, status: int, body: bytes, kept: bool) -> None:
    for cut in range(len(raw)):
        assert read_reply(raw[:cut]) is None, raw[:cut]
    found = read_reply(raw + b"next")
    assert found is not None
    reply, end, again = found
    assert (reply.status, reply.body, end, again) == (status, body, len(raw), kept)


def test_without_a_length_the_connection_ends_the_answer() -> None:
    raw = b"HTTP/1.1 503 Busy\r\nRetry-After: 3\r\n\r\nlater"
    assert read_reply(raw) is None
    found = read_reply(raw, ended=True)
    assert found is not None
    reply, _, kept = found
    assert (reply.body, reply.headers["retry-after"], kept) == (b"later", "3", False)


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/2 202\r\n\r\n",
        b"HTTP/1.1 banana\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\nX: " + b"y" * 70_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
    ],
)
def test_what_is_no_answer_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="answer"):
        read_reply(raw)


@asynccontextmanager
async def host(talk: Talk, **options: float) -> AsyncIterator[tuple[Client, list[int]]]:
    """Somebody who talks like this on each connection, and a client to them; the list counts connections."""
    connections: list[int] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = Client(f"http://127.0.0.1:{port}", {"X-Key": "k"}, connections=2, timeout=options.get("timeout", 5.0))
    try:
        yield client, connections
    finally:
        await client.close()
        server.close()


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return head + await reader.readexactly(length)


async def test_one_connection_carries_many_requests_with_their_headers() -> None:
    seen: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            seen.append(await _read_request(reader))
            writer.write(ACCEPTED)

    async with host(talk) as (client, connections):
        for number in range(3):
            assert (await client.request("POST", "/v3/mail/send", b"%d" % number)).status == 202
    assert len(connections) == 1
    assert [request[-1:] for request in seen] == [b"0", b"1", b"2"]
    assert seen[0].startswith(b"POST /v3/mail/send HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nX-Key: k\r\n" in seen[0]


async def test_no_more_connections_than_allowed() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await _read_request(reader)
            await asyncio.sleep(0.01)
            writer.write(ACCEPTED)

    async with host(talk) as (client, connections):
        await asyncio.gather(*(client.request("POST", "/", b"x") for _ in range(8)))
    assert len(connections) == 2


async def test_a_connection_that_the_other_side_closed_is_not_used_again() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _read_request(reader)
        writer.write(ACCEPTED)

    async with host(talk) as (client, connections):
        for _ in range(3):
            assert (await client.request("POST", "/", b"x")).status == 202
            await asyncio.sleep(0.02)
    assert len(connections) == 3


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 202 Acc", b"HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\n1234"])
async def test_half_an_answer_is_none(said: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _read_request(reader)
        writer.write(said)
        await writer.drain()

    async with host(talk) as (client, _):
        with pytest.raises(NoAnswer):
            await client.request("POST", "/", b"x")


async def test_silence_ends_and_its_late_answer_is_nobodys() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = await _read_request(reader)
        await asyncio.sleep(0.3 if body.endswith(b"slow") else 0)
        writer.write(ACCEPTED)
        await writer.drain()

    async with host(talk, timeout=0.1) as (client, connections):
        with pytest.raises(NoAnswer):
            await client.request("POST", "/", b"slow")
        assert (await client.request("POST", "/", b"fast")).status == 202
    assert len(connections) == 2


async def test_a_body_that_is_still_being_taken_is_waited_for() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = 24 * 1024 * 1024
        await reader.readuntil(b"\r\n\r\n")
        while left > 0:
            left -= len(await reader.read(1 << 20))
            await asyncio.sleep(0.005)
        writer.write(ACCEPTED)
        await writer.drain()

    async with host(talk, timeout=0.15) as (client, _):
        assert (await client.request("POST", "/", b"x" * (24 * 1024 * 1024))).status == 202


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://", "http://127.0.0.1:port", "nonsense"])
async def test_a_wrong_address_is_said_to_be_wrong(url: str) -> None:
    with pytest.raises(Untrusted):
        await Client(url, {}, connections=1, timeout=1).request("POST", "/", b"x")


async def test_no_header_can_be_smuggled_in() -> None:
    client = Client("http://127.0.0.1:9", {"Authorization": "Bearer x\r\nBcc: y"}, connections=1, timeout=1)
    with pytest.raises(Untrusted):
        await client.request("POST", "/", b"x")


async def test_nobody_there_means_that_nothing_left() -> None:
    with pytest.raises(NotConnected):
        await Client("http://127.0.0.1:9", {}, connections=1, timeout=1).request("POST", "/", b"x")
