"""Starting a stand-in: inside this process, or as a process of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from alongside.sandbox.common import process
from alongside.sandbox.common.clock import StandInClock
from alongside.sandbox.common.faults import Faults
from alongside.sandbox.common.loopback import require_loopback_host, require_loopback_url
from alongside.sandbox.common.phone_queue import MessageQueue, steps_of_phones
from alongside.sandbox.common.phone_store import Files
from alongside.sandbox.common.serving import serving
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
        async with serving(Server(messages).app(), host, options.port, messages.postman.run()) as url:
            yield Running(url, options.account_sid, options.auth_token)


def _assemble(options: Options, files: Files) -> Messages:
    clock = StandInClock(options.folder / "clock.json")
    queue = MessageQueue(files.accepted, steps_of_phones(options.rates, options.seed), options.reorder)
    postman = Postman(
        files,
        queue,
        clock,
        account_sid=options.account_sid,
        auth_token=options.auth_token,
        webhook_url=options.inbound_url,
        duplicates=options.duplicates,
    )
    postman.restore(patients=options.patients)
    return Messages(options, files, clock, postman, Faults(options.faults, options.seed))


def start(options: Options, *, patience: float = 30.0) -> AbstractContextManager[Running]:
    """A stand-in as a process of its own, ended with the block (or with this process, however that ends).

    Raises
    ------
    StoreUnavailable : it did not come up within `patience` seconds
    """
    return process.start("alongside.sandbox.twilio", options.arguments(), Running, patience=patience)
