"""Starting a stand-in: inside this process, or as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiohttp import web

from alongside.sandbox.common.clock import StandInClock
from alongside.sandbox.common.faults import Faults
from alongside.sandbox.common.loopback import require_loopback_host, require_loopback_url
from alongside.sandbox.common.phone_queue import MessageQueue
from alongside.sandbox.common.phone_store import Files
from alongside.sandbox.common.process import started, until_stdin_closes
from alongside.sandbox.twilio.control import Control
from alongside.sandbox.twilio.messages import Messages
from alongside.sandbox.twilio.options import Options
from alongside.sandbox.twilio.postman import Postman
from alongside.sandbox.twilio.server import Server


@dataclass(frozen=True)
class Running:
    """A stand-in that answers.

    Attributes
    ----------
    url : base address, `http://127.0.0.1:<port>`
    auth_token : password of requests, and key that verifies its webhooks
    """

    url: str
    account_sid: str
    auth_token: str = field(repr=False)

    @property
    def control(self) -> Control:
        return Control(self.url)


@contextlib.asynccontextmanager
async def serve(options: Options) -> AsyncIterator[Running]:
    """A stand-in inside the running event loop.

    Raises
    ------
    Refused : host or webhook are not on loopback
    """
    host = require_loopback_host(options.host)
    if options.inbound_url:
        require_loopback_url(options.inbound_url)
    async with Files.open(options.folder) as files:
        messages = _assemble(options, files)
        runner = web.AppRunner(Server(messages).app(), access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, host, options.port).start()
        working = asyncio.create_task(messages.postman.run())
        try:
            shown = f"[{host}]" if ":" in host else host
            url = f"http://{shown}:{runner.addresses[0][1]}"
            yield Running(url, options.account_sid, options.auth_token)
        finally:
            working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await working
            await runner.cleanup()


def _assemble(options: Options, files: Files) -> Messages:
    clock = StandInClock(options.folder / "clock.json")
    queue = MessageQueue(files.accepted, options.rates, options.seed, options.reorder)
    postman = Postman(
        files,
        queue,
        clock,
        options.account_sid,
        options.auth_token,
        webhook_url=options.inbound_url,
        duplicates=options.duplicates,
    )
    postman.restore(patients=options.patients)
    return Messages(options, files, clock, postman, Faults(options.faults, options.seed))


async def run(options: Options, ready: Callable[[Running], None], *, with_parent: bool = False) -> None:
    """Serve until cancelled, or `with_parent` until the parent process ends."""
    async with serve(options) as running:
        ready(running)
        await (until_stdin_closes() if with_parent else asyncio.Event().wait())


@contextlib.contextmanager
def start(options: Options, *, patience: float = 30.0) -> Iterator[Running]:
    """A stand-in as a process of its own, ended with the block (or with this process, however that ends).

    Raises
    ------
    StoreUnavailable : it did not come up within `patience` seconds
    """
    with started("alongside.sandbox.twilio", options.arguments(), patience=patience) as ready:
        yield Running(ready["url"], ready["account_sid"], ready["auth_token"])


def ready_line(running: Running) -> str:
    """The one line of JSON on standard output that says where the stand-in listens."""
    begun = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps(
        {
            "url": running.url,
            "account_sid": running.account_sid,
            "auth_token": running.auth_token,
            "started": begun,
        }
    )
