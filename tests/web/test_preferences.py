"""Choosing which e-mails may come: what one POST writes, on both stores."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alongside.ledger.consent import CROSS_BORDER, decide
from alongside.ledger.suppressions import Suppression, add
from alongside.model.enums import Decision, DeliveryMode, Purpose
from alongside.web.choices import ORIGIN
from alongside.web.preference_words import PREFERENCE_WORDS
from alongside.web.preferences import VALID_FOR
from tests.web.choosing import BLIND, EN, LEAVE, PERSON, consented, everything, form_of, say, standing, ticked
from tests.web.conftest import NOW, PATIENT_NOW, House
from tests.web.test_pages import Outline


def test_a_purpose_is_switched_off_and_on_again(house: House) -> None:
    consented(house, *Purpose)
    key = house.plan(Purpose.EDUCATION, "en")
    link = house.preference_link(key)
    off = ticked(house, link, off=("survey", "marketing"))
    assert EN.withdrawn in off.text
    assert standing(house.ledger) == {"care", "education", "research"}
    on = ticked(house, link, on=("survey",))
    assert EN.granted in on.text
    assert standing(house.ledger) == {"care", "education", "research", "survey"}
    rows = [row for row in everything(house.ledger)["consent_event"] if ORIGIN in row]
    assert len(rows) == 3
    assert all(key in str(row) for row in rows)


def test_a_yes_that_is_older_than_a_no_elsewhere_does_not_lift_it(house: House) -> None:
    say(house, Decision.DENY, Purpose.SURVEY, at=PATIENT_NOW + timedelta(days=1), channel="email")
    link = house.preference_link(house.plan(locale="en"))
    answer = ticked(house, link, on=("survey",))
    assert EN.refused in answer.text
    assert standing(house.ledger) == set()


def test_the_same_form_sent_again_writes_nothing(house: House) -> None:
    consented(house, *Purpose)
    link = house.preference_link(house.plan())
    fields = form_of(house.client.get(link).text)
    wish = {**fields, "allow": ["care"]}
    house.client.post(link, data=wish)
    after = everything(house.ledger)
    for again in (wish, wish, {"form": "purposes"}, {}, {"form": ["purposes", "leave"]}):
        assert house.client.post(link, data=again).status_code == 200
    assert everything(house.ledger) == after
    assert standing(house.ledger) == {"care"}


def test_an_old_tab_does_not_revive_what_was_withdrawn_meanwhile(house: House) -> None:
    consented(house, *Purpose)
    key = house.plan(Purpose.EDUCATION)
    old_tab = form_of(house.client.get(house.preference_link(key)).text)
    house.client.post(house.link(key), data={"List-Unsubscribe": "One-Click"})
    house.client.post(house.preference_link(key), data=old_tab)
    assert standing(house.ledger) == {"care", "survey", "research"}


def test_leaving_stops_every_purpose_and_counts_once(house: House) -> None:
    consented(house, Purpose.CARE)
    key = house.plan(Purpose.CARE, "en")
    link = house.preference_link(key)
    assert EN.saved_left in house.client.post(link, data=LEAVE).text
    assert standing(house.ledger) == set()
    outcome = everything(house.ledger)["delivery_event"]
    assert [row[1:3] for row in outcome] == [(key, "unsubscribe")]
    house.client.post(house.link(key))
    assert everything(house.ledger)["delivery_event"] == outcome
    consented(house, *Purpose, at=PATIENT_NOW - timedelta(days=1))
    assert standing(house.ledger) == set(), "an extract's older yes revives nothing"


def test_whoever_left_can_come_back(house: House) -> None:
    consented(house, *Purpose)
    link = house.preference_link(house.plan(locale="en"))
    house.client.post(link, data=LEAVE)
    assert EN.left_already in house.client.get(link).text
    ticked(house, link, on=("care",))
    assert standing(house.ledger) == {"care"}


def test_consent_for_a_service_abroad_can_be_withdrawn_and_not_given_here(house: House) -> None:
    consented(house, Purpose.CARE, CROSS_BORDER)
    link = house.preference_link(house.plan(locale="en"))
    assert EN.abroad_effect in ticked(house, link, off=(CROSS_BORDER,)).text
    assert standing(house.ledger) == {"care"}
    assert EN.stopped_abroad in house.client.get(link).text
    again = house.client.post(link, data={"form": "purposes", "offered": CROSS_BORDER, "allow": CROSS_BORDER})
    assert EN.saved_nothing in again.text
    assert EN.stopped_abroad in again.text
    assert standing(house.ledger) == {"care"}


def test_an_address_that_is_stopped_offers_no_switch_that_does_nothing(house: House) -> None:
    consented(house, Purpose.CARE)
    link = house.preference_link(house.plan(locale="en"))
    with house.ledger.begin() as connection:
        add(connection, [Suppression(BLIND, "email", "all", "hard_bounce", PATIENT_NOW, "event:1")])
    page = Outline(house.client.get(link).text)
    assert [box["value"] for box in page.named("input") if box["type"] == "checkbox"] == ["care"]
    assert page.text.count(EN.stopped) == len(Purpose) - 1
    assert EN.stopped_note in page.text
    ticked(house, link, on=("survey",), off=("care",))
    assert standing(house.ledger) == set()


def test_a_click_in_staging_says_nothing_about_the_patient(house: House) -> None:
    consented(house, *Purpose)
    link = house.preference_link(house.plan(mode=DeliveryMode.STAGING))
    before = everything(house.ledger)
    assert house.client.post(link, data=LEAVE).status_code == 200
    assert everything(house.ledger) == before


def test_a_link_expires_and_leaving_does_not(house: House) -> None:
    consented(house, *Purpose)
    key = house.plan()
    link = house.preference_link(key)
    house.wall.now = NOW + VALID_FOR
    assert house.client.get(link).status_code == 200
    house.wall.advance(seconds=1)
    for answer in (house.client.get(link), house.client.post(link, data=LEAVE)):
        assert answer.status_code == 410
        assert house.settings.hospital.phone in answer.text
        for words in PREFERENCE_WORDS.values():
            assert words.expired in answer.text
        assert [found["lang"] for found in Outline(answer.text).named("section")] == ["zh-CN", "en"]
    assert standing(house.ledger) == set(Purpose)
    assert house.client.post(house.link(key)).status_code == 200
    assert "education" not in standing(house.ledger)


@pytest.fixture
def looked_at(house: House) -> tuple[House, str, dict[str, list[tuple[object, ...]]]]:
    consented(house, *Purpose)
    link = house.preference_link(house.plan())
    return house, link, everything(house.ledger)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    query=st.dictionaries(
        st.sampled_from(["form", "allow", "shown", "offered", "lang", "scope", "List-Unsubscribe"]),
        st.sampled_from(["leave", "purposes", "care", "marketing", "en", "zh-CN", "all", "One-Click", ""]),
    ),
    method=st.sampled_from(["GET", "HEAD"]),
)
def test_no_look_ever_changes_the_ledger(
    looked_at: tuple[House, str, dict[str, list[tuple[object, ...]]]], query: Mapping[str, str], method: str
) -> None:
    house, link, before = looked_at
    assert house.client.request(method, link, params=query).status_code == 200
    assert everything(house.ledger) == before


STOP_TEXTS = {"form": "leave", "channel": "sms"}


def texts(house: House) -> set[str]:
    """Purposes that may be texted now."""
    with house.ledger.begin() as connection:
        found = {purpose: decide(connection, [PERSON], purpose, "sms") for purpose in Purpose}
    return {str(purpose) for purpose, one in found.items() if one and one[PERSON][0] is Decision.PERMIT}


def test_text_messages_are_stopped_as_a_whole_and_mail_goes_on(house: House) -> None:
    consented(house, Purpose.CARE, Purpose.SURVEY)  # on every channel
    link = house.preference_link(house.plan(Purpose.CARE, "en"))
    assert EN.others["sms"].title in house.client.get(link).text
    answer = house.client.post(link, data=STOP_TEXTS)
    assert EN.others["sms"].saved in answer.text
    assert EN.saved_nothing not in answer.text
    assert EN.saved_left not in answer.text
    assert (texts(house), standing(house.ledger)) == (set(), {"care", "survey"})
    after = everything(house.ledger)
    assert after["delivery_event"] == [], "it is no answer to this e-mail"
    assert house.client.post(link, data=STOP_TEXTS).status_code == 200
    assert everything(house.ledger) == after
    assert EN.others["sms"].title not in house.client.get(link).text, "there is nothing left to stop"
    consented(house, *Purpose, at=PATIENT_NOW - timedelta(days=1))
    assert texts(house) == set(), "an extract's older yes revives nothing"


@pytest.mark.parametrize("channel", ["call", "email", "letter", "sms sms", "*", "<b>"])
def test_what_is_no_other_channel_is_not_stopped(house: House, channel: str) -> None:
    consented(house, *Purpose)
    link = house.preference_link(house.plan(locale="en"))
    before = everything(house.ledger)
    answer = house.client.post(link, data={"form": "leave", "channel": channel})
    assert answer.status_code == 200
    assert EN.saved_nothing in answer.text
    assert everything(house.ledger) == before


def test_whoever_never_agreed_to_texts_is_not_asked_about_them(house: House) -> None:
    say(house, Decision.PERMIT, *Purpose, at=PATIENT_NOW - timedelta(days=9), channel="email")
    link = house.preference_link(house.plan(locale="en"))
    assert EN.others["sms"].title not in house.client.get(link).text


def test_stopping_texts_in_staging_says_nothing_about_the_patient(house: House) -> None:
    consented(house, *Purpose)
    link = house.preference_link(house.plan(mode=DeliveryMode.STAGING))
    before = everything(house.ledger)
    assert house.client.post(link, data=STOP_TEXTS).status_code == 200
    assert everything(house.ledger) == before


def test_every_channel_that_can_be_stopped_has_its_words() -> None:
    """A hospital that sets one up must not break the page."""
    from alongside.channels.capabilities import PROVIDERS

    wanted = {one.channel.value for one in PROVIDERS.values() if not one.internal} - {"email"}
    for words in PREFERENCE_WORDS.values():
        assert wanted <= words.others.keys()
