"""The HTTP surface of the stand-in: Twilio's endpoints, and `/_sandbox/*` to steer it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web

from alongside.model.errors import Refused
from alongside.sandbox.common.http import json_object, json_response
from alongside.sandbox.common.steering import Steering
from alongside.sandbox.twilio.http import vendor_errors
from alongside.sandbox.twilio.messages import Messages

MAX_BODY_BYTES = 64 * 1024


@dataclass
class Server:
    """All endpoints of one stand-in."""

    messages: Messages

    def app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[vendor_errors])
        app.router.add_post(f"{self.messages.path}.json", self.messages.create)
        app.router.add_get(f"{self.messages.path}.json", self.messages.list)
        app.router.add_get(f"{self.messages.path}/{{sid}}.json", self.messages.show)
        Steering(self.messages.clock, self.messages.postman, self.messages.faults, self._counters).add_to(app)
        app.router.add_post("/_sandbox/inbound", self.inbound)
        return app

    def _counters(self) -> dict[str, Any]:
        messages = self.messages
        return {
            "accepted": messages.accepted,
            "log_bytes": messages.files.accepted.size,
            "answers": {str(status): count for status, count in messages.answers.items()},
            "faults": dict(messages.shown),
            "opted_out": len(messages.postman.opted_out),
            **asdict(messages.postman.counts),
        }

    async def inbound(self, request: web.Request) -> web.Response:
        """`{"from": number, "body": text, "to": our number, "service": MG...}`: a patient texts something now."""
        given = await json_object(request)
        options = self.messages.options
        sender, text = given.get("from"), given.get("body")
        to, service = given.get("to", options.number), given.get("service")
        if not isinstance(sender, str) or not isinstance(text, str) or not isinstance(to, str):
            raise Refused("from, to and body must be text", where=request.path, remedy="See docs/sandbox.md.")
        record = {"to": sender, "from": to, "service": service}
        sid = await self.messages.postman.reply(record, text, self.messages.clock.now())
        return json_response({"sid": sid})
