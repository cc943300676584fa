"""What is WeChat's own in the protocol: ids of the vendor's, addresses that close, answers within two days."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from alongside import diagnosis
from alongside.bootstrap import Services, build
from alongside.channels.acceptance import acceptance_of
from alongside.delivery.replies import ANSWERS, Inbound, answer, take_in, unfollow
from alongside.ledger import inbox, receipts, suppressions
from alongside.ledger.schema import inbound
from alongside.model.clock import RunClock
from alongside.model.enums import Channel, DeliveryMode, Locale, ThreadStatus
from alongside.model.errors import Refused
from alongside.sandbox import wechat
from alongside.sandbox.common.log import read_ndjson
from alongside.sandbox.wechat.followers import Rates, is_stranger
from alongside.web.__main__ import callbacks_of
from tests.delivery.clinic import Clinic, openid_of, registered
from tests.delivery.conftest import in_a_thread

WECHAT = Channel.WECHAT
TEMPLATE: dict[str, Any] = {
    "template_id": "a_minute_for_your_heart",
    "title": "A minute for your heart",
    "fields": [{"name": "thing1", "label": "What to do"}],
}
RATES = Rates(stranger=0.3, block=0, fail=0, unfollow=0, stop=0, answer=0)


@pytest.fixture
def account(tmp_path: Path) -> Iterator[wechat.Running]:
    options = wechat.Options(tmp_path / "wechat", templates=(registered(TEMPLATE),), rates=RATES, seed=1)
    with in_a_thread(wechat.serve(options)) as running:
        yield running


@pytest.fixture
def clinic(ledger_url: str, tmp_path: Path, account: wechat.Running) -> Iterator[Clinic]:
    """A clinic with a WeChat account; of its twenty patients some do not follow it."""
    opened = Clinic.open(ledger_url, tmp_path / "project", account.url, wechat={"registered": [TEMPLATE]})
    opened.admit(range(20), channels=("wechat",))
    yield opened
    opened.ledger.engine.dispose()


def accepted(tmp_path: Path) -> list[dict[str, Any]]:
    return list(read_ndjson(tmp_path / "wechat" / "accepted.ndjson"))


def closed(clinic: Clinic) -> dict[str, str]:
    blinds = [clinic.blind(one, channel=WECHAT) for one in range(20)]
    with clinic.ledger.reading() as connection:
        return suppressions.suppressed(connection, blinds, "wechat", "care")


def test_the_ledger_knows_each_message_by_the_vendors_id(clinic: Clinic, tmp_path: Path) -> None:
    clinic.plan(range(20), channel=WECHAT, batch_size=7)
    clinic.dispatch(channel=WECHAT)
    with clinic.ledger.reading() as connection:
        found = {one["m"]: receipts.key_of(connection, f"wechat:{one['sid']}") for one in accepted(tmp_path)}
    assert found
    assert all(key == known for key, known in found.items())


def test_whoever_does_not_follow_is_not_written_to_again(clinic: Clinic, tmp_path: Path) -> None:
    clinic.plan(range(20), channel=WECHAT)
    report = clinic.dispatch(channel=WECHAT)
    strangers = report.progress.rejected
    assert 0 < strangers < 20
    assert report.progress.accepted == 20 - strangers
    assert set(closed(clinic).values()) == {"unfollowed"}
    assert len(closed(clinic)) == strangers
    people = [f"p{one:016x}" for one in range(20)]
    blinds = [clinic.blind(one, channel=WECHAT) for one in range(20)]
    same = {"person_id": people, "subject_person_id": people, "address_blind": blinds}
    clinic.plan(range(20, 40), run_id="run-2", channel=WECHAT, occurrence="twice", **same)
    again = clinic.dispatch(channel=WECHAT, run_id="run-2")
    assert (again.progress.rejected, again.progress.withheld) == (0, strangers)


def test_staging_closes_no_patients_address(clinic: Clinic) -> None:
    """The own address that staging writes to may be anybody's; nothing is said of a patient's."""
    written = clinic.project.config / "alongside.yaml"
    own = [f"oQh_our_own_{number:016d}" for number in range(40)]
    strangers = [f"openid:{one}" for one in own if is_stranger(RATES, 1, one)]
    written.write_text(written.read_text("utf-8").replace("staging_allow: []", f"staging_allow: {strangers}"), "utf-8")
    delivery = clinic.settings.delivery.model_copy(update={"staging_allow": strangers})
    clinic.settings = clinic.settings.model_copy(update={"delivery": delivery})
    clinic.plan(range(20), channel=WECHAT)
    report = clinic.dispatch(channel=WECHAT, mode=DeliveryMode.STAGING)
    assert report.progress.rejected > 0
    assert closed(clinic) == {}


def test_a_mail_address_is_no_openid_of_the_allow_list() -> None:
    from alongside.delivery.modes import allowed_addresses

    allow = ["us@hospital.example", "+8619900009999", "openid:oQh_our_own_follower_0001", "device_token:abc"]
    assert allowed_addresses(allow, WECHAT) == ["oQh_our_own_follower_0001"]
    assert allowed_addresses(allow, Channel.EMAIL) == ["us@hospital.example"]
    assert allowed_addresses(allow, Channel.SMS) == ["+8619900009999"]


# ----------------------------------------------------------------------------------------------------------- answering
def say(clinic: Clinic, words: str, now: datetime) -> str:
    """Patient 1 writes, to whom the last message went."""
    clinic.plan([1], channel=WECHAT)
    assert clinic.dispatch(channel=WECHAT).progress.accepted == 1
    said = Inbound("wechat:1", WECHAT, openid_of(1), words)
    return take_in(clinic.ledger, clinic.vault, said, wall=now, patient_now=now, answer_within=timedelta(hours=24))


def reply(clinic: Clinic, words: str, now: datetime) -> str:
    with clinic.ledger.reading() as connection:
        [found] = inbox.threads(connection, list(ThreadStatus))
    return answer(
        clinic.ledger, clinic.vault, clinic.settings, found.thread_id, words,
        by="Nurse A", sender="care", locale=Locale.ZH_CN, now=now,
    )  # fmt: skip


def test_an_answer_leaves_as_a_message_of_a_person(clinic: Clinic, account: wechat.Running, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    account.control.text(openid_of(1), "请问可以改到下周吗？")
    assert say(clinic, "请问可以改到下周吗？", now) == "thread"
    reply(clinic, "可以，周三上午九点。", now)
    clock = RunClock(now, now)
    assert clinic.dispatch(channel=WECHAT, run_id=ANSWERS, clock=clock).progress.accepted == 1
    assert clinic.dispatch(channel=WECHAT, run_id=ANSWERS, clock=clock).progress.accepted == 0
    [_, one] = accepted(tmp_path)
    assert (one["to"], one["body"], one["template"]) == (openid_of(1), "【青禾市示范医院】可以，周三上午九点。", None)


@pytest.mark.parametrize(
    ("hours", "words", "why"),
    [
        (48, "可以", "48 hours after the patient wrote, and these are over"),
        (47.9, "可以", "48 hours after the patient wrote, and these are over"),  # would be too late on the way
        (1, "好" * 700, "bytes in UTF-8, and WeChat takes 2048"),
    ],
)
def test_an_answer_that_cannot_arrive_is_refused_before_anybody_waits_for_it(
    clinic: Clinic, hours: float, words: str, why: str
) -> None:
    now = datetime.now(UTC)
    say(clinic, "在吗", now - timedelta(hours=hours))
    with pytest.raises(Refused, match=why) as caught:
        reply(clinic, words, now)
    assert caught.value.remedy
    assert acceptance_of(clinic.settings, WECHAT).answer_fault("care", "可以", now - timedelta(hours=47), now) is None


def test_whoever_left_the_account_gets_no_answer(clinic: Clinic, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    say(clinic, "在吗", now)
    reply(clinic, "在的", now)
    unfollow(clinic.ledger, clinic.vault, WECHAT, openid_of(1), now)
    report = clinic.dispatch(channel=WECHAT, run_id=ANSWERS, clock=RunClock(now, now))
    assert (report.progress.accepted, report.progress.gates) == (0, {"suppressed": 1})
    assert len(accepted(tmp_path)) == 1


def test_a_word_of_leaving_is_heard(clinic: Clinic) -> None:
    assert say(clinic, "退订", datetime.now(UTC)) == "stop"
    assert closed(clinic) == {clinic.blind(1, channel=WECHAT): "unsubscribe"}
    with clinic.ledger.reading() as connection:
        [row] = connection.execute(sa.select(inbound.c.person_id))
    assert row.person_id == f"p{1:016x}"


# ------------------------------------------------------------------------------------------------------------- doctor
def _house(clinic: Clinic, **changes: Any) -> Services:
    return build(clinic.project, replace(clinic.environment, wechat_token="standin", **changes))


def test_the_doctor_asks_whether_the_account_has_our_templates(clinic: Clinic) -> None:
    state, found = diagnosis._wechat(_house(clinic))
    assert (state, found.partition(";")[0]) == ("ok", "1 templates as the account has them")
    assert diagnosis._wechat(_house(clinic, wechat_app_secret=""))[0] == "warning"
    with pytest.raises(Refused, match="40125"):
        diagnosis._wechat(_house(clinic, wechat_app_secret="wrong"))
    written = clinic.project.config / "alongside.yaml"
    text = written.read_text("utf-8")
    for before, after, told in (
        ("What to do", "What to leave", "a_minute_for_your_heart differ"),
        ("a_minute_for_your_heart", "another_template", "another_template not registered"),
    ):
        written.write_text(text.replace(before, after), "utf-8")
        assert diagnosis._wechat(_house(clinic)) == ("failed", told)


def test_the_doctor_misses_the_token_without_which_nothing_is_heard(clinic: Clinic) -> None:
    state, found = diagnosis._wechat(build(clinic.project, clinic.environment))
    assert (state, found) == ("warning", "WECHAT_TOKEN is not set: events and patients' messages would be refused")


def test_the_application_listens_where_the_account_is_set_up(clinic: Clinic) -> None:
    assert "wechat" in callbacks_of(_house(clinic), lambda: datetime.now(UTC))
    without = build(clinic.project, clinic.environment)
    assert "wechat" not in callbacks_of(without, lambda: datetime.now(UTC))  # nobody calls where no stand-in runs
    written = clinic.project.config / "alongside.yaml"
    live = written.read_text("utf-8").replace("mode: sandbox", "mode: live")
    written.write_text(live, "utf-8")
    twilio = replace(clinic.environment, twilio_auth_token="12345")
    with pytest.raises(Refused, match="WECHAT_TOKEN"):
        callbacks_of(build(clinic.project, twilio), lambda: datetime.now(UTC))
