"""What patients see where they choose, and how the page answers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from alongside.ledger.consent import CROSS_BORDER
from alongside.model.enums import Locale, Purpose
from alongside.web.forms import read_fields
from alongside.web.preference_words import PREFERENCE_WORDS, PreferenceWords
from alongside.web.preferences import Wish, read_wish
from alongside.web.words import WORDS
from tests.ledgers import SqliteLedgers
from tests.web.browser import chromium, serving
from tests.web.choosing import BLIND, EN, LEAVE, PERSON, consented, everything, standing, ticked
from tests.web.conftest import House
from tests.web.test_pages import Outline


@pytest.fixture
def ledger_url(tmp_path: Path, sqlite_ledgers: SqliteLedgers) -> str:
    """Pages do not depend on the store: SQLite only."""
    return sqlite_ledgers.place(tmp_path / "ledger.db")


@pytest.mark.parametrize("locale", ["zh_CN", "en"])
def test_the_page_shows_what_stands_and_why_some_things_have_no_switch(house: House, locale: str) -> None:
    consented(house, Purpose.CARE, Purpose.EDUCATION, CROSS_BORDER)
    answer = house.client.get(house.preference_link(house.plan(locale=locale)))
    say, page = PREFERENCE_WORDS[Locale(locale)], Outline(answer.text)
    boxes = {box["value"]: "checked" in box for box in page.named("input") if box["type"] == "checkbox"}
    assert boxes == {purpose: purpose in ("care", "education", CROSS_BORDER) for purpose in (*Purpose, CROSS_BORDER)}
    assert page.named("html") == [{"lang": locale.replace("_", "-")}]
    for text in (say.fixed_reason, WORDS[Locale(locale)].treatment, say.leave_lead, *say.names.values()):
        assert text in page.text
    assert len(page.named("h1")) == 1
    assert len(page.named("fieldset")) == len(page.named("legend")) == 2
    assert len(page.named("label")) == len(boxes)


def test_the_other_language_is_one_link_away(house: House) -> None:
    link = house.preference_link(house.plan(locale="zh_CN"))
    page = Outline(house.client.get(link).text)
    (other,) = [found for found in page.named("a") if "hreflang" in found]
    assert other == {"href": "?lang=en", "lang": "en", "hreflang": "en"}
    assert EN.title in house.client.get(link + "?lang=en").text
    assert PREFERENCE_WORDS[Locale.ZH_CN].title in house.client.get(link + "?lang=fr").text
    assert EN.saved_nothing in house.client.post(link + "?lang=en", data={"form": "purposes"}).text


def test_pages_are_light_private_and_fetch_nothing(house: House) -> None:
    consented(house, *Purpose, CROSS_BORDER)
    link = house.preference_link(house.plan(locale="en"))
    answers = [house.client.get(link), ticked(house, link, off=("survey",)), house.client.post(link, data=LEAVE)]
    house.wall.advance(days=181)
    answers.append(house.client.get(link))
    for answer in answers:
        assert len(answer.content) < 60_000
        assert not {"script", "img", "link", "iframe", "base"} & {tag for tag, _ in Outline(answer.text).tags}
        assert not re.search(r"(src|action)=|url\(|@import|https?:", answer.text)
        assert all(re.match(r"(tel:|\?lang=)", found["href"] or "") for found in Outline(answer.text).named("a"))
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        for secret in (PERSON, house.keys[0], BLIND):
            assert secret not in answer.text


def test_both_languages_say_everything() -> None:
    for words in PREFERENCE_WORDS.values():
        assert set(words.names) == set(words.hints) == {*Purpose, CROSS_BORDER}
        texts = [value for value in vars(words).values() if isinstance(value, str)]
        assert all(text.strip() for text in (*texts, *words.names.values(), *words.hints.values()))


@pytest.mark.parametrize(
    ("body", "wish"),
    [
        (b"", Wish()),
        (b"form=leave", Wish(leave=True)),
        (b"form=leave&form=purposes", Wish()),
        (b"form=LEAVE", Wish()),
        (b"\xff\xfe", Wish()),
        (b"a=1&" * 100, Wish()),
        (b"form=purposes&allow=care", Wish()),  # was not offered
        (
            b"form=purposes&offered=care+survey&shown=survey&allow=care",
            Wish(frozenset({"care"}), frozenset({"survey"})),
        ),
        (b"form=purposes&offered=care&shown=care&allow=care", Wish()),
    ],
)
def test_only_differences_are_decisions(body: bytes, wish: Wish) -> None:
    assert read_wish(read_fields(body)) == wish


def test_forged_cut_off_and_foreign_links_lead_to_a_friendly_page(house: House) -> None:
    key = house.plan()
    good = house.preference_link(key)
    pages = set()
    for link in (good[:-1], good[:-9], good + "A", "/p/x", house.link(key).replace("/u/", "/p/")):
        house.wall.advance(minutes=1)
        for method in ("GET", "POST"):
            answer = house.client.request(method, link, data=LEAVE if method == "POST" else None)
            assert answer.status_code == 404
            pages.add(answer.text)
    (page,) = pages
    for words in WORDS.values():
        assert words.lost in page
    assert house.settings.hospital.phone in page
    assert everything(house.ledger)["consent_event"] == []


def test_guessing_and_changing_ones_mind_are_slowed_down_and_leaving_never(house: House) -> None:
    link = house.preference_link(house.plan(locale="en"))
    for _ in range(15):  # each round is two changes
        ticked(house, link, on=("survey",))
        ticked(house, link, off=("survey",))
    refused = ticked(house, link, on=("survey",))
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    assert EN.too_often in refused.text
    assert house.client.post(link, data=LEAVE).status_code == 200
    house.wall.advance(minutes=1)
    assert ticked(house, link, on=("survey",)).status_code == 200
    assert standing(house.ledger) == {"survey"}
    assert [house.client.get("/p/guess").status_code for _ in range(7)] == [404] * 5 + [429] * 2


def test_an_enormous_body_is_not_read(house: House) -> None:
    assert house.client.post(house.preference_link(house.plan()), content=b"x" * 100_000).status_code == 413


@pytest.mark.browser
def test_keyboard_alone_and_no_javascript_suffice_at_any_width(house: House) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    with serving(house.client.app) as base, sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        for number, locale in enumerate(Locale, 1):
            person = f"p{number:016x}"
            consented(house, *Purpose, CROSS_BORDER, person=person)
            link = house.preference_link(house.plan(locale=locale, person_id=person))
            fetched: set[str] = set()
            page = browser.new_page(java_script_enabled=False)
            page.on("request", lambda request, fetched=fetched: fetched.add(request.url.split("?")[0]))
            page.goto(base + link)
            for width in (1280, 320):
                page.set_viewport_size({"width": width, "height": 800})
                _fits(page, width)
            _choose(page, PREFERENCE_WORDS[locale])
            assert standing(house.ledger, person) == {CROSS_BORDER}
            assert fetched == {base + link}, "the page fetched something else"
            page.close()
        browser.close()


def _fits(page: Any, width: int) -> None:
    for part in ("main", "h1", "fieldset >> nth=0", ".choice >> nth=5", "button >> nth=1"):
        box = page.locator(part).bounding_box()
        assert box["x"] + box["width"] <= width, "the page scrolls sideways"
        assert part in ("main", "h1") or box["height"] >= 44, "too small for a finger"


def _choose(page: Any, words: PreferenceWords) -> None:
    """By keyboard alone one purpose off; then back to the page, and everything off."""
    page.get_by_role("group", name=words.choose).get_by_label(words.names[Purpose.CARE]).focus()
    for key in ("Tab", "Tab", "Space", "Tab", "Tab", "Tab", "Tab"):  # past education to survey; on to the button
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    done = page.get_by_role("status").inner_text()
    assert words.withdrawn in done
    assert words.names[Purpose.SURVEY] in done
    page.get_by_role("link", name=words.back).click()
    assert not page.get_by_label(words.names[Purpose.SURVEY]).is_checked()
    assert page.get_by_label(words.names[Purpose.RESEARCH]).is_checked()
    page.get_by_role("button", name=words.leave).click()
    assert page.get_by_role("status").inner_text().strip() == words.saved_left
