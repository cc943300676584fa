"""Callbacks of the provider of text messages: what became of a message, and what a patient writes.

Believed only with the provider's signature over the address that it called. The signature carries no time: a copy that
is sent again later changes nothing, because every status and every message is known by its id.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from alongside.channels.twilio_events import read_inbound, read_status
from alongside.channels.twilio_signature import SIGNATURE_HEADER, Fields, read_form, verify
from alongside.delivery.events import ingest
from alongside.delivery.replies import Inbound, take_in
from alongside.ledger import Ledger
from alongside.ledger.vault import Vault
from alongside.model.enums import Channel
from alongside.model.errors import StoreUnavailable
from alongside.web.webhook import read_limited

#: A callback has some thirty short fields.
MAX_BODY_BYTES = 64 * 1024
#: The provider expects instructions; there are none: answers are written by people.
_NO_INSTRUCTIONS = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
log = logging.getLogger("alongside.web")


@dataclass
class TextMessages:
    """Both endpoints. `counts` holds requests by what became of them.

    Attributes
    ----------
    auth_token : key of the signatures
    public_url : as the provider calls this application; what a proxy in between changes is not signed
    patient_clock : when a patient's decision counts as taken
    """

    ledger: Ledger
    vault: Vault
    auth_token: str = field(repr=False)
    public_url: str
    answer_within: timedelta
    clock: Callable[[], datetime]
    patient_clock: Callable[[], datetime]
    counts: Counter[str] = field(default_factory=Counter)

    async def status(self, request: Request) -> Response:
        """What became of one message."""
        found = await self._read(request)
        if isinstance(found, Response):
            return found
        now = self.patient_clock()
        event = read_status(self._called(request), found, now)
        if event is None:
            return self._refuse("malformed", 400, "no status of a message of ours")
        try:
            report = await run_in_threadpool(ingest, self.ledger, [event], self.clock())
        except StoreUnavailable:
            return self._refuse("unavailable", 503, "try again later")
        self.counts["taken"] += 1
        for name in ("fresh", "duplicates", "foreign"):
            self.counts[name] += getattr(report, name)
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
            outcome = await run_in_threadpool(self._take_in, said)
        except StoreUnavailable:
            return self._refuse("unavailable", 503, "try again later")
        self.counts[f"inbound_{outcome}"] += 1
        return Response(_NO_INSTRUCTIONS, media_type="text/xml")

    def _take_in(self, said: Inbound) -> str:
        return take_in(
            self.ledger,
            self.vault,
            said,
            wall=self.clock(),
            patient_now=self.patient_clock(),
            answer_within=self.answer_within,
        )

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

    def _refuse(self, outcome: str, status: int, words: str) -> Response:
        self.counts[outcome] += 1
        log.warning("callback refused: %s (status %d, %d so far)", outcome, status, self.counts[outcome])
        return JSONResponse({"error": words}, status)
