"""A survey behind a message's link: answered once a message, changeable, and heard by a person where it went wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from alongside.ledger import inbox, surveys
from alongside.ledger.schema import audit
from alongside.model.enums import DeliveryMode, Locale, Purpose, ThreadKind, ThreadStatus
from alongside.web.survey_words import SURVEY_WORDS
from tests.web.choosing import PERSON, everything
from tests.web.conftest import NOW, PATIENT_NOW, House
from tests.web.test_pages import Outline

EN = SURVEY_WORDS[Locale.EN]
ALL = {"nps": "9", "clear_explanation": "4", "visit_satisfaction": "5"}
BAD = {"nps": "6", "comment": "I waited for two hours.\nNobody told me why."}


def asked(house: House, **columns: Any) -> str:
    """The link of a message that asks how a visit was."""
    key = house.plan(Purpose.SURVEY, "en", template="follow_up/visit_survey", **columns)
    return house.url("survey_url", key)


def answered(house: House) -> surveys.Response | None:
    with house.ledger.reading() as connection:
        return surveys.find(connection, house.keys[0])


def words(house: House) -> list[str]:
    """What stands in the inbox of surveys."""
    with house.ledger.reading() as connection:
        found = inbox.threads(connection, list(ThreadStatus))
        assert all(one.kind is ThreadKind.SURVEY for one in found)
        return [entry.words for one in found for entry in inbox.entries(connection, house.known.vault, one.thread_id)]


def test_an_answer_is_kept_and_can_be_changed(house: House) -> None:
    link = asked(house)
    survey = house.known.content.surveys["visit"]
    page = house.client.get(link)
    for question in survey.questions:
        assert question.text[Locale.EN] in page.text
    thanks = house.client.post(link, data=ALL)
    assert EN.thanks in thanks.text
    assert EN.change.format(day="21 December 2026") in thanks.text
    first = answered(house)
    assert first is not None
    assert first.scores == {"nps": 9, "clear_explanation": 4, "visit_satisfaction": 5}
    assert (first.person_id, first.survey, first.comment, first.answered_at) == (PERSON, "visit", None, PATIENT_NOW)
    again = Outline(house.client.get(link).text)
    chosen = {field["name"]: field["value"] for field in again.named("input") if "checked" in field}
    assert chosen == ALL
    house.client.post(link, data={"nps": "3"})
    second = answered(house)
    assert second is not None
    assert second.scores == {"nps": 3}
    assert len(everything(house.ledger)["survey_response"]) == 1
    assert house.ledger.read_arrow("SELECT detail FROM delivery_event").to_pylist() == [{"detail": "survey"}]


def test_words_with_a_low_score_reach_a_person_once_and_are_sealed(house: House) -> None:
    link = asked(house)
    thanks = house.client.post(link, data=BAD)
    assert EN.thanks_person.format(day="23 November 2026") in thanks.text
    before = everything(house.ledger)
    assert "two hours" not in str(before)
    house.wall.advance(hours=1)
    assert EN.thanks_person.format(day="23 November 2026") in house.client.post(link, data=BAD).text
    assert everything(house.ledger) == before, "the same answer again writes nothing"
    assert words(house) == ["[visit: nps 6]\nI waited for two hours.\nNobody told me why."]
    with house.ledger.reading() as connection:
        [thread] = inbox.threads(connection, list(ThreadStatus))
        lines = connection.execute(sa.select(audit.c.action, audit.c.subject)).all()
    assert thread.due_at == NOW + timedelta(hours=48)
    assert [tuple(line) for line in lines] == [("survey.recovery", thread.thread_id)]
    kept = house.client.post(link, data={"nps": "5", "comment": ""})
    assert EN.thanks_person.split("{")[0] in kept.text
    assert words(house)[-1] == "[visit: nps 5]\nI waited for two hours.\nNobody told me why."
    page = house.client.get(link).text
    assert EN.before in page
    assert "two hours" not in page, "whoever else holds the link does not read what was written"


@pytest.mark.parametrize("form", [{"nps": "7", "comment": "All fine"}, {"nps": "0"}, {"nps": "2", "comment": "  \n"}])
def test_nobody_is_called_for_praise_or_for_a_number_alone(house: House, form: dict[str, str]) -> None:
    assert EN.thanks in house.client.post(asked(house), data=form).text
    assert words(house) == []


@pytest.mark.parametrize("form", [{}, {"nps": "11"}, {"nps": ["1", "2"]}, {"nps": "-1"}, {"visit_satisfaction": "3"}])
def test_without_the_first_number_nothing_is_kept(house: House, form: dict[str, Any]) -> None:
    link = asked(house)
    before = everything(house.ledger)
    answer = house.client.post(link, data=form)
    assert (answer.status_code, EN.missing in answer.text) == (422, True)
    assert everything(house.ledger) == before


def test_looking_changes_nothing_and_a_link_of_another_use_opens_nothing(house: House) -> None:
    link = asked(house)
    before = everything(house.ledger)
    for answer in (house.client.get(link), house.client.head(link)):
        assert answer.status_code == 200
    assert house.client.get(house.preference_link(house.keys[0]).replace("/p/", "/s/")).status_code == 404
    assert everything(house.ledger) == before


def test_a_survey_ends_and_a_message_without_one_has_none(house: House) -> None:
    link = asked(house)
    other = house.url("survey_url", house.plan(Purpose.CARE, "en", template="treatment/pre_op_checklist"))
    house.wall.now = NOW + timedelta(days=30)
    assert house.client.post(link, data=ALL).status_code == 200
    house.wall.advance(seconds=1)
    for answer in (house.client.get(link), house.client.post(link, data=BAD), house.client.get(other)):
        assert answer.status_code == 410
        for say in SURVEY_WORDS.values():
            assert say.over_title in answer.text
    kept = answered(house)
    assert kept is not None
    assert kept.scores["nps"] == 9


@pytest.mark.parametrize("columns", [{"mode": DeliveryMode.STAGING}, {"campaign": "seeds/visit_survey"}])
def test_what_staff_answer_is_no_patients_answer(house: House, columns: dict[str, Any]) -> None:
    link = asked(house, **columns)
    before = everything(house.ledger)
    assert EN.thanks in house.client.post(link, data=BAD).text
    assert everything(house.ledger) == before


def test_changing_ones_mind_is_slowed_down_and_a_huge_form_is_not_read(house: House) -> None:
    link = asked(house)
    codes = [house.client.post(link, data={"nps": str(number % 10)}).status_code for number in range(31)]
    assert codes == [200] * 30 + [429]
    assert house.client.post(link, content=b"x" * 100_000).status_code == 413


@pytest.mark.parametrize("locale", list(Locale))
def test_the_page_is_light_private_and_in_both_languages(house: House, locale: Locale) -> None:
    assert all(text.strip() for text in vars(SURVEY_WORDS[locale]).values())
    link = f"{asked(house)}?lang={locale.replace('_', '-')}"
    answers: list[httpx.Response] = [house.client.get(link), house.client.post(link, data=BAD), house.client.get(link)]
    for answer in answers:
        assert len(answer.content) < 60_000
        assert not {"script", "img", "link", "iframe", "base"} & {tag for tag, _ in Outline(answer.text).tags}
        assert answer.headers["Cache-Control"] == "no-store"
        assert f'lang="{locale.replace("_", "-")}"' in answer.text
        for secret in (PERSON, house.keys[0], "two hours"):
            assert secret not in answer.text
