"""The HTTP surface of the stand-in: Twilio's endpoints, and `/_sandbox/*` to steer it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from aiohttp import web

from alongside.model.errors import Refused
from alongside.sandbox.sendgrid.faults import parse_fault
from alongside.sandbox.sendgrid.http import iso, json_object, json_response
from alongside.sandbox.sendgrid.loopback import require_loopback_url
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
        app.router.add_get("/_sandbox/stats", self.stats)
        app.router.add_get("/_sandbox/pending", self.pending)
        app.router.add_post("/_sandbox/behave", self.behave)
        app.router.add_post("/_sandbox/clock", self.set_clock)
        app.router.add_post("/_sandbox/webhook", self.set_webhook)
        app.router.add_post("/_sandbox/inbound", self.inbound)
        return app

    async def stats(self, _request: web.Request) -> web.Response:
        messages = self.messages
        return json_response(
            {
                "now": iso(messages.clock.now()),
                "simulated_time": messages.clock.simulated,
                "accepted": messages.accepted,
                "log_bytes": messages.files.accepted.size,
                "answers": {str(status): count for status, count in messages.answers.items()},
                "faults": dict(messages.shown),
                "opted_out": len(messages.postman.opted_out),
                "webhook": messages.postman.inbound_url,
                **asdict(messages.postman.counts),
            }
        )

    async def pending(self, _request: web.Request) -> web.Response:
        postman = self.messages.postman
        upcoming = postman.queue.next_due()
        return json_response(
            {
                "now": iso(self.messages.clock.now()),
                "settled": postman.settled(),
                "due": postman.due(),
                "posting": postman.posting,
                "messages": len(postman.queue),
                "next": None if upcoming is None else iso(upcoming),
            }
        )

    async def behave(self, request: web.Request) -> web.Response:
        """`{"faults": [{"kind": ...}], "seed": n}`: replaces the faults in force; an empty list ends them."""
        given = await json_object(request)
        plan, seed = given.get("faults", []), given.get("seed")
        if not isinstance(plan, list) or not all(isinstance(item, dict) for item in plan):
            raise Refused("faults must be a list of objects", where=request.path, remedy="See docs/sandbox.md.")
        if seed is not None and not isinstance(seed, int):
            raise Refused("seed must be an integer", where=request.path, remedy="Leave it out to keep the seed.")
        self.messages.faults.replace([parse_fault(item) for item in plan], seed)
        return json_response({"faults": len(plan)})

    async def set_clock(self, request: web.Request) -> web.Response:
        """`{"now": ISO moment, "settle": seconds}`: advance, and wait until what is due has been posted."""
        given = await json_object(request)
        try:
            self.messages.clock.set(datetime.fromisoformat(str(given.get("now", ""))))
            patience = float(given.get("settle", 0))
        except (ValueError, TypeError) as error:
            remedy = 'Give {"now": "2026-03-01T08:00:00+08:00"}, with a time zone.'
            raise Refused("the moment is not understood", where=request.path, remedy=remedy) from error
        postman = self.messages.postman
        postman.wake()
        settled = await postman.settle(patience) if patience > 0 else postman.settled()
        return json_response({"now": iso(self.messages.clock.now()), "settled": settled})

    async def set_webhook(self, request: web.Request) -> web.Response:
        """`{"url": ...}`: where patients' messages go from now on; null for nowhere."""
        url = (await json_object(request)).get("url")
        self.messages.postman.inbound_url = require_loopback_url(str(url)) if url else None
        return json_response({"webhook": self.messages.postman.inbound_url})

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
