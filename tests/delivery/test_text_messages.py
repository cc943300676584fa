"""Text messages: the same protocol on a vendor that has neither idempotency keys nor custom arguments."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from alongside.bootstrap import build
from alongside.delivery.overlap import compare
from alongside.ledger import pauses, suppressions
from alongside.ledger.backups import backup, restore
from alongside.ledger.suppressions import Suppression
from alongside.model.enums import Channel, DeliveryMode
from alongside.model.errors import Refused
from alongside.outreach.catalogues import Catalogues
from alongside.preview import send_test
from alongside.sandbox import fcm, wechat
from alongside.sandbox.aliyun import options as aliyun
from alongside.sandbox.aliyun.launch import serve as serve_aliyun
from alongside.sandbox.common.control import Control
from alongside.sandbox.common.faults import Fault, FaultKind
from alongside.sandbox.common.log import read_ndjson
from alongside.sandbox.twilio import options as twilio
from alongside.sandbox.twilio.launch import serve as serve_twilio
from alongside.segments import load as load_segments
from tests.delivery.clinic import SHARED, TEXT_MESSAGES, Clinic, device_of, openid_of, phone_of, registered
from tests.delivery.conftest import in_a_thread
from tests.fakes import NOON, key_of


class Lost(Enum):
    """What becomes of a message that the vendor has taken and not answered."""

    FOUND = "the vendor can be asked"
    REPEATED = "it is sent again at once, and the vendor recognises it"
    DOUBTED = "nobody can tell: policy decides, and what is sent again replaces the first"


@dataclass(frozen=True)
class Provider:
    """A stand-in that runs, how the hospital is set up for it, and how its texts look."""

    control: Control
    url: str
    settings: dict[str, Any]
    sender: str
    begin: str
    channel: Channel = Channel.SMS
    lost: Lost = Lost.FOUND
    account: str = ""

    def swallow(self, count: int) -> None:
        """So many messages get no answer and are not taken; all, where a repetition would settle it."""
        times = None if self.lost is Lost.REPEATED else count
        self.control.behave([Fault(FaultKind.HANG, accept=False, count=times)])

    def address(self, number: int) -> str:
        """Where this patient is written to."""
        return {"phone": phone_of, "openid": openid_of, "device_token": device_of}[self.channel.address](number)


_BEGIN = "Qinghe Demonstration Hospital: A minute"
REGISTERED = (
    "Qinghe Demonstration Hospital: A minute for your heart. A short walk today is worth more than a long one some day."
)


WECHAT_TEMPLATE = {
    "template_id": "a_minute_for_your_heart",
    "title": "A minute for your heart",
    "fields": [{"name": "thing1", "label": "What to do"}],
}


PROVIDERS = ("twilio", "aliyun", "wechat", "fcm")
#: Every provider, and every store: what a ledger keeps of a text does not depend on who sends it.
PLACES = [
    *(pytest.param(("sqlite", provider), id=f"sqlite-{provider}") for provider in PROVIDERS),
    pytest.param(("postgres", "twilio"), id="postgres-twilio", marks=pytest.mark.postgres),
    pytest.param(("postgres", "fcm"), id="postgres-fcm", marks=pytest.mark.postgres),
]


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The store and the provider."""
    found: tuple[str, str] = request.param
    return found


@pytest.fixture
def ledger_url(place: tuple[str, str], new_ledger: Callable[[str], str]) -> str:
    return new_ledger(place[0])


@pytest.fixture
def texts(place: tuple[str, str], tmp_path: Path) -> Iterator[Provider]:
    """The stand-in of a provider of text messages, without simulated patients."""
    folder = tmp_path / "texts"
    with contextlib.ExitStack() as stack:
        yield {"twilio": _twilio, "aliyun": _aliyun, "wechat": _wechat, "fcm": _fcm}[place[1]](stack, folder)


def _twilio(stack: contextlib.ExitStack, folder: Path) -> Provider:
    running = stack.enter_context(in_a_thread(serve_twilio(twilio.Options(folder, patients=False))))
    return Provider(
        running.control, running.url, TEXT_MESSAGES, twilio.DEFAULT_NUMBER, "Qinghe Demonstration Hospital: A minute"
    )


def _aliyun(stack: contextlib.ExitStack, folder: Path) -> Provider:
    settings = {
        "provider": "aliyun",
        "stores_data_in": "CN",
        "senders": {"care": {"address": "青禾", "name": {"zh_CN": "青禾", "en": "Qinghe"}}},
        "registered": [{"code": "SMS_1", "content": REGISTERED}],
    }
    options = aliyun.Options(folder, patients=False, templates={"SMS_1": REGISTERED})
    running = stack.enter_context(in_a_thread(serve_aliyun(options)))
    return Provider(running.control, running.url, settings, "青禾", f"【青禾】{_BEGIN}")


def _wechat(stack: contextlib.ExitStack, folder: Path) -> Provider:
    options = wechat.Options(folder, patients=False, templates=(registered(WECHAT_TEMPLATE),))
    running = stack.enter_context(in_a_thread(wechat.serve(options)))
    settings = {"registered": [WECHAT_TEMPLATE]}
    begin = "A minute for your heart\nWhat to do：A short walk today"
    return Provider(running.control, running.url, settings, wechat.DEFAULT_APP_ID, begin, Channel.WECHAT, Lost.REPEATED)


def _fcm(stack: contextlib.ExitStack, folder: Path) -> Provider:
    running = stack.enter_context(in_a_thread(fcm.serve(fcm.Options(folder))))
    begin = "Qinghe Demonstration Hospital\nA minute for your heart"
    settings = {"stores_data_in": "CN"}
    return Provider(
        running.control, running.url, settings, fcm.PROJECT, begin, Channel.PUSH, Lost.DOUBTED, running.account
    )


@pytest.fixture
def texting(ledger_url: str, tmp_path: Path, texts: Provider) -> Iterator[Clinic]:
    """A clinic whose ten patients agreed to text messages, and have one planned."""
    section = {texts.channel.value: {"timeout_seconds": 1, **texts.settings}}
    opened = Clinic.open(ledger_url, tmp_path / "project", texts.url, account=texts.account, **section)
    opened.admit(range(10), channels=(texts.channel,))
    opened.plan(range(10), channel=texts.channel, batch_size=5, purpose="care")
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
    report = texting.dispatch(channel=texts.channel, workers=2)
    assert (report.progress.accepted, report.complete) == (10, True)
    assert taken.numbers == sorted(texts.address(number) for number in range(10))
    assert texting.states == {"accepted": 10}
    [one] = {(text["from"], text["body"]) for text in taken()}
    assert one[0] == texts.sender
    assert one[1].startswith(texts.begin)
    assert texting.dispatch(channel=texts.channel).progress.accepted == 0


def test_a_channel_sends_only_what_is_its_own(texting: Clinic, texts: Provider, taken: Taken) -> None:
    assert texting.dispatch(channel=Channel.EMAIL).progress.accepted == 0
    assert taken() == []
    assert texting.states == {"planned": 10}


def test_a_yes_to_mail_is_none_to_texts(texting: Clinic, texts: Provider, taken: Taken) -> None:
    texting.admit(range(10, 12))  # consent to e-mail
    texting.plan(range(10, 12), channel=texts.channel, run_id="run-2")
    texting.dispatch(channel=texts.channel, run_id="run-2")
    assert texting.states_of([10, 11]) == [("withheld", "no_consent")] * 2
    assert taken() == []


def test_a_number_on_the_list_gets_nothing(texting: Clinic, texts: Provider, taken: Taken) -> None:
    with texting.ledger.begin() as connection:
        stop = Suppression(
            texting.blind(3, channel=texts.channel), texts.channel, "all", "unsubscribe", NOON, "inbound"
        )
        suppressions.add(connection, [stop])
    texting.dispatch(channel=texts.channel)
    assert texting.states_of([3]) == [("withheld", "suppressed")]
    assert texts.address(3) not in taken.numbers
    assert len(taken()) == 9


def test_a_text_that_was_taken_and_not_answered_is_there_once(texting: Clinic, texts: Provider, taken: Taken) -> None:
    texts.control.behave([Fault(FaultKind.DROP_AFTER, count=3)])
    texting.dispatch(channel=texts.channel)
    texting.dispatch(channel=texts.channel)
    if texts.lost is Lost.REPEATED:
        assert texting.states == {"accepted": 10}
        assert len(taken()) == len(set(taken.numbers)) == 10
        return
    assert texting.states["unknown"] >= 3
    if texts.lost is Lost.DOUBTED:
        assert texting.reconcile(grace=timedelta(0)).again == 3
        texting.dispatch(channel=texts.channel)
        assert texting.states == {"accepted": 10}
        assert len({one["tag"] for one in taken()}) == 10  # type: ignore[index]
        assert len(taken()) == 13
        return
    assert texting.states["unknown"] + texting.states["accepted"] == 10
    learnt = texting.reconcile(grace=timedelta(0))
    assert (learnt.unknown, learnt.again, learnt.trouble) == (0, 0, "")
    assert learnt.found >= 3
    assert texting.states == {"accepted": 10}
    assert len(taken()) == len(set(taken.numbers)) == 10


def test_a_text_that_never_arrived_is_sent_again(texting: Clinic, texts: Provider, taken: Taken) -> None:
    texts.swallow(2)
    texting.dispatch(channel=texts.channel)
    texts.control.behave([])
    assert texting.states["unknown"] >= 2
    learnt = texting.reconcile(grace=timedelta(0))
    assert (learnt.again >= 2, learnt.unknown) == (True, 0)
    texting.dispatch(channel=texts.channel)
    assert texting.states == {"accepted": 10}
    assert len(taken()) == len(set(taken.numbers)) == 10


@pytest.mark.parametrize(("purpose", "after"), [("care", "planned"), ("education", "unresolved")])
def test_what_cannot_be_looked_for_any_more_is_decided_by_policy(
    texting: Clinic, texts: Provider, purpose: str, after: str
) -> None:
    texting.admit([20], channels=(texts.channel,))
    texting.plan([20], channel=texts.channel, run_id="run-2", purpose=purpose)
    texts.swallow(1)
    texting.dispatch(channel=texts.channel, run_id="run-2")
    assert texting.states_of([20])[0][0] == "unknown"
    for body in (texting.project.templates / "prevention" / "heart").glob(f"{texts.channel}.*"):
        body.write_text(body.read_text("utf-8") + " Edited.", "utf-8")
    texting.reconcile(grace=timedelta(0))
    assert texting.states_of([20])[0][0] == after


def test_a_vendor_that_throttles_is_asked_again_later(texting: Clinic, texts: Provider, taken: Taken) -> None:
    texts.control.behave([Fault(FaultKind.THROTTLE, retry_after=0.2, count=2)])
    assert texting.dispatch(channel=texts.channel).complete
    assert texting.states == {"accepted": 10}
    assert len(taken()) == len(set(taken.numbers)) == 10


def test_a_channel_that_is_not_set_up_is_refused(texting: Clinic) -> None:
    texting.plan([1], template="prevention/heart", run_id="run-3", message_key=[key_of(99)])
    with pytest.raises(Refused, match="channel 'staff' is not set up"):
        texting.dispatch(channel=Channel.STAFF)


def test_staging_writes_to_an_address_of_the_allow_list(texting: Clinic, texts: Provider, taken: Taken) -> None:
    own = {
        "phone": "+8619900009999",
        "openid": "openid:oQh_our_own_follower_0001",
        "device_token": f"device_token:{device_of(99)}",
    }[texts.channel.address]
    allow = ["us@hospital.example", own]
    delivery = texting.settings.delivery.model_copy(update={"staging_allow": allow})
    texting.settings = texting.settings.model_copy(update={"delivery": delivery})
    written = texting.project.config / "alongside.yaml"
    written.write_text(written.read_text("utf-8").replace("staging_allow: []", f"staging_allow: {allow}"), "utf-8")
    texting.dispatch(channel=texts.channel, mode=DeliveryMode.STAGING)
    assert set(taken.numbers) == {own.removeprefix(f"{texts.channel.address}:")}
    # What a provider has approved stays as it is.
    begin = texts.begin if texts.settings.get("registered") else f"[staging] {texts.begin}"
    assert all(text["body"].startswith(begin) for text in taken())


def test_what_left_after_a_backup_is_recognised_in_the_next_plan(
    texting: Clinic, texts: Provider, taken: Taken, tmp_path: Path
) -> None:
    """Six were planned and left after the backup, and nothing knows of it; the next plan holds them and two more."""
    texting.dispatch(channel=texts.channel)
    texting.admit(range(20, 28), channels=(texts.channel,))
    file, url, now = tmp_path / "ledger.backup", texting.environment.ledger_url, datetime.now(UTC)
    backup(url, file, now=now, actor="operator")
    texting.plan(range(20, 26), channel=texts.channel, batch_size=3, purpose="care", run_id="run-2")
    texting.dispatch(channel=texts.channel)
    texting.ledger.engine.dispose()
    restore(url, file, texting.environment, now=now, actor="operator", replace=True)
    again = Clinic.attach(url, texting.project.root, texts.url, texts.account)
    again.plan(range(20, 28), channel=texts.channel, batch_size=5, purpose="care", run_id="run-2")
    report = compare(again.ledger, again.project, again.settings, again.environment, clock=again.clock)
    assert report.trouble == ""
    if texts.lost is not Lost.FOUND:  # nobody can be asked, which is said, and changes nothing
        assert (report.asked, list(report.not_asked)) == (0, [texts.channel.value])
        assert again.states == {"accepted": 10, "planned": 8}
    else:
        assert (report.asked, report.found, report.not_asked) == (8, 6, {})
        with again.ledger.begin() as connection:
            pauses.lift_pause(connection, pauses.ALL)
        again.dispatch(channel=texts.channel)
        assert again.states == {"accepted": 18}
        assert Counter(taken.numbers) == Counter([texts.address(n) for n in (*range(10), *range(20, 28))])
    again.ledger.engine.dispose()


def test_a_test_message_reaches_an_address_of_ones_own(texting: Clinic, texts: Provider, taken: Taken) -> None:
    house = build(texting.project, texting.environment)
    # The clinic's configuration has campaigns whose messages it does not have.
    house.__dict__["catalogues"] = Catalogues(load_segments(texting.project), texting.content, (), {})
    send_test(house, SHARED, None, "en", texts.address(42), texts.channel)
    [one] = taken()
    assert one["to"] == texts.address(42)
    assert texts.begin in one["body"]
    assert texting.states == {"planned": 10}
    house.ledger.engine.dispose()
