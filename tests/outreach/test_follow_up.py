"""What follows a message that came to nothing: once, on the next channel that is open, and only while it concerns."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa

from alongside.content import load as load_content
from alongside.delivery import record_call
from alongside.delivery.posting import record_returned
from alongside.ledger import consent, letter_list, relations, suppressions
from alongside.ledger.consent import ConsentEvent
from alongside.ledger.contacts import contacts
from alongside.ledger.events import DeliveryEvent, record_events
from alongside.ledger.schema import call_task, message
from alongside.ledger.suppressions import Suppression
from alongside.model.enums import (
    CallOutcome,
    Channel,
    Decision,
    DeliveryMode,
    EventKind,
    LetterStatus,
    MessageState,
    ReturnReason,
)
from alongside.model.letter_numbers import letter_number
from alongside.outreach.campaigns import Campaign
from alongside.outreach.catalogues import Catalogues
from alongside.outreach.follow_up import Follower, FollowUps
from alongside.outreach.relations import Facts
from alongside.segments import load as load_segments
from tests.delivery.clinic import Clinic
from tests.fakes import key_of

CHANNELS = ("email", "sms", "call")
EVERYBODY = range(6)
LATER = timedelta(hours=30)


@pytest.fixture
def clinic(ledger_url: str, tmp_path: Path) -> Iterator[Clinic]:
    """A hospital with three channels; its patients agreed to all, and have had an e-mail."""
    opened = Clinic.open(ledger_url, tmp_path / "project", "http://127.0.0.1:9", sms={"stores_data_in": "CN"})
    opened.admit(EVERYBODY, channels=CHANNELS)
    opened.plan(EVERYBODY)
    snapshot(opened)
    yield opened
    opened.ledger.engine.dispose()


def snapshot(clinic: Clinic, **of_all: Any) -> None:
    """The current picture of the patients, as far as following up looks at it."""
    facts = {"deceased": False, "inpatient_now": False, "topics_off": []} | of_all
    wishes = "language VARCHAR, preferred_channel VARCHAR, quiet_from VARCHAR, quiet_to VARCHAR"
    tables = clinic.project.var / "tables"
    tables.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as duck:
        duck.execute(
            "CREATE TABLE person (person_id VARCHAR, deceased BOOLEAN, inpatient_now BOOLEAN, topics_off VARCHAR[],"
            f" {wishes}, is_patient BOOLEAN DEFAULT TRUE)"
        )
        for number in EVERYBODY:
            row = [f"p{number:016x}", *facts.values()]
            duck.execute("INSERT INTO person VALUES (?, ?, ?, ?, NULL, NULL, NULL, NULL, TRUE)", row)
        duck.execute(
            f"COPY (SELECT NULL::VARCHAR AS person_id, NULL::VARCHAR AS source WHERE FALSE)"
            f" TO '{tables / 'preference.parquet'}' (FORMAT parquet)"
        )
        duck.execute(f"COPY person TO '{tables / 'person.parquet'}' (FORMAT parquet)")
        duck.execute(
            f"COPY (SELECT 'p' AS person_id, 's' AS segment) TO '{tables / 'membership.parquet'}' (FORMAT parquet)"
        )


def campaign(**changes: Any) -> Campaign:
    return Campaign.model_validate(
        {
            "name": "hello",
            "description": {"en": "x"},
            "segment": "s",
            "message": "prevention/heart",
            "channels": list(CHANNELS),
            "fallback": {"after_hours": 24, "within_days": 7},
            "envelope": {"max_audience": 10},
            **changes,
        }
    )


def follow(
    clinic: Clinic, after: timedelta = LATER, mode: DeliveryMode = DeliveryMode.SANDBOX, **changes: Any
) -> FollowUps:
    facts = Facts(
        clinic.project.var / "tables", clinic.ledger, clinic.settings, clinic.as_of + after, clinic.project.var
    )
    known = Catalogues(load_segments(clinic.project), load_content(clinic.project), (), {})
    follower = Follower(clinic.ledger, clinic.vault, clinic.settings, known, facts)
    with duckdb.connect() as duck:
        return follower.follow(duck, campaign(**changes), mode, datetime.now(UTC))


def stand(clinic: Clinic, number: int, state: MessageState, reason: str | None = None) -> None:
    """The message of this patient stands so."""
    values = {"state": state.value, "reason": reason, "accepted_at": clinic.as_of}
    with clinic.ledger.begin() as connection:
        connection.execute(message.update().where(message.c.message_key == key_of(number)).values(values))


def followers(clinic: Clinic) -> list[tuple[str, str]]:
    """(key that is followed, channel) of every message that follows another, as they were planned."""
    with clinic.ledger.reading() as connection:
        query = sa.select(message.c.follows, message.c.channel).where(message.c.follows.is_not(None))
        return sorted((row.follows, row.channel) for row in connection.execute(query))


@pytest.mark.parametrize(
    ("state", "reason", "follows"),
    [
        (MessageState.REJECTED, "no such mailbox", True),
        (MessageState.BOUNCED, None, True),
        (MessageState.DROPPED, None, True),
        (MessageState.UNRESOLVED, None, True),
        (MessageState.ACCEPTED, None, True),  # silent for longer than a day
        (MessageState.WITHHELD, "suppressed", True),
        (MessageState.WITHHELD, "no_consent", True),
        (MessageState.WITHHELD, "claims_lint", False),  # would be the same text elsewhere
        (MessageState.WITHHELD, "render_failed", False),
        (MessageState.DELIVERED, None, False),
        (MessageState.PLANNED, None, False),
        (MessageState.UNKNOWN, None, False),  # somebody will know
    ],
)
def test_what_came_to_nothing_is_followed_once(
    clinic: Clinic, state: MessageState, reason: str | None, follows: bool
) -> None:
    stand(clinic, 1, state, reason)
    assert follow(clinic).planned == ({"sms": 1} if follows else {})
    assert follow(clinic).planned == {}
    assert followers(clinic) == ([(key_of(1), "sms")] if follows else [])


def test_silence_is_given_its_time(clinic: Clinic) -> None:
    stand(clinic, 1, MessageState.ACCEPTED)
    assert follow(clinic, timedelta(hours=23)).planned == {}
    assert follow(clinic, timedelta(hours=25)).planned == {"sms": 1}


def test_what_lies_long_back_is_not_revived(clinic: Clinic) -> None:
    stand(clinic, 1, MessageState.BOUNCED)
    assert follow(clinic, timedelta(days=8)).planned == {}


def test_without_a_rule_or_another_channel_nothing_follows(clinic: Clinic) -> None:
    stand(clinic, 1, MessageState.BOUNCED)
    assert follow(clinic, fallback=None) == FollowUps()
    assert follow(clinic, channels=["email"]) == FollowUps()


def test_a_channel_that_is_closed_is_passed_over(clinic: Clinic) -> None:
    for number in (1, 2, 3):
        stand(clinic, number, MessageState.BOUNCED)
    now = clinic.as_of + timedelta(hours=1)
    with clinic.ledger.begin() as connection:
        stop = Suppression(clinic.blind(2, channel=Channel.SMS), "sms", "all", "unsubscribe", now, "inbound")
        suppressions.add(connection, [stop])
        denied = [
            ConsentEvent("p0000000000000003", "education", channel, Decision.DENY, now, "preferences")
            for channel in ("sms", "call")
        ]
        consent.record(connection, denied, now)
    done = follow(clinic)
    assert (done.planned, done.ended) == ({"sms": 1, "call": 1}, 1)
    assert followers(clinic) == sorted([(key_of(1), "sms"), (key_of(2), "call")])


@pytest.mark.parametrize("changes", [{"deceased": True}, {"inpatient_now": True}, {"topics_off": ["heart_health"]}])
def test_whom_it_concerns_no_more_is_left_in_peace(clinic: Clinic, changes: dict[str, Any]) -> None:
    stand(clinic, 1, MessageState.BOUNCED)
    definition = clinic.project.templates / "prevention" / "heart" / "message.yaml"
    definition.write_text(definition.read_text("utf-8") + "topics: [heart_health]\n", "utf-8")
    snapshot(clinic, **changes)
    assert follow(clinic) == FollowUps(settled=1)


def test_an_edited_campaign_follows_nothing_until_it_is_approved(clinic: Clinic) -> None:
    stand(clinic, 1, MessageState.BOUNCED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("alongside.outreach.follow_up.configuration_hash", lambda *_: "c" * 64)
        assert follow(clinic, mode=DeliveryMode.LIVE) == FollowUps()
    assert followers(clinic) == []


def test_one_contact_on_however_many_channels(clinic: Clinic) -> None:
    stand(clinic, 1, MessageState.ACCEPTED)  # silent: it counted
    stand(clinic, 2, MessageState.REJECTED)  # it did not: the next one counts
    follow(clinic)
    since = clinic.as_of - timedelta(days=1)
    rows = contacts(clinic.ledger, "hello", since, since).to_pylist()
    for person in ("p0000000000000001", "p0000000000000002"):
        own = [row for row in rows if row["person_id"] == person]
        assert len(own) == 2
        assert sum(row["is_first"] and row["state"] != "rejected" for row in own) == 1


def test_in_the_end_somebody_calls(clinic: Clinic) -> None:
    """E-mail bounces, the text stays silent, a call is listed; what came of it is the message's end."""
    stand(clinic, 1, MessageState.BOUNCED)
    follow(clinic)
    with clinic.ledger.begin() as connection:
        connection.execute(
            message.update()
            .where(message.c.channel == "sms")
            .values(state="accepted", accepted_at=clinic.as_of + LATER)
        )
    assert follow(clinic, 2 * LATER).planned == {"call": 1}
    clinic.as_of += timedelta(days=3)  # noon: nobody is called at night
    report = clinic.dispatch(channel=Channel.CALL)
    assert report.progress.accepted == 1
    assert clinic.dispatch(channel=Channel.CALL).progress.accepted == 0
    with clinic.ledger.reading() as connection:
        [task] = connection.execute(sa.select(call_task.c.task_id)).scalars().all()
    now = datetime.now(UTC)
    record_call(clinic.ledger, clinic.vault, clinic.settings, task, CallOutcome.REACHED, by="Nurse A", now=now)
    with clinic.ledger.reading() as connection:
        query = sa.select(message.c.channel, message.c.state).where(message.c.person_id == "p0000000000000001")
        states = dict(connection.execute(query).tuples().all())
    assert states == {"email": "bounced", "sms": "accepted", "call": "delivered"}
    assert follow(clinic).planned == {}


@pytest.mark.parametrize(("told", "planned"), [(True, {"sms": 1}), (False, {})])
def test_a_relative_is_followed_only_while_they_may_hear_of_the_patient(
    clinic: Clinic, told: bool, planned: dict[str, int]
) -> None:
    definition = clinic.project.templates / "prevention" / "heart" / "message.yaml"
    definition.write_text(definition.read_text("utf-8") + "to: family\n", "utf-8")
    father, daughter = "p0000000000000001", "p0000000000000002"
    clinic.relate([1], [2])
    with clinic.ledger.begin() as connection:
        about = {"person_id": daughter, "subject_person_id": father}
        connection.execute(message.update().where(message.c.message_key == key_of(1)).values(about))
        if not told:
            relations.decide(connection, father, daughter, Decision.DENY, clinic.as_of, by="nurse", evidence="call")
    stand(clinic, 1, MessageState.BOUNCED)
    assert follow(clinic).planned == planned
    if told:
        kept = clinic.ledger.read_arrow("SELECT person_id, subject_person_id FROM message WHERE follows IS NOT NULL")
        assert kept.to_pylist() == [{"person_id": daughter, "subject_person_id": father}]


LINK = "Read on: https://hospital.example/heart"


def _with_link(clinic: Clinic) -> None:
    for path in (clinic.project.templates / "prevention" / "heart").glob("email.*.txt.j2"):
        path.write_text(path.read_text("utf-8").replace("A short walk", f"{LINK} . A short walk"), "utf-8")


def _happened(clinic: Clinic, number: int, kind: EventKind, *, machine: bool = False) -> None:
    event = DeliveryEvent(f"e-{number}-{kind}", key_of(number), kind, clinic.as_of, machine=machine)
    with clinic.ledger.begin() as connection:
        record_events(connection, [event], received_at=clinic.as_of)


def test_what_nobody_read_is_followed_where_readers_can_be_told(clinic: Clinic) -> None:
    _with_link(clinic)
    for number in EVERYBODY:
        stand(clinic, number, MessageState.DELIVERED)
    _happened(clinic, 0, EventKind.CLICK)
    _happened(clinic, 1, EventKind.READ)
    _happened(clinic, 2, EventKind.OPEN)  # the mail program's own
    _happened(clinic, 3, EventKind.CLICK, machine=True)
    _happened(clinic, 4, EventKind.UNSUBSCRIBE)
    rule = {"after_hours": 24, "unread_after_hours": 12, "within_days": 7}
    assert follow(clinic, timedelta(hours=11), fallback=rule).planned == {}
    assert follow(clinic, timedelta(hours=13), fallback=rule).planned == {"sms": 3}
    assert [key for key, _ in followers(clinic)] == sorted(map(key_of, (2, 3, 5)))
    assert follow(clinic).planned == {}  # without the rule arrival is enough


def test_without_a_link_of_its_own_nobody_counts_as_a_non_reader(clinic: Clinic) -> None:
    stand(clinic, 1, MessageState.DELIVERED)
    rule = {"after_hours": 24, "unread_after_hours": 12, "within_days": 7}
    assert follow(clinic, fallback=rule).planned == {}


# ---------------------------------------------------------------------------------------------------- where WeChat is
TEMPLATE = {
    "template_id": "a_minute_for_your_heart",
    "title": "A minute for your heart",
    "fields": [{"name": "thing1", "label": "What to do"}],
}


def test_wechat_then_a_text_then_a_call(ledger_url: str, tmp_path: Path) -> None:
    """The vendor tells that nothing arrived, or nothing for a day; the text stays silent, too; somebody calls."""
    order = ["wechat", "sms", "call"]
    sections = {"sms": {"stores_data_in": "CN"}, "wechat": {"registered": [TEMPLATE]}}
    clinic = Clinic.open(ledger_url, tmp_path / "project", "http://127.0.0.1:9", **sections)
    clinic.admit(EVERYBODY, channels=order)
    clinic.plan(EVERYBODY, channel=Channel.WECHAT)
    snapshot(clinic)
    stand(clinic, 1, MessageState.DROPPED)  # refused there
    stand(clinic, 2, MessageState.ACCEPTED)  # not a word for a day
    stand(clinic, 3, MessageState.DELIVERED)
    stand(clinic, 4, MessageState.REJECTED, "43004 the patient does not follow the account")
    assert follow(clinic, channels=order).planned == {"sms": 3}
    with clinic.ledger.begin() as connection:
        later = message.c.follows.is_not(None)
        connection.execute(message.update().where(later).values(state="bounced", accepted_at=clinic.as_of))
    assert follow(clinic, channels=order).planned == {"call": 3}
    assert follow(clinic, channels=order).planned == {}
    assert sorted(channel for _, channel in followers(clinic)) == ["call"] * 3 + ["sms"] * 3
    clinic.ledger.engine.dispose()


def test_silence_of_an_app_says_nothing(ledger_url: str, tmp_path: Path) -> None:
    """Nobody tells what becomes of a notification; only what was refused is followed."""
    order = ["push", "sms"]
    sections = {"sms": {"stores_data_in": "CN"}, "push": {"stores_data_in": "CN"}}
    clinic = Clinic.open(ledger_url, tmp_path / "project", "http://127.0.0.1:9", **sections)
    clinic.admit(EVERYBODY, channels=order)
    clinic.plan(EVERYBODY, channel=Channel.PUSH)
    snapshot(clinic)
    stand(clinic, 1, MessageState.ACCEPTED)
    stand(clinic, 2, MessageState.REJECTED, "UNREGISTERED the app is not on this device any more")
    assert follow(clinic, channels=order).planned == {"sms": 1}
    assert followers(clinic) == [(key_of(2), "sms")]
    clinic.ledger.engine.dispose()


def test_the_shipped_checklist_goes_this_way() -> None:
    """Tested above for the order that the shipped campaign has."""
    import yaml

    from tests.delivery.clinic import ROOT

    shipped = yaml.safe_load((ROOT / "config" / "campaigns" / "pre_op_checklist.yaml").read_text("utf-8"))
    assert [one for one in shipped["channels"] if one not in ("email", "letter")] == ["wechat", "sms", "call"]
    assert shipped["fallback"]["after_hours"] == 12


# ------------------------------------------------------------------------------------------------------------- letters
def _posted_letter(ledger_url: str, root: Path, occurrence: str = "once") -> Clinic:
    clinic = Clinic.open(ledger_url, root, "http://127.0.0.1:9", sms={"stores_data_in": "CN"})
    clinic.admit(EVERYBODY, channels=("letter", "sms"))
    clinic.plan(EVERYBODY, channel=Channel.LETTER, occurrence=occurrence)
    clinic.dispatch(channel=Channel.LETTER)
    snapshot(clinic)
    return clinic


def test_a_letter_is_followed_when_it_comes_back_and_never_on_silence(ledger_url: str, tmp_path: Path) -> None:
    clinic = _posted_letter(ledger_url, tmp_path / "project")
    ways = {"channels": ["letter", "sms"]}
    assert follow(clinic, timedelta(days=6), **ways).planned == {}
    with clinic.ledger.begin() as connection:
        letter_list.move(connection, [key_of(0)], (LetterStatus.LISTED,), LetterStatus.POSTED, clinic.as_of)
    record_returned(clinic.ledger, letter_number(key_of(0)), ReturnReason.MOVED, by="Clerk A", now=clinic.as_of)
    assert follow(clinic, **ways).planned == {"sms": 1}
    assert followers(clinic) == [(key_of(0), "sms")]
    clinic.ledger.engine.dispose()


@pytest.mark.parametrize(("days", "channel"), [(2, None), (9, "letter")])
def test_no_letter_follows_that_would_come_too_late(clinic: Clinic, days: int, channel: str | None) -> None:
    clinic.admit(EVERYBODY, channels=("letter",))
    about = (clinic.as_of + LATER + timedelta(days=days)).replace(tzinfo=None)
    with clinic.ledger.begin() as connection:
        connection.execute(message.update().values(occurrence=str(about)))
    stand(clinic, 0, MessageState.BOUNCED)
    found = follow(clinic, channels=["email", "letter"])
    assert found.planned == ({channel: 1} if channel else {})
