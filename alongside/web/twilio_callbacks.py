"""Twilio's callbacks: what became of a message, and what a patient writes.

Believed only with the provider's signature over the address that it called. The signature carries no time: a copy that
is sent again later changes nothing, because every status and every message is known by its id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fastapi import Request
from starlette.responses import Response

from alongside.channels.twilio_events import read_inbound, read_status
from alongside.channels.twilio_signature import SIGNATURE_HEADER, Fields, read_form, verify
from alongside.delivery.replies import Inbound
from alongside.delivery.vendors import TWILIO_INBOUND_PATH, TWILIO_STATUS_PATH
from alongside.model.enums import Channel
from alongside.model.errors import StoreUnavailable
from alongside.web.callbacks import Callbacks, Endpoint
from alongside.web.webhook import read_limited

#: A callback has some thirty short fields.
MAX_BODY_BYTES = 64 * 1024
#: The provider expects instructions; there are none: answers are written by people.
_NO_INSTRUCTIONS = '<?xml version="1.0" encoding="UTF-8"?><Response/>'


@dataclass
class TwilioCallbacks(Callbacks):
    """Both endpoints.

    Attributes
    ----------
    auth_token : key of the signatures
    public_url : as the provider calls this application; what a proxy in between changes is not signed
    """

    auth_token: str = field(repr=False)
    public_url: str

    @property
    def routes(self) -> Sequence[tuple[str, Endpoint]]:
        return (TWILIO_STATUS_PATH, self.status), (TWILIO_INBOUND_PATH, self.inbound)

    async def status(self, request: Request) -> Response:
        """What became of one message."""
        found = await self._read(request)
        if isinstance(found, Response):
            return found
        event = read_status(self._called(request), found, self.intake.patient_clock())
        if event is None:
            return self._refuse("malformed", 400, "no status of a message of ours")
        try:
            await self._take_statuses([event])
        except StoreUnavailable:
            return self._refuse("unavailable", 503, "try again later")
        return Response(status_code=204)

    async def inbound(self, request: Request) -> Response:
        """What a patient wrote."""
        found = await self._read(request)
        if isinstance(found, Response):
            return found
        text = read_inbound(found)
        if text is None:
            return self._refuse("malformed", 400, "no message to us")
        said = Inbound(f"twilio:{text.sid}", Channel.SMS, text.sender, text.text, text.opt_out == "STOP")
        try:
            await self._take_words(said)
        except StoreUnavailable:
            return self._refuse("unavailable", 503, "try again later")
        return Response(_NO_INSTRUCTIONS, media_type="text/xml")

    async def _read(self, request: Request) -> Fields | Response:
        body = await read_limited(request, MAX_BODY_BYTES)
        if body is None:
            return self._refuse("oversized", 413, "too large")
        fields = read_form(body)
        if fields is None:
            return self._refuse("malformed", 400, "expected a form")
        if not verify(self.auth_token, self._called(request), fields, request.headers.get(SIGNATURE_HEADER, "")):
            return self._refuse("forged", 403, "forbidden")
        return fields

    def _called(self, request: Request) -> str:
        query = f"?{request.url.query}" if request.url.query else ""
        return f"{self.public_url}{request.url.path}{query}"
