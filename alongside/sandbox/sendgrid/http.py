"""Answers in the vendor's shape, and connections that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson
from aiohttp import web

from alongside.model.errors import Refused
from alongside.sandbox.sendgrid.checks import ApiError, errors_body

JSON = "application/json"


@dataclass(slots=True)
class Incoming:
    """A request to `mail/send`, however it was read. `content_type` is without parameters, in lower case."""

    authorization: str
    content_type: str
    body: bytes
    transport: asyncio.Transport | None


class Connected(Protocol):
    """Anything that came over a connection: an `Incoming`, or the web framework's own request."""

    @property
    def transport(self) -> asyncio.Transport | None: ...


class VendorRefusal(Exception):
    """Ends a request with one of the vendor's error documents."""

    def __init__(
        self, status: int, *errors: ApiError | str, field: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self.status = status
        self.errors = [ApiError(error, field) if isinstance(error, str) else error for error in errors]
        self.headers = headers
        super().__init__(f"HTTP {status}")

    def response(self) -> web.Response:
        body = errors_body(self.errors)
        return web.Response(status=self.status, body=body, content_type=JSON, headers=self.headers)


@web.middleware
async def vendor_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Unknown paths and methods answer in the vendor's shape; a refused control call says what to change."""
    try:
        return await handler(request)
    except VendorRefusal as refusal:
        return refusal.response()
    except web.HTTPNotFound:
        return VendorRefusal(404, "not found").response()
    except web.HTTPMethodNotAllowed as error:
        allowed = {"Allow": ",".join(sorted(error.allowed_methods))}
        return VendorRefusal(405, "method not allowed", headers=allowed).response()
    except Refused as error:
        return VendorRefusal(400, error.describe()).response()


def json_response(value: Any) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type=JSON)


async def json_object(request: web.Request) -> dict[str, Any]:
    """The body of a control call.

    Raises
    ------
    Refused : it is not a JSON object
    """
    try:
        given = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict):
        raise Refused("the body must be a JSON object", where=request.path, remedy="See docs/sandbox.md.")
    return given


def hang_up(request: Connected) -> web.Response:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)


async def never(request: Connected) -> web.Response:
    """Hold the connection until the caller gives up."""
    while request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(0.02)
    return web.Response(status=499)


def iso(seconds: float) -> str:
    """Seconds since the epoch as UTC text with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
