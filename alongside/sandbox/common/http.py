"""What the control calls of every stand-in speak."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson
from aiohttp import web

from alongside.model.errors import Refused

JSON = "application/json"


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


def iso(seconds: float) -> str:
    """Seconds since the epoch as UTC text with milliseconds."""
    whole, microseconds = divmod(round(seconds * 1_000_000), 1_000_000)
    return f"{_second(whole)}.{microseconds // 1000:03d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    """A stand-in that takes thousands of messages a second writes the same second for all of them."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@web.middleware
async def control_refusals(request: web.Request, handler: Callable[..., Any]) -> web.StreamResponse:
    """A refused control call says what to change, in the shape that `Control` reads."""
    try:
        found: web.StreamResponse = await handler(request)
        return found
    except Refused as error:
        body = orjson.dumps({"errors": [{"message": error.describe()}]})
        return web.Response(status=400, body=body, content_type=JSON)
