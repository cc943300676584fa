"""The request as Twilio wants it: against its API description, and against its own library."""

from __future__ import annotations

import dataclasses
import logging
import re
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from alongside.channels.base import Addressee, Letter, LetterRefused
from alongside.channels.twilio import Twilio, build_form, check_addressee, check_letter, personal_text
from alongside.channels.twilio_events import ids_of
from alongside.model.errors import Refused
from alongside.sandbox.twilio.validation import KNOWN
from tests.descriptions import description_of
from tests.fakes import key_of

ACCOUNT = "AC" + "a" * 32
SERVICE = "MG" + "b" * 32
CALLBACK = "https://hospital.example/webhooks/twilio"

#: Parameters of `CreateMessage` in the vendor's OpenAPI description: twilio/twilio-oai,
#: spec/json/twilio_api_v2010.json at 00c8d36829d67333c14bef357affd57851408ad7. What we send must be of this type.
DESCRIBED: dict[str, tuple[str, str]] = {
    "To": ("string", "phone-number"),
    "From": ("string", "phone-number"),
    "MessagingServiceSid": ("string", "^MG[0-9a-fA-F]{32}$"),
    "Body": ("string", ""),
    "StatusCallback": ("string", "uri"),
    "ValidityPeriod": ("integer", ""),
    "SmartEncoded": ("boolean", ""),
}
REQUIRED = {"To"}
#: One of each group must be there.
CONDITIONAL = [{"From", "MessagingServiceSid"}, {"Body", "MediaUrl", "ContentSid"}]


def letter(text: str = "Dear -s01-, your visit is on 2 March. Reply STOP to end.", **changes: Any) -> Letter:
    addressees = changes.pop("addressees", None) or (Addressee(key_of(1), "+8613812345678", {"-s01-": "Wei"}),)
    found = Letter("b" + "0" * 32, "+15005550006", "", "", "", text, "", "", addressees)
    return dataclasses.replace(found, **changes)


def channel(**options: Any) -> Twilio:
    return Twilio(ACCOUNT, "secret", callback=CALLBACK, **options)


def form(given: Letter, **options: Any) -> dict[str, str]:
    pairs = parse_qsl(channel(**options).build(given).decode(), keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def fits(value: str, kind: str, rule: str) -> bool:
    if kind == "integer":
        return value.isdigit()
    if kind == "boolean":
        return value in ("true", "false")
    if rule == "phone-number":
        return re.fullmatch(r"\+[1-9]\d{7,14}", value) is not None
    if rule == "uri":
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    return re.search(rule, value) is not None


@pytest.mark.parametrize("sender", ["+15005550006", SERVICE])
def test_every_field_is_one_that_the_vendor_describes(sender: str) -> None:
    found = form(letter(sender_address=sender))
    assert found.keys() <= DESCRIBED.keys()
    assert found.keys() >= REQUIRED
    for group in CONDITIONAL:
        assert len(found.keys() & group) == 1
    for name, value in found.items():
        assert fits(value, *DESCRIBED[name]), name


def test_what_stands_here_is_what_the_vendor_describes() -> None:
    """The copy above is held against the vendor's document where that is there, and holds where it is not."""
    operation = description_of("twilio")["paths"]["/2010-04-01/Accounts/{AccountSid}/Messages.json"]["post"]
    schema = operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    described = {name: schema["properties"][name] for name in DESCRIBED}
    assert {
        name: (field["type"], field.get("pattern") or field.get("format") or "") for name, field in described.items()
    } == DESCRIBED
    assert set(schema["required"]) == REQUIRED
    snake = [{re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower() for name in group} for group in CONDITIONAL]
    assert [set(group) for group in operation["x-twilio"]["conditional"]] == snake
    assert set(schema["properties"]) <= KNOWN, "the stand-in refuses parameters that the vendor has"


def test_the_request_says_what_was_approved_and_to_whom() -> None:
    assert form(letter(), validity=3600) == {
        "To": "+8613812345678",
        "From": "+15005550006",
        "Body": "Dear Wei, your visit is on 2 March. Reply STOP to end.",
        "StatusCallback": f"{CALLBACK}?b=b{'0' * 32}&m={key_of(1)}#rc=5&rp=all",
        "ValidityPeriod": "3600",
        "SmartEncoded": "false",
    }


def test_a_callback_carries_opaque_ids_and_nothing_else() -> None:
    url = form(letter())["StatusCallback"]
    assert set(parse_qs(urlsplit(url).query)) == {"b", "m"}
    assert ids_of(url) == ("b" + "0" * 32, key_of(1))
    with_query = build_form(letter(), CALLBACK + "?tenant=1", 60)["StatusCallback"]
    assert ids_of(with_query) == ("b" + "0" * 32, key_of(1))


@pytest.mark.parametrize(
    ("substitutions", "read"),
    [
        ({"-s01-": "王"}, "王 -s02-"),
        ({"-s01-": "-s02-", "-s02-": "x"}, "-s02- x"),  # a value that looks like a token stays as it is
        ({"-s0": "A", "-s01-": "B", "-s02-": "C"}, "B C"),
        ({}, "-s01- -s02-"),
    ],
)
def test_values_are_put_in_once(substitutions: dict[str, str], read: str) -> None:
    given = letter("-s01- -s02-")
    assert personal_text(given, Addressee(key_of(1), "+8613812345678", substitutions)) == read


@pytest.mark.parametrize(
    ("address", "text", "reason"),
    [
        ("+8613812345678", "hello", None),
        ("+12025550123", "你" * 1600, None),
        ("", "hello", "21604"),
        ("13812345678", "hello", "E.164"),
        ("+0613812345678", "hello", "E.164"),
        ("+86 138 1234 5678", "hello", "E.164"),
        ("+861012345678;ext=123", "hello", "extension"),
        ("+１3812345678", "hello", "E.164"),
        ("whatsapp:+8613812345678", "hello", "E.164"),
        ("+8613812345678\n", "hello", "E.164"),
        ("+8613812345678", " \n", "21602"),
        ("+8613812345678", "你" * 1601, "21617"),
        ("+8613812345678", "😀" * 801, "21617"),
        ("+8613812345678", "half \ud83d", "surrogate"),
    ],
)
def test_recipients_that_the_vendor_would_refuse(address: str, text: str, reason: str | None) -> None:
    found = check_addressee(Addressee(key_of(1), address), text)
    assert found is None if reason is None else found is not None and reason in found
    assert found is None or not address or address not in found, "a reason names no value"


def test_a_key_that_would_not_come_back_is_refused() -> None:
    assert check_addressee(Addressee("not a key", "+8613812345678"), "hello")


@pytest.mark.parametrize("sender", ["+15005550006", SERVICE, "12345", "Qinghe Hosp", "A1"])
def test_senders_that_can_send(sender: str) -> None:
    check_letter(letter(sender_address=sender))


@pytest.mark.parametrize(
    "changes",
    [
        {"sender_address": "care@mail.hospital.example"},
        {"sender_address": "Qinghe Hospital"},  # twelve characters and more
        {"sender_address": "12"},
        {"sender_address": "MG" + "g" * 32},
        {"sender_address": ""},
        {"sender_address": "医院"},
        {"batch_id": "a b"},
        {"batch_id": ""},
        {"text": " "},
    ],
)
def test_letters_that_nobody_could_be_sent(changes: dict[str, Any]) -> None:
    with pytest.raises(LetterRefused):
        check_letter(letter(**changes))


@pytest.mark.parametrize(
    ("account", "options", "where"),
    [
        ("AC123", {}, "TWILIO_ACCOUNT_SID"),
        (ACCOUNT, {"callback": "hospital.example/cb"}, "delivery.public_url"),
        (ACCOUNT, {"callback": CALLBACK + "#rc=1"}, "delivery.public_url"),
        (ACCOUNT, {"validity": 0}, "channels.sms"),
        (ACCOUNT, {"validity": 36_001}, "channels.sms"),
    ],
)
def test_a_set_up_that_cannot_work_is_refused(account: str, options: dict[str, Any], where: str) -> None:
    with pytest.raises(Refused, match=re.escape(where)):
        Twilio(account, "secret", **({"callback": CALLBACK} | options))


@pytest.mark.parametrize("sender", ["+15005550006", SERVICE])
async def test_the_vendors_library_makes_the_same_request(sender: str) -> None:
    reason = "the peer twilio is not installed: add it to the dev dependencies"
    rest = pytest.importorskip("twilio.rest", reason=reason)
    http = pytest.importorskip("twilio.http", reason=reason)
    response = pytest.importorskip("twilio.http.response", reason=reason)
    made: list[dict[str, Any]] = []

    class Recorder(http.HttpClient):  # type: ignore[misc,name-defined]  # the peer is not typed
        def request(self, method: str, url: str, **given: Any) -> Any:
            made.append({"method": method, "url": url, **given})
            return response.Response(201, "{}")

    ours = form(letter(sender_address=sender), validity=600)
    own_sender = {"messaging_service_sid": sender} if sender == SERVICE else {"from_": sender}
    rest.Client(ACCOUNT, "secret", http_client=Recorder(logging.getLogger(), False)).messages.create(
        to=ours["To"],
        body=ours["Body"],
        status_callback=ours["StatusCallback"],
        validity_period=600,
        smart_encoded=False,
        **own_sender,
    )
    (theirs,) = made
    assert (theirs["method"], theirs["auth"]) == ("POST", (ACCOUNT, "secret"))
    assert theirs["url"] == f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    assert theirs["headers"]["Content-Type"] == "application/x-www-form-urlencoded"
    assert {name: str(value) for name, value in theirs["data"].items()} == ours
