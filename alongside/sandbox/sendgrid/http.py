"""Requests to SendGrid's endpoint, and answers in its shape."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

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


_REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(slots=True)
class Answer:
    """What `mail/send` answers, whoever writes it. A response of the framework's would cost 5 us more."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def written(self) -> bytes:
        """As it goes over the connection."""
        lines = [f"HTTP/1.1 {self.status} {_REASONS.get(self.status, '')}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, f"Content-Length: {len(self.body)}\r\n\r\n"]).encode() + self.body

    def response(self) -> web.Response:
        """For the web framework."""
        return web.Response(status=self.status, headers=self.headers, body=self.body)


#: Takes what a request is answered with, once.
Reply = Callable[[Answer], None]


class VendorRefusal(Exception):
    """Ends a request with one of the vendor's error documents."""

    def __init__(
        self, status: int, *errors: ApiError | str, field: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self.status = status
        self.errors = [ApiError(error, field) if isinstance(error, str) else error for error in errors]
        self.headers = headers or {}
        super().__init__(f"HTTP {status}")

    def answer(self) -> Answer:
        return Answer(self.status, {"Content-Type": JSON, **self.headers}, errors_body(self.errors))

    def response(self) -> web.Response:
        return self.answer().response()


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
