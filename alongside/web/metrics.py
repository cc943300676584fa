"""`GET /metrics`: how deliveries stand, for Prometheus. Counts and names of campaigns; no value of a patient.

Only with `Authorization: Bearer <ALONGSIDE_METRICS_TOKEN>`: the application faces the world. Without a token in the
environment there is no such page.
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from fastapi import Request
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from alongside.ledger import Ledger
from alongside.ledger.backlog import backlog
from alongside.ledger.deliveries import Filter, overview
from alongside.model.errors import AlongsideError

#: Counting messages reads the ledger's indexes: whoever asks more often gets what was counted last.
SECONDS_BETWEEN_COUNTS = 15.0
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass
class Metrics:
    """The endpoint.

    Parameters
    ----------
    token : what Prometheus has to show
    callbacks : endpoint -> requests by what became of them
    """

    ledger: Ledger
    token: str = field(repr=False)
    max_attempts: int
    clock: Callable[[], datetime]
    callbacks: Mapping[str, Mapping[str, int]]
    _counted: tuple[datetime, bytes] | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    async def __call__(self, request: Request) -> Response:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
            return PlainTextResponse("unauthorized\n", 401, headers={"WWW-Authenticate": "Bearer"})
        try:
            text = await run_in_threadpool(self._text)
        except (AlongsideError, sa.exc.SQLAlchemyError):
            return PlainTextResponse("the ledger does not answer\n", 503)
        return Response(text, media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})

    def _text(self) -> bytes:
        with self._lock:  # two who ask at once count once
            now = self.clock()
            if self._counted is None or (now - self._counted[0]).total_seconds() >= SECONDS_BETWEEN_COUNTS:
                registry = CollectorRegistry()
                registry.register(_Counted(list(self._of_ledger(now))))
                self._counted = (now, generate_latest(registry))
            registry = CollectorRegistry()
            registry.register(_Counted([self._of_callbacks()]))
            return self._counted[1] + generate_latest(registry)

    def _of_ledger(self, now: datetime) -> Iterator[Metric]:
        with self.ledger.reading() as connection:
            found = overview(connection, Filter(), due=now, max_attempts=self.max_attempts)
            people = backlog(connection, now)
        of = ("channel", "campaign")
        messages = GaugeMetricFamily("alongside_messages", "Messages by state.", labels=(*of, "state"))
        unknown = GaugeMetricFamily(
            "alongside_unknown_seconds", "Age of the oldest message of unknown outcome.", labels=of
        )
        claims = GaugeMetricFamily(
            "alongside_claim_seconds", "How long a worker has held its batch, at most.", labels=of
        )
        for group in found.groups:
            names = (group.channel, group.campaign)
            for state, count in group.messages.items():
                messages.add_metric((*names, state), count)
            if group.unknown_since is not None:
                unknown.add_metric(names, (now - group.unknown_since).total_seconds())
            if group.oldest_claim is not None:
                claims.add_metric(names, (now - group.oldest_claim.since).total_seconds())
        waiting = GaugeMetricFamily(
            "alongside_waiting_messages", "Planned messages that have not left, by why.", labels=(*of, "because")
        )
        for one in found.waiting:
            waiting.add_metric((one.channel, one.campaign, one.because), one.messages)
        paused = GaugeMetricFamily("alongside_paused", "1 for what is paused, and by whom.", labels=("scope", "by"))
        for pause in found.pauses:
            paused.add_metric((pause.scope, pause.by), 1)
        yield from (messages, waiting, unknown, claims, paused)
        yield GaugeMetricFamily("alongside_given_up_messages", "Messages that are given up.", found.dead_messages)
        open_, overdue = "What waits for a person: an answer, a call, a letter to print.", "Of these, what is late."
        for name, words, counts in (
            ("alongside_open", open_, (people.threads_open, people.calls_open, people.letters_open)),
            ("alongside_overdue", overdue, (people.threads_overdue, people.calls_overdue, people.letters_overdue)),
        ):
            family = GaugeMetricFamily(name, words, labels=("list",))
            for label, count in zip(("inbox", "calls", "letters"), counts, strict=True):
                family.add_metric((label,), count)
            yield family
        if people.run_finished_at is not None:
            words = "When the last completed run ended (Unix time)."
            yield GaugeMetricFamily(
                "alongside_run_finished_timestamp_seconds", words, people.run_finished_at.timestamp()
            )

    def _of_callbacks(self) -> Metric:
        words = "Requests of providers to this process, and what they brought, by what became of them."
        family = CounterMetricFamily("alongside_callbacks", words, labels=("endpoint", "outcome"))
        for endpoint, counts in self.callbacks.items():
            for outcome, count in sorted(counts.items()):
                family.add_metric((endpoint, outcome), count)
        return family


@dataclass(eq=False)  # a registry wants them hashable
class _Counted(Collector):
    """What was counted already."""

    families: list[Metric]

    def collect(self) -> list[Metric]:
        return self.families
