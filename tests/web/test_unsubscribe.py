"""Leaving: with one click of a mail program, or with one button of the page."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alongside.ledger import Ledger
from alongside.ledger.consent import ConsentEvent, decide, record
from alongside.ledger.schema import consent_event, delivery_event, message, suppression
from alongside.model.enums import Decision, DeliveryMode, Purpose
from alongside.settings import HospitalSettings
from alongside.web import create_app
from alongside.web.limits import FailureLimit
from alongside.web.unsubscribe import wants_everything
from alongside.web.words import WORDS
from tests.web.conftest import NOW, PATIENT_NOW, House, Wall

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


@pytest.mark.parametrize("purpose", list(Purpose))
def test_the_page_can_stop_everything(house: House, purpose: Purpose) -> None:
    answer = house.client.post(house.link(house.plan(purpose, locale="en")), data={"scope": "all"})
    assert WORDS["en"].done_everything in answer.text
    consents, stopped, _ = rows(house.ledger)
    assert consents == sorted((each.value, "email", "deny") for each in Purpose)
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


@pytest.mark.parametrize("body", [b"", b"\xff", b"List-Unsubscribe=One-Click", b"x" * 10_000])
def test_whatever_a_mail_program_posts_is_a_withdrawal(house: House, body: bytes) -> None:
    assert house.client.post(house.link(house.plan()), content=body).status_code == 200
    assert len(rows(house.ledger)[0]) == 2


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
            if "detail" not in answer.text:  # a path with a slash is no page of ours at all
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
    house.wall.advance(minutes=1)
    assert house.client.get("/u/guess").status_code == 404
    assert [house.client.post(good).status_code for _ in range(20)] == [200] * 20


def test_the_memory_of_failures_is_bounded() -> None:
    limit = FailureLimit(failures_per_minute=2, capacity=100)
    for number in range(1000):
        limit.failed(f"client {number}", 0.0)
    assert len(limit._counts) == 100
    limit.failed("client 999", 1.0)
    assert not limit.allows("client 999", 59.0)
    assert limit.allows("client 999", 60.0)
    assert limit.allows("client 0", 1.0)


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
@pytest.mark.parametrize("purpose", list(Purpose))
def test_the_page_says_what_stops_and_what_goes_on(house: House, locale: str, purpose: Purpose) -> None:
    words = WORDS[locale]
    link = house.link(house.plan(purpose, locale))
    page = Outline(house.client.get(link).text)
    assert page.named("html") == [{"lang": locale.replace("_", "-")}]
    assert words.kinds[purpose] in page.text
    assert words.treatment in page.text
    assert (words.care_goes_on in page.text) is (purpose is not Purpose.CARE)
    done = Outline(house.client.post(link, data=ONE_CLICK).text)
    assert words.done_this.format(kind=words.kinds[purpose]) in done.text
    assert house.settings.hospital.phone in done.text


@pytest.mark.parametrize("step", ["ask", "done", "lost"])
def test_pages_need_no_script_and_fetch_nothing(house: House, step: str) -> None:
    link = house.link(house.plan(locale="en"))
    answers = {"ask": lambda: house.client.get(link), "done": lambda: house.client.post(link)}
    answer = answers.get(step, lambda: house.client.get("/u/x"))()
    page = Outline(answer.text)
    forbidden = {"script", "img", "link", "iframe", "object", "embed", "video", "base"}
    assert not forbidden & {tag for tag, _ in page.tags}
    assert not re.search(r"(src|href|action)=[\"'](?!tel:)", answer.text)
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
@pytest.mark.parametrize("width", [320, 360, 1200])
def test_the_page_works_without_javascript_at_any_width(house: House, locale: str, width: int, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    from tests.web.browser import chromium, serving

    link = house.link(house.plan(Purpose.EDUCATION, locale))
    with serving(house.client.app) as base, playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 800}, java_script_enabled=False)
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto(base + link)
        assert page.locator("html").bounding_box()["width"] <= width, "the page scrolls sideways"
        button = page.get_by_role("button", name=WORDS[locale].button)
        assert button.bounding_box()["height"] >= 44
        page.get_by_label(WORDS[locale].everything).check()
        button.click()
        assert page.get_by_role("status").inner_text().startswith(WORDS[locale].done_everything)
        browser.close()
    assert {url.split("/u/")[0] for url in requests} == {base}
    assert len(rows(house.ledger)[0]) == len(Purpose)
