"""What strangers, broken clients and bad days send: refused without a fault of ours, and never done twice."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
from fastapi.testclient import TestClient

from alongside.ledger import Ledger, appointments, inbox
from alongside.ledger.schema import message
from alongside.model.enums import Locale, ThreadStatus
from alongside.model.errors import StoreUnavailable
from alongside.model.tokens import LINKS
from alongside.settings import HospitalSettings
from alongside.web import create_app
from alongside.web.bodies import MAX_API_BYTES
from alongside.web.words import WORDS
from tests.web.browser import serving
from tests.web.conftest import NOW, House, Wall
from tests.web.test_inbox_api import AS_LI, SHARED, client_of, open_thread
from tests.web.test_survey import asked

YES, NO = {"answer": "confirm"}, {"answer": "cancel"}


@pytest.fixture
def stranger(house: House) -> TestClient:
    """A client that sees our failures as a browser does."""
    return TestClient(house.client.app, raise_server_exceptions=False)


# ------------------------------------------------------------------------------------------------------- SendGrid's
def test_without_a_key_nobody_is_believed_and_nothing_fails(ledger: Ledger, settings: HospitalSettings) -> None:
    """A hospital that sends by SMTP has no key; its application is on the internet all the same."""
    app = create_app(ledger, settings=settings, webhook_key="", clock=Wall())
    signed = {
        "X-Twilio-Email-Event-Webhook-Signature": "MEUCIQ==",
        "X-Twilio-Email-Event-Webhook-Timestamp": str(int(NOW.timestamp())),
    }
    answer = TestClient(app, raise_server_exceptions=False).post("/webhooks/sendgrid", content=b"[]", headers=signed)
    assert answer.status_code == 403


def test_one_bad_character_does_not_refuse_a_whole_delivery(house: House, stranger: TestClient) -> None:
    """PostgreSQL's text holds no NUL: the vendor would repeat such a delivery for a day, good events and all."""
    event = {"m": house.plan(), "event": "delivered", "timestamp": int(NOW.timestamp())}
    events = [{**event, "sg_event_id": "a\0b", "reason": "250\0OK"}, {**event, "event": "open", "sg_event_id": "c"}]
    body = orjson.dumps(events)
    for _ in range(2):
        signed = house.signer.headers(body, int(NOW.timestamp()))
        assert stranger.post("/webhooks/sendgrid", content=body, headers=signed).status_code == 204
    found = house.ledger.read_arrow("SELECT event_id, detail FROM delivery_event ORDER BY event_id").to_pylist()
    assert found == [{"event_id": "ab", "detail": "250OK"}, {"event_id": "c", "detail": ""}]


def test_a_length_that_only_looks_like_a_number_fails_nothing(house: House, stranger: TestClient) -> None:
    link = house.link(house.plan())
    assert stranger.post(link, content=b"", headers={"Content-Length": b"\xb2"}).status_code == 200


# --------------------------------------------------------------------------------------------------- patients' pages
@pytest.mark.parametrize("ending", ["/", "%2F", "//"])
def test_a_link_with_a_slash_leads_to_no_address_that_the_request_names(house: House, ending: str) -> None:
    """A redirect would name the host of the request, and plain http behind a proxy: with the token in it."""
    key = house.plan()
    for name in LINKS:
        answer = house.client.get(
            house.url(name, key) + ending, headers={"Host": "elsewhere.example"}, follow_redirects=False
        )
        assert answer.status_code == 404
        assert "location" not in answer.headers
        assert WORDS[Locale.EN].lost_title in answer.text
        house.wall.advance(minutes=1)


@pytest.mark.parametrize(
    ("error", "status"), [(StoreUnavailable("locked"), 503), (RuntimeError("a fault of ours"), 500)]
)
def test_when_we_fail_a_patient_reads_whom_to_call(
    house: House, stranger: TestClient, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    links = [house.url(name, house.plan()) for name in LINKS]

    def fails(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(Ledger, "begin", fails)
    for link in links:
        for method in ("GET", "POST"):
            answer = stranger.request(method, link)
            assert answer.status_code == status
            assert answer.headers["retry-after"] == "60"
            for locale in Locale:
                assert WORDS[locale].down_title in answer.text
            assert house.settings.hospital.phone in answer.text
            assert "fault of ours" not in answer.text
    # One-click unsubscribing by a mail program is such a POST: 503 and Retry-After let it come again.


def test_when_we_fail_a_program_is_told_to_come_again(stranger: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("alongside.web.app._version", fails)
    monkeypatch.setattr(type(stranger.app), "openapi", fails)
    answer = stranger.get("/openapi.json")
    assert (answer.status_code, answer.json()) == (500, {"error": "try again later"})


# ------------------------------------------------------------------------------------------------------ appointments
def at_once(house: House, posts: list[tuple[str, dict[str, str]]]) -> None:
    def post(one: tuple[str, dict[str, str]]) -> int:
        return TestClient(house.client.app, raise_server_exceptions=False).post(one[0], data=one[1]).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(post, posts)) == {200}


def said(house: House) -> list[str]:
    with house.ledger.reading() as connection:
        return [one.answer.value for one in appointments.since(connection, NOW - timedelta(days=999), history=True)]


def test_clicks_at_once_never_bring_back_an_appointment_that_was_given_away(house: House) -> None:
    """The page was read before the other click was written down: the ledger decides, not the page."""
    for _ in range(3):
        link = house.url("appointment_url", house.book())
        before = len(said(house))
        at_once(house, [(link, NO), (link, YES)] * 6)
        answers = said(house)[before:]
        assert answers.count("cancel") == 1
        assert answers[-1] == "cancel"


def test_two_messages_about_one_appointment_make_one_cancellation(house: House) -> None:
    first = house.book()
    second = house.plan()
    with house.ledger.begin() as connection:
        row = connection.execute(message.select().where(message.c.message_key == first)).one()
        same = {"variables": row.variables, "campaign": row.campaign, "template": row.template}
        connection.execute(message.update().where(message.c.message_key == second).values(**same))
    links = [house.url("appointment_url", key) for key in (first, second)]
    at_once(house, [(link, NO) for link in links * 4])
    assert said(house) == ["cancel"]
    with house.ledger.reading() as connection:
        assert len(inbox.threads(connection, list(ThreadStatus))) == 1


# ------------------------------------------------------------------------------------------------------------ surveys
def test_a_complaint_after_the_thread_was_closed_gets_a_deadline_of_its_own(house: House) -> None:
    """Else the page would promise an answer by a day that has passed."""
    link = asked(house)
    house.client.post(link, data={"nps": "2", "comment": "等了三个小时"})
    with house.ledger.begin() as connection:
        [thread] = inbox.threads(connection, [ThreadStatus.OPEN])
        inbox.set_status(connection, thread.thread_id, ThreadStatus.CLOSED, NOW)
    house.wall.advance(days=6)
    house.client.post(link, data={"nps": "1", "comment": "还是没有人联系我"})
    with house.ledger.reading() as connection:
        again = inbox.find(connection, thread.thread_id)
    assert again.due_at - thread.due_at == timedelta(days=6)


# ---------------------------------------------------------------------------------------------------------- the inbox
def test_nobody_without_a_token_makes_us_hold_a_large_body(house: House) -> None:
    """The body of an answer is read before the token is looked at: so it may not be large."""
    with client_of(house, SHARED) as client:
        path = f"/api/inbox/{open_thread(house)}/answer"
        told = client.post(path, content=b'{"text": "' + b"a" * MAX_API_BYTES + b'"}')
        assert told.status_code == 413

        def piecemeal() -> Iterator[bytes]:
            for _ in range(MAX_API_BYTES // 1000 + 2):
                yield b"a" * 1000

        assert client.post(path, content=piecemeal()).status_code == 413
        longest = {"text": "\U0001f642" * 4000}
        assert len(json.dumps(longest)) > 48_000
        typed = {**AS_LI, "Content-Type": "application/json"}
        assert client.post(path, content=json.dumps(longest), headers=typed).status_code == 200


# -------------------------------------------------------------------------------------------------------- real sockets
@pytest.mark.parametrize("path", ["/webhooks/sendgrid", "/u/{token}", "/api/inbox/t1/answer"])
def test_who_hangs_up_in_the_middle_leaves_no_fault_in_the_log(
    house: House, path: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a stranger fills the log with tracebacks at will."""
    path = path.format(token=house.link(house.plan()).removeprefix("/u/"))
    with client_of(house, SHARED) as client, serving(client.app) as base:
        log = logging.getLogger("uvicorn.error")  # propagates nothing
        monkeypatch.setattr(log, "handlers", [*log.handlers, caplog.handler])
        host, port = base.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as line:
            head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n\r\n["
            line.sendall(head.encode())
            line.shutdown(socket.SHUT_WR)
            line.recv(100)
        assert httpx.get(f"{base}/healthz").status_code == 200
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR] == []
