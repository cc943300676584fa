"""Answers in Twilio's shape."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import orjson
from aiohttp import web

from alongside.model.errors import Refused
from alongside.sandbox.common.http import JSON

AUTHENTICATE = 20003
NOT_FOUND = 20404
TOO_MANY = 20429
_PHRASES = {
    20001: "Invalid parameter",
    20003: "Authenticate",
    20004: "Method not allowed",
    20404: "The requested resource was not found",
    20429: "Too Many Requests",
    20500: "An internal server error has occurred",
    20503: "Service unavailable",
    21211: "Invalid 'To' Phone Number",
    21212: "Invalid 'From' Phone Number",
    21266: "'To' and 'From' numbers are the same",
    21408: "Permission to send an SMS has not been enabled for the region",
    21602: "Message body is required",
    21603: "A 'From' phone number is required",
    21604: "A 'To' phone number is required",
    21606: "The 'From' phone number cannot send messages",
    21609: "Invalid 'StatusCallback' url",
    21610: "Attempt to send to an unsubscribed recipient",
    21611: "The 'From' number has too many messages in its queue",
    21612: "The 'To' phone number cannot be reached from the 'From' number",
    21614: "'To' number is not a valid mobile number",
    21617: "The message body exceeds the 1600 character limit",
    21705: "The Messaging Service Sid is invalid",
}


class VendorRefusal(Exception):
    """Ends a request with one of the vendor's error documents."""

    def __init__(self, status: int, code: int, detail: str = "", headers: Mapping[str, str] | None = None) -> None:
        self.status, self.code, self.headers = status, code, headers
        phrase = _PHRASES[code]
        self.message = f"{phrase}: {detail}" if detail else phrase
        super().__init__(f"HTTP {status}, {code}")

    def response(self) -> web.Response:
        document = {
            "code": self.code,
            "message": self.message,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }
        body = orjson.dumps(document)
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
        return VendorRefusal(404, NOT_FOUND, request.path).response()
    except web.HTTPMethodNotAllowed as error:
        allowed = {"Allow": ",".join(sorted(error.allowed_methods))}
        return VendorRefusal(405, 20004, headers=allowed).response()
    except Refused as error:  # the shape that `Control` reads
        body = orjson.dumps({"errors": [{"message": error.describe()}]})
        return web.Response(status=400, body=body, content_type=JSON)
