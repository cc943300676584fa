"""`POST /v3/mail/send`: authorise, validate, write to the log, answer 202; or misbehave as told."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from alongside.sandbox.common.clock import StandInClock
from alongside.sandbox.common.connections import hang_up, never
from alongside.sandbox.common.faults import Fault, FaultKind, Faults
from alongside.sandbox.common.http import JSON
from alongside.sandbox.common.log import Files, offsets
from alongside.sandbox.sendgrid.http import Answer, Incoming, Reply, VendorRefusal
from alongside.sandbox.sendgrid.intake import accepted_lines, body_line
from alongside.sandbox.sendgrid.options import Options
from alongside.sandbox.sendgrid.postman import Postman
from alongside.sandbox.sendgrid.responses import Responses
from alongside.sandbox.sendgrid.validation import sandbox_mode, validate

_PROXY_PAGE = b"<!doctype html><html><body><h1>Please wait</h1><p>You are being redirected.</p></body></html>"
_AUTHORIZATION = re.compile(r"Bearer (\S+)", re.IGNORECASE)
WRONG_KEY = "The provided authorization grant is invalid, expired, or revoked"


@dataclass
class RateWindow:
    """The account's allowance in the current minute of wall time."""

    limit: int
    window: int = 0
    used: int = 0

    def take(self, now: float) -> bool:
        window = int(now // 60)
        if window != self.window:
            self.window, self.used = window, 0
        self.used += 1
        return self.used <= self.limit

    def headers(self) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(0, self.limit - self.used)),
            "X-RateLimit-Reset": str((self.window + 1) * 60),
        }


def authorize(authorization: str, api_key: str) -> None:
    """Refuse a request without the right bearer key.

    Raises
    ------
    VendorRefusal : 401
    """
    given = _AUTHORIZATION.fullmatch(authorization)
    if given is None:
        raise VendorRefusal(401, "Permission denied, wrong credentials")
    if not secrets.compare_digest(given.group(1).encode(), api_key.encode()):
        raise VendorRefusal(401, WRONG_KEY)


def rule_finder(responses: Responses) -> Callable[[str, str], str | None]:
    """(subject, text) to a rule's name; the text as sent is searched only when no rule knows the subject."""
    by_subject = functools.lru_cache(maxsize=4096)(responses.find)
    by_text = functools.lru_cache(maxsize=64)(responses.find)
    return lambda subject, text: by_subject(subject) or by_text(text)


@dataclass
class MailSend:
    """The endpoint and its counters: `answers` by status, `shown` by kind of fault, `accepted` messages."""

    options: Options
    files: Files
    clock: StandInClock
    postman: Postman
    faults: Faults
    rate: RateWindow
    answers: Counter[int] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)
    accepted: int = 0

    def __post_init__(self) -> None:
        # Ids of requests never repeat, whoever starts again on the same files; drawing each would cost 5 us.
        self._begun, self._numbers = secrets.token_urlsafe(12), itertools.count(1)
        self._rule_of = rule_finder(self.postman.queue.responses)
        self._misbehaving: set[asyncio.Task[None]] = set()

    async def handle_web(self, request: web.Request) -> web.StreamResponse:
        """A request that came through the web framework."""
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return VendorRefusal(413, "content too large").response()
        authorization = request.headers.get("Authorization", "")
        transport = request.transport
        incoming = Incoming(authorization, request.content_type, body, transport)
        answer = await _answer_of(lambda reply: self.handle(incoming, reply))
        return answer.response()

    def handle(self, request: Incoming, reply: Reply) -> None:
        """Take a request; it is answered at once, or when its messages are on disk."""

        def counted(answer: Answer) -> None:
            self.answers[answer.status] += 1
            reply(answer)

        fault = self.faults.next()
        if fault is None:
            self._send(request, counted)
            return
        task = asyncio.create_task(self._misbehave(request, fault, counted))
        self._misbehaving.add(task)
        task.add_done_callback(self._misbehaving.discard)

    async def finish(self, seconds: float) -> None:
        """Let requests under way be answered, for so many seconds; those that misbehave longer are given up."""
        for log in (self.files.accepted, self.files.bodies):  # in the order in which a request waits for them
            if log is not None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(log.settled(), seconds)
        if self._misbehaving:
            await asyncio.wait(self._misbehaving, timeout=seconds)
        given_up = list(self._misbehaving)
        for task in given_up:
            task.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)

    async def _misbehave(self, request: Incoming, fault: Fault, reply: Reply) -> None:
        self.shown[fault.kind.value] += 1
        reply(await self._misbehaviour(request, fault))

    async def _misbehaviour(self, request: Incoming, fault: Fault) -> Answer:
        if fault.kind in (FaultKind.THROTTLE, FaultKind.FAIL, FaultKind.WRONG_KEY):
            return self._refusal(fault).answer()
        if fault.kind is FaultKind.HTML:
            return Answer(200, {"Content-Type": "text/html; charset=utf-8"}, _PROXY_PAGE)
        takes = {FaultKind.SLOW: True, FaultKind.DROP_AFTER: True, FaultKind.HANG: fault.accept}
        if takes.get(fault.kind, False):
            answer = await _answer_of(lambda reply: self._send(request, reply))
            if answer.status >= 400:  # what is refused is refused as ever
                return answer
            if fault.kind is FaultKind.SLOW:
                await asyncio.sleep(fault.seconds)
                return answer
        if fault.kind is FaultKind.HANG:
            await never(request)
        hang_up(request)
        return Answer(499)

    def _refusal(self, fault: Fault) -> VendorRefusal:
        if fault.kind is FaultKind.THROTTLE:
            headers = {**self.rate.headers(), "Retry-After": f"{fault.retry_after:g}"}
            return VendorRefusal(429, "too many requests", headers=headers)
        if fault.kind is FaultKind.FAIL:
            message = "internal server error" if fault.status == 500 else "service unavailable"
            return VendorRefusal(fault.status, message)
        return VendorRefusal(401, WRONG_KEY)

    def _send(self, request: Incoming, reply: Reply) -> None:
        try:
            body, now = self._checked(request)
        except VendorRefusal as refusal:
            reply(refusal.answer())
            return
        if sandbox_mode(body):
            reply(Answer(200, self.rate.headers()))
        else:
            self._accept(body, now, reply)

    def _checked(self, request: Incoming) -> tuple[dict[str, Any], float]:
        """A body that may be accepted, and the time at which it was read.

        Raises
        ------
        VendorRefusal : what SendGrid would answer instead
        """
        authorize(request.authorization, self.options.api_key)
        if not self.rate.take(time.time()):
            headers = {**self.rate.headers(), "Retry-After": f"{60 - time.time() % 60:.0f}"}
            raise VendorRefusal(429, "too many requests", headers=headers)
        body = _read_json(request)
        now = self.clock.now()
        if errors := validate(body, now):
            raise VendorRefusal(400, *errors, headers=self.rate.headers())
        self._check_sender(body)
        return body, now

    def _accept(self, body: dict[str, Any], now: float, reply: Reply) -> None:
        """Answer when the messages are on disk, and not before."""
        request_id = f"{self._begun}{next(self._numbers):08x}"
        lines = accepted_lines(body, request_id, now, self._rule_of, self.postman.queue.dropped)

        def written(done: asyncio.Future[int]) -> None:
            if done.exception() is not None:
                reply(VendorRefusal(500, "internal server error").answer())
                return
            self.accepted += len(lines)
            if self.options.patients:
                self.postman.accepted(now, offsets(done.result(), lines))
            answer = Answer(202, {"X-Message-Id": request_id, **self.rate.headers()})
            if self.files.bodies is None:
                reply(answer)
                return

            def kept(done: asyncio.Future[int]) -> None:
                done.exception()  # looked at: a body that could not be kept does not undo that its messages were taken
                reply(answer)

            self.files.bodies.hand_in([body_line(body, request_id)]).add_done_callback(kept)

        self.files.accepted.hand_in(lines).add_done_callback(written)

    def _check_sender(self, body: dict[str, Any]) -> None:
        if not self.options.senders:
            return
        own = [item["from"] for item in body["personalizations"] if "from" in item]
        for sender in [body["from"], *own]:
            if sender["email"].rpartition("@")[2] not in self.options.senders:
                message = "The from address does not match a verified Sender Identity."
                raise VendorRefusal(403, message, field="from")


async def _answer_of(take: Callable[[Reply], None]) -> Answer:
    """What a request is answered with, for who has a task to wait in."""
    told: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    take(lambda answer: None if told.done() else told.set_result(answer))  # done: nobody waits for it any more
    return await told


def _read_json(request: Incoming) -> dict[str, Any]:
    if request.content_type != JSON:
        raise VendorRefusal(415, "Content-Type should be application/json.")
    try:
        body: dict[str, Any] = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise VendorRefusal(400, "Bad Request") from error
    return body
