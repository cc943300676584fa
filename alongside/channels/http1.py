"""HTTP/1.1 to one vendor over kept connections: requests with a body, short answers, and nothing else.

A general client spends some 200 us of a core on each request (aiohttp's, measured beside this one: 15 to 30 us), which
is more than everything else that a message costs when each is its own request. What a sender needs is less than what
such clients offer, and sharper: whether a connection could be had at all, or bytes may have left and no answer came.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 4 * 1024 * 1024
CONNECT_SECONDS = 10.0
#: Shorter than what servers keep: a connection that the other side has closed costs an unknown outcome.
KEPT_SECONDS = 15.0
#: An answer that goes on arriving is waited for this much longer, then it is none.
LONGEST_EXTRA_SECONDS = 30.0

_STATUS = re.compile(rb"HTTP/1\.([01]) (\d{3})(?=[ \r])")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*\bchunked[ \t]*\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[^\r\n]*\bclose\b", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[^\r\n]*\r\n")
_NO_HEADER = re.compile(r"[\r\n\x00]")


class NotConnected(Exception):
    """There is no connection: not a byte of the request has left."""


class Untrusted(NotConnected):
    """The address or its certificate is wrong: trying again would change nothing."""


class NoAnswer(Exception):
    """Bytes may have left, and no complete answer came."""


@dataclass(slots=True)
class Reply:
    """An answer. `head` is kept as it came: of a thousand answers hardly one is asked for its headers."""

    status: int
    head: bytes
    body: bytes

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case; of a repeated one the first."""
        found: dict[str, str] = {}
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            name, _, value = line.partition(":")
            found.setdefault(name.lower(), value.strip())
        return found


class Client:
    """Requests to one host. Belongs to one event loop.

    Parameters
    ----------
    url : `http://` or `https://`, with a path that every request's begins with
    headers : sent with every request
    connections : at most so many at a time
    timeout : seconds without progress after which a request has no answer
    """

    def __init__(self, url: str, headers: Mapping[str, str], *, connections: int, timeout: float) -> None:
        self._url, self._timeout = url, timeout
        self._headers = {"User-Agent": "Alongside", "Accept-Encoding": "identity", **headers}
        self._heads: dict[tuple[str, str], bytes] = {}
        self._idle: deque[_Connection] = deque()
        self._free = asyncio.Semaphore(connections)

    async def request(self, method: str, target: str, body: bytes = b"") -> Reply:
        """Send one request and read its whole answer.

        Raises
        ------
        NotConnected, Untrusted : nothing has left
        NoAnswer : the outcome is unknown
        """
        head = self._heads.get((method, target)) or self._head(method, target)
        data = b"%b%d\r\n\r\n%b" % (head, len(body), body)
        async with self._free:
            connection = self._kept() or await self._connect()
            reply = await connection.ask(data, self._timeout)
            if connection.usable:
                self._idle.append(connection)
            return reply

    async def close(self) -> None:
        """Close all kept connections."""
        while self._idle:
            self._idle.pop().close()
        await asyncio.sleep(0)  # transports close in the loop's next turn

    def _head(self, method: str, target: str) -> bytes:
        """The request up to the number behind `Content-Length:`."""
        parts = urlsplit(self._url)
        lines = [f"{method} {parts.path.rstrip('/')}{target} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}"]
        lines += [f"{name}: {value}" for name, value in self._headers.items()]
        if any(_NO_HEADER.search(line) for line in lines):
            raise Untrusted("a header of the request would contain a line break")
        head = "\r\n".join([*lines, "Content-Length: "]).encode()
        if "?" not in target:  # those with a query are asked once
            self._heads[(method, target)] = head
        return head

    def _kept(self) -> _Connection | None:
        """The connection that was used last: the others may grow old and close."""
        oldest = time.monotonic() - KEPT_SECONDS
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.idle_since > oldest:
                return connection
            connection.close()
        return None

    async def _connect(self) -> _Connection:
        parts = urlsplit(self._url)
        try:
            secure, host, port = {"https": True, "http": False}[parts.scheme], parts.hostname, parts.port
        except (KeyError, ValueError) as error:
            raise Untrusted("the address is no http or https URL") from error
        if not host:
            raise Untrusted("the address names no host")
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await asyncio.get_running_loop().create_connection(
                    _Connection,
                    host,
                    port or (443 if secure else 80),
                    ssl=ssl.create_default_context() if secure else None,
                    happy_eyeballs_delay=0.25,
                )
        except ssl.SSLCertVerificationError as error:
            raise Untrusted(type(error).__name__) from error
        except (OSError, TimeoutError, UnicodeError) as error:
            raise NotConnected(type(error).__name__) from error
        return connection


@dataclass(eq=False)
class _Connection(asyncio.Protocol):
    """One connection with at most one request under way."""

    usable: bool = True
    idle_since: float = 0.0
    _buffer: bytes = b""
    _waiter: asyncio.Future[Reply] | None = None
    _watch: asyncio.TimerHandle | None = None
    _unsent: int = 0
    _latest: float = 0.0
    _transport: asyncio.Transport = field(init=False)

    async def ask(self, data: bytes, timeout: float) -> Reply:
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        self._transport.write(data)
        self._unsent, self._latest = self._transport.get_write_buffer_size(), loop.time() + LONGEST_EXTRA_SECONDS
        self._watch = loop.call_later(timeout, self._is_late, timeout)
        try:
            reply = await self._waiter
            if self._transport.get_write_buffer_size():  # answered before it had read everything
                self.close()
            return reply
        except BaseException:  # cancelled, or without an answer: what still arrives belongs to nobody
            self.close()
            raise
        finally:
            self._watch.cancel()
            self._waiter, self._buffer, self.idle_since = None, b"", time.monotonic()

    def close(self) -> None:
        self.usable = False
        self._transport.abort()

    def _is_late(self, timeout: float) -> None:
        """No answer in time. A body that is still being taken is waited for, but not for ever."""
        loop = asyncio.get_running_loop()
        unsent = self._transport.get_write_buffer_size()
        if unsent < self._unsent and loop.time() < self._latest:
            self._unsent = unsent
            self._watch = loop.call_later(timeout, self._is_late, timeout)
        else:
            self._fail("no answer in time")

    def _fail(self, why: str) -> None:
        self.usable = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(NoAnswer(why))

    # ------------------------------------------------------------------------------------------- called by the loop
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_connection makes
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._waiter.done():  # nobody asked: what a server says before it hangs up
            self.close()
            return
        self._buffer += data
        try:
            found = read_reply(self._buffer)
        except ValueError as error:
            self._fail(str(error))
            return
        if found is not None:
            reply, end, kept = found
            self.usable = kept and end == len(self._buffer)
            self._waiter.set_result(reply)
            if not self.usable:
                self.close()

    def eof_received(self) -> None:
        self._ended()

    def connection_lost(self, _error: Exception | None) -> None:
        self._ended()

    def _ended(self) -> None:
        self.usable = False
        if self._waiter is None or self._waiter.done():
            return
        try:
            found = read_reply(self._buffer, ended=True)
        except ValueError:
            found = None
        if found is None:
            self._fail("the connection was closed")
        else:
            self._waiter.set_result(found[0])


def read_reply(data: bytes, *, ended: bool = False) -> tuple[Reply, int, bool] | None:
    """The answer at the beginning of `data`, the number of its bytes, and whether its connection can be used again.

    None while something is missing.

    Parameters
    ----------
    ended : nothing more will come

    Raises
    ------
    ValueError : this is not HTTP/1, or too much of it
    """
    start = 0
    while True:
        end = data.find(b"\r\n\r\n", start) + 4
        if end < 4:
            if len(data) - start > MAX_HEAD_BYTES:
                raise ValueError("the answer's head is too long")
            if len(data) - start >= 13 and not _STATUS.match(data, start):
                raise ValueError("the answer is not HTTP/1")
            return None
        found = _STATUS.match(data, start, end)
        if found is None:
            raise ValueError("the answer is not HTTP/1")
        status = int(found.group(2))
        if not 100 <= status < 200:
            break
        start = end  # an interim answer; the real one follows
    head = data[start:end]
    kept = found.group(1) == b"1" and not _CLOSE.search(head)
    body, after = _body(data, end, head, status, ended)
    return None if body is None else (Reply(status, head, body), after, kept and after >= 0)


def _body(data: bytes, start: int, head: bytes, status: int, ended: bool) -> tuple[bytes | None, int]:
    """The body and where it ends (-1: with the connection); None while it is incomplete."""
    if status in (204, 304):
        return b"", start
    if _CHUNKED.search(head):
        return _dechunked(data, start)
    if found := _LENGTH.search(head):
        length = int(found.group(1))
        if length > MAX_BODY_BYTES:
            raise ValueError("the answer is too long")
        return (data[start : start + length], start + length) if len(data) >= start + length else (None, 0)
    if len(data) - start > MAX_BODY_BYTES:
        raise ValueError("the answer is too long")
    return (data[start:], -1) if ended else (None, 0)


def _dechunked(data: bytes, start: int) -> tuple[bytes | None, int]:
    parts: list[bytes] = []
    position = start
    while found := _CHUNK.match(data, position):
        size, position = int(found.group(1), 16), found.end()
        if size == 0:  # trailers end with an empty line, as the head does
            end = data.find(b"\r\n\r\n", position - 2)
            return (b"".join(parts), end + 4) if end >= 0 else (None, 0)
        if position + size - start > MAX_BODY_BYTES:
            raise ValueError("the answer is too long")
        parts.append(data[position : position + size])
        position += size + 2
        if len(data) >= position and data[position - 2 : position] != b"\r\n":
            raise ValueError("a chunk of the answer does not end where it says")
    if data.find(b"\r\n", position) >= 0:
        raise ValueError("the answer's chunks are not understood")
    return None, 0
