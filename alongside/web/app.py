"""The web application: webhooks in, patients' pages out, and an inbox for programs of the staff."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from alongside.channels.sendgrid_events import translate
from alongside.channels.sendgrid_signature import verify as verify_signature
from alongside.delivery.desk import Desk
from alongside.delivery.events import IngestReport
from alongside.delivery.events import ingest as ingest_events
from alongside.ledger import Ledger
from alongside.ledger.schema import ledger_info
from alongside.model.errors import AlongsideError, StoreUnavailable
from alongside.settings import HospitalSettings
from alongside.web import coming_page, preferences, survey_page, unsubscribe
from alongside.web.bodies import MAX_API_BYTES, SmallBodies
from alongside.web.callbacks import Callbacks
from alongside.web.clicks import USE as USE_OF_CLICKS
from alongside.web.clicks import Clicks
from alongside.web.coming_page import ComingPage
from alongside.web.inbox_api import InboxApi
from alongside.web.knowledge import Knowledge
from alongside.web.limits import CALLBACKS, CLICKS, LEAVING, MACHINES, PAGES, Doorman, PerMinute, Proxies
from alongside.web.links import Links
from alongside.web.metrics import Metrics
from alongside.web.pages import Pages
from alongside.web.preferences import Preferences
from alongside.web.schemas import CALLBACK, EVENTS, Health, errors
from alongside.web.staff import StaffTokens
from alongside.web.survey_page import SurveyPage
from alongside.web.unsubscribe import Unsubscribe
from alongside.web.webhook import MAX_BODY_BYTES, Ingest, Verify, Webhook

WEBHOOK_PATH = "/webhooks/sendgrid"
METRICS_PATH = "/metrics"
HEALTH_PATH = "/healthz"
DESCRIPTION_PATH = "/openapi.json"
UNSUBSCRIBE_PATH = "/u/{token}"
API_PREFIX = "/api/"
_OF_MACHINES = (API_PREFIX, "/webhooks/", METRICS_PATH, HEALTH_PATH, DESCRIPTION_PATH)
#: Every message also links here: which e-mails may come.
PREFERENCES_PATH = "/p/{token}"
SURVEY_PATH = "/s/{token}"
APPOINTMENT_PATH = "/a/{token}"
CLICK_PATH = "/c/{token}"


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
    desk: Desk | None = None,
    staff: StaffTokens | None = None,
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
    desk, staff : the inbox, and whose programs may use it at `/api/inbox`; without tokens there is no such route
    failures_per_minute : links that lead nowhere, of one client
    changes_per_minute : choices that one preference link may change; leaving is never refused
    ingest : takes a batch of raw events and the moment of their arrival; default: into this ledger
    """
    # A redirect from `/u/TOKEN/` would name the host that the request names, and plain http behind a proxy.
    app = FastAPI(
        title="Alongside",
        version=_version(),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    proxies = Proxies([ipaddress.ip_network(one) for one in settings.web.proxies], settings.web.client_header)
    doorman, pages = Doorman(clock, proxies), Pages(settings)
    app.add_exception_handler(HTTPException, _refusing(doorman, pages))
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(ClientDisconnect, _hung_up)
    app.add_exception_handler(StoreUnavailable, _failing(pages, 503))
    app.add_exception_handler(Exception, _failing(pages, 500))
    app.add_middleware(SmallBodies, prefix=API_PREFIX, limit=MAX_API_BYTES)
    webhook = Webhook(webhook_key, ingest or _ingest_into(ledger), verify, clock, max_webhook_bytes)
    links = Links(
        ledger,
        pages,
        settings.hospital.default_locale,
        clock,
        use=unsubscribe.USE,
        limit=PerMinute(failures_per_minute),
        proxies=proxies,
    )
    often = PerMinute(changes_per_minute)
    _add_pages(app, doorman, links, settings, known or Knowledge(), patient_clock or clock, often)
    _add_machines(app, doorman, webhook, callbacks, ledger)
    if metrics_token:
        counts = {"e-mail": webhook.counts, **{name: one.counts for name, one in callbacks.items()}}
        metrics = Metrics(ledger, metrics_token, settings.delivery.max_attempts, clock, counts)
        guarded = doorman.guard(metrics.__call__, MACHINES, _busy)
        described: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {}}}, **errors(401)}
        app.add_api_route(
            METRICS_PATH, guarded, methods=["GET"], response_class=Response, responses=described, name="metrics"
        )
    if desk is not None and staff:
        InboxApi(desk, staff, doorman, PerMinute(failures_per_minute)).add_to(app)
    describe = doorman.guard(lambda _request: JSONResponse(app.openapi()), MACHINES, _busy)
    app.add_api_route(DESCRIPTION_PATH, describe, methods=["GET"], response_model=None, include_in_schema=False)
    return app


def _add_pages(
    app: FastAPI,
    doorman: Doorman,
    links: Links,
    settings: HospitalSettings,
    known: Knowledge,
    patient: Callable[[], datetime],
    often: PerMinute,
) -> None:
    """Patients' pages. Leaving has no limit of requests, nor has the form in which one can leave, too."""
    ledger, pages, clock = links.ledger, links.pages, links.clock
    choosing = replace(links, use=preferences.USE, valid_for=preferences.VALID_FOR)
    asking, about = replace(links, use=survey_page.USE), replace(links, use=coming_page.USE)
    for path, of_path, shown, sent in (
        (UNSUBSCRIBE_PATH, Unsubscribe(links, ledger, pages, clock, patient), LEAVING, LEAVING),
        (
            PREFERENCES_PATH,
            Preferences(choosing, ledger, pages, settings, clock, patient, often, known),
            PAGES,
            LEAVING,
        ),
        (SURVEY_PATH, SurveyPage(asking, ledger, pages, known, clock, patient, often), PAGES, PAGES),
        (APPOINTMENT_PATH, ComingPage(about, ledger, pages, settings, known, clock, patient, often), PAGES, PAGES),
    ):
        options: dict[str, Any] = {"response_model": None, "include_in_schema": False}
        show, submit = doorman.guard(of_path.show, shown, pages.busy), doorman.guard(of_path.submit, sent, pages.busy)
        app.add_api_route(path, show, methods=["GET", "HEAD"], **options)
        app.add_api_route(path, submit, methods=["POST"], **options)
    clicks = Clicks(replace(links, use=USE_OF_CLICKS), ledger, settings, known, clock, patient)
    follow = doorman.guard(clicks.follow, CLICKS, pages.busy)
    app.add_api_route(CLICK_PATH, follow, methods=["GET", "HEAD"], response_model=None, include_in_schema=False)


def _add_machines(
    app: FastAPI, doorman: Doorman, webhook: Webhook, callbacks: Mapping[str, Callbacks], ledger: Ledger
) -> None:
    """Callbacks of vendors, and the health check."""
    app.add_api_route(
        WEBHOOK_PATH,
        doorman.guard(webhook.__call__, CALLBACKS, _busy),
        methods=["POST"],
        response_class=Response,
        status_code=204,
        responses=errors(400, 403, 413, 503),
        openapi_extra=EVENTS,
        summary="Events of e-mails, signed by SendGrid",
        name="sendgrid",
    )
    for one in callbacks.values():
        for method, routes in (("POST", one.routes), ("GET", one.shows)):
            for path, endpoint in routes:
                app.add_api_route(
                    path,
                    doorman.guard(endpoint, CALLBACKS, _busy),
                    methods=[method],
                    response_class=Response,
                    responses=errors(400, 403, 404, 413, 503),
                    openapi_extra=_described(path, method),
                    summary="A callback of a provider of messages",
                    name=path.rpartition("/")[2],
                )
    health = doorman.guard(_health(ledger, webhook, callbacks), MACHINES, _busy)
    app.add_api_route(HEALTH_PATH, health, methods=["HEAD"], response_model=None, include_in_schema=False)
    app.add_api_route(
        HEALTH_PATH,
        health,
        methods=["GET"],
        response_model=Health,
        responses={503: {"model": Health, "description": "The ledger does not answer."}, **errors()},
        summary="Whether the ledger answers, and how the webhooks fare",
        name="health",
    )


def _described(path: str, method: str) -> dict[str, Any]:
    """The description of a callback; an address with a secret part says so."""
    told = CALLBACK if method == "POST" else {}
    if "{token}" not in path:
        return told
    token = {"name": "token", "in": "path", "required": True, "schema": {"type": "string"}}
    return {**told, "parameters": [token]}


def _busy() -> Response:
    return JSONResponse({"error": "too many requests"}, 429, {"Retry-After": "60"})


def _refusing(doorman: Doorman, pages: Pages) -> Callable[[Request, Exception], Response]:
    """Programs are told in JSON; who follows a mangled link sees the same page as behind one that was cut off."""

    def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
        if error.status_code == 404 and not request.url.path.startswith(_OF_MACHINES):
            admitted = doorman.admits(PAGES, request)
            return pages.lost(404) if admitted else pages.busy()
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    return refused


def _hung_up(_request: Request, _error: Exception) -> Response:
    """Somebody went away within their own request: nobody reads the answer, and no fault of ours is logged."""
    return Response(status_code=400)


def _failing(pages: Pages, status: int) -> Callable[[Request, Exception], Response]:
    """Our own failure: a patient reads a page with the hospital's number, a program comes again."""

    def failed(request: Request, _error: Exception) -> Response:
        if request.url.path.startswith(_OF_MACHINES):
            return JSONResponse({"error": "try again later"}, status, {"Retry-After": "60"})
        return pages.down(status)

    return failed


def _unreadable(_request: Request, error: Exception) -> Response:
    """Where and why, without the value."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for nothing else
    told = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
    return JSONResponse({"error": told}, 422)


def _version() -> str:
    try:
        return version("alongside")
    except PackageNotFoundError:  # run from a checkout that nobody installed
        return "0"


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
