"""Starting a stand-in: inside this process, or as a process of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from alongside.model.errors import Refused
from alongside.sandbox.common import process
from alongside.sandbox.common.clock import StandInClock
from alongside.sandbox.common.control import Control as BaseControl
from alongside.sandbox.common.faults import Faults
from alongside.sandbox.common.http import control_refusals, json_object, json_response
from alongside.sandbox.common.log import AppendLog
from alongside.sandbox.common.loopback import require_loopback_host
from alongside.sandbox.common.serving import serving
from alongside.sandbox.common.silent import Silent
from alongside.sandbox.common.steering import Steering
from alongside.sandbox.fcm.options import Options
from alongside.sandbox.fcm.project import FirebaseProject
from alongside.sandbox.fcm.tokens import Tokens


class Control(BaseControl):
    """Blocking calls to `/_sandbox/*`."""

    def remove(self, device: str) -> None:
        """The app is removed from this device."""
        self._call("POST", "/_sandbox/device", {"token": device, "what": "removed"})

    def estrange(self, device: str) -> None:
        """The device's app turns out to be of another project."""
        self._call("POST", "/_sandbox/device", {"token": device, "what": "stranger"})

    def forget_tokens(self) -> None:
        """Every access token that was given ends now."""
        self._call("POST", "/_sandbox/forget_tokens")


@dataclass(frozen=True)
class Running:
    """A stand-in that answers: `url` is its base address, `account` the JSON of the key of its service account."""

    url: str
    account: str = field(repr=False)

    @property
    def control(self) -> Control:
        return Control(self.url)


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
    tokens = Tokens.open(options.folder, options.project)
    clock = StandInClock(options.folder / "clock.json")
    project = FirebaseProject(options, log, clock, Faults(options.faults, options.seed), tokens)
    try:
        async with serving(_app(project), host, options.port, _nothing()) as url:
            tokens.url = f"{url}/token"
            yield Running(url, tokens.account)
    finally:
        log.close()


async def _nothing() -> None:
    """It tells nobody anything."""


def start(options: Options, *, patience: float = 30.0) -> AbstractContextManager[Running]:
    """A stand-in as a process of its own, ended with the block (or with this process, however that ends).

    Raises
    ------
    StoreUnavailable : it did not come up within `patience` seconds
    """
    return process.start("alongside.sandbox.fcm", options.arguments(), Running, patience=patience)


def _app(project: FirebaseProject) -> web.Application:
    app = web.Application(client_max_size=64 * 1024, middlewares=[control_refusals])
    app.router.add_post("/token", project.tokens.give)
    app.router.add_post("/v1/projects/{project}/messages:send", project.send)

    def counters() -> dict[str, Any]:
        return {
            "accepted": project.accepted,
            "tokens": project.tokens.given,
            "log_bytes": project.log.size,
            "answers": dict(project.answers),
            "faults": dict(project.shown),
        }

    async def device(request: web.Request) -> web.Response:
        given = await json_object(request)
        token, what = given.get("token"), given.get("what")
        if not isinstance(token, str) or what not in ("removed", "stranger"):
            remedy = "token is text; what is removed or stranger."
            raise Refused("not something that becomes of a device", where=request.path, remedy=remedy)
        (project.removed if what == "removed" else project.strangers).add(token)
        return json_response({})

    async def forget_tokens(_request: web.Request) -> web.Response:
        project.tokens.forget()
        return json_response({})

    Steering(project.clock, Silent(), project.faults, counters).add_to(app)
    app.router.add_post("/_sandbox/device", device)
    app.router.add_post("/_sandbox/forget_tokens", forget_tokens)
    return app
