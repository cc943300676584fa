"""What patients see when they follow an unsubscribe link."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from alongside.ledger import Ledger
from alongside.ledger.consent import decide
from alongside.ledger.schema import message
from alongside.model.enums import Locale, Purpose
from alongside.settings import HospitalSettings
from alongside.web import create_app
from alongside.web.words import WORDS, Words
from tests.ledgers import SqliteLedgers
from tests.web.browser import chromium, serving
from tests.web.conftest import House, Wall

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
PERSON = "p0000000000000001"


@pytest.fixture
def ledger_url(tmp_path: Path, sqlite_ledgers: SqliteLedgers) -> str:
    """Pages do not depend on the store: SQLite only."""
    return sqlite_ledgers.place(tmp_path / "ledger.db")


# ------------------------------------------------------------------------------------------------------------- pages
class Outline(HTMLParser):
    """Tags of a page, and its visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.parametrize("locale", ["zh_CN", "en"])
def test_the_page_says_what_stops_and_what_goes_on(house: House, locale: str) -> None:
    for purpose in Purpose:
        _check_page(house, WORDS[Locale(locale)], locale, purpose)


def _check_page(house: House, words: Words, locale: str, purpose: Purpose) -> None:
    link = house.link(house.plan(purpose, locale))
    page = Outline(house.client.get(link).text)
    assert page.named("html") == [{"lang": locale.replace("_", "-")}]
    assert words.kinds[purpose] in page.text
    assert words.treatment in page.text
    assert (words.care_goes_on in page.text) is (purpose is not Purpose.CARE)
    done = Outline(house.client.post(link, data=ONE_CLICK).text)
    assert words.done_this.format(kind=words.kinds[purpose]) in done.text
    assert house.settings.hospital.phone in done.text


def test_pages_need_no_script_and_fetch_nothing(house: House) -> None:
    link = house.link(house.plan(locale="en"))
    for answer in (house.client.get(link), house.client.post(link), house.client.get("/u/x")):
        _check_safe(answer)


def _check_safe(answer: Response) -> None:
    page = Outline(answer.text)
    forbidden = {"script", "img", "link", "iframe", "object", "embed", "video", "base"}
    assert not forbidden & {tag for tag, _ in page.tags}
    assert not re.search(r"(src|href|action)=[\"'](?!tel:|\?lang=)", answer.text)
    assert "url(" not in answer.text
    assert "@import" not in answer.text
    assert "noindex" in answer.headers["X-Robots-Tag"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert any(meta.get("name") == "viewport" for meta in page.named("meta"))
    assert len(page.named("h1")) == 1
    assert len(page.named("title")) == 1


def test_the_form_is_labelled_and_posts_to_itself(house: House) -> None:
    page = Outline(house.client.get(house.link(house.plan())).text)
    (form,) = page.named("form")
    assert form == {"method": "post"}
    radios = page.named("input")
    assert [(radio["value"], "checked" in radio) for radio in radios] == [("this", True), ("all", False)]
    assert len(page.named("label")) == len(radios)
    assert page.named("fieldset")
    assert page.named("legend")
    assert page.named("button") == [{"type": "submit"}]


def test_the_page_shows_nothing_of_the_patient(house: House) -> None:
    key = house.plan()
    link = house.link(key)
    text = house.client.get(link).text + house.client.post(link).text
    assert PERSON not in text
    assert key not in text
    assert "ab" * 16 not in text


def test_a_message_in_an_unknown_language_gets_the_hospitals_own(house: House) -> None:
    key = house.plan()
    with house.ledger.begin() as connection:
        connection.execute(message.update().where(message.c.message_key == key).values(locale="fr"))
    assert 'lang="zh-CN"' in house.client.get(house.link(key)).text


def test_both_languages_say_everything() -> None:
    for words in WORDS.values():
        assert set(words.kinds) == set(Purpose)
        texts = [value for value in vars(words).values() if isinstance(value, str)]
        assert all(text.strip() for text in texts)
        assert all(set(re.findall(r"\{(\w+)\}", text)) <= {"hospital", "kind"} for text in texts)


def test_the_hospitals_name_is_escaped(ledger: Ledger, settings: HospitalSettings, house: House) -> None:
    name = dict.fromkeys(settings.hospital.name, "A & <b>B</b>")
    hospital = settings.hospital.model_copy(update={"name": name})
    app = create_app(
        ledger,
        settings=settings.model_copy(update={"hospital": hospital}),
        webhook_key=house.signer.public_key,
        clock=Wall(),
    )
    with TestClient(app) as client:
        text = client.get(house.link(house.plan())).text
    assert "<b>B</b>" not in text
    assert "A &amp; &lt;b&gt;" in text


# --------------------------------------------------------------------------------------------------------- a browser
@pytest.mark.browser
@pytest.mark.parametrize("locale", ["zh_CN", "en"])
def test_the_page_works_without_javascript_at_any_width(house: House, locale: str) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    words = WORDS[Locale(locale)]
    requests: list[str] = []
    with serving(house.client.app) as base, sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        for number, width in enumerate((320, 360, 1200)):
            person = f"p{number:016x}"
            link = house.link(house.plan(Purpose.EDUCATION, locale, person))
            page = browser.new_page(viewport={"width": width, "height": 800}, java_script_enabled=False)
            page.on("request", lambda request: requests.append(request.url))
            page.goto(base + link)
            assert page.locator("main").bounding_box()["width"] <= width, "the page scrolls sideways"
            button = page.get_by_role("button", name=words.button)
            assert button.bounding_box()["height"] >= 44
            page.get_by_label(words.everything).check()
            button.click()
            assert page.get_by_role("status").inner_text().startswith(words.done_everything)
            assert _denied(house.ledger, person) == set(Purpose)
        browser.close()
    assert {url.split("/u/")[0] for url in requests} == {base}, "the page fetched something else"


def _denied(ledger: Ledger, person: str) -> set[str]:
    with ledger.begin() as connection:
        return {purpose for purpose in Purpose if decide(connection, [person], purpose, "email")}
