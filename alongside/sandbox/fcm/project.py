"""`messages:send`: authorise, validate, write to the log, answer; or misbehave."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import secrets
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from alongside.sandbox.common.clock import StandInClock
from alongside.sandbox.common.connections import hang_up, never
from alongside.sandbox.common.faults import Fault, FaultKind, Faults
from alongside.sandbox.common.http import iso, json_response
from alongside.sandbox.common.log import AppendLog
from alongside.sandbox.fcm.options import Options
from alongside.sandbox.fcm.tokens import Tokens

MAX_PAYLOAD = 4096
_TOKEN = re.compile(r"[A-Za-z0-9:_-]{32,}")
_KNOWN = frozenset({"token", "notification", "data", "android", "apns", "webpush", "fcm_options"})
_RESERVED = re.compile(r"from$|message_type$|google|gcm")
_PROXY_PAGE = "<!doctype html><html><body><h1>Please wait</h1><p>You are being redirected.</p></body></html>"
_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"


class VendorRefusal(Exception):
    """Ends a request with one of the vendor's error documents."""

    def __init__(
        self, status: int, word: str, message: str, *, code: str = "", place: str = "", wait: float = 0
    ) -> None:
        self.status, self.word, self.message = status, word, message
        self.code, self.place, self.wait = code, place, wait
        super().__init__(message)

    def response(self) -> web.Response:
        details: list[dict[str, Any]] = [{"@type": _FCM_ERROR, "errorCode": self.code}] if self.code else []
        if self.place:
            violation = {"field": self.place, "description": self.message}
            details.append({"@type": _BAD_REQUEST, "fieldViolations": [violation]})
        error = {"code": self.status, "message": self.message, "status": self.word, "details": details}
        headers = {"Retry-After": f"{self.wait:g}"} if self.wait else {}
        body = json.dumps({"error": error}).encode()
        return web.Response(status=self.status, body=body, content_type="application/json", headers=headers)


@dataclass
class FirebaseProject:
    """The endpoint and its counters: `answers` by status, `shown` by kind of fault, `accepted` messages."""

    options: Options
    log: AppendLog
    clock: StandInClock
    faults: Faults
    tokens: Tokens
    answers: Counter[str] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    removed: set[str] = field(default_factory=set)
    strangers: set[str] = field(default_factory=set)

    async def send(self, request: web.Request) -> web.StreamResponse:
        fault = self.faults.next()
        if fault is None:
            return await self._counted(request)
        self.shown[fault.kind.value] += 1
        if fault.kind is FaultKind.HTML:
            return web.Response(text=_PROXY_PAGE, content_type="text/html")
        if refusal := _refusal(fault):
            self.answers[str(refusal.status)] += 1
            return refusal.response()
        return await self._lost(request, fault)

    async def _lost(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        """The answer comes late, or not at all; `accept` says whether the message was taken first."""
        takes = {FaultKind.SLOW: True, FaultKind.DROP_AFTER: True, FaultKind.HANG: fault.accept}
        answer: web.StreamResponse = web.Response(status=499)
        if takes.get(fault.kind, False):
            answer = await self._counted(request)
        if fault.kind is FaultKind.SLOW:
            await asyncio.sleep(fault.seconds)
            return answer
        return await never(request) if fault.kind is FaultKind.HANG else hang_up(request)

    async def _counted(self, request: web.Request) -> web.Response:
        try:
            answer = await self._send(request)
        except VendorRefusal as refusal:
            answer = refusal.response()
        self.answers[str(answer.status)] += 1
        return answer

    async def _send(self, request: web.Request) -> web.Response:
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not self.tokens.holds(value):
            words = "Request had invalid authentication credentials. Expected OAuth 2 access token."
            raise VendorRefusal(401, "UNAUTHENTICATED", words)
        if request.match_info["project"] != self.options.project:
            raise VendorRefusal(403, "PERMISSION_DENIED", "Permission denied on resource project.")
        message = await _message(request)
        device = self._require_device(message)
        if set(message) - _KNOWN:
            unknown = min(set(message) - _KNOWN)
            raise VendorRefusal(400, "INVALID_ARGUMENT", f"Unknown name \"{unknown}\" at 'message'", place="message")
        _require_payload(message)
        return await self._accept(device, message)

    def _require_device(self, message: dict[str, Any]) -> str:
        device = message.get("token")
        if not isinstance(device, str) or not device:
            words = "Recipient of the message is not set."
            raise VendorRefusal(400, "INVALID_ARGUMENT", words, code="INVALID_ARGUMENT", place="message")
        if not _TOKEN.fullmatch(device):
            words = "The registration token is not a valid FCM registration token"
            raise VendorRefusal(400, "INVALID_ARGUMENT", words, code="INVALID_ARGUMENT")
        if device in self.strangers:
            raise VendorRefusal(403, "PERMISSION_DENIED", "SenderId mismatch", code="SENDER_ID_MISMATCH")
        draw = int.from_bytes(hashlib.blake2b(f"{self.options.seed}|{device}".encode(), digest_size=4).digest(), "big")
        if device in self.removed or draw / 2**32 < self.options.gone:
            raise VendorRefusal(404, "NOT_FOUND", "Requested entity was not found.", code="UNREGISTERED")
        return device

    async def _accept(self, device: str, message: dict[str, Any]) -> web.Response:
        notification, number = message["notification"], secrets.token_hex(8)
        record = {
            "at": iso(self.clock.now()),
            "sid": number,
            "to": device,
            "from": self.options.project,
            "title": notification["title"],
            "body": f"{notification['title']}\n{notification['body']}",
            "data": message.get("data", {}),
            "tag": message.get("android", {}).get("notification", {}).get("tag"),
            "b": None,
            "m": message.get("data", {}).get("m"),
        }
        try:
            await self.log.append([orjson.dumps(record)])
        except OSError as error:
            raise VendorRefusal(500, "INTERNAL", "Internal error encountered.", code="INTERNAL") from error
        self.accepted += 1
        return json_response({"name": f"projects/{self.options.project}/messages/0:{number}"})


def _refusal(fault: Fault) -> VendorRefusal | None:
    """What a fault is called here; None where it is one of the connection."""
    match fault.kind:
        case FaultKind.THROTTLE:
            words = "Quota exceeded for quota metric 'Messages'"
            return VendorRefusal(429, "RESOURCE_EXHAUSTED", words, code="QUOTA_EXCEEDED", wait=fault.retry_after)
        case FaultKind.FAIL if fault.status == 503:
            words = "The service is currently unavailable."
            return VendorRefusal(503, "UNAVAILABLE", words, code="UNAVAILABLE", wait=0.2)
        case FaultKind.FAIL:
            return VendorRefusal(500, "INTERNAL", "Internal error encountered.", code="INTERNAL")
        case FaultKind.WRONG_KEY:
            return VendorRefusal(403, "PERMISSION_DENIED", "Permission 'cloudmessaging.messages.create' denied")
    return None


async def _message(request: web.Request) -> dict[str, Any]:
    try:
        given = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        given = None
    found = given.get("message") if isinstance(given, dict) else None
    if not isinstance(found, dict):
        raise VendorRefusal(400, "INVALID_ARGUMENT", "Invalid JSON payload received.")
    return found


def _require_payload(message: dict[str, Any]) -> None:
    """What the vendor looks at in a message; its size without the token."""
    data, notification = message.get("data", {}), message.get("notification")
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise VendorRefusal(
            400, "INVALID_ARGUMENT", "Invalid value at 'message.data' (TYPE_STRING)", place="message.data"
        )
    if wrong := [name for name in data if _RESERVED.match(name)]:
        words = f"Invalid data payload key: {wrong[0]}"
        raise VendorRefusal(400, "INVALID_ARGUMENT", words, code="INVALID_ARGUMENT")
    texts = [notification.get(name) for name in ("title", "body")] if isinstance(notification, dict) else [None]
    if not all(isinstance(text, str) and text for text in texts):
        raise VendorRefusal(400, "INVALID_ARGUMENT", "Invalid value", place="message.notification")
    if len(orjson.dumps({name: value for name, value in message.items() if name != "token"})) > MAX_PAYLOAD:
        raise VendorRefusal(400, "INVALID_ARGUMENT", "Android message is too big", code="INVALID_ARGUMENT")
