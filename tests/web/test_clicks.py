"""Clicks on the way: led on where the message says, a person's counted once, a machine's kept as one."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from alongside.content.tracking import TRAP
from alongside.ledger.schema import delivery_event
from alongside.model.enums import Channel, DeliveryMode, Locale, Purpose
from alongside.model.tokens import ClickSigner
from tests.web.choosing import everything
from tests.web.conftest import PATIENT_NOW, House

TEMPLATE = "prevention/flu_vaccine"
TARGET = "https://hospital.example/appointments"
BROWSER = {"User-Agent": "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/131.0 Mobile Safari/537.36"}


def sent(house: House, **columns: Any) -> str:
    """A message with one counted link that arrived a while ago; its key."""
    version = house.known.content.compiled(TEMPLATE, Channel.EMAIL, Locale.EN).hash
    key = house.plan(Purpose.EDUCATION, "en", **{"template": TEMPLATE, "template_hash": version, **columns})
    house.wall.advance(minutes=1)
    return key


def follow(house: House, key: str, index: int = 1, method: str = "GET", **headers: str) -> tuple[int, str | None]:
    path = f"/c/{ClickSigner(house.ledger.info.secret)([key], index)[0]}"
    answer = house.client.request(method, path, headers={**BROWSER, **headers}, follow_redirects=False)
    return answer.status_code, answer.headers.get("Location")


def events(house: House) -> list[tuple[str, bool]]:
    with house.ledger.reading() as connection:
        table = delivery_event
        rows = connection.execute(sa.select(table.c.detail, table.c.machine).order_by(table.c.event_id))
        return sorted(tuple(row) for row in rows)


def test_a_person_is_led_on_and_counted_once(house: House) -> None:
    key = sent(house)
    for _ in range(3):
        assert follow(house, key) == (302, TARGET)
        house.wall.advance(minutes=1)
    assert events(house) == [("link 1", False)]
    with house.ledger.reading() as connection:
        row = connection.execute(sa.select(delivery_event)).one()
    assert (row.kind, row.message_key, row.occurred_at) == ("click", key, PATIENT_NOW)


@pytest.mark.parametrize(
    "agent", ["", "curl/8.5", "Mozilla/5.0 (compatible; bingbot/2.0)", "Barracuda Sentinel", "python-requests/2.32"]
)
def test_a_known_scanner_is_a_machine(house: House, agent: str) -> None:
    key = sent(house)
    assert follow(house, key, **{"User-Agent": agent}) == (302, TARGET)
    assert events(house) == [("link 1", True)]
    house.wall.advance(minutes=5)
    follow(house, key)
    assert events(house) == [("link 1", False), ("link 1", True)], "the person who comes later counts"


def test_a_look_at_the_headers_is_a_machine(house: House) -> None:
    assert follow(house, sent(house), method="HEAD") == (302, TARGET)
    assert events(house) == [("link 1", True)]


def test_nobody_clicks_within_two_seconds(house: House) -> None:
    key = sent(house)
    with house.ledger.begin() as connection:
        moment = {"now": house.wall.now.replace(tzinfo=None) if house.ledger.is_sqlite else house.wall.now, "key": key}
        connection.execute(sa.text("UPDATE message SET updated_at = :now WHERE message_key = :key"), moment)
    house.wall.advance(seconds=1.9)
    assert follow(house, key) == (302, TARGET)
    assert events(house) == [("link 1", True)]


@pytest.mark.parametrize("order", [(1, TRAP), (TRAP, 1)])
def test_whoever_follows_the_link_that_nobody_sees_has_followed_all_as_a_machine(
    house: House, order: tuple[int, int]
) -> None:
    key = sent(house)
    for index in order:
        status, target = follow(house, key, index)
        assert status == 302
        assert target == (TARGET if index else "https://hospital.example")
        house.wall.advance(seconds=1)
    assert events(house) == [("link 0", True), ("link 1", True)]
    house.wall.advance(minutes=1)
    follow(house, key)
    assert ("link 1", False) in events(house)


def test_all_links_at_once_are_a_machines(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alongside.web.clicks.links_of", lambda _compiled: ("a", "b"))
    key, slowly = sent(house), sent(house)
    for wait in (1, 1):
        follow(house, key, 1)
        house.wall.advance(seconds=wait)
        follow(house, key, 2)
    assert {machine for _, machine in events(house)} == {True}
    house.wall.advance(minutes=1)
    for index in (1, 2):
        follow(house, slowly, index)
        house.wall.advance(seconds=20)
    assert [one for one in events(house) if not one[1]] == [("link 1", False), ("link 2", False)]


def test_an_edited_message_leads_home_and_never_where_the_link_says(house: House) -> None:
    edited, unknown = sent(house, template_hash="older"), sent(house, template="prevention/nothing")
    for key in (edited, unknown, sent(house, channel="sms")):
        assert follow(house, key) == (302, "https://hospital.example")
    answer = house.client.get("/c/x?url=https://evil.example&target=//evil.example", follow_redirects=False)
    assert answer.status_code == 404
    assert follow(house, sent(house), 9) == (302, "https://hospital.example")


def test_a_forged_link_leads_to_the_friendly_page_and_guessing_is_slowed_down(house: House) -> None:
    key = sent(house)
    before = everything(house.ledger)
    other = house.preference_link(key).replace("/p/", "/c/")
    codes = [house.client.get(path, follow_redirects=False).status_code for path in (other, *["/c/guess"] * 6)]
    assert codes == [404] * 5 + [429] * 2
    assert everything(house.ledger) == before


@pytest.mark.parametrize("columns", [{"mode": DeliveryMode.STAGING}, {"campaign": "seeds/flu_vaccine"}])
def test_staff_are_led_on_and_not_counted(house: House, columns: dict[str, Any]) -> None:
    assert follow(house, sent(house, **columns)) == (302, TARGET)
    assert events(house) == []


def test_the_way_tells_nothing_and_is_not_kept(house: House) -> None:
    path = f"/c/{ClickSigner(house.ledger.info.secret)([sent(house)], 1)[0]}"
    answer = house.client.get(path, headers=BROWSER, follow_redirects=False)
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert house.keys[0] not in path
