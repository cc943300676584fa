"""The HTTP surface of the stand-in: SendGrid's endpoints, and `/_sandbox/*` to steer it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web

from alongside.sandbox.common.http import json_response
from alongside.sandbox.common.steering import Steering
from alongside.sandbox.sendgrid import activity
from alongside.sandbox.sendgrid.behaviour import Act
from alongside.sandbox.sendgrid.http import VendorRefusal, vendor_errors
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
        app.router.add_get("/_sandbox/key", self.key)
        Steering(self.mail.clock, self.mail.postman, self.mail.faults, self._counters).add_to(app)
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
        await self.mail.files.accepted.settled()
        found = activity.search(self.mail.files.accepted, clauses, int(limit), self._acts)
        return json_response({"messages": found})

    async def show_message(self, request: web.Request) -> web.Response:
        authorize(request.headers.get("Authorization", ""), self.mail.options.api_key)
        clause = activity.Clause("msg_id", False, (request.match_info["msg_id"],))
        await self.mail.files.accepted.settled()
        for _, record in self.mail.files.accepted.containing(clause.needle):
            if clause.matches(record):
                return json_response(activity.details(record, self._acts(record)))
        raise VendorRefusal(404, "not found")

    def _acts(self, record: Mapping[str, Any]) -> Sequence[Act]:
        return self.mail.postman.queue.steps_until(record, self.mail.clock.now())

    # ------------------------------------------------------------------------------------------- /_sandbox
    def _counters(self) -> dict[str, Any]:
        mail = self.mail
        return {
            "accepted": mail.accepted,
            "log_bytes": mail.files.accepted.size,
            "answers": {str(status): count for status, count in mail.answers.items()},
            "faults": dict(mail.shown),
            **asdict(mail.postman.counts),
        }

    async def key(self, _request: web.Request) -> web.Response:
        return json_response({"public_key": self.mail.postman.signer.public_key})
