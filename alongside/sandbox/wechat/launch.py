"""Starting a stand-in: inside this process, or as a process of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Any

from aiohttp import web

from alongside.model.errors import Refused
from alongside.sandbox.common import process
from alongside.sandbox.common.clock import StandInClock
from alongside.sandbox.common.control import Control as BaseControl
from alongside.sandbox.common.faults import Faults
from alongside.sandbox.common.http import control_refusals, json_object, json_response
from alongside.sandbox.common.loopback import require_loopback_host, require_loopback_url
from alongside.sandbox.common.phone_queue import MessageQueue
from alongside.sandbox.common.phone_store import Files
from alongside.sandbox.common.serving import serving
from alongside.sandbox.common.steering import Steering
from alongside.sandbox.wechat.account import Account
from alongside.sandbox.wechat.followers import steps_of_followers
from alongside.sandbox.wechat.options import Options
from alongside.sandbox.wechat.postman import Postman

_KINDS = ("text", "subscribe", "unsubscribe")


class Control(BaseControl):
    """Blocking calls to `/_sandbox/*`."""

    def text(self, openid: str, words: str) -> str:
        """A follower writes something now; returns its id."""
        return self._say("text", openid, words)

    def follow(self, openid: str) -> str:
        """Somebody follows the account (again)."""
        return self._say("subscribe", openid)

    def unfollow(self, openid: str) -> str:
        """Somebody stops following."""
        return self._say("unsubscribe", openid)

    def forget_tokens(self) -> None:
        """Every access token that was given ends now."""
        self._call("POST", "/_sandbox/forget_tokens")

    def _say(self, kind: str, openid: str, words: str = "") -> str:
        return str(self._call("POST", "/_sandbox/inbound", {"kind": kind, "openid": openid, "words": words})["id"])


@dataclass(frozen=True)
class Running:
    """A stand-in that answers: `url` is its base address, `token` verifies its callbacks."""

    url: str
    app_id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)

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
        account = _assemble(options, files)
        async with serving(_app(account), host, options.port, account.postman.run()) as url:
            yield Running(url, options.app_id, options.secret, options.token)


def start(options: Options, *, patience: float = 30.0) -> AbstractContextManager[Running]:
    """A stand-in as a process of its own, ended with the block (or with this process, however that ends).

    Raises
    ------
    StoreUnavailable : it did not come up within `patience` seconds
    """
    return process.start("alongside.sandbox.wechat", options.arguments(), Running, patience=patience)


def _assemble(options: Options, files: Files) -> Account:
    clock = StandInClock(options.folder / "clock.json")
    queue = MessageQueue(files.accepted, steps_of_followers(options.rates, options.seed))
    postman = Postman(files, queue, clock, options.webhook_url, options.duplicates, token=options.token)
    postman.restore(patients=options.patients)
    account = Account(options, files, clock, postman, Faults(options.faults, options.seed))
    account.restore()
    return account


def _app(account: Account) -> web.Application:
    app = web.Application(client_max_size=64 * 1024, middlewares=[control_refusals])
    account.routes(app)

    def counters() -> dict[str, Any]:
        return {
            "accepted": account.accepted,
            "tokens": account.tokens,
            "log_bytes": account.files.accepted.size,
            "answers": dict(account.answers),
            "faults": dict(account.shown),
            "gone": len(account.postman.gone),
            **asdict(account.postman.counts),
        }

    async def inbound(request: web.Request) -> web.Response:
        given = await json_object(request)
        kind, openid, words = (given.get(name) for name in ("kind", "openid", "words"))
        if kind not in _KINDS or not isinstance(openid, str) or not isinstance(words, str):
            remedy = f"kind is one of {', '.join(_KINDS)}; openid and words are text."
            raise Refused("not something that a follower does", where=request.path, remedy=remedy)
        return json_response({"id": await account.postman.say(str(kind), openid, words)})

    async def forget_tokens(_request: web.Request) -> web.Response:
        account.forget_tokens()
        return json_response({})

    Steering(account.clock, account.postman, account.faults, counters).add_to(app)
    app.router.add_post("/_sandbox/inbound", inbound)
    app.router.add_post("/_sandbox/forget_tokens", forget_tokens)
    return app
