"""What the webhook believes, and what it does not."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from httpx import Response

from alongside.channels.sendgrid_signature import SIGNATURE_HEADER, TIMESTAMP_HEADER
from alongside.ledger import Ledger
from alongside.ledger.schema import delivery_event, message
from alongside.model.errors import StoreUnavailable
from alongside.sandbox.sendgrid.events import Signer
from alongside.settings import HospitalSettings
from alongside.web import create_app
from tests.web.conftest import NOW, PATIENT_NOW, House

PATH = "/webhooks/sendgrid"


def delivered(key: str, event_id: str = "e1", **changes: Any) -> dict[str, Any]:
    return {
        "email": "a@example.com",
        "timestamp": int(PATIENT_NOW.timestamp()),
        "event": "delivered",
        "sg_event_id": event_id,
        "sg_message_id": "x.0",
        "m": key,
        "b": "b",
    } | changes


def post(house: House, events: Any, *, age: float = 0.0, **changes: str) -> Response:
    payload = events if isinstance(events, bytes) else json.dumps(events).encode()
    headers = house.signer.headers(payload, int((house.wall.now - timedelta(seconds=age)).timestamp()))
    return house.client.post(PATH, content=payload, headers={"Content-Type": "application/json", **headers, **changes})


def kept(ledger: Ledger) -> list[str]:
    with ledger.begin() as connection:
        return sorted(connection.scalars(sa.select(delivery_event.c.event_id)))


def state(ledger: Ledger, key: str) -> str:
    with ledger.begin() as connection:
        return str(connection.scalar(sa.select(message.c.state).where(message.c.message_key == key)))


def test_signed_events_reach_the_ledger(house: House) -> None:
    key = house.plan()
    answer = post(house, [delivered(key), delivered(key, "e2", event="open")])
    assert (answer.status_code, answer.content) == (204, b"")
    assert kept(house.ledger) == ["e1", "e2"]
    assert state(house.ledger, key) == "delivered"


def test_repeated_deliveries_change_nothing(house: House) -> None:
    key = house.plan()
    for _ in range(3):
        assert post(house, [delivered(key), delivered(key)]).status_code == 204
    assert kept(house.ledger) == ["e1"]
    counts = house.client.get("/healthz").json()["webhook"]
    assert (counts["taken"], counts["fresh"], counts["duplicates"]) == (3, 1, 5)


def test_a_replayed_request_is_refused_once_it_is_old(house: House) -> None:
    key = house.plan()
    payload = json.dumps([delivered(key)]).encode()
    headers = house.signer.headers(payload, int(NOW.timestamp()))
    house.wall.advance(minutes=9)
    assert house.client.post(PATH, content=payload, headers=headers).status_code == 204
    house.wall.advance(minutes=2)
    assert house.client.post(PATH, content=payload, headers=headers).status_code == 403


def test_a_stale_or_future_signature_is_refused(house: House) -> None:
    events = [delivered(house.plan())]
    for age in (601, 86_400, -601):
        assert post(house, events, age=age).status_code == 403
    assert kept(house.ledger) == []


def test_unsigned_requests_are_forbidden(house: House) -> None:
    payload = json.dumps([delivered(house.plan())]).encode()
    now = str(int(NOW.timestamp()))
    for headers in (
        {},
        {SIGNATURE_HEADER: "x"},
        {TIMESTAMP_HEADER: now},
        {SIGNATURE_HEADER: "not base64!", TIMESTAMP_HEADER: now},
        {SIGNATURE_HEADER: "AAAA", TIMESTAMP_HEADER: now},
        {SIGNATURE_HEADER: "AAAA", TIMESTAMP_HEADER: "yesterday"},
        {SIGNATURE_HEADER: "A" * 5000, TIMESTAMP_HEADER: "9" * 5000},
    ):
        assert house.client.post(PATH, content=payload, headers=headers).status_code == 403
    assert kept(house.ledger) == []


def test_another_key_or_another_body_is_forged(house: House, tmp_path_factory: pytest.TempPathFactory) -> None:
    payload = json.dumps([delivered(house.plan())]).encode()
    stranger = Signer.load(tmp_path_factory.mktemp("stranger"))
    forged = stranger.headers(payload, int(NOW.timestamp()))
    assert house.client.post(PATH, content=payload, headers=forged).status_code == 403
    ours = house.signer.headers(payload, int(NOW.timestamp()))
    assert house.client.post(PATH, content=payload + b" ", headers=ours).status_code == 403
    moved = ours | {TIMESTAMP_HEADER: str(int(NOW.timestamp()) + 1)}
    assert house.client.post(PATH, content=payload, headers=moved).status_code == 403
    assert kept(house.ledger) == []


def test_signed_nonsense_is_a_bad_request(house: House) -> None:
    half_written = b'[{"event": "deliv'
    for payload in (b"", b"[", half_written, b"null", b"{}", b'["x"]', b"[[]]", b"[1]", b"[" * 50_000, b'"x"'):
        assert post(house, payload).status_code == 400


def test_bytes_that_are_no_text_are_refused_even_when_signed(house: House) -> None:
    """The vendor's own library verifies text only: what is no UTF-8 counts as forged."""
    assert post(house, b"\xff\xfe[]").status_code == 403


def test_an_oversized_body_is_refused_by_its_header_and_by_its_bytes(house: House) -> None:
    key = house.plan()
    large = json.dumps([delivered(key, str(n)) for n in range(2000)]).encode()
    assert len(large) > 100_000
    assert post(house, large).status_code == 413

    def stream() -> Any:
        for start in range(0, len(large), 10_000):
            yield large[start : start + 10_000]

    headers = house.signer.headers(large, int(NOW.timestamp()))
    assert house.client.post(PATH, content=stream(), headers=headers).status_code == 413
    assert kept(house.ledger) == []


def test_unknown_events_are_counted_and_ignored(house: House) -> None:
    key = house.plan()
    strange = [
        delivered(key, "e2", event="teleported"),
        delivered(key, "e3", event=None),
        delivered("not a key", "e4"),
        delivered(key, "e5", timestamp="soon"),
        {},
        {"event": "account_status_change", "timestamp": 1},
        delivered("f" * 32, "e6"),
    ]
    assert post(house, [*strange, delivered(key)]).status_code == 204
    assert kept(house.ledger) == ["e1"]
    counts = house.client.get("/healthz").json()["webhook"]
    assert (counts["fresh"], counts["ignored"], counts["foreign"]) == (1, 6, 1)


def test_an_empty_batch_is_fine(house: House) -> None:
    assert post(house, []).status_code == 204


def test_a_ledger_that_does_not_answer_makes_the_vendor_try_again(
    ledger: Ledger, settings: HospitalSettings, house: House
) -> None:
    from fastapi.testclient import TestClient

    def unavailable(events: Any, received_at: Any) -> Any:
        raise StoreUnavailable("the ledger did not answer")

    app = create_app(
        ledger, settings=settings, webhook_key=house.signer.public_key, clock=house.wall, ingest=unavailable
    )
    with TestClient(app) as house.client:
        assert post(house, [delivered(house.plan())]).status_code == 503


def test_only_post_is_known(house: House) -> None:
    assert house.client.get(PATH).status_code == 405
    for path in ("/docs", "/redoc", "/"):
        assert house.client.get(path).status_code == 404


def test_health(house: House) -> None:
    assert house.client.get("/healthz").json()["status"] == "ok"
    house.ledger.engine.dispose()
    assert house.client.head("/healthz").status_code == 200
