"""Every page that a patient may see, held against axe-core (WCAG 2.2 and good practice) in Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from alongside.ledger.consent import CROSS_BORDER
from alongside.ledger.suppressions import Suppression, add
from alongside.model.enums import Decision, Locale, Purpose
from tests.ledgers import SqliteLedgers
from tests.web.browser import chromium
from tests.web.choosing import BLIND, LEAVE, consented, say
from tests.web.conftest import NOW, PATIENT_NOW, House

pytestmark = pytest.mark.browser
WIDTHS = (1280, 320)
MANNER, DATA = "?view=manner", "?view=data"


@pytest.fixture
def ledger_url(tmp_path: Path, sqlite_ledgers: SqliteLedgers) -> str:
    """Pages do not depend on the store: SQLite only."""
    return sqlite_ledgers.place(tmp_path / "ledger.db")


#: Violations alone travel back: of a page without any, everything else would be a megabyte.
_RUN = """async () => (await axe.run({resultTypes: ["violations"]})).violations
    .map(found => [found.id, found.nodes.map(node => node.html)])"""


@pytest.fixture(scope="module")
def axe() -> Iterator[Any]:
    """A function that names the violations of a page on the smallest phone; no page may scroll sideways anywhere."""
    sync_api = pytest.importorskip("playwright.sync_api")
    script = pytest.importorskip("axe_playwright_python.sync_playwright").Axe().axe_script
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        # The pages forbid scripts; axe is one.
        page = browser.new_context(bypass_csp=True).new_page()

        def violations(html: str) -> list[str]:
            page.set_content(html)
            page.evaluate(script)
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 800})
                assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"
            # The page is the same at any width, and looking costs a second: the smallest one is looked at, set last.
            return [f"{rule}: {html}" for rule, nodes in page.evaluate(_RUN) for html in nodes]

        yield violations
        browser.close()


def pages_of(house: House, locale: Locale) -> dict[str, str]:
    """What a patient sees of each page, by what led there."""
    tag = locale.replace("_", "-")
    person = f"p{len(house.keys) + 1:016x}"
    consented(house, *Purpose, CROSS_BORDER, person=person)
    house.admit(person)
    key = house.plan(Purpose.EDUCATION, locale, person_id=person)
    choose, leave = house.preference_link(key), house.link(key)
    get, post = house.client.get, house.client.post
    coming = house.url("appointment_url", house.book(locale, person))
    asked = house.plan(Purpose.SURVEY, locale, person_id=person, template="follow_up/visit_survey")
    survey = house.url("survey_url", asked)
    fields = {"form": "purposes", "offered": "care survey", "shown": "care survey"}
    found = {
        "unsubscribe": get(leave),
        "choices": get(choose),
        "one withdrawn": post(choose, data={**fields, "allow": "care"}),
        "nothing changed": post(choose, data={"form": "purposes"}),
        "texts stopped": post(choose, data={"form": "leave", "channel": "sms"}),
        "left": post(choose, data=LEAVE),
        "nothing left": get(choose),
        "lost": get("/u/nowhere"),
        "appointment": get(coming),
        "appointment confirmed": post(coming, data={"answer": "confirm"}),
        "appointment confirmed before": get(coming),
        "appointment cancelled": post(coming, data={"answer": "cancel"}),
        "appointment cancelled before": get(coming),
        "appointment gone": get(house.url("appointment_url", house.book(locale, person, known=False))),
        "survey": get(survey),
        "survey incomplete": post(survey, data={"visit_satisfaction": "3"}),
        "survey answered": post(survey, data={"nps": "9"}),
        "survey recovered": post(survey, data={"nps": "2", "comment": "I waited for two hours."}),
        "survey again": get(survey),
        "survey over": get(house.url("survey_url", key)),
        "data": get(choose + DATA),
        "data asked": post(choose + DATA, data={"form": "request", "kind": "erasure"}),
        "data with a request": get(choose + DATA),
        "manner": get(choose + MANNER),
        "manner unchanged": post(choose + MANNER, data={"form": "manner"}),
        "manner saved": post(choose + MANNER, data={"form": "manner", "pace": "monthly", "general_only": "yes"}),
    }
    on, off = {**fields, "shown": "", "allow": "care"}, {**fields, "shown": "care"}
    found["too often"] = [post(choose, data=form) for _ in range(20) for form in (off, on)][-1]
    house.wall.advance(minutes=2)
    say(house, Decision.DENY, Purpose.SURVEY, at=PATIENT_NOW + timedelta(days=1), channel="email", person=person)
    found["refused"] = post(choose, data={**fields, "shown": "", "allow": "survey"})
    found |= {"unsubscribed": post(leave), "of everything": post(leave, data={"scope": "all"})}
    with house.ledger.begin() as connection:
        add(connection, [Suppression(BLIND, "email", "all", "hard_bounce", PATIENT_NOW, f"event:{key}")])
    found["address stopped"] = get(choose)
    house.wall.now = NOW + timedelta(days=181)
    found["expired"] = get(choose)
    house.wall.now = NOW
    assert all(tag in answer.text for answer in found.values())
    return {name: answer.text for name, answer in found.items()}


def test_no_page_stands_in_anybodys_way(house: House, axe: Any) -> None:
    for locale in Locale:
        faults = {name: axe(html) for name, html in pages_of(house, locale).items()}
        assert {name: found for name, found in faults.items() if found} == {}


def test_the_checker_would_notice(axe: Any) -> None:
    found = axe('<html lang="en"><title>A page</title><main><h1>Hello</h1><input type="text"></main></html>')
    assert [one.split(": ")[0] for one in found] == ["label"]


def test_pages_by_every_way_are_different_ones(house: House) -> None:
    """So that the pages above are those that they are named for."""
    shown = pages_of(house, Locale.EN)
    first: dict[str, str] = {}
    same = [(name, first[html]) for name, html in shown.items() if first.setdefault(html, name) != name]
    assert same == []
