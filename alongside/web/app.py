"""The web application: webhooks in, patients' pages out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from alongside.channels.sendgrid_events import translate
from alongside.channels.sendgrid_signature import verify as verify_signature
from alongside.delivery.events import IngestReport
from alongside.delivery.events import ingest as ingest_events
from alongside.ledger import Ledger
from alongside.ledger.schema import ledger_info
from alongside.model.errors import AlongsideError
from alongside.settings import HospitalSettings
from alongside.web import coming_page, preferences, survey_page, unsubscribe
from alongside.web.callbacks import Callbacks
from alongside.web.coming_page import ComingPage
from alongside.web.knowledge import Knowledge
from alongside.web.limits import PerMinute
from alongside.web.links import Links
from alongside.web.metrics import Metrics
from alongside.web.pages import Pages
from alongside.web.preferences import Preferences
from alongside.web.survey_page import SurveyPage
from alongside.web.unsubscribe import Unsubscribe
from alongside.web.webhook import MAX_BODY_BYTES, Ingest, Verify, Webhook

WEBHOOK_PATH = "/webhooks/sendgrid"
METRICS_PATH = "/metrics"
UNSUBSCRIBE_PATH = "/u/{token}"
#: Every message also links here: which e-mails may come.
PREFERENCES_PATH = "/p/{token}"
SURVEY_PATH = "/s/{token}"
APPOINTMENT_PATH = "/a/{token}"


def create_app(
    ledger: Ledger,
    *,
    settings: HospitalSettings,
    webhook_key: str,
    clock: Callable[[], datetime],
    patient_clock: Callable[[], datetime] | None = None,
    callbacks: Mapping[str, Callbacks] = MappingProxyType({}),
    known: Knowledge | None = None,
    metrics_token: str = "",
    ingest: Ingest | None = None,
    verify: Verify = verify_signature,
    max_webhook_bytes: int = MAX_BODY_BYTES,
    failures_per_minute: int = 30,
    changes_per_minute: int = 30,
) -> FastAPI:
    """The application over one ledger.

    Parameters
    ----------
    webhook_key : base64 SPKI of the vendor's event webhook
    clock : wall time, for the freshness of signatures and for what is recorded
    patient_clock : when a patient's decision counts as taken; the simulated day in a replay, else the wall
    callbacks : by name, of the providers of other channels that the hospital has set up
    known : what patients' pages may show beside the ledger
    metrics_token : what Prometheus has to show at `/metrics`; empty: there is no such page
    failures_per_minute : links that lead nowhere, of one client
    changes_per_minute : choices that one preference link may change; leaving is never refused
    ingest : takes a batch of raw events and the moment of their arrival; default: into this ledger
    """
    app = FastAPI(title="Alongside", docs_url=None, redoc_url=None, openapi_url=None)
    webhook = Webhook(webhook_key, ingest or _ingest_into(ledger), verify, clock, max_webhook_bytes)
    pages, patient = Pages(settings), patient_clock or clock
    leaving = Links(
        ledger,
        pages,
        settings.hospital.default_locale,
        clock,
        use=unsubscribe.USE,
        limit=PerMinute(failures_per_minute),
    )
    choosing = replace(leaving, use=preferences.USE, valid_for=preferences.VALID_FOR)
    often, known = PerMinute(changes_per_minute), known or Knowledge()
    centre = Preferences(choosing, ledger, pages, settings, clock, patient, often, known)
    asking = SurveyPage(replace(leaving, use=survey_page.USE), ledger, pages, known, clock, patient, often)
    about = replace(leaving, use=coming_page.USE)
    coming = ComingPage(about, ledger, pages, settings, known, clock, patient, often)
    routes = (
        (UNSUBSCRIBE_PATH, Unsubscribe(leaving, ledger, pages, clock, patient)),
        (PREFERENCES_PATH, centre),
        (SURVEY_PATH, asking),
        (APPOINTMENT_PATH, coming),
    )
    app.add_api_route(WEBHOOK_PATH, webhook.__call__, methods=["POST"], response_model=None)
    for path, of_path in routes:
        app.add_api_route(path, of_path.show, methods=["GET", "HEAD"], response_model=None)
        app.add_api_route(path, of_path.submit, methods=["POST"], response_model=None)
    for one in callbacks.values():
        for path, endpoint in one.routes:
            app.add_api_route(path, endpoint, methods=["POST"], response_model=None)
        for path, endpoint in one.shows:
            app.add_api_route(path, endpoint, methods=["GET"], response_model=None)
    if metrics_token:
        counts = {"e-mail": webhook.counts, **{name: one.counts for name, one in callbacks.items()}}
        metrics = Metrics(ledger, metrics_token, settings.delivery.max_attempts, clock, counts)
        app.add_api_route(METRICS_PATH, metrics.__call__, methods=["GET"], response_model=None)
    app.add_api_route("/healthz", _health(ledger, webhook, callbacks), methods=["GET", "HEAD"], response_model=None)
    return app


def _ingest_into(ledger: Ledger) -> Ingest:
    def ingest(events: Sequence[Mapping[str, Any]], received_at: datetime) -> IngestReport:
        return ingest_events(ledger, [translate(event) for event in events], received_at)

    return ingest


def _health(ledger: Ledger, webhook: Webhook, callbacks: Mapping[str, Callbacks]) -> Callable[[Request], Response]:
    """Whether the ledger answers, and how the webhooks fare."""

    def health(_request: Request) -> Response:
        try:
            with ledger.begin() as connection:
                connection.execute(sa.select(ledger_info.c.epoch)).one()
        except (AlongsideError, sa.exc.SQLAlchemyError):
            return JSONResponse({"status": "ledger unavailable"}, 503)
        told = {"status": "ok", "webhook": dict(webhook.counts)}
        return JSONResponse(told | {name: dict(one.counts) for name, one in callbacks.items()})

    return health
