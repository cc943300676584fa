"""Request bodies: as the vendor's description demands, as its helper builds them, refused where both are blind."""

from __future__ import annotations

from dataclasses import replace
from email.header import decode_header, make_header
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alongside.channels.base import Addressee, LetterRefused
from alongside.channels.sendgrid import build_payload, check_addressee, check_letter, encoded_name
from tests.channels.sendgrid_contract import by_helper, mail_send, normal, violations
from tests.fakes import letter

LETTERS = {
    "one": letter(1),
    "many with substitutions": letter(1000, substitutions={"-s01-": "张女士，您好", "-s02-": "<b>&</b>"}),
    "html only": replace(letter(2), text=""),
    "text only": replace(letter(2), html=""),
    "no reply-to": replace(letter(2), reply_to=""),
    "Chinese sender": replace(letter(2), sender_name="青禾市示范医院", subject="您的复诊提醒"),
}


@pytest.mark.parametrize("name", LETTERS)
def test_bodies_satisfy_the_vendors_description(name: str) -> None:
    assert violations(mail_send(), [normal(build_payload(LETTERS[name]))]) == []


def test_the_description_would_notice_a_wrong_body() -> None:
    body = build_payload(letter(1)) | {"from": {"name": "no address"}}
    assert violations(mail_send(), [body])


@pytest.mark.parametrize("name", LETTERS)
def test_the_vendors_own_helper_builds_the_same_body(name: str) -> None:
    assert normal(build_payload(LETTERS[name])) == normal(by_helper(LETTERS[name]))


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
