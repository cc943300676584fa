"""`.../Messages.json`: authorise, validate, write to the log, answer 201; or misbehave as told."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import orjson
from aiohttp import web

from alongside.channels.sms import measure
from alongside.sandbox.common.clock import StandInClock
from alongside.sandbox.common.connections import hang_up, never
from alongside.sandbox.common.faults import Fault, FaultKind, Faults
from alongside.sandbox.common.http import JSON, iso, json_response
from alongside.sandbox.common.phone_store import Files
from alongside.sandbox.twilio import resources
from alongside.sandbox.twilio.http import AUTHENTICATE, NOT_FOUND, TOO_MANY, VendorRefusal
from alongside.sandbox.twilio.options import Options
from alongside.sandbox.twilio.postman import Postman
from alongside.sandbox.twilio.validation import validate

FORM = "application/x-www-form-urlencoded"
_PROXY_PAGE = "<!doctype html><html><body><h1>Please wait</h1><p>You are being redirected.</p></body></html>"


@dataclass
class Messages:
    """The endpoints and their counters: `answers` by status, `shown` by kind of fault, `accepted` messages."""

    options: Options
    files: Files
    clock: StandInClock
    postman: Postman
    faults: Faults
    answers: Counter[int] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    _under_way: int = 0

    @property
    def path(self) -> str:
        return f"/2010-04-01/Accounts/{self.options.account_sid}/Messages"

    # ------------------------------------------------------------------------------------------------------- create
    async def create(self, request: web.Request) -> web.StreamResponse:
        fault = self.faults.next()
        self._under_way += 1
        try:
            answer = await (self._send(request) if fault is None else self._misbehave(request, fault))
        except VendorRefusal as refusal:
            answer = refusal.response()
        finally:
            self._under_way -= 1
        self.answers[answer.status] += 1
        return answer

    async def _misbehave(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        self.shown[fault.kind.value] += 1
        if fault.kind is FaultKind.THROTTLE:
            raise VendorRefusal(429, TOO_MANY, headers={"Retry-After": f"{fault.retry_after:g}"})
        if fault.kind is FaultKind.FAIL:
            raise VendorRefusal(fault.status, 20500 if fault.status == 500 else 20503)
        if fault.kind is FaultKind.WRONG_KEY:
            raise VendorRefusal(401, AUTHENTICATE)
        if fault.kind is FaultKind.HTML:
            return web.Response(text=_PROXY_PAGE, content_type="text/html")
        takes = {FaultKind.SLOW: True, FaultKind.DROP_AFTER: True, FaultKind.HANG: fault.accept}
        answer = await self._send(request) if takes.get(fault.kind, False) else web.Response(status=499)
        if fault.kind is FaultKind.SLOW:
            await asyncio.sleep(fault.seconds)
            return answer
        return await never(request) if fault.kind is FaultKind.HANG else hang_up(request)

    async def _send(self, request: web.Request) -> web.Response:
        self.authorize(request)
        if self._under_way > self.options.concurrency:
            raise VendorRefusal(429, TOO_MANY, headers={"Retry-After": "1"})
        form = await _read_form(request)
        validate(form, self.options.senders)
        record = self._record(form)
        if (form.get("MessagingServiceSid") or form["From"], form["To"]) in self.postman.opted_out:
            raise VendorRefusal(400, 21610)
        try:
            (offset,) = await self.files.accepted.append([orjson.dumps(record)])
        except OSError as error:
            raise VendorRefusal(500, 20500) from error
        self.accepted += 1
        if self.options.patients:
            self.postman.queue.add(offset, record)
            self.postman.wake()
        body = orjson.dumps(resources.outbound(record, (), self.path))
        headers = {"Twilio-Concurrent-Requests": str(self._under_way)}
        return web.Response(status=201, body=body, content_type=JSON, headers=headers)

    def _record(self, form: Mapping[str, str]) -> dict[str, Any]:
        """One line of `accepted.ndjson`. `b` and `m` are read from the callback's address, for whoever checks."""
        service, callback = form.get("MessagingServiceSid") or None, form.get("StatusCallback")
        ids = parse_qs(urlsplit(callback or "").query)
        return {
            "at": iso(self.clock.now()),
            "sid": "SM" + secrets.token_hex(16),
            "account": self.options.account_sid,
            "to": form["To"],
            "from": form.get("From") or self.options.number,
            "service": service,
            "body": form["Body"],
            "segments": measure(form["Body"]).segments,
            "callback": callback,
            "initial": "accepted" if service else "queued",
            "b": ids.get("b", [None])[0],
            "m": ids.get("m", [None])[0],
        }

    # --------------------------------------------------------------------------------------------------------- read
    async def list(self, request: web.Request) -> web.Response:
        self.authorize(request)
        await self.files.accepted.settled()
        return json_response(resources.page(self._matching(request.query.get("To", "")), request.query, self.path))

    async def show(self, request: web.Request) -> web.Response:
        self.authorize(request)
        sid = request.match_info["sid"]
        await self.files.accepted.settled()
        for resource in self._matching(sid):
            if resource["sid"] == sid:
                return json_response(resource)
        raise VendorRefusal(404, NOT_FOUND, request.path)

    def _matching(self, text: str) -> Iterator[dict[str, Any]]:
        """Resources of the lines that contain a text: the files themselves are the index."""
        needle, now = text.encode(), self.clock.now()
        for _, record in self.files.accepted.containing(needle):
            reached = self.postman.queue.statuses_until(record, now) if self.options.patients else []
            yield resources.outbound(record, reached, self.path)
        for _, record in self.files.inbound.containing(needle):
            yield resources.inbound(record, self.path)

    def authorize(self, request: web.Request) -> None:
        """Refuse a request without the account's auth token or one of its API keys.

        Raises
        ------
        VendorRefusal : 401
        """
        login, password = _basic(request.headers.get("Authorization", ""))
        known = {self.options.account_sid: self.options.auth_token, **self.options.api_keys}
        secret = known.get(login, "")
        if not secret or not secrets.compare_digest(secret.encode(), password.encode()):
            raise VendorRefusal(401, AUTHENTICATE)


def _basic(header: str) -> tuple[str, str]:
    """Name and password of the header (RFC 7617); empty ones when it is not understood."""
    scheme, _, encoded = header.partition(" ")
    try:
        login, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return (login, password) if scheme.lower() == "basic" else ("", "")


async def _read_form(request: web.Request) -> dict[str, str]:
    if request.content_type != FORM:
        raise VendorRefusal(400, 20001, f"Content-Type should be {FORM}")
    try:
        pairs = parse_qsl((await request.read()).decode(), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError as error:
        raise VendorRefusal(400, 20001, "the body is not a form") from error
    form = dict(pairs)
    if len(form) != len(pairs):
        raise VendorRefusal(400, 20001, "a parameter is given twice")
    return form
