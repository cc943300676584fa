"""Request bodies: as the vendor's description demands, as its helper builds them, refused where both are blind."""

from __future__ import annotations

import json
from dataclasses import replace
from email.header import decode_header, make_header
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from sendgrid.helpers.mail import (
    ClickTracking,
    Content,
    CustomArg,
    Email,
    Header,
    Mail,
    OpenTracking,
    Personalization,
    ReplyTo,
    SubscriptionTracking,
    Substitution,
    To,
    TrackingSettings,
)

from alongside.channels.base import Addressee, LetterRefused
from alongside.channels.sendgrid import build_payload, check_addressee, check_letter, encoded_name
from tests.fakes import letter


@pytest.fixture(scope="session")
def contract(peer_data: Path) -> Draft202012Validator:
    """The vendor's own description of a mail/send body."""
    document = json.loads((peer_data / "sendgrid-oai" / "tsg_mail_v3.json").read_text("utf-8"))
    schema = document["components"]["requestBodies"]["PostMailSend"]["content"]["application/json"]["schema"]
    return Draft202012Validator({**schema, "components": document["components"]})


LETTERS = {
    "one": letter(1),
    "many with substitutions": letter(1000, substitutions={"-s01-": "张女士，您好", "-s02-": "<b>&</b>"}),
    "html only": replace(letter(2), text=""),
    "text only": replace(letter(2), html=""),
    "no reply-to": replace(letter(2), reply_to=""),
    "Chinese sender": replace(letter(2), sender_name="青禾市示范医院", subject="您的复诊提醒"),
}


@pytest.mark.peer_data
@pytest.mark.parametrize("name", LETTERS)
def test_bodies_satisfy_the_vendors_description(contract: Draft202012Validator, name: str) -> None:
    body = orjson.loads(orjson.dumps(build_payload(LETTERS[name])))
    assert [error.message for error in contract.iter_errors(body)] == []


@pytest.mark.peer_data
def test_the_description_would_notice_a_wrong_body(contract: Draft202012Validator) -> None:
    body = build_payload(letter(1)) | {"from": {"name": "no address"}}
    assert list(contract.iter_errors(body))


@pytest.mark.parametrize("name", LETTERS)
def test_the_vendors_own_helper_builds_the_same_body(name: str) -> None:
    assert _normal(build_payload(LETTERS[name])) == _normal(_by_helper(LETTERS[name]))


def _normal(body: dict[str, Any]) -> dict[str, Any]:
    """As JSON, recipients in one order (the helper turns them round)."""
    found: dict[str, Any] = orjson.loads(orjson.dumps(body))
    found["personalizations"].sort(key=lambda item: item["custom_args"]["m"])
    return found


def _by_helper(of: Any) -> dict[str, Any]:
    mail = Mail(from_email=Email(of.sender_address, encoded_name(of.sender_name)), subject=of.subject)
    if of.reply_to:
        mail.reply_to = ReplyTo(of.reply_to)
    for kind, value in (("text/plain", of.text), ("text/html", of.html)):
        if value:
            mail.add_content(Content(kind, value))
    for one in of.addressees:
        personalization = Personalization()
        personalization.add_to(To(one.address))
        for token, value in one.substitutions.items():
            personalization.add_substitution(Substitution(token, value))
        personalization.add_custom_arg(CustomArg("m", one.key))
        personalization.add_custom_arg(CustomArg("b", of.batch_id))
        personalization.add_header(Header("List-Unsubscribe", f"<{one.unsubscribe_url}>"))
        personalization.add_header(Header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
        mail.add_personalization(personalization)
    mail.add_header(Header("List-Id", f"<{of.list_id}>"))
    settings = TrackingSettings()
    settings.click_tracking = ClickTracking(True, False)
    settings.open_tracking = OpenTracking(True)
    settings.subscription_tracking = SubscriptionTracking(False)
    mail.tracking_settings = settings
    return mail.get()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"sender_address": "nobody"}, "sender's address"),
        ({"sender_address": "пример@hospital.example"}, "sender's address"),
        ({"reply_to": "nobody"}, "reply-to"),
        ({"sender_name": "Qinghe; Care"}, "; or ,"),
        ({"sender_name": "Qinghe, Care"}, "; or ,"),
        ({"subject": " "}, "subject is empty"),
        ({"text": "", "html": " "}, "neither text nor html"),
        ({"subject": "Hello\r\nBcc: x@example.com"}, "line break"),
        ({"sender_name": "Care\nX-Evil: 1"}, "line break"),
        ({"list_id": "a\nb"}, "line break"),
    ],
)
def test_letters_that_the_vendor_would_misread_are_refused(change: dict[str, str], word: str) -> None:
    with pytest.raises(LetterRefused, match=word):
        check_letter(replace(letter(1), **change))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"address": ""}, "no address"),
        ({"address": "not an address"}, "not one that"),
        ({"address": "a@b"}, "not one that"),
        ({"address": "a@example.com,b@example.com"}, "not one that"),
        ({"address": "a@example.com\r\nBcc: b@example.com"}, "not one that"),
        ({"address": "张@example.com"}, "not one that"),
        ({"address": "a" * 250 + "@example.com"}, "not one that"),
        ({"unsubscribe_url": "https://h.example/u/x>\r\nX: 1"}, "line break"),
        ({"substitutions": {"-s01-": "字" * 3400}}, "substitutions exceed"),
        ({"key": "k" * 10_000}, "custom arguments exceed"),
    ],
)
def test_recipients_that_the_vendor_would_refuse_are_refused_by_us(change: dict[str, Any], word: str) -> None:
    reason = check_addressee(replace(Addressee("k", "a@example.com"), **change), "b")
    assert reason is not None
    assert word in reason
    assert "@" not in reason


@pytest.mark.parametrize("address", ["a@example.com", "o'neil+tag@mail.example.org", "x.y_z-1@xn--fiqs8s.example"])
def test_ordinary_addresses_pass(address: str) -> None:
    assert check_addressee(Addressee("k", address), "b") is None


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=200))
def test_any_sender_name_survives_its_encoding(name: str) -> None:
    encoded = encoded_name(name)
    assert encoded.isascii()
    if not name.isascii():
        assert all(len(word) <= 75 for word in encoded.split(" "))
        assert str(make_header(decode_header(encoded))) == name
