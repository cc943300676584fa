"""`/u/{token}`: the page behind an unsubscribe link, and the one-click call of a mail program (RFC 8058).

Scanners follow links, so GET and HEAD change nothing; POST needs neither login nor cookie. A token that is cut off,
forged or unknown answers 404 and does not say why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import parse_qs

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from alongside.ledger import Ledger
from alongside.model.enums import Locale
from alongside.model.tokens import read_token
from alongside.web.limits import FailureLimit
from alongside.web.pages import Pages
from alongside.web.webhook import read_limited
from alongside.web.withdrawal import Sent, find, withdraw

UNSUBSCRIBE, PREFERENCES = "unsubscribe", "preferences"
MAX_FORM_BYTES = 16 * 1024


@dataclass
class Unsubscribe:
    """Both methods of the page.

    Attributes
    ----------
    token_use : which links it answers: a token for one use opens no other page
    """

    ledger: Ledger
    pages: Pages
    default_locale: Locale
    clock: Callable[[], datetime]
    patient_clock: Callable[[], datetime]
    limit: FailureLimit = field(default_factory=FailureLimit)
    token_use: str = UNSUBSCRIBE

    async def show(self, request: Request) -> Response:
        """GET and HEAD."""
        sent = await self._sent(request)
        return sent if isinstance(sent, Response) else self.pages.ask(sent.locale, sent.purpose)

    async def submit(self, request: Request) -> Response:
        """POST, from the page's form or from a mail program."""
        sent = await self._sent(request)
        if isinstance(sent, Response):
            return sent
        body = await read_limited(request, MAX_FORM_BYTES)
        if body is None:
            return self.pages.lost(413)
        everything = wants_everything(body)
        await run_in_threadpool(
            withdraw, self.ledger, sent, everything=everything, now=self.patient_clock(), wall=self.clock()
        )
        return self.pages.done(sent.locale, sent.purpose, everything=everything)

    async def _sent(self, request: Request) -> Sent | Response:
        client = request.client.host if request.client else ""
        now = self.clock().timestamp()
        if not self.limit.allows(client, now):
            return self.pages.lost(429, {"Retry-After": "60"})
        key = read_token(self.ledger.info.secret, self.token_use, request.path_params["token"])
        sent = await run_in_threadpool(find, self.ledger, key, self.default_locale) if key else None
        if sent is None:
            self.limit.failed(client, now)
            return self.pages.lost(404)
        return sent


def wants_everything(body: bytes) -> bool:
    """Whether the form asks to stop all messages; a one-click body, or none, stops the kind that was sent."""
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=10)
    except (UnicodeDecodeError, ValueError):
        return False
    return fields.get("scope") == ["all"]
