"""FCM: what is sent, what an answer means, and how the hospital proves who it is."""

from __future__ import annotations

import copy
import json
import re
import time
from functools import cache
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from alongside.channels.base import AddressClosed, Addressee, Letter, LetterRefused, Posted
from alongside.channels.fcm import SCOPE, Fcm, check_addressee
from alongside.channels.fcm_answers import is_of_token, read_answer
from alongside.channels.fcm_message import MAX_PAYLOAD, fault_of, message_of
from alongside.channels.google_account import ServiceAccount
from alongside.model.errors import OutcomeUnknown, Permanent, Refused, Throttled
from tests.descriptions import description_of
from tests.fakes import key_of

DEVICE = "f" + "0" * 20 + ":APA91b" + "x" * 120
TEXT = "Qinghe: your visit\nWe expect you on Tuesday.\nQuestions: +86 400 000 0000."
KEY = rsa.generate_private_key(65537, 2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
GIVEN = {
    "type": "service_account",
    "project_id": "hospital-app",
    "private_key_id": "key-1",
    "private_key": PEM,
    "client_email": "sender@hospital-app.iam.example",
    "token_uri": "https://oauth2.example/token",
}


def letter(text: str = TEXT, device: str = DEVICE, key: str = key_of(1)) -> Letter:
    return Letter("b1", "app", "", "", "", text, "", "", (Addressee(key, device),))


# ------------------------------------------------------------------------------------------------------------- build
def test_a_notification_has_a_title_and_words_and_nothing_of_the_patient_beside_them() -> None:
    assert message_of(TEXT, key_of(7), 600) == {
        "notification": {
            "title": "Qinghe: your visit",
            "body": "We expect you on Tuesday. Questions: +86 400 000 0000.",
        },
        "data": {"m": key_of(7)},
        # Sent again after a doubt, it replaces the first on the screen.
        "android": {"ttl": "600s", "collapse_key": key_of(7), "notification": {"tag": key_of(7)}},
        "apns": {"headers": {"apns-collapse-id": key_of(7)}},
    }


@cache
def described() -> Draft202012Validator:
    """Google's own description of a request. It takes two spellings of a name, and no name that it does not know."""
    schemas = copy.deepcopy(description_of("fcm")["components"]["schemas"])
    for schema in schemas.values():
        properties = schema["properties"]
        for name in list(properties):
            if properties[name].get("format") == "google-duration":
                properties[name]["pattern"] = r"^\d+(\.\d{1,9})?s$"
            properties[re.sub("([A-Z])", r"_\1", name).lower()] = properties[name]
        schema["additionalProperties"] = False
    return Draft202012Validator({"$ref": "#/components/schemas/SendMessageRequest", "components": {"schemas": schemas}})


@pytest.mark.parametrize("text", [TEXT, "到院提醒\n请于周二到院复诊。"])
def test_the_request_is_one_that_google_describes(text: str) -> None:
    body = Fcm(ServiceAccount.read(json.dumps(GIVEN)), validity=600).build(letter(text))
    assert list(described().iter_errors(orjson.loads(body))) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"tokens": [DEVICE]},
        {"notification": {"title": "x", "text": "y"}},
        {"data": {"m": 1}},
        {"android": {"colapse_key": "x"}},
        {"android": {"ttl": "600"}},
        {"android": {"notification": {"tag": 7}}},
        {"apns": {"headers": {"apns-collapse-id": 7}}},
    ],
)
def test_the_description_would_notice_a_wrong_request(changes: dict[str, Any]) -> None:
    assert not described().is_valid({"message": message_of(TEXT, key_of(7), 600) | changes})


@pytest.mark.parametrize("text", ["", "only a title", "\n\n", "title\n  \n"])
def test_without_words_it_is_none(text: str) -> None:
    assert fault_of(text) == "a notification has a title in its first line, and words below"


@given(st.text(min_size=1, max_size=3000))
def test_its_size_is_counted_in_bytes_as_they_travel(body: str) -> None:
    size = len(orjson.dumps(message_of(f"T\n{body}", "0" * 32, 0)))
    fault = fault_of(f"T\n{body}")
    if "".join(body.split()):
        assert (fault is not None) == (size > MAX_PAYLOAD)


def test_two_thousand_chinese_characters_are_too_many() -> None:
    assert "bytes, and the vendor takes 4096" in (fault_of("到院提醒\n" + "请" * 2000) or "")
    assert fault_of("到院提醒\n" + "请" * 1200) is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"device": "+8613812345678"}, "not a device's token"),
        ({"device": "short"}, "not a device's token"),
        ({"key": "another"}, "the message key is not one that a device could be told"),
        ({"text": "title"}, "a title in its first line"),
    ],
)
def test_what_the_vendor_would_refuse_is_told_without_a_value(changes: dict[str, Any], why: str) -> None:
    found = letter(**changes)
    told = check_addressee(found.addressees[0], found, 600)
    assert told is not None
    assert why in told
    assert check_addressee(letter().addressees[0], letter(), 600) is None


# ------------------------------------------------------------------------------------------------------------ answers
def refusal(word: str, code: str = "", *, message: str = "", field: str = "") -> bytes:
    details: list[dict[str, Any]] = []
    if code:
        details.append({"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code})
    if field:
        violations = [{"field": field, "description": "x"}]
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations})
    return json.dumps({"error": {"code": 1, "message": message, "status": word, "details": details}}).encode()


NOT_A_TOKEN = "The registration token is not a valid FCM registration token"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, refusal("NOT_FOUND", "UNREGISTERED"), AddressClosed),
        (404, refusal("NOT_FOUND"), Refused),
        (400, refusal("INVALID_ARGUMENT", "INVALID_ARGUMENT", field="message.token"), AddressClosed),
        (400, refusal("INVALID_ARGUMENT", "INVALID_ARGUMENT", message=NOT_A_TOKEN), AddressClosed),
        (400, refusal("INVALID_ARGUMENT", field="message.data"), Permanent),
        (400, refusal("INVALID_ARGUMENT", message=NOT_A_TOKEN, field="message.data"), Permanent),
        (400, refusal("INVALID_ARGUMENT"), Permanent),
        (403, refusal("PERMISSION_DENIED", "SENDER_ID_MISMATCH"), Permanent),
        (403, refusal("PERMISSION_DENIED"), Refused),
        (401, refusal("UNAUTHENTICATED"), Refused),
        (401, refusal("UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"), Permanent),
        (429, refusal("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), Throttled),
        (429, refusal("RESOURCE_EXHAUSTED"), Throttled),
        (503, refusal("UNAVAILABLE", "UNAVAILABLE"), Throttled),
        (500, refusal("INTERNAL", "INTERNAL"), OutcomeUnknown),
        (500, refusal("SOMETHING_NEW"), OutcomeUnknown),
        (504, refusal("DEADLINE_EXCEEDED"), OutcomeUnknown),
        (502, b"<html>", OutcomeUnknown),
        (503, b"", OutcomeUnknown),
        (200, b"<html>", OutcomeUnknown),
        (200, b"{}", OutcomeUnknown),
        (302, b"", Refused),
        (404, b"<html>", Refused),
        (400, b'{"error": "text"}', Refused),
    ],
)
def test_what_an_answer_means(status: int, body: bytes, kind: type[Exception]) -> None:
    found = read_answer(status, {}, body, 0.0)
    assert type(found) is kind
    assert DEVICE not in str(found)


def test_only_a_dead_device_closes_its_address() -> None:
    found = read_answer(404, {}, refusal("NOT_FOUND", "UNREGISTERED"), 0.0)
    assert isinstance(found, AddressClosed)
    assert found.closes == "hard_bounce"
    # With the key of a wrong project this would be said of everybody.
    assert not isinstance(read_answer(403, {}, refusal("PERMISSION_DENIED", "SENDER_ID_MISMATCH"), 0.0), AddressClosed)


@pytest.mark.parametrize(
    ("headers", "word", "seconds"),
    [
        ({"Retry-After": "7"}, "UNAVAILABLE", 7.0),
        ({}, "QUOTA_EXCEEDED", 60.0),
        ({"Retry-After": "3"}, "QUOTA_EXCEEDED", 3.0),
    ],
)
def test_a_wait_is_as_long_as_the_vendor_says(headers: dict[str, str], word: str, seconds: float) -> None:
    found = read_answer(429, headers, refusal("X", word), 0.0)
    assert isinstance(found, Throttled)
    assert found.retry_after == seconds


def test_an_acceptance_and_a_refused_access_token() -> None:
    assert read_answer(200, {}, b'{"name": "projects/p/messages/1"}', 0.0) == Posted(200)
    assert is_of_token(401, refusal("UNAUTHENTICATED"))
    assert not is_of_token(401, refusal("UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"))
    assert not is_of_token(403, refusal("UNAUTHENTICATED"))
    assert not is_of_token(401, b"<html>")


# ------------------------------------------------------------------------------------------------------------ account
def test_what_the_account_signs_is_believed_by_a_library_that_nobody_here_wrote() -> None:
    jwt = pytest.importorskip("google.auth.jwt", reason="google-auth is not installed: add it to the dev dependencies")
    account = ServiceAccount.read(json.dumps(GIVEN))
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    now = time.time()
    claims = jwt.decode(account.assertion(SCOPE, now), certs=public, audience="https://oauth2.example/token")
    assert (claims["iss"], claims["scope"]) == ("sender@hospital-app.iam.example", SCOPE)
    assert claims["exp"] - claims["iat"] == 3600
    assert jwt.decode_header(account.assertion(SCOPE, now)) == {"alg": "RS256", "typ": "JWT", "kid": "key-1"}


ELLIPTIC = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "/run/secrets/fcm.json: No such file or directory",
        json.dumps({name: value for name, value in GIVEN.items() if name != "client_email"}),
        json.dumps({**GIVEN, "private_key": "-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----"}),
        json.dumps({**GIVEN, "private_key": ELLIPTIC.decode()}),
        json.dumps({**GIVEN, "token_uri": "file:///etc/passwd"}),
    ],
)
def test_what_is_no_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(Refused, match="FCM_SERVICE_ACCOUNT") as caught:
        ServiceAccount.read(text)
    assert "PRIVATE" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_key_is_never_shown() -> None:
    account = ServiceAccount.read(json.dumps(GIVEN))
    assert "PRIVATE" not in repr(account)
    assert "key=" not in repr(account)


def test_a_letter_that_is_none_is_refused_before_it_is_built() -> None:
    from alongside.channels.fcm import Fcm

    channel = Fcm(ServiceAccount.read(json.dumps(GIVEN)))
    with pytest.raises(LetterRefused):
        channel.build(letter("title only"))
