"""Aliyun's callbacks: reports of delivery, and what patients text. Nothing signs them, so their address is a secret.

A report says nothing that a stranger could turn against a patient beyond stopping messages to a number whose message
key they hold; still nobody is believed who does not know the address. What comes twice changes nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from fastapi import Request
from starlette.responses import JSONResponse, Response

from alongside.channels.aliyun_events import read_report, read_text
from alongside.delivery.replies import Inbound
from alongside.model.enums import Channel
from alongside.model.errors import StoreUnavailable
from alongside.web.callbacks import Callbacks, Endpoint
from alongside.web.webhook import read_limited

#: The provider tells some hundred entries of 300 bytes at a time.
MAX_BODY_BYTES = 1024 * 1024
MAX_ENTRIES = 1000
#: What the provider wants to hear; anything else and it comes again.
_HEARD = {"code": 0, "msg": "OK"}


@dataclass
class AliyunCallbacks(Callbacks):
    """Both endpoints; `token` is the secret part of their address."""

    token: str = field(repr=False)

    @property
    def routes(self) -> Sequence[tuple[str, Endpoint]]:
        return ("/webhooks/aliyun/{token}/report", self.report), ("/webhooks/aliyun/{token}/text", self.text)

    async def report(self, request: Request) -> Response:
        """What became of messages."""
        found = await self._read(request)
        if isinstance(found, Response):
            return found
        try:
            await self._take_statuses([read_report(entry) for entry in found])
        except StoreUnavailable:
            return self._refuse("unavailable", 503, "try again later")
        return JSONResponse(_HEARD)

    async def text(self, request: Request) -> Response:
        """What patients wrote."""
        found = await self._read(request)
        if isinstance(found, Response):
            return found
        try:
            for entry in found:
                if (said := read_text(entry)) is None:
                    self.counts["ignored"] += 1
                    continue
                await self._take_words(Inbound(said.inbound_id, Channel.SMS, said.sender, said.text))
        except StoreUnavailable:
            return self._refuse("unavailable", 503, "try again later")
        return JSONResponse(_HEARD)

    async def _read(self, request: Request) -> list[Any] | Response:
        given = str(request.path_params["token"])
        if not self.token or not hmac.compare_digest(given.encode(), self.token.encode()):
            return self._refuse("forged", 404, "not found")
        body = await read_limited(request, MAX_BODY_BYTES)
        if body is None:
            return self._refuse("oversized", 413, "too large")
        try:
            found = orjson.loads(body)
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, list) or len(found) > MAX_ENTRIES:
            return self._refuse("malformed", 400, "expected a JSON array")
        return found
