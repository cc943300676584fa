"""Webhooks: signed by the vendor, just now, over exactly these bytes."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from alongside.channels.sendgrid_signature import verify
from alongside.model.errors import Refused

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STAMP = str(int(NOW.timestamp()))
PAYLOAD = '[{"event":"delivered","m":"名"}]\r\n'.encode()
KEY = ec.generate_private_key(ec.SECP256R1())


def public(key: ec.EllipticCurvePrivateKey = KEY) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(key.public_key().public_bytes(serialization.Encoding.DER, form)).decode()


def sign(payload: bytes = PAYLOAD, stamp: str = STAMP) -> str:
    return base64.b64encode(KEY.sign(stamp.encode() + payload, ec.ECDSA(hashes.SHA256()))).decode()


def test_what_the_vendor_signed_is_taken() -> None:
    assert verify(public(), PAYLOAD, sign(), STAMP, now=NOW)


@pytest.mark.parametrize(
    ("payload", "signature", "stamp"),
    [
        (PAYLOAD + b" ", sign(), STAMP),
        (PAYLOAD, sign(b"[]"), STAMP),
        (PAYLOAD, sign(), str(int(STAMP) + 1)),
        (PAYLOAD, "", STAMP),
        (PAYLOAD, "not base64!", STAMP),
        (PAYLOAD, "AAA", STAMP),
        (PAYLOAD, "é" * 8, STAMP),
        (PAYLOAD, base64.b64encode(b"\x30\x00").decode(), STAMP),
        (PAYLOAD, sign(), ""),
        (PAYLOAD, sign(), "12:00"),
        (PAYLOAD, sign(), "٣" * 10),
        (b"\xff\xfe", sign(), STAMP),
    ],
    ids=[f"forgery-{number}" for number in range(12)],  # signatures differ at every start
)
def test_anything_else_is_not(payload: bytes, signature: str, stamp: str) -> None:
    assert not verify(public(), payload, signature, stamp, now=NOW)


@pytest.mark.parametrize(("age", "taken"), [(0, True), (599, True), (-599, True), (601, False), (-601, False)])
def test_a_copy_sent_later_is_stale(age: int, taken: bool) -> None:
    assert verify(public(), PAYLOAD, sign(), STAMP, now=NOW + timedelta(seconds=age)) is taken


def test_another_key_does_not_verify() -> None:
    assert not verify(public(ec.generate_private_key(ec.SECP256R1())), PAYLOAD, sign(), STAMP, now=NOW)


@pytest.mark.parametrize(
    "key", ["", "no key", base64.b64encode(b"x" * 91).decode(), public(ec.generate_private_key(ec.SECP384R1()))]
)
def test_a_key_that_is_none_is_the_operators_business(key: str) -> None:
    with pytest.raises(Refused, match="SENDGRID_WEBHOOK_KEY"):
        verify(key, PAYLOAD, sign(), STAMP, now=NOW)
