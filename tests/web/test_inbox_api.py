"""The inbox for programs of the staff: who may use it, what it does, and what the audit trail says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from alongside.delivery.desk import Desk
from alongside.ledger import inbox
from alongside.ledger.schema import audit, message
from alongside.model.enums import Channel, ThreadKind, ThreadStatus
from alongside.model.errors import Refused
from alongside.settings import Environment, Project
from alongside.web import create_app
from alongside.web.staff import StaffTokens
from tests.conftest import ON_SQLITE, ROOT
from tests.web.choosing import PERSON, everything
from tests.web.conftest import NOW, PATIENT_NOW, House

SHARED = "a-token-that-many-people-share"
LI, WANG = "the-own-token-of-li-na-0123456789", "the-own-token-of-wang-0123456789"
AS_LI = {"Authorization": f"Bearer {SHARED}", "X-Actor": "Li Na"}


def client_of(house: House, tokens: str) -> TestClient:
    desk = Desk(Project.at(ROOT), Environment(), house.settings, house.ledger, house.known.vault, house.wall)
    return TestClient(
        create_app(
            house.ledger,
            settings=house.settings,
            webhook_key="",
            clock=house.wall,
            desk=desk,
            staff=StaffTokens.read(tokens),
            failures_per_minute=5,
        )
    )


@pytest.fixture
def api(house: House) -> Iterator[TestClient]:
    with client_of(house, SHARED) as client:
        yield client


def open_thread(house: House, number: int = 1, hours: float = 1) -> str:
    """A task of a patient's page that waits; its id."""
    if number == 1:
        house.admit(PERSON)
        house.plan(locale="en")
    blind = house.known.vault.blind_index("email", "anna.novak@example.com")
    due = NOW + timedelta(hours=hours)
    task = inbox.Task(
        f"task {number}", ThreadKind.SURVEY, Channel.EMAIL, blind, PERSON, house.keys[0], f"Words {number}", due
    )
    with house.ledger.begin() as connection:
        secret = house.ledger.info.secret
        return inbox.open_task(connection, house.known.vault, task, patient_now=PATIENT_NOW, now=NOW, secret=secret)


def lines(house: House) -> list[tuple[str, str, str]]:
    with house.ledger.reading() as connection:
        rows = connection.execute(sa.select(audit.c.actor, audit.c.action, audit.c.subject).order_by(audit.c.seq))
        return [tuple(row) for row in rows]


def test_without_a_token_there_is_no_such_route(house: House) -> None:
    assert house.client.get("/api/inbox").status_code == 404
    with client_of(house, "") as client:
        assert client.get("/api/inbox", headers=AS_LI).status_code == 404


@ON_SQLITE
@pytest.mark.parametrize(
    "header", ["", "Bearer", f"Bearer {SHARED}x", f"Bearer {SHARED[:-1]}", f"Basic {SHARED}", SHARED, "Bearer ü"]
)
def test_a_wrong_token_opens_nothing_and_guessing_is_slowed_down(house: House, api: TestClient, header: str) -> None:
    thread = open_thread(house)
    before = everything(house.ledger)
    headers = {"Authorization": header.encode(), "X-Actor": "Mallory"}
    calls: list[tuple[str, str]] = [("GET", ""), ("GET", f"/{thread}"), ("POST", f"/{thread}/close")]
    for method, path in calls:
        answer = api.request(method, f"/api/inbox{path}", headers=headers)
        assert (answer.status_code, answer.json()) == (401, {"error": "the token is missing or wrong"})
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    for _ in range(3):
        last = api.get("/api/inbox", headers=headers)
    assert last.status_code == 429
    assert api.get("/api/inbox", headers=AS_LI).status_code == 429, "the client is asked to wait, whatever it shows now"
    house.wall.advance(minutes=1)
    assert api.get("/api/inbox", headers=AS_LI).status_code == 200
    assert everything(house.ledger) == before


def test_a_conversation_is_listed_read_taken_and_closed(house: House, api: TestClient) -> None:
    later, sooner = open_thread(house, hours=5), open_thread(house, 2, hours=-1)
    listed = api.get("/api/inbox", headers=AS_LI).json()
    assert [(one["thread_id"], one["late"], one["kind"]) for one in listed] == [
        (sooner, True, "survey"),
        (later, False, "survey"),
    ]
    assert "Words" not in str(listed)
    assert [one["thread_id"] for one in api.get("/api/inbox?limit=1", headers=AS_LI).json()] == [sooner]
    shown = api.get(f"/api/inbox/{later}", headers=AS_LI).json()
    assert [(entry["author"], entry["words"]) for entry in shown["entries"]] == [(None, "Words 1")]
    taken = api.post(f"/api/inbox/{later}/take", headers=AS_LI).json()
    assert (taken["owner"], taken["status"]) == ("Li Na", "open")
    assert api.post(f"/api/inbox/{later}/close", headers=AS_LI).json()["status"] == "closed"
    assert [one["thread_id"] for one in api.get("/api/inbox?status=closed", headers=AS_LI).json()] == [later]
    assert lines(house) == [
        ("Li Na", "inbox.read", later),
        ("Li Na", "inbox.take", later),
        ("Li Na", "inbox.close", later),
    ]


def test_an_answer_is_kept_until_the_provider_can_be_reached(house: House, api: TestClient) -> None:
    thread = open_thread(house)
    answer = api.post(f"/api/inbox/{thread}/answer", headers=AS_LI, json={"text": "We call you on Monday."})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["thread_id"], told["sent"]) == (thread, False)
    assert told["why"]
    with house.ledger.reading() as connection:
        found = inbox.find(connection, thread)
        words = [entry.words for entry in inbox.entries(connection, house.known.vault, thread)]
        state = connection.execute(sa.select(message.c.state).where(message.c.message_key == told["message_key"]))
        assert state.scalar_one() == "planned"
    assert (found.status, words) == (ThreadStatus.ANSWERED, ["Words 1", "We call you on Monday."])
    assert lines(house)[-1] == ("Li Na", "inbox.answer", thread)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/t0000", None, 404),
        ("POST", "/t0000/take", None, 404),
        ("POST", "/t0000/close", None, 404),
        ("POST", "/t0000/answer", {"text": "x"}, 404),
        ("GET", "/nonsense", None, 422),
        ("GET", "?status=lost", None, 422),
        ("GET", "?limit=0", None, 422),
        ("POST", "/THREAD/answer", {}, 422),
        ("POST", "/THREAD/answer", {"text": ""}, 422),
        ("POST", "/THREAD/answer", {"text": "   "}, 409),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_reason(
    house: House, api: TestClient, method: str, path: str, body: Any, status: int
) -> None:
    thread = open_thread(house)
    answer = api.request(method, f"/api/inbox{path.replace('THREAD', thread)}", headers=AS_LI, json=body)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert answer.json()["error"]


def test_whoever_shares_a_token_says_who_acts(house: House, api: TestClient) -> None:
    thread = open_thread(house)
    for name in (None, "", "  ", "x" * 121):
        headers = {"Authorization": AS_LI["Authorization"]} | ({} if name is None else {"X-Actor": name})
        answer: httpx.Response = api.post(f"/api/inbox/{thread}/take", headers=headers)
        assert answer.status_code == 400
        assert "X-Actor" in answer.json()["error"]
    assert lines(house) == []


def test_whoever_has_a_token_of_their_own_is_who_it_says(house: House) -> None:
    thread = open_thread(house)
    with client_of(house, f"Li={LI}  Wang={WANG}") as client:
        for token in (LI, WANG):
            headers = {"Authorization": f"bearer {token}", "X-Actor": "somebody else"}
            assert client.post(f"/api/inbox/{thread}/take", headers=headers).status_code == 200
    assert [actor for actor, *_ in lines(house)] == ["Li", "Wang"]


@pytest.mark.parametrize("text", ["short", f"Li={LI} {SHARED}", "Li=short"])
def test_a_token_that_could_be_guessed_or_is_nobodys_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="ALONGSIDE_STAFF_TOKEN"):
        StaffTokens.read(text)
