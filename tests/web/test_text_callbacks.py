"""Callbacks of text messages: believed only from the provider, taken once, and heard."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from alongside.channels.twilio_signature import SIGNATURE_HEADER, sign
from alongside.channels.wechat_signature import digest
from alongside.ledger import Ledger, consent, inbox, receipts, suppressions
from alongside.ledger.schema import inbound, message, thread
from alongside.ledger.vault import Identity, Vault
from alongside.model.enums import Channel, Decision, DeliveryMode, Purpose, ThreadStatus
from alongside.sandbox.wechat.postman import document
from alongside.settings import Environment, HospitalSettings
from alongside.web import create_app
from alongside.web.aliyun_callbacks import AliyunCallbacks
from alongside.web.callbacks import Callbacks, Intake
from alongside.web.twilio_callbacks import TwilioCallbacks
from alongside.web.wechat_callbacks import WeChatCallbacks
from tests.conftest import ON_SQLITE
from tests.web.conftest import NOW, PATIENT_NOW, Wall, plan_message

PUBLIC = "https://hospital.example"
TOKEN = "12345"
NUMBER = "+8613812345678"
PERSON = "p0000000000000001"
OPENID = "oQh_000000000000000000000001"
KEY = f"{1:032x}"
SID = "SM" + "a" * 32
VAULT_KEY = bytes(range(32))


@dataclass
class Line:
    """A provider that calls the application."""

    client: TestClient
    ledger: Ledger
    vault: Vault
    provider: str
    wall: Wall

    def status(self, arrived: bool = True, key: str = KEY, **changes: Any) -> int:
        """The provider says what became of a message; the answer's status."""
        if self.provider == "wechat":
            status = "success" if arrived else "failed:user block"
            number = 200163836 if key == KEY else 200163837
            event = {"Event": "TEMPLATESENDJOBFINISH", "MsgID": number, "Status": status}
            return self.wechat({"MsgType": "event", **event}, **changes)
        if self.provider == "twilio":
            fields = {"MessageSid": SID, "MessageStatus": "delivered" if arrived else "undelivered"}
            fields |= {} if arrived else {"ErrorCode": "30005"}
            return self._twilio(f"/webhooks/twilio/status?b=b1&m={key}", fields, **changes)
        entry = {
            "report_time": "2026-03-02 18:00:00",
            "success": arrived,
            "err_code": "DELIVERED" if arrived else "INVALID_NUMBER",
            "biz_id": "1^0",
            "out_id": key,
        }
        return self._aliyun("report", [entry], **changes)

    def text(self, words: str, sid: str = "1", **changes: Any) -> int:
        """A patient texts something."""
        if self.provider == "wechat":
            return self.wechat({"MsgType": "text", "Content": words, "MsgId": int(sid)}, **changes)
        if self.provider == "twilio":
            fields = {"MessageSid": f"SM{int(sid):032x}", "From": NUMBER, "To": "+15005550006", "Body": words}
            return self._twilio("/webhooks/twilio/inbound", fields, **changes)
        return self._aliyun("text", [{"phone_number": NUMBER[3:], "content": words, "sequence_id": sid}], **changes)

    def _twilio(self, path: str, fields: dict[str, str], token: str = TOKEN, **_: Any) -> int:
        headers = {
            SIGNATURE_HEADER: sign(token, PUBLIC + path, fields.items()),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return self.client.post(path, content=urlencode(fields), headers=headers).status_code

    def _aliyun(self, what: str, entries: Any, token: str = TOKEN, **_: Any) -> int:
        return self.client.post(f"/webhooks/aliyun/{token}/{what}", content=json.dumps(entries)).status_code

    def wechat(self, fields: dict[str, Any], token: str = TOKEN, **_: Any) -> int:
        body = document(OPENID, PATIENT_NOW.timestamp() - 3600, fields)
        return self.client.post("/webhooks/wechat", params=signed(token), content=body).status_code

    def state(self) -> str:
        with self.ledger.reading() as connection:
            return str(connection.execute(sa.select(message.c.state)).scalar_one())

    def count(self, table: sa.Table) -> int:
        with self.ledger.reading() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())

    @property
    def blind(self) -> str:
        return self.vault.blind_index(self.channel.address, OPENID if self.provider == "wechat" else NUMBER)

    @property
    def channel(self) -> Channel:
        return Channel.WECHAT if self.provider == "wechat" else Channel.SMS


def signed(token: str = TOKEN, at: datetime = NOW) -> dict[str, str]:
    """What WeChat signs a call with."""
    timestamp, nonce = str(int(at.timestamp())), secrets.token_hex(8)
    return {"timestamp": timestamp, "nonce": nonce, "signature": digest(token, timestamp, nonce)}


@pytest.fixture(params=["twilio", "aliyun", "wechat"])
def line(request: pytest.FixtureRequest, ledger: Ledger, settings: HospitalSettings) -> Iterator[Line]:
    """One accepted text message to one patient, and the provider's callbacks."""
    vault = Vault.open(ledger, Environment(vault_key=VAULT_KEY))
    plan_message(ledger, KEY, Purpose.CARE, "zh_CN", PERSON)
    with ledger.begin() as connection:
        vault.store(connection, {PERSON: Identity(name="李伟", phone=NUMBER, openid=OPENID)}, NOW)
        receipts.keep(connection, {KEY: "wechat:200163836"})
    wall = Wall()
    intake = Intake(ledger, vault, timedelta(hours=24), wall, lambda: PATIENT_NOW)
    callbacks: dict[str, Callbacks] = {
        "twilio": TwilioCallbacks(intake, TOKEN, PUBLIC),
        "aliyun": AliyunCallbacks(intake, TOKEN),
        "wechat": WeChatCallbacks(intake, TOKEN, patience=0),
    }
    texts = callbacks[request.param]
    app = create_app(ledger, settings=settings, webhook_key="", clock=wall, callbacks={"texts": texts})
    with TestClient(app) as client:
        found = Line(client, ledger, vault, request.param, wall)
        with ledger.begin() as connection:
            values = {"channel": found.channel.value, "address_blind": found.blind, "accepted_at": PATIENT_NOW}
            connection.execute(message.update().values(**values))
        yield found


# ------------------------------------------------------------------------------------------------------------- status
def test_a_status_moves_its_message_once(line: Line) -> None:
    assert {line.status() for _ in range(3)} <= {200, 204}
    assert line.state() == "delivered"
    assert line.client.get("/healthz").json()["texts"]["duplicates"] == 2


def test_a_number_that_nobody_has_gets_nothing_more(line: Line) -> None:
    line.status(arrived=False)
    refused = line.provider == "wechat"
    assert line.state() == ("dropped" if refused else "bounced")
    reason = "refused" if refused else "hard_bounce"
    with line.ledger.reading() as connection:
        assert suppressions.suppressed(connection, [line.blind], line.channel, "care") == {line.blind: reason}
        assert suppressions.suppressed(connection, [line.blind], "email", "care") == {}


@ON_SQLITE
def test_nobody_else_is_believed(line: Line) -> None:
    assert line.status(token="wrong") in (403, 404)
    assert line.text("STOP", token="wrong") in (403, 404)
    assert line.state() == "accepted"
    assert line.count(inbound) == line.count(inbox.thread) == 0


def test_a_status_of_a_message_that_nobody_sent_changes_nothing(line: Line) -> None:
    line.status(key="f" * 32)
    assert line.state() == "accepted"


# --------------------------------------------------------------------------------------------------------------- stop
@ON_SQLITE
@pytest.mark.parametrize("words", ["STOP", " stop. ", "退订", "Ｒ", "td", "“退订”", "Unsubscribe!"])
def test_leaving_by_a_word_takes_effect_at_once(line: Line, words: str) -> None:
    assert line.text(words) == 200
    with line.ledger.reading() as connection:
        assert suppressions.suppressed(connection, [line.blind], line.channel, "care") == {line.blind: "unsubscribe"}
        for purpose in Purpose:
            assert consent.decide(connection, [PERSON], purpose, line.channel)[PERSON][0] is Decision.DENY
        assert consent.decide(connection, [PERSON], "care", "email") == {}
    assert line.count(thread) == 0


def test_the_same_text_told_again_changes_nothing(line: Line) -> None:
    for _ in range(3):
        assert line.text("STOP") == 200
        assert line.text("请打电话给我", sid="2") == 200
    assert (line.count(inbound), line.count(thread), line.count(consent.schema.consent_event)) == (2, 1, len(Purpose))


def test_a_word_of_leaving_in_staging_says_nothing_about_the_patient(line: Line) -> None:
    with line.ledger.begin() as connection:
        connection.execute(sa.update(inbox.run).values(mode=DeliveryMode.STAGING))
    line.text("STOP")
    assert line.count(consent.schema.consent_event) == line.count(suppressions.schema.suppression) == 0


# -------------------------------------------------------------------------------------------------------------- inbox
def test_other_words_reach_a_person(line: Line) -> None:
    line.text("请问可以改到下周吗？")
    line.text("我周三有事", sid="2")
    with line.ledger.reading() as connection:
        [found] = inbox.threads(connection, [ThreadStatus.OPEN])
        said = inbox.entries(connection, line.vault, found.thread_id)
    assert (found.person_id, found.channel, found.due_at) == (PERSON, line.channel, NOW + timedelta(hours=24))
    assert [entry.words for entry in said] == ["请问可以改到下周吗？", "我周三有事"]
    assert {entry.message_key for entry in said} == {KEY}


def test_words_are_sealed_where_they_lie(line: Line) -> None:
    line.text("我的检查结果出来了吗")
    rows = line.ledger.read_arrow("SELECT sealed FROM inbound").to_pylist()
    assert "检查".encode() not in bytes(rows[0]["sealed"])


def test_whoever_writes_after_a_thread_was_closed_opens_a_new_one(line: Line) -> None:
    line.text("请问")
    with line.ledger.begin() as connection:
        [first] = inbox.threads(connection, [ThreadStatus.OPEN])
        inbox.set_status(connection, first.thread_id, ThreadStatus.CLOSED, NOW)
    line.text("还有一个问题", sid="2")
    with line.ledger.reading() as connection:
        [second] = inbox.threads(connection, [ThreadStatus.OPEN])
    assert second.thread_id != first.thread_id


# ---------------------------------------------------------------------------------------------------------- bad input
@ON_SQLITE
@pytest.mark.parametrize("body", [b"", b"{", b"[1, 2]", b"\xff\xfe", b"a=%ZZ&b", b'{"a": 1}', b"[]"])
def test_what_is_no_callback_changes_nothing(line: Line, body: bytes) -> None:
    for path in (
        "/webhooks/twilio/status",
        "/webhooks/twilio/inbound",
        f"/webhooks/aliyun/{TOKEN}/report",
        f"/webhooks/aliyun/{TOKEN}/text",
        "/webhooks/wechat",
    ):
        query = signed() if path == "/webhooks/wechat" else {}
        assert line.client.post(path, params=query, content=body).status_code in (200, 400, 403, 404)
    assert line.state() == "accepted"
    assert line.count(inbound) == 0


@ON_SQLITE
def test_an_enormous_callback_is_not_read(line: Line) -> None:
    paths = {"twilio": "/webhooks/twilio/inbound", "aliyun": f"/webhooks/aliyun/{TOKEN}/text"}
    path = paths.get(line.provider, "/webhooks/wechat")
    assert line.client.post(path, params=signed(), content=b"x" * 2_000_000).status_code == 413


# --------------------------------------------------------------------------------------------------- what fails nothing
@pytest.mark.parametrize("line", ["aliyun"], indirect=True)
@pytest.mark.parametrize(
    "changes",
    [{"report_time": "0001-01-01 00:00:00"}, {"biz_id": "1\0^0"}, {"biz_id": ""}, {"report_time": [[["x"]]]}],
    ids=["the first hours of the year 1", "a NUL", "no receipt", "a list"],
)
def test_an_odd_report_is_ignored(line: Line, changes: dict[str, Any]) -> None:
    entry = {"report_time": "2026-03-02 18:00:00", "success": True, "err_code": "DELIVERED", "biz_id": "1^0"}
    assert line._aliyun("report", [{**entry, "out_id": KEY, **changes}]) == 200
    assert line.state() == "accepted"
    assert line.status() == 200
    assert line.state() == "delivered"


@pytest.mark.parametrize("line", ["aliyun"], indirect=True)
def test_a_text_under_an_odd_number_is_ignored_and_the_others_are_heard(line: Line) -> None:
    texts = [{"phone_number": NUMBER[3:], "content": "您好", "sequence_id": one} for one in ("1\0", "2 3", "4")]
    assert line._aliyun("text", texts) == 200
    assert line.count(inbound) == 1
