"""Text messages: the same protocol on a vendor that has neither idempotency keys nor custom arguments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from alongside.ledger import suppressions
from alongside.ledger.suppressions import Suppression
from alongside.model.enums import Channel, DeliveryMode
from alongside.model.errors import Refused
from alongside.sandbox.aliyun import options as aliyun
from alongside.sandbox.aliyun.launch import serve as serve_aliyun
from alongside.sandbox.common.control import Control
from alongside.sandbox.common.faults import Fault, FaultKind
from alongside.sandbox.common.log import read_ndjson
from alongside.sandbox.twilio import options as twilio
from alongside.sandbox.twilio.launch import serve as serve_twilio
from tests.delivery.clinic import TEXT_MESSAGES, Clinic, phone_of
from tests.delivery.conftest import in_a_thread
from tests.fakes import NOON, key_of

SMS = Channel.SMS


@dataclass(frozen=True)
class Provider:
    """A stand-in that runs, how the hospital is set up for it, and how it begins a text."""

    control: Control
    url: str
    settings: dict[str, Any]
    sender: str
    begin: str


REGISTERED = (
    "Qinghe Demonstration Hospital: A minute for your heart. A short walk today is worth more than a long one some day."
)


@pytest.fixture(params=["twilio", "aliyun"])
def texts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Provider]:
    """The stand-in of a provider of text messages, without simulated patients."""
    if request.param == "twilio":
        with in_a_thread(serve_twilio(twilio.Options(tmp_path / "texts", patients=False))) as running:
            yield Provider(running.control, running.url, TEXT_MESSAGES, twilio.DEFAULT_NUMBER, "Qinghe")
    else:
        names = {"zh_CN": "青禾", "en": "Qinghe"}
        settings = {
            "provider": "aliyun",
            "stores_data_in": "CN",
            "senders": {"care": {"address": "青禾", "name": names}},
            "registered": [{"code": "SMS_1", "content": REGISTERED}],
        }
        options = aliyun.Options(tmp_path / "texts", patients=False, templates={"SMS_1": REGISTERED})
        with in_a_thread(serve_aliyun(options)) as other:
            yield Provider(other.control, other.url, settings, "青禾", "【青禾】Qinghe")


@pytest.fixture
def texting(ledger_url: str, tmp_path: Path, texts: Provider) -> Iterator[Clinic]:
    """A clinic whose ten patients agreed to text messages, and have one planned."""
    opened = Clinic.open(ledger_url, tmp_path / "project", texts.url, sms={"timeout_seconds": 2, **texts.settings})
    opened.admit(range(10), channels=("sms",))
    opened.plan(range(10), channel=SMS, batch_size=5)
    yield opened
    opened.ledger.engine.dispose()


@pytest.fixture
def taken(tmp_path: Path) -> Taken:
    return Taken(tmp_path / "texts")


class Taken:
    """Texts that the vendor has really taken, by its own fsynced log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self) -> list[dict[str, str]]:
        return list(read_ndjson(self._folder / "accepted.ndjson"))

    @property
    def numbers(self) -> list[str]:
        return sorted(one["to"] for one in self())


def test_each_patient_gets_one_text(texting: Clinic, texts: Provider, taken: Taken) -> None:
    report = texting.dispatch(channel=SMS, workers=2)
    assert (report.progress.accepted, report.complete) == (10, True)
    assert taken.numbers == sorted(phone_of(number) for number in range(10))
    assert texting.states == {"accepted": 10}
    [one] = {(text["from"], text["body"]) for text in taken()}
    assert one[0] == texts.sender
    assert one[1].startswith(f"{texts.begin} Demonstration Hospital: A minute for your heart.")
    assert texting.dispatch(channel=SMS).progress.accepted == 0


def test_a_channel_sends_only_what_is_its_own(texting: Clinic, taken: Taken) -> None:
    assert texting.dispatch(channel=Channel.EMAIL).progress.accepted == 0
    assert taken() == []
    assert texting.states == {"planned": 10}


def test_a_yes_to_mail_is_none_to_texts(texting: Clinic, taken: Taken) -> None:
    texting.admit(range(10, 12))  # consent to e-mail
    texting.plan(range(10, 12), channel=SMS, run_id="run-2")
    texting.dispatch(channel=SMS, run_id="run-2")
    assert texting.states_of([10, 11]) == [("withheld", "no_consent")] * 2
    assert taken() == []


def test_a_number_on_the_list_gets_nothing(texting: Clinic, taken: Taken) -> None:
    with texting.ledger.begin() as connection:
        stop = Suppression(texting.blind(3, channel=SMS), "sms", "all", "unsubscribe", NOON, "inbound")
        suppressions.add(connection, [stop])
    texting.dispatch(channel=SMS)
    assert texting.states_of([3]) == [("withheld", "suppressed")]
    assert phone_of(3) not in taken.numbers
    assert len(taken()) == 9


def test_a_text_that_was_taken_and_not_answered_is_found_by_number_and_words(
    texting: Clinic, texts: Provider, taken: Taken
) -> None:
    texts.control.behave([Fault(FaultKind.DROP_AFTER, count=3)])
    texting.dispatch(channel=SMS)
    texting.dispatch(channel=SMS)
    assert texting.states["unknown"] >= 3
    assert texting.states["unknown"] + texting.states["accepted"] == 10
    learnt = texting.reconcile(grace=timedelta(0))
    assert (learnt.unknown, learnt.again, learnt.trouble) == (0, 0, "")
    assert learnt.found >= 3
    assert texting.states == {"accepted": 10}
    assert len(taken()) == len(set(taken.numbers)) == 10


def test_a_text_that_never_arrived_is_sent_again(texting: Clinic, texts: Provider, taken: Taken) -> None:
    texts.control.behave([Fault(FaultKind.HANG, accept=False, count=2)])
    texting.dispatch(channel=SMS)
    assert texting.states["unknown"] >= 2
    learnt = texting.reconcile(grace=timedelta(0))
    assert (learnt.again >= 2, learnt.unknown) == (True, 0)
    texting.dispatch(channel=SMS)
    assert texting.states == {"accepted": 10}
    assert len(taken()) == len(set(taken.numbers)) == 10


@pytest.mark.parametrize(("purpose", "after"), [("care", "planned"), ("education", "unresolved")])
def test_what_cannot_be_looked_for_any_more_is_decided_by_policy(
    texting: Clinic, texts: Provider, purpose: str, after: str
) -> None:
    texting.admit([20], channels=("sms",))
    texting.plan([20], channel=SMS, run_id="run-2", purpose=purpose)
    texts.control.behave([Fault(FaultKind.HANG, accept=False, count=1)])
    texting.dispatch(channel=SMS, run_id="run-2")
    assert texting.states_of([20])[0][0] == "unknown"
    for body in (texting.project.templates / "prevention" / "heart").glob("sms.*"):
        body.write_text(body.read_text("utf-8") + " Edited.", "utf-8")
    texting.reconcile(grace=timedelta(0))
    assert texting.states_of([20])[0][0] == after


def test_a_vendor_that_throttles_is_asked_again_later(texting: Clinic, texts: Provider, taken: Taken) -> None:
    texts.control.behave([Fault(FaultKind.THROTTLE, retry_after=0.2, count=2)])
    assert texting.dispatch(channel=SMS).complete
    assert texting.states == {"accepted": 10}
    assert len(taken()) == len(set(taken.numbers)) == 10


def test_a_channel_that_is_not_set_up_is_refused(texting: Clinic) -> None:
    texting.plan([1], template="prevention/heart", run_id="run-3", message_key=[key_of(99)])
    with pytest.raises(Refused, match="channel 'wechat' is not set up"):
        texting.dispatch(channel=Channel.WECHAT)


def test_staging_texts_go_to_a_number_of_the_allow_list(texting: Clinic, texts: Provider, taken: Taken) -> None:
    settings = texting.settings.model_copy(
        update={
            "delivery": texting.settings.delivery.model_copy(
                update={"staging_allow": ["us@hospital.example", "+8619900009999"]}
            )
        }
    )
    texting.settings = settings
    (texting.project.config / "alongside.yaml").write_text(
        (texting.project.config / "alongside.yaml")
        .read_text("utf-8")
        .replace("staging_allow: []", "staging_allow: [us@hospital.example, '+8619900009999']"),
        "utf-8",
    )
    texting.dispatch(channel=SMS, mode=DeliveryMode.STAGING)
    assert set(taken.numbers) == {"+8619900009999"}
    # What a provider has approved stays as it is.
    begin = f"[staging] {texts.begin}" if texts.begin == "Qinghe" else texts.begin
    assert all(text["body"].startswith(begin) for text in taken())
