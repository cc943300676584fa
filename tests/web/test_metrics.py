"""What Prometheus reads: parsed by Prometheus' own parser."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from alongside.ledger import Ledger
from alongside.ledger.pauses import set_pause
from alongside.ledger.schema import call_task, message, printed_letter, run, thread
from alongside.settings import Environment, HospitalSettings
from alongside.web import create_app
from alongside.web.metrics import SECONDS_BETWEEN_COUNTS
from tests.web.conftest import NOW, Wall, plan_message

TOKEN = "a long random word"
Values = Mapping[tuple[str, ...], float]


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def prometheus(ledger: Ledger, settings: HospitalSettings, wall: Wall) -> TestClient:
    return client_of(ledger, settings, wall, TOKEN)


def client_of(ledger: Ledger, settings: HospitalSettings, wall: Wall, token: str) -> TestClient:
    return TestClient(create_app(ledger, settings=settings, webhook_key="", clock=wall, metrics_token=token))


def read(client: TestClient) -> dict[str, Values]:
    """Metric -> values of labels, by the labels' names -> value."""
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(value for _, value in sorted(sample.labels.items()))] = sample.value
    return found


def test_deliveries_and_whoever_waits_can_be_watched(ledger: Ledger, prometheus: TestClient) -> None:
    for number, state in enumerate(("accepted", "accepted", "unknown")):
        key = f"{number:032x}"
        plan_message(ledger, key, "education", "en", "p0000000000000001")
        with ledger.begin() as connection:
            moved = message.update().where(message.c.message_key == key)
            connection.execute(moved.values(state=state, updated_at=NOW - timedelta(minutes=10)))
    moments = {"due_at": NOW - timedelta(hours=1), "updated_at": NOW}
    with ledger.begin() as connection:
        set_pause(connection, "channel:sms", by="operator", reason="a test", now=NOW)
        connection.execute(run.update().values(finished_at=NOW - timedelta(hours=2)))
        for name, status in (("t1", "open"), ("t2", "closed")):
            row = {"thread_id": name, "channel": "sms", "address_blind": "ab", "status": status, "opened_at": NOW}
            connection.execute(thread.insert().values(**row, **moments))
        row = {"task_id": "c1", "batch_id": "b", "status": "open", "listed_at": NOW, "sealed": b"", "updated_at": NOW}
        connection.execute(call_task.insert().values(**row, due_at=NOW + timedelta(hours=1)))
        for name, status, hours in (("l1", "listed", 30), ("l2", "listed", 3), ("l3", "posted", 30)):
            row = {"letter_id": name, "number": name, "batch_id": "b", "day": "2026-03-01", "status": status}
            times = {"listed_at": NOW - timedelta(hours=hours), "updated_at": NOW}
            connection.execute(printed_letter.insert().values(**row, **times, sealed=b""))
    found = read(prometheus)
    assert found["alongside_messages"] == {
        ("campaign", "email", "accepted"): 2,
        ("campaign", "email", "unknown"): 1,
    }
    assert found["alongside_unknown_seconds"] == {("campaign", "email"): 600}
    assert found["alongside_paused"] == {("operator", "channel:sms"): 1}
    assert found["alongside_open"] == {("inbox",): 1, ("calls",): 1, ("letters",): 2}
    assert found["alongside_overdue"] == {("inbox",): 1, ("calls",): 0, ("letters",): 1}
    assert found["alongside_given_up_messages"] == {(): 0}
    assert found["alongside_run_finished_timestamp_seconds"] == {(): (NOW - timedelta(hours=2)).timestamp()}


def test_requests_of_providers_are_counted_at_once_the_ledger_now_and_then(
    ledger: Ledger, prometheus: TestClient, wall: Wall
) -> None:
    assert read(prometheus).get("alongside_messages") is None
    plan_message(ledger, "1" * 32, "education", "en", "p0000000000000001")
    prometheus.post("/webhooks/sendgrid", content=b"[]")
    found = read(prometheus)
    assert sum(found["alongside_callbacks_total"].values()) == 1
    assert found.get("alongside_messages") is None
    wall.advance(seconds=SECONDS_BETWEEN_COUNTS)
    assert len(read(prometheus)["alongside_messages"]) == 1


@pytest.mark.parametrize("shown", ["", TOKEN, "Bearer", "Bearer another", f"Basic {TOKEN}", f"Bearer {TOKEN} "[:-2]])
def test_nobody_reads_it_without_the_token(prometheus: TestClient, shown: str) -> None:
    answer = prometheus.get("/metrics", headers={"Authorization": shown})
    assert answer.status_code == 401
    assert "alongside_" not in answer.text


def test_without_a_token_there_is_no_such_page(ledger: Ledger, settings: HospitalSettings, wall: Wall) -> None:
    answer = client_of(ledger, settings, wall, "").get("/metrics", headers={"Authorization": "Bearer "})
    assert answer.status_code == 404


def test_a_ledger_that_does_not_answer_is_no_empty_page(
    ledger: Ledger, prometheus: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise sa.exc.OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(Ledger, "reading", lambda _self: broken())
    answer = prometheus.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 503


def test_the_token_comes_from_the_environment_and_is_not_shown() -> None:
    environment = Environment.read({"ALONGSIDE_METRICS_TOKEN": TOKEN})
    assert environment.metrics_token == TOKEN
    assert TOKEN not in repr(environment)
