"""Webhooks of Twilio: signed over the address and every field, and never an exception."""

from __future__ import annotations

import base64
import random
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alongside.channels.twilio_signature import MAX_FIELDS, read_form, sign, verify

# The vendor's own example (https://www.twilio.com/docs/usage/security, and the tests of its libraries).
TOKEN = "12345"
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FIELDS = (
    ("CallSid", "CA1234567890ABCDE"),
    ("Caller", "+14158675309"),
    ("Digits", "1234"),
    ("From", "+14158675309"),
    ("To", "+18005551212"),
)
SIGNATURE = "RSOYDt4T1cUTdK1PDd93/VVr8B8="


def test_the_vendors_own_example() -> None:
    assert sign(TOKEN, URL, FIELDS) == SIGNATURE
    assert verify(TOKEN, URL, FIELDS, SIGNATURE)
    assert verify(TOKEN, URL, reversed(FIELDS), SIGNATURE), "the order of fields does not matter"


@pytest.mark.parametrize(
    ("token", "url", "fields", "signature"),
    [
        ("12346", URL, FIELDS, SIGNATURE),
        ("", URL, FIELDS, sign("", URL, FIELDS)),
        (TOKEN, URL + "&m=1", FIELDS, SIGNATURE),
        (TOKEN, URL.replace("https", "http"), FIELDS, SIGNATURE),
        (TOKEN, URL.replace("mycompany.com", "mycompany.com:8443"), FIELDS, SIGNATURE),
        (TOKEN, URL, FIELDS[:-1], SIGNATURE),
        (TOKEN, URL, (*FIELDS, ("Body", "")), SIGNATURE),
        (TOKEN, URL, (*FIELDS, ("To", "+18005551213")), SIGNATURE),
        (TOKEN, URL, FIELDS, ""),
        (TOKEN, URL, FIELDS, SIGNATURE[:-1]),
        (TOKEN, URL, FIELDS, SIGNATURE + "="),
        (TOKEN, URL, FIELDS, SIGNATURE.lower()),
        (TOKEN, URL, FIELDS, "签名"),
        (TOKEN, "http://[broken", FIELDS, SIGNATURE),
        (TOKEN, "https://host:port/", FIELDS, SIGNATURE),
    ],
)
def test_anything_else_is_forged(token: str, url: str, fields: tuple[tuple[str, str], ...], signature: str) -> None:
    if (token, url, fields, signature) == (TOKEN, URL, (*FIELDS, ("Body", "")), SIGNATURE):
        assert sign(token, url, fields) != SIGNATURE, "an empty field is signed by its name"
    assert not verify(token, url, fields, signature)


@pytest.mark.parametrize("signed_for", ["https://a.example/cb?m=1", "https://a.example:443/cb?m=1"])
@pytest.mark.parametrize("called", ["https://a.example/cb?m=1", "https://a.example:443/cb?m=1"])
def test_the_default_port_may_stand_in_either(signed_for: str, called: str) -> None:
    assert verify(TOKEN, called, FIELDS, sign(TOKEN, signed_for, FIELDS))


def test_the_fragment_stays_with_the_vendor() -> None:
    assert verify(TOKEN, "https://a.example/cb?m=1#rc=5", FIELDS, sign(TOKEN, "https://a.example/cb?m=1", FIELDS))


def test_a_form_is_read_with_its_empty_fields_and_in_utf8() -> None:
    pairs = (("Body", "退订 & +R"), ("FromCity", ""), ("To", "+86138"))
    assert read_form(urlencode(pairs).encode()) == pairs
    assert read_form(b"") == ()


@pytest.mark.parametrize(
    "body",
    [b"\xff\xfe", b"{}", b"a=1&b", b"Body=%ff%fe", "Body=退订".encode(), b"&".join([b"a=1"] * (MAX_FIELDS + 1))],
    ids=["bytes", "json", "no value", "not utf-8", "not encoded", "too many"],
)
def test_what_is_no_form_is_none(body: bytes) -> None:
    assert read_form(body) is None


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200), st.text(max_size=60), st.text(max_size=60))
def test_garbage_is_never_an_exception(body: bytes, url: str, signature: str) -> None:
    fields = read_form(body)
    assert not verify(TOKEN, url, fields or (), signature)


def test_the_vendors_library_signs_and_verifies_the_same() -> None:
    peer = pytest.importorskip(
        "twilio.request_validator", reason="the peer twilio is not installed: add it to the dev dependencies"
    )
    dice = random.Random(7)
    alphabet = "ab+ &=%?/#退订😀é"

    class Repeated(dict[str, list[str]]):
        """As frameworks hand over fields that are given more than once."""

        def getlist(self, name: str) -> list[str]:
            return self[name]

    for _ in range(300):
        token = base64.b64encode(dice.randbytes(12)).decode()
        url = f"https://hospital.example{dice.choice(['', ':443', ':8443'])}/sms?m={dice.randrange(99)}"
        pairs = [
            ("".join(dice.choices("ABab", k=2)), "".join(dice.choices(alphabet, k=dice.randrange(6))))
            for _ in range(dice.randrange(7))
        ]
        repeated = Repeated()
        for name, value in pairs:
            repeated.setdefault(name, []).append(value)
        theirs = peer.RequestValidator(token)
        assert theirs.compute_signature(url, repeated) == sign(token, url, pairs)
        assert theirs.validate(url, repeated, sign(token, url, pairs))
        assert verify(token, url, pairs, theirs.compute_signature(url, repeated))
