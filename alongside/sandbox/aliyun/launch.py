"""Starting a stand-in: inside this process, or as a process of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Any

from aiohttp import web

from alongside.model.errors import Refused
from alongside.sandbox.aliyun.options import Options
from alongside.sandbox.aliyun.postman import Postman
from alongside.sandbox.aliyun.requests import Gate
from alongside.sandbox.aliyun.texts import Texts
from alongside.sandbox.common import process
from alongside.sandbox.common.clock import StandInClock
from alongside.sandbox.common.control import Control as BaseControl
from alongside.sandbox.common.faults import Faults
from alongside.sandbox.common.http import control_refusals, json_object, json_response
from alongside.sandbox.common.loopback import require_loopback_host, require_loopback_url
from alongside.sandbox.common.phone_queue import MessageQueue, steps_of_phones
from alongside.sandbox.common.phone_store import Files
from alongside.sandbox.common.serving import serving
from alongside.sandbox.common.steering import Steering


class Control(BaseControl):
    """Blocking calls to `/_sandbox/*`."""

    def text(self, sender: str, body: str, *, signature: str = "stand-in") -> str:
        """A patient texts something now; returns its sequence number."""
        given = {"from": sender, "body": body, "signature": signature}
        return str(self._call("POST", "/_sandbox/inbound", given)["sequence_id"])


@dataclass(frozen=True)
class Running:
    """A stand-in that answers: `url` is its base address."""

    url: str
    key_id: str
    secret: str = field(repr=False)

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
    if options.webhook_url:
        require_loopback_url(options.webhook_url)
    async with Files.open(options.folder) as files:
        texts = _assemble(options, files)
        async with serving(_app(texts), host, options.port, texts.postman.run()) as url:
            yield Running(url, options.key_id, options.secret)


def _assemble(options: Options, files: Files) -> Texts:
    clock = StandInClock(options.folder / "clock.json")
    queue = MessageQueue(files.accepted, steps_of_phones(options.rates, options.seed), options.reorder)
    postman = Postman(files, queue, clock, options.webhook_url, options.duplicates)
    postman.restore(patients=options.patients)
    faults = Faults(options.faults, options.seed)
    return Texts(options, files, clock, postman, faults, Gate(options.key_id, options.secret))


def _app(texts: Texts) -> web.Application:
    app = web.Application(client_max_size=64 * 1024, middlewares=[control_refusals])
    app.router.add_post("/", texts.handle)

    def counters() -> dict[str, Any]:
        return {
            "accepted": texts.accepted,
            "log_bytes": texts.files.accepted.size,
            "answers": dict(texts.answers),
            "faults": dict(texts.shown),
            "left": len(texts.postman.left),
            **asdict(texts.postman.counts),
        }

    async def inbound(request: web.Request) -> web.Response:
        given = await json_object(request)
        sender, body, signature = (given.get(name) for name in ("from", "body", "signature"))
        if not isinstance(sender, str) or not isinstance(body, str) or not isinstance(signature, str):
            raise Refused("from, body and signature must be text", where=request.path, remedy="See docs/sandbox.md.")
        return json_response({"sequence_id": await texts.postman.text(sender, signature, body)})

    Steering(texts.clock, texts.postman, texts.faults, counters).add_to(app)
    app.router.add_post("/_sandbox/inbound", inbound)
    return app


def start(options: Options, *, patience: float = 30.0) -> AbstractContextManager[Running]:
    """A stand-in as a process of its own, ended with the block (or with this process, however that ends).

    Raises
    ------
    StoreUnavailable : it did not come up within `patience` seconds
    """
    return process.start("alongside.sandbox.aliyun", options.arguments(), Running, patience=patience)
