"""Whether a patient comes: what the page shows, what an answer writes, and who hears of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from alongside.ledger import appointments, inbox, relations
from alongside.ledger.schema import audit, message
from alongside.model.enums import Decision, DeliveryMode, Locale, Purpose, ThreadKind, ThreadStatus
from alongside.web.coming_words import COMING_WORDS
from tests.web.choosing import PERSON, consented, everything
from tests.web.conftest import NOW, PATIENT_NOW, House
from tests.web.test_held import relate
from tests.web.test_pages import Outline

EN = COMING_WORDS[Locale.EN]
YES, NO = {"answer": "confirm"}, {"answer": "cancel"}
DAY = PATIENT_NOW - timedelta(days=999)


def link_of(house: House, key: str) -> str:
    return house.url("appointment_url", key)


def answers(house: House) -> list[str]:
    with house.ledger.reading() as connection:
        return [one.answer.value for one in appointments.since(connection, DAY, history=True)]


def buttons(page: str) -> list[str | None]:
    return [button["value"] for button in Outline(page).named("button")]


def test_the_page_shows_when_and_where_and_asks(house: House) -> None:
    page = house.client.get(link_of(house, house.book())).text
    assert "Thursday, 5 March, 17:30" in page
    assert "At the eye clinic" in page
    assert buttons(page) == ["confirm", "cancel"]


def test_a_text_message_leads_to_no_department(house: House) -> None:
    key = house.book()
    with house.ledger.begin() as connection:
        connection.execute(sa.text("UPDATE message SET channel = 'sms' WHERE message_key = :key"), {"key": key})
    page = house.client.get(link_of(house, key)).text
    assert "17:30" in page
    assert "eye clinic" not in page


def test_yes_is_kept_once_and_can_become_no_and_no_stays(house: House) -> None:
    link = link_of(house, house.book())
    for _ in range(2):
        page = house.client.post(link, data=YES).text
        assert EN.confirmed.format(day="Thursday, 5 March", time="17:30") in page
        assert answers(house) == ["confirm"]
    assert buttons(house.client.get(link).text) == ["cancel"]
    page = house.client.post(link, data=NO).text
    assert EN.cancelled.format(day="Thursday, 5 March", time="17:30") in page
    assert answers(house) == ["confirm", "cancel"]
    assert EN.anew in house.client.post(link, data=YES).text
    assert EN.cancelled_before in house.client.get(link).text
    assert buttons(house.client.get(link).text) == []
    assert answers(house) == ["confirm", "cancel"]
    with house.ledger.reading() as connection:
        [last] = appointments.since(connection, NOW)
    assert (last.source, last.appointment, last.answer, last.person_id) == ("his", "A0", "cancel", PERSON)
    # Whoever answers has read it, once: what nobody reads is tried on another channel.
    assert house.ledger.read_arrow("SELECT kind, detail FROM delivery_event").to_pylist() == [
        {"kind": "read", "detail": "appointment"}
    ]


def test_who_cannot_come_reaches_a_person_where_the_campaign_says_so(house: House) -> None:
    told, silent = house.book(), house.book(person_id="p0000000000000002")
    with house.ledger.begin() as connection:
        connection.execute(sa.text("UPDATE message SET campaign = 'x' WHERE message_key = :key"), {"key": silent})
    for key in (told, silent, told):
        house.client.post(link_of(house, key), data=NO)
    with house.ledger.reading() as connection:
        [thread] = inbox.threads(connection, list(ThreadStatus))
        [entry] = inbox.entries(connection, house.known.vault, thread.thread_id)
        lines = connection.execute(sa.select(audit.c.action, audit.c.subject)).all()
    assert (thread.kind, thread.person_id) == (ThreadKind.APPOINTMENT, PERSON)
    assert thread.due_at == NOW + timedelta(hours=house.settings.inbox.answer_within_hours)
    assert "his，A0" in entry.words
    assert [tuple(line) for line in lines] == [("appointment.cancel", thread.thread_id)]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"start_at": PATIENT_NOW + timedelta(days=4)}, EN.moved.format(day="Friday, 6 March", time="17:30")),
        ({"status": "cancelled"}, EN.taken_back),
        ({"start_at": PATIENT_NOW - timedelta(hours=1)}, EN.passed),
        ({"known": False}, EN.gone),
    ],
)
def test_what_is_not_as_the_message_said_is_told_and_cannot_be_answered(
    house: House, changes: dict[str, Any], told: str
) -> None:
    link = link_of(house, house.book(**changes))
    before = everything(house.ledger)
    for answer in (house.client.get(link), house.client.post(link, data=YES), house.client.post(link, data=NO)):
        assert told in answer.text
        assert buttons(answer.text) == []
    assert everything(house.ledger) == before


def test_a_moved_appointment_is_asked_about_anew(house: House) -> None:
    old = house.book()
    house.client.post(link_of(house, old), data=NO)
    new = house.book()
    reference = {"source": "his", "id": "A0", "at": f"{PATIENT_NOW + timedelta(days=9):%Y-%m-%dT%H:%M:%SZ}"}
    moved = next(iter(house.known.picture.bookings.values()))
    house.known.picture.bookings[PERSON, "his", "A0"] = type(moved)(PATIENT_NOW + timedelta(days=9), "booked")
    with house.ledger.begin() as connection:
        changed = message.update().where(message.c.message_key == new)
        connection.execute(changed.values(variables={"appointment": reference}))
    assert buttons(house.client.get(link_of(house, new)).text) == ["confirm", "cancel"]
    house.client.post(link_of(house, new), data=YES)
    assert answers(house) == ["cancel", "confirm"]


def test_without_a_snapshot_the_message_is_believed(house: House) -> None:
    key = house.book(known=False)
    house.known.__dict__["picture"] = None
    assert buttons(house.client.get(link_of(house, key)).text) == ["confirm", "cancel"]


def test_nonsense_staff_and_messages_about_no_appointment_write_nothing(house: House) -> None:
    link = link_of(house, house.book())
    staged = link_of(house, house.book(person_id="p0000000000000003"))
    with house.ledger.begin() as connection:
        connection.execute(
            sa.text("UPDATE run SET mode = :mode WHERE run_id = :run"),
            {"mode": DeliveryMode.STAGING, "run": f"run-{house.keys[1]}"},
        )
    none = link_of(house, house.plan(locale="en"))
    before = everything(house.ledger)
    for form in ({}, {"answer": "maybe"}, {"answer": ["confirm", "cancel"]}):
        assert EN.ask in house.client.post(link, data=form).text
    house.client.head(link)
    assert EN.confirmed_title in house.client.post(staged, data=YES).text
    assert house.client.get(none).status_code == 404
    assert house.client.post(link, content=b"x" * 100_000).status_code == 413
    assert everything(house.ledger) == before


@pytest.mark.parametrize("locale", list(Locale))
def test_the_page_is_light_private_and_in_both_languages(house: House, locale: Locale) -> None:
    assert all(text.strip() for text in vars(COMING_WORDS[locale]).values())
    link = f"{link_of(house, house.book())}?lang={locale.replace('_', '-')}"
    for answer in (house.client.get(link), house.client.post(link, data=YES), house.client.post(link, data=NO)):
        assert len(answer.content) < 60_000
        assert not {"script", "img", "link", "iframe", "base"} & {tag for tag, _ in Outline(answer.text).tags}
        assert f'lang="{locale.replace("_", "-")}"' in answer.text
        for secret in (PERSON, house.keys[0], "A0", "surgery"):
            assert secret not in answer.text


# ------------------------------------------------------------------------------------------------------------ relatives
def told_to_a_relative(house: House, relative: int) -> str:
    """The link of a message about PERSON's appointment that went to this relative."""
    key = house.book()
    with house.ledger.begin() as connection:
        values = {"person_id": f"p{relative:016x}"}
        connection.execute(message.update().where(message.c.message_key == key).values(**values))
    return link_of(house, key)


def test_a_relative_who_may_not_hear_any_more_learns_nothing_by_an_old_link(house: House) -> None:
    """Not the new time either, once the appointment was moved because of them."""
    consented(house, Purpose.CARE)
    relate(house, 21, "spouse", "permit")
    link = told_to_a_relative(house, 21)
    assert "Thursday, 5 March, 17:30" in house.client.get(link).text
    with house.ledger.begin() as connection:
        relative = f"p{21:016x}"
        relations.decide(connection, PERSON, relative, Decision.DENY, PATIENT_NOW, by="Li Na", evidence="")
    before = everything(house.ledger)
    for answer in (house.client.get(link), house.client.post(link, data=NO)):
        assert answer.status_code == 404
        assert "March" not in answer.text
        assert "eye clinic" not in answer.text
    assert everything(house.ledger) == before


def test_a_stranger_to_the_patient_learns_nothing(house: House) -> None:
    consented(house, Purpose.CARE)
    assert house.client.get(told_to_a_relative(house, 22)).status_code == 404
