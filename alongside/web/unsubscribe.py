"""`/u/{token}`: the page behind an unsubscribe link, and the one-click call of a mail program (RFC 8058).

Scanners follow links, so GET and HEAD change nothing; POST needs neither login nor cookie. A token that is cut off,
forged or unknown answers 404 and does not say why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from alongside.ledger import Ledger
from alongside.web.forms import MAX_FORM_BYTES, read_fields
from alongside.web.links import Links
from alongside.web.pages import Pages, in_language
from alongside.web.webhook import read_limited
from alongside.web.withdrawal import withdraw

USE = "unsubscribe"


@dataclass
class Unsubscribe:
    """Both methods of the page."""

    links: Links
    ledger: Ledger
    pages: Pages
    clock: Callable[[], datetime]
    patient_clock: Callable[[], datetime]

    async def show(self, request: Request) -> Response:
        """GET and HEAD."""
        sent = await self.links.open(request)
        if isinstance(sent, Response):
            return sent
        return self.pages.ask(in_language(sent.locale, request), sent.purpose)

    async def submit(self, request: Request) -> Response:
        """POST, from the page's form or from a mail program."""
        sent = await self.links.open(request)
        if isinstance(sent, Response):
            return sent
        body = await read_limited(request, MAX_FORM_BYTES)
        if body is None:
            return self.pages.lost(413)
        everything = wants_everything(body)
        await run_in_threadpool(
            withdraw, self.ledger, sent, everything=everything, now=self.patient_clock(), wall=self.clock()
        )
        return self.pages.done(in_language(sent.locale, request), sent.purpose, everything=everything)


def wants_everything(body: bytes) -> bool:
    """Whether the form asks to stop all messages; a one-click body, or none, stops the kind that was sent."""
    return read_fields(body).get("scope") == ["all"]
