"""The short way to `mail/send`: reads its plain requests itself and leaves every other one to the web framework.

A stand-in that costs more than the sender hides what the sender costs. A framework's routing, header objects and
response classes take some 200 us a request, three times as long as checking it and writing it to the log.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, cast

from alongside.sandbox.sendgrid.http import Answer, Incoming, Reply
from alongside.sandbox.sendgrid.validation import MAX_BODY_BYTES

_PLAIN = b"POST /v3/mail/send HTTP/1.1\r\n"
#: What a plain request has not: other lengths than one number, questions before its body, a last word.
_UNUSUAL = re.compile(
    rb"\r\n(?:transfer-encoding|expect|upgrade|content-encoding|connection:[^\r\n]*close)", re.IGNORECASE
)
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)
_HEADER = re.compile(rb"\r\n(authorization|content-type):[ \t]*([^\r\n]*)", re.IGNORECASE)
_LONGEST_HEAD = 16 * 1024

Handler = Callable[[Incoming, Reply], None]


class _Head(NamedTuple):
    """What matters of a plain request's headers."""

    length: int
    authorization: str
    content_type: str


@lru_cache(maxsize=1024)
def _read_head(head: bytes) -> _Head | None:
    """None for a request that is not plain. One sender's heads differ in their length only, and many are the same."""
    length = _LENGTH.search(head)
    if length is None or _UNUSUAL.search(head) or int(length.group(1)) > MAX_BODY_BYTES:
        return None
    given = {name.lower().decode(): value.strip().decode("latin-1") for name, value in _HEADER.findall(head)}
    content_type = given.get("content-type", "").partition(";")[0].strip().lower()
    return _Head(int(length.group(1)), given.get("authorization", ""), content_type)


class Front(asyncio.Protocol):
    """One connection, until a request comes that is not plain.

    Parameters
    ----------
    handle : takes a request and answers it, at once or later. Most wait for the disk only: no task is made for them
    framework : makes the protocol that takes the connection over then
    """

    def __init__(self, handle: Handler, framework: Callable[[], asyncio.Protocol]) -> None:
        self._handle, self._framework = handle, framework
        self._buffer = b""
        self._parts: list[bytes] = []
        self._missing = 0
        self._head = _Head(0, "", "")
        self._busy = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # what create_server makes; uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        self._buffer = b""  # nobody waits for answers to it

    def data_received(self, data: bytes) -> None:
        if self._missing and not self._busy:
            self._take(data)
        else:
            self._buffer += data
            self._begin()

    def _begin(self) -> None:
        """Look at what has come, unless an answer is still due: answers keep the order of requests."""
        if self._busy or not self._buffer:
            return
        end = self._buffer.find(b"\r\n\r\n")
        plain = self._buffer.startswith(_PLAIN[: len(self._buffer)])
        if end < 0 and plain and len(self._buffer) < _LONGEST_HEAD:
            return
        head = _read_head(self._buffer[: end + 4]) if plain and end >= 0 else None
        if head is None:
            self._hand_over()
            return
        rest, self._buffer = self._buffer[end + 4 :], b""
        self._head, self._parts, self._missing = head, [], head.length
        self._take(rest)

    def _take(self, data: bytes) -> None:
        """More of the body."""
        if len(data) > self._missing:
            data, self._buffer = data[: self._missing], data[self._missing :]
        self._parts.append(data)
        self._missing -= len(data)
        if self._missing == 0:
            body, self._parts, self._busy = b"".join(self._parts), [], True
            head, transport = self._head, self._transport
            assert transport is not None  # noqa: S101 - a request came over it
            try:
                self._handle(Incoming(head.authorization, head.content_type, body, transport), self._reply)
            except BaseException:
                transport.abort()
                raise

    def _reply(self, answer: Answer) -> None:
        transport = self._transport
        assert transport is not None  # noqa: S101 - a request came over it
        if transport.is_closing():
            return
        transport.write(answer.written())
        self._busy = False
        if self._buffer:  # not at once: a long row of requests, each answered at once, would be as deep a recursion
            asyncio.get_running_loop().call_soon(self._begin)

    def _hand_over(self) -> None:
        assert self._transport is not None  # noqa: S101
        protocol, data, self._buffer = self._framework(), self._buffer, b""
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(data)
