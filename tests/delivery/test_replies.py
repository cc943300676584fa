"""Answers to what patients wrote: one message each, by the way they wrote on, through the same protocol."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alongside.delivery.keywords import is_stop
from alongside.delivery.replies import ANSWERS, Inbound, answer, take_in
from alongside.ledger import inbox
from alongside.ledger.claims import Scope, claim
from alongside.model.clock import RunClock
from alongside.model.enums import Channel, Locale, ThreadKind, ThreadStatus
from alongside.model.errors import Refused
from alongside.sandbox.common.faults import Fault, FaultKind
from alongside.sandbox.common.log import read_ndjson
from alongside.sandbox.twilio.launch import Running, serve
from alongside.sandbox.twilio.options import Options
from tests.delivery.clinic import Clinic, phone_of
from tests.delivery.conftest import AcceptedLog, in_a_thread
from tests.fakes import key_of

SMS = Channel.SMS
NOW = datetime(2026, 3, 2, 15, 30, tzinfo=UTC)  # at night in Qinghe


@pytest.fixture
def vendor_of_texts(tmp_path: Path) -> Iterator[Running]:
    with in_a_thread(serve(Options(tmp_path / "texts", patients=False))) as running:
        yield running


@pytest.fixture
def asked(ledger_url: str, tmp_path: Path, vendor_of_texts: Running) -> Iterator[Clinic]:
    """A clinic that texted patient 1, who asked something back without ever having agreed to more."""
    opened = Clinic.open(ledger_url, tmp_path / "project", vendor_of_texts.url, sms={"timeout_seconds": 15})
    opened.admit([1, 2], channels=("sms",))
    opened.plan([1], channel=SMS)
    opened.dispatch(channel=SMS)
    say(opened, "Can I come next week?")
    yield opened
    opened.ledger.engine.dispose()


def say(clinic: Clinic, words: str, number: int = 1, sid: str = "SM1") -> str:
    said = Inbound(f"twilio:{sid}", SMS, phone_of(number), words)
    return take_in(clinic.ledger, clinic.vault, said, wall=NOW, patient_now=NOW, answer_within=timedelta(hours=24))


def reply(clinic: Clinic, words: str, locale: Locale = Locale.EN) -> str:
    [found] = threads(clinic)
    return answer(
        clinic.ledger, clinic.vault, clinic.settings, found.thread_id, words,
        by="Nurse A", sender="care", locale=locale, now=NOW,
    )  # fmt: skip


def threads(clinic: Clinic, *statuses: ThreadStatus) -> list[inbox.Thread]:
    with clinic.ledger.reading() as connection:
        return inbox.threads(connection, statuses or list(ThreadStatus))


def leave(clinic: Clinic) -> int:
    report = clinic.dispatch(channel=SMS, run_id=ANSWERS, clock=RunClock(NOW, datetime.now(UTC)))
    return report.progress.accepted


def taken(tmp_path: Path) -> list[dict[str, str]]:
    return list(read_ndjson(tmp_path / "texts" / "accepted.ndjson"))[1:]


def test_a_word_of_leaving_reaches_what_is_queued(asked: Clinic) -> None:
    for number in (11, 12):
        patient = number - 10
        asked.plan(
            [number],
            run_id="run-2",
            channel=SMS,
            occurrence="twice",
            person_id=f"p{patient:016x}",
            subject_person_id=f"p{patient:016x}",
            address_blind=[asked.blind(patient, channel=SMS)],
        )
    assert say(asked, "退订", sid="SM2") == "stop"
    asked.dispatch(channel=SMS, run_id="run-2")
    assert asked.states_of([11, 12]) == [("withheld", "suppressed"), ("accepted", None)]


def test_a_word_of_leaving_after_the_claim_is_heard_too(asked: Clinic) -> None:
    asked.plan([2], run_id="run-2", channel=SMS)
    now = datetime.now(UTC)
    held = claim(asked.ledger, Scope(SMS), attempt_id="a", worker="w", now=now, due=asked.as_of, lease_seconds=60)
    assert held is not None
    assert asked.recheck(held).withheld == {}
    assert say(asked, "STOP", number=2, sid="SM2") == "stop"
    assert asked.recheck(held).withheld == {key_of(2): "suppressed"}


@pytest.mark.parametrize(
    ("locale", "text"),
    [
        (Locale.EN, "Qinghe Demonstration Hospital: Yes, Wednesday at nine."),
        (Locale.ZH_CN, "【青禾市示范医院】Yes, Wednesday at nine."),
    ],
)
def test_an_answer_leaves_once_even_at_night(asked: Clinic, tmp_path: Path, locale: Locale, text: str) -> None:
    reply(asked, "  Yes, Wednesday at nine. ", locale)
    assert (leave(asked), leave(asked)) == (1, 0)
    assert [(one["to"], one["body"]) for one in taken(tmp_path)] == [(phone_of(1), text)]
    [found] = threads(asked)
    with asked.ledger.reading() as connection:
        said = inbox.entries(connection, asked.vault, found.thread_id)
    assert found.status is ThreadStatus.ANSWERED
    assert [(entry.author, entry.words, entry.state) for entry in said] == [
        (None, "Can I come next week?", None),
        ("Nurse A", "Yes, Wednesday at nine.", "accepted"),
    ]


def test_an_answer_whose_outcome_is_unknown_is_found(asked: Clinic, tmp_path: Path, vendor_of_texts: Running) -> None:
    vendor_of_texts.control.behave([Fault(FaultKind.DROP_AFTER, count=1)])
    key = reply(asked, "Yes.")
    leave(asked)
    assert asked.states.get("unknown") == 1
    assert asked.reconcile(grace=timedelta(0)).found == 1
    leave(asked)
    assert [one["m"] for one in taken(tmp_path)] == [key]


def test_whoever_left_gets_no_answer(asked: Clinic, tmp_path: Path) -> None:
    reply(asked, "Yes.")
    assert say(asked, "STOP", sid="SM2") == "stop"
    leave(asked)
    assert taken(tmp_path) == []
    assert asked.states.get("withheld") == 1


def test_a_patient_who_goes_on_waits_again_and_two_answers_are_two_messages(asked: Clinic, tmp_path: Path) -> None:
    reply(asked, "Yes.")
    say(asked, "At what time?", sid="SM2")
    assert [one.status for one in threads(asked)] == [ThreadStatus.OPEN]
    reply(asked, "At nine.")
    assert leave(asked) == 2
    assert sorted(one["body"].split(": ")[1] for one in taken(tmp_path)) == ["At nine.", "Yes."]


def test_an_answer_that_cannot_be_given_is_refused(asked: Clinic) -> None:
    with pytest.raises(Refused, match="empty"):
        reply(asked, "   ")
    with pytest.raises(Refused, match="no thread"):
        answer(
            asked.ledger, asked.vault, asked.settings, "t0", "Yes.",
            by="Nurse A", sender="care", locale=Locale.EN, now=NOW,
        )  # fmt: skip
    say(asked, "Who are you?", number=700, sid="SM3")
    stranger = next(one for one in threads(asked) if one.person_id is None)
    with pytest.raises(Refused, match="nobody"):
        answer(
            asked.ledger, asked.vault, asked.settings, stranger.thread_id, "Yes.",
            by="Nurse A", sender="care", locale=Locale.EN, now=NOW,
        )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        *("stop", "R", "ｔｄ", "退订。", "Opt-out", "  STOP ALL", "'Quit'", "取消订阅！", "Please stop!"),
        *("回复R", "拒收Ｒ", "请退订", "我要退订！", "别发了", "请不要再发了"),  # "拒收请回复R" taken at its word
    ],
)
def test_words_of_leaving(text: str) -> None:
    assert is_stop(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "Stop by tomorrow?",
        "请问怎么退订",
        "RR",
        "Cancel my visit on Friday",
        "谢谢",
        "不要退订",
        "取消",
        "停药吗",
    ],
)
def test_other_words_reach_a_person(text: str) -> None:
    assert not is_stop(text)


@given(st.text(max_size=200))
def test_no_text_is_too_ugly(text: str) -> None:
    assert is_stop(text) in (True, False)


def test_what_a_page_put_before_a_person_is_answered_by_e_mail(clinic: Clinic, accepted: AcceptedLog) -> None:
    clinic.admit([1])
    task = inbox.Task(
        "erasure:1", ThreadKind.ERASURE, Channel.EMAIL, clinic.blind(1), f"p{1:016x}", key_of(1), "Delete my data.", NOW
    )
    with clinic.ledger.begin() as connection:
        secret = clinic.ledger.info.secret
        for words in ("Delete my data.", "Delete my data.", "And quickly."):
            thread_id = inbox.open_task(
                connection, clinic.vault, replace(task, words=words), patient_now=NOW, now=NOW, secret=secret
            )
        assert [one.words for one in inbox.entries(connection, clinic.vault, thread_id)] == [task.words, "And quickly."]
    key = reply(clinic, "We call you on Monday.", Locale.EN)
    report = clinic.dispatch(run_id=ANSWERS, clock=RunClock(NOW, datetime.now(UTC)))
    assert report.progress.accepted == 1
    assert [(record["m"], record["subject"]) for record in accepted()] == [(key, "Our answer to you")]
