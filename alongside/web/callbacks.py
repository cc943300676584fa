"""What the callbacks of all providers share: taking in what they tell, and counting it."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from alongside.delivery.events import ingest
from alongside.delivery.replies import Inbound, take_in
from alongside.ledger import Ledger
from alongside.ledger.events import DeliveryEvent
from alongside.ledger.vault import Vault

Endpoint = Callable[[Request], Awaitable[Response]]
log = logging.getLogger("alongside.web")


@dataclass(frozen=True)
class Intake:
    """Where callbacks go: statuses to their messages, words to the inbox.

    Attributes
    ----------
    answer_within : by then a person should have answered
    patient_clock : when a patient's decision counts as taken
    """

    ledger: Ledger
    vault: Vault
    answer_within: timedelta
    clock: Callable[[], datetime]
    patient_clock: Callable[[], datetime]


@dataclass
class Callbacks(ABC):
    """The endpoints of one provider. `counts` holds requests by what became of them."""

    intake: Intake
    counts: Counter[str] = field(default_factory=Counter, kw_only=True)

    @property
    @abstractmethod
    def routes(self) -> Sequence[tuple[str, Endpoint]]:
        """Path and endpoint of every callback; all are POST."""

    @property
    def shows(self) -> Sequence[tuple[str, Endpoint]]:
        """Path and endpoint of what a provider asks by GET, for example whether the address is right."""
        return ()

    async def _take_statuses(self, events: Sequence[DeliveryEvent | None]) -> None:
        """Raises `StoreUnavailable`: answer the provider with an error, it may come again."""
        report = await run_in_threadpool(ingest, self.intake.ledger, events, self.intake.clock())
        self.counts["taken"] += 1
        for name in ("fresh", "duplicates", "foreign", "ignored"):
            self.counts[name] += getattr(report, name)

    async def _take_words(self, said: Inbound) -> None:
        """Raises `StoreUnavailable` likewise."""
        outcome = await run_in_threadpool(self._take_in, said)
        self.counts[f"inbound_{outcome}"] += 1

    def _take_in(self, said: Inbound) -> str:
        to = self.intake
        moments = {"wall": to.clock(), "patient_now": to.patient_clock()}
        return take_in(to.ledger, to.vault, said, **moments, answer_within=to.answer_within)

    def _refuse(self, outcome: str, status: int, words: str) -> Response:
        self.counts[outcome] += 1
        log.warning("callback refused: %s (status %d, %d so far)", outcome, status, self.counts[outcome])
        return JSONResponse({"error": words}, status)
