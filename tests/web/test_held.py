"""What is held of a patient: what a link may show, and wishes about all of it that reach a person."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from alongside.ledger import inbox, people
from alongside.ledger.holdouts import is_kept_out, of_marketing
from alongside.ledger.relations import fact_of
from alongside.ledger.schema import assignment, audit, message, person, relation_event
from alongside.ledger.vault import Identity
from alongside.model.enums import DeliveryMode, Locale, Purpose, ThreadKind, ThreadStatus
from alongside.settings import HospitalSettings
from alongside.web.held import masked, masked_email
from alongside.web.held_words import HELD_WORDS
from tests.web.choosing import PERSON, consented, everything
from tests.web.conftest import NOW, PATIENT_NOW, House
from tests.web.test_pages import Outline

EN = HELD_WORDS[Locale.EN]
VIEW = "?view=data"
ERASURE = {"form": "request", "kind": "erasure"}
ACCESS = {"form": "request", "kind": "access"}


@pytest.fixture
def settings(settings: HospitalSettings, request: pytest.FixtureRequest) -> HospitalSettings:
    """Where a test asks for it with a global hold-out of that share."""
    gates = settings.gates.model_copy(update={"global_holdout": getattr(request, "param", 0.0)})
    return settings.model_copy(update={"gates": gates})


def link_of(house: House, **wanted: object) -> str:
    return house.preference_link(house.plan(locale="en", **wanted)) + VIEW


def threads(house: House) -> list[inbox.Thread]:
    with house.ledger.reading() as connection:
        return inbox.threads(connection, list(ThreadStatus))


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("anna.novak@example.com", "a•••••@•••••.com"),
        ("x@y.org", "x•••••@•••••.org"),
        ("李@例子.中国", "李•••••@•••••.中国"),
        ("", ""),
    ],
)
def test_an_address_is_known_to_its_owner_alone(address: str, shown: str) -> None:
    assert masked_email(address) == shown


def test_masks_tell_no_length() -> None:
    assert (masked("王芳", 1, 0), masked("欧阳震华", 1, 0)) == ("王•••••", "欧•••••")
    assert masked("+8613912345678", 0, 2) == "•••••78"
    assert masked("", 1, 2) == ""


def test_the_page_and_the_file_tell_the_same_and_hide_the_same(house: House) -> None:
    house.admit(PERSON)
    consented(house, Purpose.CARE, Purpose.SURVEY)
    house.plan(Purpose.CARE, "en", mode=DeliveryMode.SANDBOX)
    link = link_of(house)
    house.client.post(link, data={"form": "manner", "pace": "weekly"})
    page, file = house.client.get(link), house.client.get(link + "&as=json")
    told = file.json()
    assert file.headers["Content-Disposition"] == 'attachment; filename="my-data.json"'
    assert told["contact"] == {"name": "A•••••", "email": "a•••••@•••••.com", "phone": "•••••78"}
    assert [(one["channel"], one["purpose"]) for one in told["messages"]] == [("email", "care"), ("email", "education")]
    assert told["messages_total"] == 2
    consents = {(one["purpose"], one["channel"]): one["decision"] for one in told["consents"]}
    ways = [channel.value for channel in house.settings.channels.set_up]
    assert consents == {(purpose, way): "permit" for purpose in ("care", "survey") for way in ways}
    assert told["choices"]["pace"] == "weekly"
    for text in ("A•••••", "a•••••@•••••.com", "•••••78", "2 in all", "2 March 2026, e-mail: My own care"):
        assert text in page.text
    for answer in (page, file):
        assert len(answer.content) < 60_000
        assert answer.headers["Cache-Control"] == "no-store"
        for secret in (PERSON, "Novak", "novak", "13912345678", "campaign", "stage/topic", *house.keys):
            assert secret not in answer.text


def test_comparisons_are_counted_and_not_named(house: House) -> None:
    house.admit(PERSON)
    link = link_of(house)
    assert house.client.get(link + "&as=json").json()["comparisons"] == 0
    arms = [{"experiment": name, "person_id": PERSON} for name in ("stroke_wording", "stroke_hour")]
    shared = {"variant": "stroke_short", "assigned_at": NOW, "run_id": "r1", "channel": "email"}
    with house.ledger.begin() as connection:
        connection.execute(assignment.insert(), [arm | shared for arm in arms])
    page, file = house.client.get(link), house.client.get(link + "&as=json")
    assert file.json()["comparisons"] == 2
    assert EN.comparing_count.format(count=2) in page.text
    for answer in (page, file):
        assert "stroke" not in answer.text


@pytest.mark.parametrize("settings", [0.0, 0.2], indirect=True)
def test_whoever_the_lot_keeps_without_marketing_is_told_so(house: House) -> None:
    share = house.settings.gates.global_holdout
    secret = house.ledger.info.secret
    people = [f"p{number:016x}" for number in range(1, 60)]
    drawn = next(one for one in people if is_kept_out(of_marketing(secret), one, 0.2))
    house.admit(drawn)
    link = link_of(house, person_id=drawn)
    assert house.client.get(link + "&as=json").json()["without_marketing"] is (share > 0)
    told = EN.without_marketing in house.client.get(link).text
    assert told is (share > 0)
    assert (EN.comparing_some in house.client.get(link).text) is not told


def test_a_wish_to_delete_reaches_a_person_once_with_a_deadline(house: House) -> None:
    house.admit(PERSON)
    link, other = link_of(house), link_of(house)
    answer = house.client.post(link, data=ERASURE)
    due = NOW + timedelta(days=house.settings.inbox.data_request_within_days)
    assert EN.requests[ThreadKind.ERASURE].asked.format(day=f"{due.day} {due:%B %Y}") in answer.text
    for step in EN.next_steps:
        assert step in answer.text
    before = everything(house.ledger)
    for again in (link, other):
        house.wall.advance(hours=1)
        assert f"{due.day} {due:%B %Y}" in house.client.post(again, data=ERASURE).text, "the deadline does not move"
    assert everything(house.ledger) == before
    [task] = threads(house)
    assert (task.kind, task.person_id, task.status, task.due_at) == (ThreadKind.ERASURE, PERSON, ThreadStatus.OPEN, due)
    with house.ledger.reading() as connection:
        [entry] = inbox.entries(connection, house.known.vault, task.thread_id)
        lines = connection.execute(sa.select(audit.c.actor, audit.c.action, audit.c.subject)).all()
    assert entry.words == HELD_WORDS[house.settings.hospital.default_locale].requests[ThreadKind.ERASURE].task
    assert [tuple(line) for line in lines] == [("patient's page", "data.erasure", task.thread_id)]
    page = Outline(house.client.get(link).text)
    assert [field["value"] for field in page.named("input") if field["name"] == "kind"] == ["access"]


def test_whoever_was_dealt_with_can_ask_again_and_access_is_another_matter(house: House) -> None:
    house.admit(PERSON)
    link = link_of(house)
    house.client.post(link, data=ERASURE)
    house.client.post(link, data=ACCESS)
    assert {task.kind for task in threads(house)} == {ThreadKind.ERASURE, ThreadKind.ACCESS}
    with house.ledger.begin() as connection:
        for task in threads(house):
            inbox.set_status(connection, task.thread_id, ThreadStatus.CLOSED, NOW)
    assert len(Outline(house.client.get(link).text).named("form")) == 2
    house.wall.advance(days=1)
    later = house.preference_link(house.plan(locale="en")) + VIEW
    house.client.post(later, data=ERASURE)
    assert sorted(task.status for task in threads(house)) == ["closed", "closed", "open"]


def test_merged_people_have_asked_together(house: House) -> None:
    other = "p0000000000000002"
    house.admit(PERSON)
    link, theirs = link_of(house), link_of(house, person_id=other)
    house.client.post(theirs, data=ERASURE)
    with house.ledger.begin() as connection:
        people.merge(connection, [people.Merge(PERSON, other, "test")], NOW)
        assert connection.execute(sa.select(person.c.survivor_id).where(person.c.person_id == other)).scalar() == PERSON
    house.client.post(link, data=ERASURE)
    assert len(threads(house)) == 1
    assert "2 in all" in house.client.get(link).text


def test_looking_and_nonsense_change_nothing_and_staging_asks_nobody(house: House) -> None:
    house.admit(PERSON)
    link, staged = link_of(house), link_of(house, mode=DeliveryMode.STAGING)
    before = everything(house.ledger)
    for view in (link, link + "&as=json", link + "&as=xml"):
        house.client.get(view)
        house.client.head(view)
    for form in ({"form": "request"}, {"form": "request", "kind": "everything"}, {"form": "request", "kind": "reply"}):
        assert EN.title in house.client.post(link, data=form).text
    house.client.post(staged, data=ERASURE)
    assert everything(house.ledger) == before


def test_messages_that_never_left_are_not_told_of(house: House) -> None:
    house.admit(PERSON)
    link = link_of(house)
    with house.ledger.begin() as connection:
        connection.execute(message.update().values(state="withheld"))
    assert EN.messages_none in house.client.get(link).text


@pytest.mark.parametrize("locale", list(Locale))
def test_both_languages_say_everything(locale: Locale) -> None:
    words = HELD_WORDS[locale]
    assert all(text.strip() for text in vars(words).values() if isinstance(text, str))
    assert set(words.requests) == {ThreadKind.ACCESS, ThreadKind.ERASURE}
    for one in words.requests.values():
        assert all(text.strip() for text in vars(one).values())
        assert "{day}" in one.asked
    assert len(words.next_steps) == 2


# ------------------------------------------------------------------------------------------------------------ relatives
def relate(house: House, number: int, relationship: str, decision: str, decides: bool | None = None) -> None:
    """Say of a relative, whose name is known, whether they may be told about the patient."""
    relative = f"p{number:016x}"
    said = (PERSON, relative, relationship, decides, decision, PATIENT_NOW - timedelta(days=9), "extract:crm")
    names = ("person_id", "related_id", "relationship", "decides", "decision", "decided_at", "origin")
    row = {**dict(zip(names, said, strict=True)), "recorded_at": NOW, "evidence": "", "fact": fact_of(*said)}
    with house.ledger.begin() as connection:
        connection.execute(person.insert().values(person_id=relative, minted_at=PATIENT_NOW))
        connection.execute(relation_event.insert(), [row])
        house.known.vault.store(connection, {relative: Identity(name=f"Relative {number}")}, NOW)


def test_who_of_the_family_may_be_told_stands_there_and_who_may_not_does_not(house: House) -> None:
    """Whom the patient has excluded may be the one who reads along in the mailbox."""
    link = link_of(house)
    empty = house.client.get(link)
    assert HELD_WORDS[Locale.EN].relatives_none in empty.text
    assert house.client.get(link + "&as=json").json()["relatives"] == []
    relate(house, 21, "child", "permit")
    relate(house, 22, "spouse", "deny")
    relate(house, 23, "sibling", "unknown")
    relate(house, 24, "guardian", "unknown", True)
    relate(house, 25, "mother", "deny", True)
    told = house.client.get(link + "&as=json").json()["relatives"]
    assert told == [
        {"relationship": "child", "name": "R•••••", "decides": False},
        {"relationship": "guardian", "name": "R•••••", "decides": True},
    ]
    page = house.client.get(link).text
    assert "<li>son or daughter: R•••••</li>" in page
    assert "<li>guardian: R•••••, decides for you</li>" in page
    for hidden in ("husband", "brother", "mother", "Relative 2", f"p{22:016x}"):
        assert hidden not in page
    chinese = house.client.get(link + "&lang=zh-CN").text
    assert "<li>监护人：R•••••，可代您决定</li>" in chinese
