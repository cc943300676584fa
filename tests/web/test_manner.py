"""How a patient wishes to be written to: what one POST writes, and what the page then says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from alongside.ledger import wishes
from alongside.ledger.suppressions import Suppression, add
from alongside.ledger.wishes import Expressed, Wishes
from alongside.model.enums import Decision, DeliveryMode, Locale, Pace, Purpose
from alongside.web.held_words import HELD_WORDS
from alongside.web.manner_words import MANNER_WORDS
from alongside.web.preference_words import PREFERENCE_WORDS
from tests.web.choosing import PERSON, consented, everything, say, standing
from tests.web.conftest import PATIENT_NOW, House
from tests.web.test_pages import Outline

EN = MANNER_WORDS[Locale.EN]
VIEW = "?view=manner"


def link_of(house: House, **message: Any) -> str:
    return house.preference_link(house.plan(locale="en", **message)) + VIEW


def form(page: str) -> dict[str, list[str]]:
    """What a browser would send for the form as it stands."""
    fields: dict[str, list[str]] = {}
    for field in Outline(page).named("input"):
        if field["type"] == "hidden" or "checked" in field:
            fields.setdefault(field["name"] or "", []).append(field["value"] or "")
    chosen = [option for option in Outline(page).tags if option[0] in ("select", "option")]
    for name in ("quiet_from", "quiet_to"):
        place = chosen.index(("select", {"name": name}))
        end = next((n for n in range(place + 1, len(chosen)) if chosen[n][0] == "select"), len(chosen))
        number = next(n for n in range(place + 1, end) if "selected" in chosen[n][1]) - place - 1
        texts = page.split(f'<select name="{name}">')[1].split("</select>")[0].split("</option>")
        fields[name] = [texts[number].rpartition(">")[2]]
    return fields


def saved(house: House, link: str, **changes: Any) -> httpx.Response:
    """Open the page, change something, press save."""
    fields = form(house.client.get(link).text)
    return house.client.post(link, data={**fields, **changes})


def wished(house: House, person: str = PERSON) -> Wishes:
    with house.ledger.reading() as connection:
        return wishes.standing(wishes.events_of(connection, person))


def test_whatever_is_chosen_stands_and_is_shown_again(house: House) -> None:
    house.admit(PERSON)
    link = link_of(house)
    answer = saved(
        house,
        link,
        topic=["nutrition", "surgery", "vaccination"],
        pace="weekly",
        quiet_from="20:00",
        quiet_to="09:00",
        language="zh_CN",
        channel="sms",
        general_only="yes",
    )
    off = frozenset({"cancer_screening", "heart_health", "joint_health"})
    expected = Wishes(off, Locale.ZH_CN, ("20:00", "09:00"), "sms", Pace.WEEKLY, general_only=True)
    assert wished(house) == expected
    for text in (EN.saved, EN.paces[Pace.WEEKLY], "Not between 20:00 and 09:00", "Text message", EN.general, "中文"):
        assert text in answer.text
    assert "Not about: Finding cancer early, A healthy heart, Healthy joints" in answer.text
    again = form(house.client.get(link).text)
    assert (again["topic"], again["pace"], again["quiet_from"]) == (
        ["nutrition", "surgery", "vaccination"],
        ["weekly"],
        ["20:00"],
    )
    assert (again["language"], again["channel"], again["general_only"]) == (["zh_CN"], ["sms"], ["yes"])


def test_the_same_form_again_and_forms_of_nobody_write_nothing(house: House) -> None:
    house.admit(PERSON)
    link = link_of(house)
    fields = {**form(house.client.get(link).text), "pace": "monthly", "topic": ["nutrition"]}
    assert EN.saved in house.client.post(link, data=fields).text
    before = everything(house.ledger)
    nonsense = {"pace": "hourly", "language": "fr", "channel": "fax", "quiet_from": "25:00", "quiet_to": "08:00"}
    for again in (
        fields,
        {"form": "manner"},
        {"form": "manner", **nonsense, "topic": "astrology", "shown_offered": "astrology", "general_only": "maybe"},
        {"form": "manner", "pace": ["weekly", "normal"]},
        {"form": "manner", "quiet_from": "03:00", "quiet_to": "04:00"},
    ):
        assert EN.unchanged in house.client.post(link, data=again).text
    assert everything(house.ledger) == before


def test_an_old_tab_brings_nothing_back(house: House) -> None:
    link = link_of(house)
    old_tab = form(house.client.get(link).text)
    saved(house, link, topic=["nutrition"], pace="monthly", general_only="yes", quiet_from="19:00")
    stands = wished(house)
    assert EN.unchanged in house.client.post(link, data=old_tab).text
    assert wished(house) == stands


def test_what_the_hospital_was_told_is_shown_and_what_no_page_offers_is_kept(house: House) -> None:
    told = Expressed(
        PATIENT_NOW - timedelta(days=3), "crm", "1", "sms", "zh_CN", "22:30", "07:30", "pregnancy|nutrition"
    )
    house.admit(PERSON, expressed=(told,))
    link = link_of(house)
    fields = form(house.client.get(link).text)
    assert "nutrition" not in fields["topic"]
    assert (fields["quiet_from"], fields["quiet_to"]) == (["22:30"], ["07:30"])
    assert (fields["language"], fields["channel"]) == (["zh_CN"], ["sms"])
    saved(house, link, topic=[*fields["topic"], "nutrition"], channel="-")
    assert wished(house) == Wishes(frozenset({"pregnancy"}))
    assert [row[2] for row in everything(house.ledger)["wish_event"]] == ["channel", "topics_off"]
    later = Expressed(PATIENT_NOW + timedelta(days=1), "crm", "1", "sms", topics_off="nutrition")
    house.admit(PERSON, expressed=(later,))
    again = form(house.client.get(link).text)
    assert again["channel"] == ["sms"]
    assert "nutrition" not in again["topic"]


def test_whoever_takes_the_hospitals_own_hours_follows_the_hospital(house: House) -> None:
    link = link_of(house)
    saved(house, link, quiet_from="19:00", quiet_to="10:00")
    assert wished(house).quiet == ("19:00", "10:00")
    saved(house, link, quiet_from="21:00", quiet_to="08:00")
    assert wished(house).quiet is None
    assert [row[3] for row in everything(house.ledger)["wish_event"]] == ["19:00/10:00", "-"]


def test_only_ways_that_reach_the_patient_are_offered(house: House) -> None:
    link = link_of(house)
    assert EN.way not in house.client.get(link).text, "nothing is known but this address"
    house.admit(PERSON, text_state="invalid")
    page = Outline(house.client.get(link).text)
    ways = [box["value"] for box in page.named("input") if box["name"] == "channel"]
    assert ways == ["-", "email", "call"]
    assert EN.unchanged in saved(house, link, channel="sms").text


def test_text_messages_by_purpose_are_switched_off_and_on_again(house: House) -> None:
    house.admit(PERSON)
    consented(house, Purpose.CARE, Purpose.EDUCATION)
    say(house, Decision.DENY, Purpose.SURVEY, at=PATIENT_NOW - timedelta(days=5), channel="sms")
    link = link_of(house)
    page = house.client.get(link).text
    boxes = [box["value"] for box in Outline(page).named("input") if box["name"] == "text"]
    assert boxes == ["care", "education"], "what was never agreed to for the phone has no switch"
    saved(house, link, text=["care"])
    assert standing(house.ledger, channel="sms") == {"care"}
    assert standing(house.ledger) == {"care", "education"}
    saved(house, link, text=["care", "education", "survey", "marketing"])
    assert standing(house.ledger, channel="sms") == {"care", "education"}


def test_a_number_that_asked_to_be_left_alone_has_no_switch(house: House) -> None:
    house.admit(PERSON)
    consented(house, Purpose.CARE)
    say(house, Decision.DENY, Purpose.CARE, at=PATIENT_NOW - timedelta(days=5), channel="sms")
    blind = house.known.vault.blind_index("phone", "+8613912345678")
    with house.ledger.begin() as connection:
        add(connection, [Suppression(blind, "sms", "all", "unsubscribe", PATIENT_NOW, "inbound 1")])
    link = link_of(house)
    page = house.client.get(link).text
    assert EN.texts_stopped in page
    assert not [box for box in Outline(page).named("input") if box["name"] == "text"]
    assert EN.unchanged in saved(house, link, text=["care"]).text


def test_choices_within_a_simulated_moment_follow_one_another(house: House) -> None:
    link = link_of(house)
    for pace in ("weekly", "monthly", "normal", "weekly"):
        saved(house, link, pace=pace)
        assert wished(house).pace == pace


def test_a_click_in_staging_says_nothing_about_the_patient(house: House) -> None:
    link = link_of(house, mode=DeliveryMode.STAGING)
    before = everything(house.ledger)
    assert EN.unchanged in saved(house, link, pace="monthly").text
    assert everything(house.ledger) == before


def test_looking_changes_nothing_and_changing_ones_mind_is_slowed_down(house: House) -> None:
    link = link_of(house)
    before = everything(house.ledger)
    house.client.get(link)
    house.client.head(link)
    assert everything(house.ledger) == before
    for number in range(30):
        assert saved(house, link, pace=("weekly", "monthly")[number % 2]).status_code == 200
    assert saved(house, link, pace="weekly").status_code == 429
    house.wall.advance(minutes=1)
    assert saved(house, link, pace="weekly").status_code == 200


def test_the_page_is_light_private_and_one_link_away(house: House) -> None:
    house.admit(PERSON)
    link = link_of(house)
    first = Outline(house.client.get(link.removesuffix(VIEW)).text)
    assert "?lang=en&view=manner" in [found["href"] for found in first.named("a")]
    for answer in (house.client.get(link), saved(house, link, pace="weekly")):
        assert len(answer.content) < 60_000
        assert not {"script", "img", "link", "iframe", "base"} & {tag for tag, _ in Outline(answer.text).tags}
        assert answer.headers["Cache-Control"] == "no-store"
        for secret in (PERSON, house.keys[0], "anna.novak", "Novak", "139"):
            assert secret not in answer.text


@pytest.mark.parametrize("locale", list(Locale))
def test_both_languages_say_everything(house: House, locale: Locale) -> None:
    words = MANNER_WORDS[locale]
    assert all(text.strip() for text in vars(words).values() if isinstance(text, str))
    assert set(words.paces) == set(Pace)
    other = next(one for one in Locale if one is not locale)
    page = house.client.get(house.preference_link(house.plan(locale=other)) + f"{VIEW}&lang={locale.replace('_', '-')}")
    assert words.title in page.text
    assert PREFERENCE_WORDS[other].language in page.text


def test_every_way_has_words(house: House) -> None:
    for words in MANNER_WORDS.values():
        assert {"-", *house.settings.channels.set_up} <= words.ways.keys()
    for held in HELD_WORDS.values():
        assert set(house.settings.channels.set_up) <= held.channels.keys()
