"""An SMTP server (aiosmtpd) with the habits of the other stand-ins: loopback, an fsynced log, faults on demand."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import hashlib
import re
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from alongside.sandbox.common import process
from alongside.sandbox.common.clock import StandInClock
from alongside.sandbox.common.control import Control
from alongside.sandbox.common.faults import Fault, FaultKind, Faults, fault_text
from alongside.sandbox.common.http import iso
from alongside.sandbox.common.log import AppendLog
from alongside.sandbox.common.loopback import require_loopback_host
from alongside.sandbox.common.silent import Silent
from alongside.sandbox.common.steering import Steering

MAX_BYTES = 20_000_000
_KEY = re.compile(r"<([0-9a-f]{32})\.([0-9A-Za-z_-]+)@")


@dataclass(frozen=True)
class Options:
    """What `serve` and `start` need to know.

    Attributes
    ----------
    folder : where the log and the clock live
    port : of SMTP; 0 picks a free one
    login : user and password that it wants; none when empty
    refuse : recipients that nobody has: 550
    faults : misbehaviour from the start
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 0
    login: tuple[str, str] = ("", "")
    refuse: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    seed: int = 0

    def arguments(self) -> list[str]:
        """The same set-up as arguments of `python -m alongside.sandbox.smtp`."""
        found = [f"--dir={self.folder}", f"--host={self.host}", f"--port={self.port}", f"--seed={self.seed}"]
        found += [f"--login={self.login[0]}:{self.login[1]}"] if self.login[0] else []
        found += [f"--refuse={address}" for address in self.refuse]
        found += [f"--fault={fault_text(fault)}" for fault in self.faults]
        return found


@dataclass(frozen=True)
class Running:
    """A stand-in that answers: `url` for senders, `control` to steer it."""

    url: str = field(repr=False)
    steering: str

    @property
    def control(self) -> Control:
        return Control(self.steering)


@dataclass
class Post:
    """Takes mail as it is told to."""

    options: Options
    log: AppendLog
    clock: StandInClock
    faults: Faults
    shown: Counter[str] = field(default_factory=Counter)
    accepted: int = 0

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.options.refuse:
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:
        fault = self.faults.next()
        if fault is None:
            return await self._take(envelope)
        self.shown[fault.kind.value] += 1
        match fault.kind:
            case FaultKind.THROTTLE:
                return "451 4.7.1 come back later"
            case FaultKind.FAIL:
                return "452 4.3.1 out of storage" if fault.status == 503 else "554 5.3.0 failed"
            case FaultKind.WRONG_KEY:
                return "530 5.7.0 authentication required"
            case FaultKind.SLOW:
                await asyncio.sleep(fault.seconds)
                return await self._take(envelope)
        if fault.kind is FaultKind.DROP_AFTER or (fault.kind is FaultKind.HANG and fault.accept):
            await self._take(envelope)
        if fault.kind is FaultKind.HANG:
            await asyncio.sleep(3600)
        if server.transport is not None:
            server.transport.close()
        return "421 closing"

    async def _take(self, envelope: Envelope) -> str:
        content = envelope.content or b""
        raw = content.encode() if isinstance(content, str) else content
        parsed = email.message_from_bytes(raw, policy=email.policy.default)
        ids = _KEY.match(str(parsed["Message-ID"] or ""))
        html = parsed.get_body(("html",))
        record = {
            "at": iso(self.clock.now()),
            "m": ids[1] if ids else None,
            "b": ids[2] if ids else None,
            "to": envelope.rcpt_tos[0],
            "from": envelope.mail_from,
            "subject": str(parsed["Subject"]),
            "html_sha256": hashlib.sha256(html.get_content().encode()).hexdigest() if html else None,
        }
        await self.log.append([orjson.dumps(record)])
        self.accepted += 1
        return "250 OK"


@contextlib.asynccontextmanager
async def serve(options: Options) -> AsyncIterator[Running]:
    """A stand-in inside the running event loop.

    Raises
    ------
    Refused : the host is not on loopback
    """
    host = require_loopback_host(options.host)
    options.folder.mkdir(parents=True, exist_ok=True)
    log = AppendLog(options.folder / "accepted.ndjson")
    clock = StandInClock(options.folder / "clock.json")
    post = Post(options, log, clock, Faults(options.faults, options.seed))
    loop = asyncio.get_running_loop()
    wants = bool(options.login[0])

    def line() -> SMTP:
        with warnings.catch_warnings():  # a login without TLS: on loopback nobody reads along
            warnings.simplefilter("ignore", UserWarning)
            return SMTP(
                post,
                data_size_limit=MAX_BYTES,
                hostname="stand-in.example",
                authenticator=_authenticator(options) if wants else None,
                auth_required=wants,
                auth_require_tls=False,
            )

    listening = await loop.create_server(line, host, options.port)
    app = web.Application()
    Steering(clock, Silent(), post.faults, lambda: {"accepted": post.accepted, "faults": dict(post.shown)}).add_to(app)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, host, 0).start()
    try:
        login = f"{quote(options.login[0], safe='')}:{quote(options.login[1], safe='')}@" if wants else ""
        port = listening.sockets[0].getsockname()[1]
        yield Running(f"smtp://{login}{host}:{port}", f"http://{host}:{runner.addresses[0][1]}")
    finally:
        listening.close()
        await runner.cleanup()
        log.close()


def _authenticator(options: Options) -> Callable[..., AuthResult]:
    def authenticate(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: Any) -> AuthResult:
        known = isinstance(given, LoginPassword) and (given.login.decode(), given.password.decode()) == options.login
        return AuthResult(success=known, handled=False)  # not handled: the server writes the 535 itself

    return authenticate


def start(options: Options, *, patience: float = 30.0) -> AbstractContextManager[Running]:
    """A stand-in as a process of its own, ended with the block (or with this process, however that ends).

    Raises
    ------
    StoreUnavailable : it did not come up within `patience` seconds
    """
    return process.start("alongside.sandbox.smtp", options.arguments(), Running, patience=patience)
