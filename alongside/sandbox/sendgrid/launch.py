"""Starting a stand-in: inside this process, or as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from aiohttp import web

from alongside.model.errors import Refused
from alongside.sandbox.common import process
from alongside.sandbox.common.clock import StandInClock
from alongside.sandbox.common.control import Control
from alongside.sandbox.common.faults import Faults
from alongside.sandbox.common.log import Files
from alongside.sandbox.common.loopback import require_loopback_host, require_loopback_url
from alongside.sandbox.common.serving import LAST_SECONDS, base_url, working
from alongside.sandbox.sendgrid.events import Signer
from alongside.sandbox.sendgrid.front import Front
from alongside.sandbox.sendgrid.mail import MailSend, RateWindow
from alongside.sandbox.sendgrid.options import Options
from alongside.sandbox.sendgrid.postman import Postman
from alongside.sandbox.sendgrid.queue import PatientQueue
from alongside.sandbox.sendgrid.responses import Responses, read_responses
from alongside.sandbox.sendgrid.server import Server


@dataclass(frozen=True)
class Running:
    """A stand-in that answers.

    Attributes
    ----------
    url : base address, `http://127.0.0.1:<port>`
    public_key : base64 SPKI that verifies its webhooks
    api_key : the key it accepts
    """

    url: str
    public_key: str
    api_key: str

    @property
    def control(self) -> Control:
        return Control(self.url)


@contextlib.asynccontextmanager
async def serve(options: Options) -> AsyncIterator[Running]:
    """A stand-in inside the running event loop.

    Raises
    ------
    Refused : host or webhook are not on loopback
    ConfigurationInvalid : `responses.yaml` has faults
    """
    host = require_loopback_host(options.host)
    if options.webhook_url:
        require_loopback_url(options.webhook_url)
    responses = read_responses(options.responses) if options.responses else Responses()
    async with Files.open(options.folder, keep_bodies=options.keep_bodies) as files:
        server = _assemble(options, files, responses)
        runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=LAST_SECONDS)
        await runner.setup()
        async with working(server.mail.postman.run()):
            try:
                async with _listening(options, host, server, runner) as port:
                    yield Running(base_url(host, port), server.mail.postman.signer.public_key, options.api_key)
            finally:
                await runner.cleanup()


@contextlib.asynccontextmanager
async def _listening(options: Options, host: str, server: Server, runner: web.AppRunner) -> AsyncIterator[int]:
    """The port on which connections are taken; those under way get a moment to end with the block."""
    framework = runner.server
    if framework is None:
        raise Refused("the web framework is not set up", where="stand-in")
    listening = await asyncio.get_running_loop().create_server(
        lambda: Front(server.mail.handle, framework), host, options.port, backlog=1024
    )
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await server.mail.finish(LAST_SECONDS)


def _assemble(options: Options, files: Files, responses: Responses) -> Server:
    clock = StandInClock(options.folder / "clock.json")
    queue = PatientQueue(files.accepted, responses, options.seed)
    postman = Postman(
        files,
        queue,
        clock,
        Signer.load(options.folder),
        webhook_url=options.webhook_url,
        duplicates=options.duplicates,
        reorder=options.reorder,
    )
    if options.patients:
        postman.restore()
    faults = Faults(options.faults, options.seed)
    return Server(MailSend(options, files, clock, postman, faults, RateWindow(options.rate_limit)))


def start(options: Options, *, patience: float = 30.0) -> AbstractContextManager[Running]:
    """A stand-in as a process of its own, ended with the block (or with this process, however that ends).

    Raises
    ------
    StoreUnavailable : it did not come up within `patience` seconds
    """
    return process.start("alongside.sandbox.sendgrid", options.arguments(), Running, patience=patience)
