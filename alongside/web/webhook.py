"""`POST /webhooks/sendgrid`: what the vendor tells us, believed only with its signature.

The vendor retries for a day whatever is not answered with 2xx, and delivers at least once and out of order: so an
answer comes after the ledger has the events, and the ledger knows each event's id.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import orjson
from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from alongside.channels.sendgrid_signature import SIGNATURE_HEADER, TIMESTAMP_HEADER
from alongside.delivery.events import IngestReport
from alongside.model.errors import StoreUnavailable

#: A batch of the vendor has some hundred events of about 1 kB.
MAX_BODY_BYTES = 8 * 1024 * 1024
log = logging.getLogger("alongside.web")


class Ingest(Protocol):
    """Takes a batch of raw events into the ledger; repeated events change nothing."""

    def __call__(self, events: Sequence[Mapping[str, Any]], received_at: datetime) -> IngestReport: ...


class Verify(Protocol):
    """Whether the vendor signed these bytes just now."""

    def __call__(self, public_key: str, payload: bytes, signature: str, timestamp: str, *, now: datetime) -> bool: ...


@dataclass
class Webhook:
    """The endpoint. `counts` holds requests (taken, forged, malformed, oversized, unavailable) and what was in them
    (fresh, duplicates, foreign, ignored events).
    """

    public_key: str
    ingest: Ingest
    verify: Verify
    clock: Callable[[], datetime]
    max_bytes: int = MAX_BODY_BYTES
    counts: Counter[str] = field(default_factory=Counter)

    async def __call__(self, request: Request) -> Response:
        payload = await read_limited(request, self.max_bytes)
        if payload is None:
            return self._refuse("oversized", 413, "too large")
        signature = request.headers.get(SIGNATURE_HEADER, "")
        timestamp = request.headers.get(TIMESTAMP_HEADER, "")
        if not (signature and timestamp) or not self._signed(payload, signature, timestamp):
            return self._refuse("forged", 403, "forbidden")
        events = _parse(payload)
        if events is None:
            return self._refuse("malformed", 400, "expected a JSON array of event objects")
        try:
            report = await run_in_threadpool(self.ingest, events, self.clock())
        except StoreUnavailable:
            return self._refuse("unavailable", 503, "try again later")
        self.counts["taken"] += 1
        for name in ("fresh", "duplicates", "foreign", "ignored"):
            self.counts[name] += getattr(report, name)
        return Response(status_code=204)

    def _signed(self, payload: bytes, signature: str, timestamp: str) -> bool:
        # Without a key (another provider carries e-mails) nobody is believed.
        return bool(self.public_key) and self.verify(self.public_key, payload, signature, timestamp, now=self.clock())

    def _refuse(self, outcome: str, status: int, message: str) -> Response:
        self.counts[outcome] += 1
        log.warning("webhook refused: %s (status %d, %d so far)", outcome, status, self.counts[outcome])
        return JSONResponse({"error": message}, status)


def _parse(payload: bytes) -> list[Mapping[str, Any]] | None:
    try:
        found = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        return None
    return found


async def read_limited(request: Request, limit: int) -> bytes | None:
    """The body, or None as soon as it is known to exceed `limit` bytes: nothing larger is ever held."""
    declared = request.headers.get("Content-Length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > limit:
        return None
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            return None
        parts.append(part)
    return b"".join(parts)
