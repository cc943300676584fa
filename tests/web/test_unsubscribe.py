"""Leaving: with one click of a mail program, or with one button of the page."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alongside.ledger import Ledger
from alongside.ledger.consent import ConsentEvent, decide, record
from alongside.ledger.schema import consent_event, delivery_event, suppression
from alongside.model.enums import Decision, DeliveryMode, Locale, Purpose
from alongside.web import create_app
from alongside.web.limits import PerMinute
from alongside.web.unsubscribe import wants_everything
from alongside.web.words import WORDS
from tests.web.conftest import NOW, PATIENT_NOW, House

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
PERSON = "p0000000000000001"


def rows(ledger: Ledger) -> tuple[list[tuple[str, str, str]], list[tuple[str, str]], list[tuple[str, str]]]:
    """Consent decisions, suppressions and events: everything that a click may write."""
    with ledger.begin() as connection:
        consents = connection.execute(
            sa.select(consent_event.c.purpose, consent_event.c.channel, consent_event.c.decision)
        ).all()
        stopped = connection.execute(sa.select(suppression.c.scope, suppression.c.reason)).all()
        events = connection.execute(sa.select(delivery_event.c.message_key, delivery_event.c.kind)).all()
    return (
        sorted(tuple(row) for row in consents),
        sorted(tuple(row) for row in stopped),
        sorted(tuple(row) for row in events),
    )


NOTHING: tuple[list[object], list[object], list[object]] = ([], [], [])


def test_looking_at_the_page_changes_nothing(house: House) -> None:
    link = house.link(house.plan())
    for _ in range(2):
        assert house.client.get(link).status_code == 200
        head = house.client.head(link)
        assert (head.status_code, head.content) == (200, b"")
        assert house.client.get(link + "?List-Unsubscribe=One-Click&scope=all").status_code == 200
    assert rows(house.ledger) == NOTHING


def test_one_click_stops_this_kind_of_message_and_promotion(house: House) -> None:
    key = house.plan(Purpose.EDUCATION)
    assert house.client.post(house.link(key), data=ONE_CLICK).status_code == 200
    consents, stopped, events = rows(house.ledger)
    assert consents == [("education", "email", "deny"), ("marketing", "email", "deny")]
    assert stopped == [("marketing", "unsubscribe")]
    assert events == [(key, "unsubscribe")]
    with house.ledger.begin() as connection:
        row = connection.execute(sa.select(consent_event)).first()
        assert row is not None
        assert (row.person_id, row.decided_at, row.recorded_at) == (PERSON, PATIENT_NOW, NOW)
        assert (row.origin, key in row.evidence) == ("unsubscribe", True)


def test_twice_is_once(house: House) -> None:
    link = house.link(house.plan())
    answers = [house.client.post(link, data=ONE_CLICK) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {200}
    first = rows(house.ledger)
    house.client.post(link, data={"scope": "this"})
    assert rows(house.ledger) == first
    assert [len(part) for part in first] == [2, 1, 1]


def test_the_page_can_stop_everything(house: House) -> None:
    for number, purpose in enumerate(Purpose, 1):
        key = house.plan(purpose, locale="en", person_id=f"p{number:016x}")
        answer = house.client.post(house.link(key), data={"scope": "all"})
        assert WORDS[Locale.EN].done_everything in answer.text
        consents, stopped, _ = rows(house.ledger)
        assert consents == sorted([(each.value, "email", "deny") for each in Purpose] * number)
        assert stopped == [("all", "unsubscribe")]


def test_everything_can_follow_the_first_step(house: House) -> None:
    link = house.link(house.plan(Purpose.SURVEY))
    house.client.post(link, data=ONE_CLICK)
    house.client.post(link, data={"scope": "all"})
    consents, stopped, events = rows(house.ledger)
    assert len(consents) == len(set(consents)) == len(Purpose)
    assert [scope for scope, _ in stopped] == ["all", "marketing"]
    assert len(events) == 1


def test_leaving_care_messages_leaves_other_patients_of_the_address_alone(house: House) -> None:
    house.client.post(house.link(house.plan(Purpose.CARE)), data=ONE_CLICK)
    _, stopped, _ = rows(house.ledger)
    assert [scope for scope, _ in stopped] == ["marketing"]
    with house.ledger.begin() as connection:
        assert decide(connection, [PERSON], "care", "email")[PERSON][0] is Decision.DENY
        assert decide(connection, [PERSON], "education", "email") == {}


def test_a_link_works_again_after_a_new_consent(house: House) -> None:
    link = house.link(house.plan(Purpose.EDUCATION))
    house.client.post(link, data=ONE_CLICK)
    again = ConsentEvent(
        PERSON, "education", "email", Decision.PERMIT, PATIENT_NOW + timedelta(seconds=1), "staff:desk", "form 7"
    )
    with house.ledger.begin() as connection:
        record(connection, [again], NOW)
        assert decide(connection, [PERSON], "education", "email")[PERSON][0] is Decision.PERMIT
    later = create_app(
        house.ledger,
        settings=house.settings,
        webhook_key=house.signer.public_key,
        clock=house.wall,
        patient_clock=lambda: PATIENT_NOW + timedelta(days=1),
    )
    with TestClient(later) as client:
        client.post(link, data=ONE_CLICK)
    with house.ledger.begin() as connection:
        assert decide(connection, [PERSON], "education", "email")[PERSON][0] is Decision.DENY


def test_a_click_in_staging_says_nothing_about_the_patient(house: House) -> None:
    link = house.link(house.plan(mode=DeliveryMode.STAGING))
    assert house.client.post(link, data=ONE_CLICK).status_code == 200
    assert rows(house.ledger) == NOTHING


@pytest.mark.parametrize(
    ("body", "everything"),
    [
        (b"", False),
        (b"List-Unsubscribe=One-Click", False),
        (b"scope=this", False),
        (b"scope=all", True),
        (b"scope=all&scope=this", False),
        (b"scope=ALL", False),
        (b"\xff\xfe", False),
        (b"a=1&" * 1000, False),
        (b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--', False),
    ],
)
def test_only_the_forms_second_choice_stops_everything(body: bytes, everything: bool) -> None:
    assert wants_everything(body) is everything


def test_whatever_a_mail_program_posts_is_a_withdrawal(house: House) -> None:
    for number, body in enumerate((b"", b"\xff", b"List-Unsubscribe=One-Click", b"x" * 10_000), 1):
        link = house.link(house.plan(person_id=f"p{number:016x}"))
        assert house.client.post(link, content=body).status_code == 200
        assert len(rows(house.ledger)[0]) == 2 * number


def test_an_enormous_body_is_not_read(house: House) -> None:
    assert house.client.post(house.link(house.plan()), content=b"x" * 100_000).status_code == 413
    assert rows(house.ledger) == NOTHING


# ----------------------------------------------------------------------------------------------------------- tokens
def test_forged_cut_off_and_foreign_links_lead_nowhere(house: House) -> None:
    key = house.plan()
    good = house.link(key)
    wrong = [
        good[:-1],
        good[:-10],
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        "/u/" + good[3:].swapcase(),
        house.link(key, use="preferences"),
        house.link("f" * 32),
        "/u/x",
        "/u/%00",
        "/u/" + "A" * 5000,
        "/u/中文",
        "/u/..%2f..%2fetc",
    ]
    pages = set()
    for link in wrong:
        house.wall.advance(minutes=1)
        for method in ("GET", "POST"):
            answer = house.client.request(method, link)
            assert answer.status_code == 404, link
            pages.add(answer.text)
    assert len(pages) == 1, "the page must not tell why"
    assert rows(house.ledger) == NOTHING


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(token=st.text(st.characters(exclude_characters="/?#", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=90))
def test_no_guess_ever_withdraws_anything(guesses: House, token: str) -> None:
    guesses.wall.advance(minutes=1)
    assert guesses.client.post("/u/" + token, data=ONE_CLICK).status_code in (404, 405)
    assert rows(guesses.ledger) == NOTHING


@pytest.fixture
def guesses(house: House) -> House:
    house.plan()
    return house


def test_guessing_is_slowed_down_and_leaving_never(house: House) -> None:
    good = house.link(house.plan())
    statuses = [house.client.get("/u/guess").status_code for _ in range(8)]
    assert statuses == [404] * 5 + [429] * 3
    assert house.client.post(good).status_code == 200, "others may share the address that guesses"
    house.wall.advance(minutes=1)
    assert house.client.get("/u/guess").status_code == 404
    assert [house.client.post(good).status_code for _ in range(20)] == [200] * 20


def test_the_memory_of_failures_is_bounded() -> None:
    limit = PerMinute(2, capacity=100)
    for number in range(1000):
        limit.count(f"client {number}", 0.0)
    assert len(limit._counts) == 100
    limit.count("client 999", 1.0)
    assert not limit.allows("client 999", 59.0)
    assert limit.allows("client 999", 60.0)
    assert limit.allows("client 0", 1.0)


@pytest.mark.parametrize("locale", list(Locale))
def test_the_page_can_be_read_in_the_other_language(house: House, locale: Locale) -> None:
    """Whoever reads mails for somebody else, or has lost the language of the first registration."""
    (other,) = set(Locale) - {locale}
    link = house.link(house.plan(locale=locale))
    switch = f"?lang={other.replace('_', '-')}"
    page = house.client.get(link)
    assert WORDS[locale].title in page.text
    assert f'href="{switch}"' in page.text
    assert WORDS[other].title in house.client.get(link + switch).text
    assert WORDS[other].done_title in house.client.post(link + switch).text
