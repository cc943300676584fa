"""The HTTP surface of the stand-in: SendGrid's endpoints, and `/_sandbox/*` to steer it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from aiohttp import web

from alongside.model.errors import Refused
from alongside.sandbox.sendgrid import activity
from alongside.sandbox.sendgrid.behaviour import Act
from alongside.sandbox.sendgrid.faults import parse_fault
from alongside.sandbox.sendgrid.http import VendorRefusal, iso, json_object, json_response, vendor_errors
from alongside.sandbox.sendgrid.loopback import require_loopback_url
from alongside.sandbox.sendgrid.mail import MailSend, authorize
from alongside.sandbox.sendgrid.validation import MAX_BODY_BYTES


@dataclass
class Server:
    """All endpoints of one stand-in."""

    mail: MailSend

    def app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[vendor_errors])
        app.router.add_post("/v3/mail/send", self.mail.handle_web)
        app.router.add_get("/v3/messages", self.list_messages)
        app.router.add_get("/v3/messages/{msg_id}", self.show_message)
        app.router.add_get("/_sandbox/stats", self.stats)
        app.router.add_get("/_sandbox/pending", self.pending)
        app.router.add_get("/_sandbox/key", self.key)
        app.router.add_post("/_sandbox/behave", self.behave)
        app.router.add_post("/_sandbox/clock", self.set_clock)
        app.router.add_post("/_sandbox/webhook", self.set_webhook)
        return app

    # ------------------------------------------------------------------------------------------- activity feed
    async def list_messages(self, request: web.Request) -> web.Response:
        authorize(request.headers.get("Authorization", ""), self.mail.options.api_key)
        limit = request.query.get("limit", "10")
        if not (limit.isdigit() and 1 <= int(limit) <= activity.MAX_LIMIT):
            raise VendorRefusal(400, "limit must be between 1 and 1000", field="limit")
        try:
            text = request.query.get("query", "")
            clauses = activity.parse_query(text) if text else ()
        except activity.QueryError as error:
            raise VendorRefusal(400, str(error), field="query") from error
        found = activity.search(self.mail.files.accepted, clauses, int(limit), self._acts)
        return json_response({"messages": found})

    async def show_message(self, request: web.Request) -> web.Response:
        authorize(request.headers.get("Authorization", ""), self.mail.options.api_key)
        clause = activity.Clause("msg_id", False, (request.match_info["msg_id"],))
        for _, record in self.mail.files.accepted.containing(clause.needle):
            if clause.matches(record):
                return json_response(activity.details(record, self._acts(record)))
        raise VendorRefusal(404, "not found")

    def _acts(self, record: Mapping[str, Any]) -> Sequence[Act]:
        return self.mail.postman.queue.steps_until(record, self.mail.clock.now())

    # ------------------------------------------------------------------------------------------- /_sandbox
    async def stats(self, _request: web.Request) -> web.Response:
        mail = self.mail
        return json_response(
            {
                "now": iso(mail.clock.now()),
                "simulated_time": mail.clock.simulated,
                "accepted": mail.accepted,
                "log_bytes": mail.files.accepted.size,
                "answers": {str(status): count for status, count in mail.answers.items()},
                "faults": dict(mail.shown),
                "webhook": mail.postman.webhook_url,
                **asdict(mail.postman.counts),
            }
        )

    async def pending(self, _request: web.Request) -> web.Response:
        postman, now = self.mail.postman, self.mail.clock.now()
        upcoming = postman.queue.next_due()
        return json_response(
            {
                "now": iso(now),
                "settled": postman.settled(),
                "due": postman.queue.due(now),
                "posting": postman.parcels,
                "messages": len(postman.queue),
                "next": None if upcoming is None else iso(upcoming),
            }
        )

    async def key(self, _request: web.Request) -> web.Response:
        return json_response({"public_key": self.mail.postman.signer.public_key})

    async def behave(self, request: web.Request) -> web.Response:
        """`{"faults": [{"kind": ...}], "seed": n}`: replaces the faults in force; an empty list ends them."""
        given = await json_object(request)
        plan, seed = given.get("faults", []), given.get("seed")
        if not isinstance(plan, list) or not all(isinstance(item, dict) for item in plan):
            raise Refused("faults must be a list of objects", where=request.path, remedy="See docs/sandbox.md.")
        if seed is not None and not isinstance(seed, int):
            raise Refused("seed must be an integer", where=request.path, remedy="Leave it out to keep the seed.")
        self.mail.faults.replace([parse_fault(item) for item in plan], seed)
        return json_response({"faults": len(plan)})

    async def set_clock(self, request: web.Request) -> web.Response:
        """`{"now": ISO moment, "settle": seconds}`: advance, and wait until what is due has been delivered."""
        given = await json_object(request)
        try:
            self.mail.clock.set(datetime.fromisoformat(str(given.get("now", ""))))
            patience = float(given.get("settle", 0))
        except (ValueError, TypeError) as error:
            remedy = 'Give {"now": "2026-03-01T08:00:00+08:00"}, with a time zone.'
            raise Refused("the moment is not understood", where=request.path, remedy=remedy) from error
        postman = self.mail.postman
        postman.wake()
        settled = await postman.settle(patience) if patience > 0 else postman.settled()
        return json_response({"now": iso(self.mail.clock.now()), "settled": settled})

    async def set_webhook(self, request: web.Request) -> web.Response:
        """`{"url": ...}`: where events go from now on; null for nowhere."""
        url = (await json_object(request)).get("url")
        self.mail.postman.webhook_url = require_loopback_url(str(url)) if url else None
        return json_response({"webhook": self.mail.postman.webhook_url})
