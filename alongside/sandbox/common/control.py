"""Steering a running stand-in from another thread or process."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from alongside.model.errors import Refused, StoreUnavailable
from alongside.sandbox.common.faults import Fault
from alongside.sandbox.common.loopback import require_loopback_url


class Control:
    """Blocking calls to `/_sandbox/*` of the stand-in at `url`."""

    def __init__(self, url: str, *, timeout: float = 60.0) -> None:
        self.url = require_loopback_url(url)
        self.timeout = timeout

    def behave(self, faults: Sequence[Fault] = (), seed: int | None = None) -> None:
        """Put these faults in force; none means to behave well again."""
        self._call("POST", "/_sandbox/behave", {"faults": [asdict(fault) for fault in faults], "seed": seed})

    def set_clock(self, moment: datetime, *, settle: float = 0.0) -> bool:
        """Advance simulated time; with `settle` wait so many seconds for the events. Whether all were delivered."""
        answer = self._call("POST", "/_sandbox/clock", {"now": moment.isoformat(), "settle": settle})
        return bool(answer["settled"])

    def set_webhook(self, url: str | None) -> None:
        self._call("POST", "/_sandbox/webhook", {"url": url})

    def stats(self) -> dict[str, Any]:
        """Counters: accepted, answers, faults, events_posted, bookings, one_clicks, given_up, ..."""
        return self._call("GET", "/_sandbox/stats")

    def pending(self) -> dict[str, Any]:
        """What is still to happen: settled, due, posting, messages, next."""
        return self._call("GET", "/_sandbox/pending")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=self.timeout)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None)
            answer = connection.getresponse()
            found: dict[str, Any] = json.loads(answer.read())
        except OSError as error:
            raise StoreUnavailable(
                f"the stand-in does not answer: {error}", where=self.url, remedy="Start it with 'alongside sandbox'."
            ) from error
        finally:
            connection.close()
        if answer.status != 200:
            raise Refused(found["errors"][0]["message"], where=path)
        return found
