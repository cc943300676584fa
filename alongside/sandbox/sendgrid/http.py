"""Requests to SendGrid's endpoint, and answers in its shape."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from alongside.model.errors import Refused
from alongside.sandbox.common.http import JSON
from alongside.sandbox.sendgrid.checks import ApiError, errors_body


@dataclass(slots=True)
class Incoming:
    """A request to `mail/send`, however it was read. `content_type` is without parameters, in lower case."""

    authorization: str
    content_type: str
    body: bytes
    transport: asyncio.Transport | None


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
