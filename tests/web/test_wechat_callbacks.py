"""What is WeChat's own about its callbacks: the greeting, signatures without a body, followers, ids of its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from alongside.channels.wechat_signature import digest, verify
from alongside.ledger import Ledger, receipts, suppressions
from alongside.ledger.schema import delivery_event, inbound, message, suppression
from alongside.ledger.vault import Identity, Vault
from alongside.model.enums import Purpose
from alongside.sandbox.wechat.postman import document
from alongside.settings import Environment, HospitalSettings
from alongside.web import create_app
from alongside.web.callbacks import Intake
from alongside.web.wechat_callbacks import WeChatCallbacks
from tests.conftest import ON_SQLITE
from tests.web.conftest import NOW, PATIENT_NOW, Wall, plan_message
from tests.web.test_text_callbacks import KEY, OPENID, PERSON, TOKEN, VAULT_KEY, signed

PATH = "/webhooks/wechat"
SUCCESS = {"MsgType": "event", "Event": "TEMPLATESENDJOBFINISH", "MsgID": 200163836, "Status": "success"}


class Account:
    """The vendor, towards the application."""

    def __init__(self, client: TestClient, ledger: Ledger, vault: Vault, wall: Wall) -> None:
        self.client, self.ledger, self.vault, self.wall = client, ledger, vault, wall
        self.blind = vault.blind_index("openid", OPENID)

    def tell(self, fields: dict[str, Any], *, age: float = 3600, query: dict[str, str] | None = None) -> int:
        body = document(OPENID, PATIENT_NOW.timestamp() - age, fields)
        answer = self.client.post(PATH, params=query or signed(), content=body)
        assert answer.status_code != 200 or answer.text == "success"
        return answer.status_code

    def event(self, name: str, **more: Any) -> int:
        return self.tell({"MsgType": "event", "Event": name}, **more)

    def post(self, body: bytes, query: dict[str, str] | None = None) -> int:
        return self.client.post(PATH, params=query or signed(), content=body).status_code

    def count(self, table: sa.Table) -> int:
        with self.ledger.reading() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())

    @property
    def closed(self) -> dict[str, str]:
        with self.ledger.reading() as connection:
            return suppressions.suppressed(connection, [self.blind], "wechat", "care")

    @property
    def state(self) -> str:
        with self.ledger.reading() as connection:
            return str(connection.execute(sa.select(message.c.state)).scalar_one())

    @property
    def counts(self) -> dict[str, int]:
        found: dict[str, int] = self.client.get("/healthz").json()["wechat"]
        return found


@pytest.fixture
def account(ledger: Ledger, settings: HospitalSettings) -> Iterator[Account]:
    """One accepted message to one follower."""
    vault, wall = Vault.open(ledger, Environment(vault_key=VAULT_KEY)), Wall()
    plan_message(ledger, KEY, Purpose.CARE, "zh_CN", PERSON)
    with ledger.begin() as connection:
        vault.store(connection, {PERSON: Identity(name="李伟", openid=OPENID)}, NOW)
        blind = vault.blind_index("openid", OPENID)
        connection.execute(message.update().values(channel="wechat", address_blind=blind, accepted_at=PATIENT_NOW))
    intake = Intake(ledger, vault, timedelta(hours=24), wall, lambda: PATIENT_NOW)
    told = WeChatCallbacks(intake, TOKEN, patience=0.4)
    app = create_app(ledger, settings=settings, webhook_key="", clock=wall, callbacks={"wechat": told})
    with TestClient(app) as client:
        yield Account(client, ledger, vault, wall)


# ----------------------------------------------------------------------------------------------------------- greeting
def test_the_vendor_is_greeted_by_its_own_words(account: Account) -> None:
    answer = account.client.get(PATH, params={**signed(), "echostr": "5836258596"})
    assert (answer.status_code, answer.text) == (200, "5836258596")
    assert answer.headers["content-type"].startswith("text/plain")


@ON_SQLITE
@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 403),
        ({**signed("wrong"), "echostr": "1"}, 403),
        ({**signed(at=NOW - timedelta(minutes=6)), "echostr": "1"}, 403),
        ({**signed(at=NOW + timedelta(minutes=6)), "echostr": "1"}, 403),
        (signed(), 400),
        ({**signed(), "echostr": "x" * 201}, 400),
    ],
)
def test_nobody_else_is_greeted(account: Account, query: dict[str, str], status: int) -> None:
    assert account.client.get(PATH, params=query).status_code == status


def test_the_signature_is_the_one_that_a_client_that_nobody_here_wrote_checks() -> None:
    peer = pytest.importorskip("wechatpy.utils", reason="wechatpy is not installed: add it to the dev dependencies")
    peer.check_signature("token", digest("token", "1700000000", "n"), "1700000000", "n")
    with pytest.raises(Exception, match=r"[Ss]ignature"):
        peer.check_signature("token", digest("tokens", "1700000000", "n"), "1700000000", "n")


@pytest.mark.parametrize(("timestamp", "nonce"), [("", "n"), ("soon", "n"), ("-1", "n"), ("9" * 13, "n"), ("١", "n")])
def test_a_time_that_is_none_is_not_believed(timestamp: str, nonce: str) -> None:
    assert not verify("token", timestamp, nonce, digest("token", timestamp, nonce), now=NOW)


def test_without_a_token_nothing_is_believed() -> None:
    given = signed("")
    assert not verify("", given["timestamp"], given["nonce"], given["signature"], now=NOW)


# ------------------------------------------------------------------------------------------------------------ believing
def test_a_signature_serves_one_body(account: Account) -> None:
    """It does not cover the body: whoever saw one may not put another below it."""
    query = signed()
    assert account.tell({"MsgType": "text", "Content": "在吗", "MsgId": 1}, query=query) == 200
    assert account.tell({"MsgType": "text", "Content": "退订", "MsgId": 2}, query=query) == 403
    assert account.count(inbound) == 1
    assert account.closed == {}


def test_the_vendor_trying_again_changes_nothing(account: Account) -> None:
    query = signed()
    assert [account.event("unsubscribe", query=query) for _ in range(2)] == [200, 200]
    assert account.event("subscribe", age=60) == 200
    assert account.event("unsubscribe", query=query) == 200  # old news
    assert account.closed == {}
    assert account.counts["repeated"] == 2


def test_a_signature_is_not_believed_for_ever(account: Account) -> None:
    query = signed()
    account.wall.advance(minutes=6)
    assert account.event("unsubscribe", query=query) == 403
    assert account.closed == {}


@ON_SQLITE
@pytest.mark.parametrize(
    "body",
    [
        b"<xml>",
        b"{}",
        b"<xml></xml>",
        b"<html></html>",
        b"\xff\xfe<",
        b"<!DOCTYPE xml [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><xml><Content>&a;</Content></xml>",
        b"<!DOCTYPE xml [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]><xml><Content>&b;</Content></xml>",
        b"<!DOCTYPE xml><xml></xml>",
        document("short", 1.0, {"MsgType": "text", "Content": "x", "MsgId": 1}),
        document(OPENID, 1.0, {"MsgType": "text"}).replace(b"<CreateTime>1", b"<CreateTime>soon"),
    ],
)
def test_what_is_no_document_of_the_vendors_is_refused(account: Account, body: bytes) -> None:
    assert account.post(body) == 400
    assert account.count(inbound) == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"MsgType": "image", "MediaId": "1", "MsgId": 1},
        {"MsgType": "event", "Event": "CLICK", "EventKey": "menu"},
        {"MsgType": "event", "Event": "SOMETHING_NEW"},
        {"MsgType": "voice"},
        {"MsgType": "text", "Content": "x", "MsgId": "no number"},
        {"MsgType": "event", "Event": "TEMPLATESENDJOBFINISH", "MsgID": "no number", "Status": "success"},
    ],
)
def test_what_concerns_nobody_is_heard_and_left(account: Account, fields: dict[str, Any]) -> None:
    assert account.tell(fields) == 200
    assert account.counts["ignored"] == 1
    assert account.count(inbound) == account.count(delivery_event) == account.count(suppression) == 0


# ------------------------------------------------------------------------------------------------------------- messages
def test_an_event_finds_its_message_by_the_vendors_id(account: Account) -> None:
    with account.ledger.begin() as connection:
        receipts.keep(connection, {KEY: "wechat:200163836"})
    assert account.tell(SUCCESS) == 200
    assert account.state == "delivered"


def test_a_failure_of_the_vendors_closes_nothing(account: Account) -> None:
    with account.ledger.begin() as connection:
        receipts.keep(connection, {KEY: "wechat:200163836"})
    assert account.tell(SUCCESS | {"Status": "failed: system failed"}) == 200
    assert (account.state, account.closed) == ("bounced", {})


def test_a_status_that_nobody_knows_yet_is_no_delivery(account: Account) -> None:
    with account.ledger.begin() as connection:
        receipts.keep(connection, {KEY: "wechat:200163836"})
    assert account.tell(SUCCESS | {"Status": "failed: something new"}) == 200
    assert (account.state, account.closed) == ("bounced", {})


def test_a_message_of_another_system_is_nobodys(account: Account) -> None:
    assert account.tell(SUCCESS) == 200
    assert account.state == "accepted"
    assert account.counts["foreign"] == 1


def test_an_event_that_comes_before_its_message_is_written_down_waits_for_it(account: Account) -> None:
    assert account.tell(SUCCESS, age=1) == 503  # the vendor comes again
    assert account.counts["early"] == 1
    with account.ledger.begin() as connection:
        receipts.keep(connection, {KEY: "wechat:200163836"})
    assert account.tell(SUCCESS, age=1) == 200
    assert account.state == "delivered"


def test_a_young_event_of_another_system_is_waited_for_twice_and_no_more(account: Account) -> None:
    assert [account.tell(SUCCESS, age=1) for _ in range(3)] == [503, 200, 200]
    assert (account.counts["early"], account.counts["foreign"]) == (1, 2)
    assert account.state == "accepted"


# ------------------------------------------------------------------------------------------------------------ followers
def test_who_stops_following_gets_nothing_until_they_follow_again(account: Account) -> None:
    account.event("unsubscribe")
    assert account.closed == {account.blind: "unfollowed"}
    account.event("subscribe", age=60)
    assert account.closed == {}


def test_following_again_lifts_no_other_wish(account: Account) -> None:
    account.tell({"MsgType": "text", "Content": "退订", "MsgId": 1})
    account.event("unsubscribe")
    account.event("subscribe", age=60)
    assert account.closed == {account.blind: "unsubscribe"}


def test_old_news_of_following_does_not_lift_what_came_later(account: Account) -> None:
    account.event("unsubscribe", age=60)
    account.event("subscribe", age=3600)
    assert account.closed == {account.blind: "unfollowed"}


@ON_SQLITE
@pytest.mark.parametrize("encoding", ["none-such", "rot13", "hex", "utf-7", "idna"])
def test_a_document_in_an_odd_encoding_is_refused(account: Account, encoding: str) -> None:
    body = document(OPENID, PATIENT_NOW.timestamp(), SUCCESS)
    assert account.post(f'<?xml version="1.0" encoding="{encoding}"?>'.encode() + body) == 400
