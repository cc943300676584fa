"""What the control calls of every stand-in speak."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
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
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@web.middleware
async def control_refusals(request: web.Request, handler: Callable[..., Any]) -> web.StreamResponse:
    """A refused control call says what to change, in the shape that `Control` reads."""
    try:
        found: web.StreamResponse = await handler(request)
        return found
    except Refused as error:
        body = orjson.dumps({"errors": [{"message": error.describe()}]})
        return web.Response(status=400, body=body, content_type=JSON)
