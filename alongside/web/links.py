"""From the token of a link to the message it belongs to; guessing is slowed down, and nothing says why it failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from alongside.ledger import Ledger
from alongside.model.enums import Locale
from alongside.model.tokens import read_token
from alongside.web.limits import PerMinute, Proxies
from alongside.web.pages import Pages
from alongside.web.withdrawal import Sent, find


@dataclass(frozen=True)
class Links:
    """The links of one use.

    Attributes
    ----------
    use : a token for one use opens no other page
    valid_for : after the run that sent the message, by the wall; None: for ever, as leaving must be
    """

    ledger: Ledger
    pages: Pages
    default_locale: Locale
    clock: Callable[[], datetime]
    use: str
    valid_for: timedelta | None = None
    limit: PerMinute = field(default_factory=PerMinute)
    proxies: Proxies = field(default_factory=Proxies)

    async def open(self, request: Request) -> Sent | Response:
        """The message behind this request's `{token}`, or the page that answers instead.

        A signed link is looked at whatever else came from the same client: many patients may share one address.
        """
        key = read_token(self.ledger.info.secret, self.use, request.path_params["token"])
        return await self.find(request, key)

    async def find(self, request: Request, key: str | None) -> Sent | Response:
        """The same for the message key that a token held; None for a token that is not ours."""
        client, now = self.proxies.client_of(request), self.clock()
        sent = await run_in_threadpool(find, self.ledger, key, self.default_locale) if key else None
        if sent is None:
            if not self.limit.allows(client, now.timestamp()):
                return self.pages.lost(429, {"Retry-After": "60"})
            self.limit.count(client, now.timestamp())
            return self.pages.lost(404)
        if self.valid_for is not None and now > sent.sent_at + self.valid_for:
            return self.pages.expired()
        return sent
