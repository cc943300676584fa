"""Signed, opaque tokens for links: they say which message a click belongs to, and nothing about the patient."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence

from alongside.model.ids import PreparedHmac

#: Built-in variables of messages that are signed links: path of the page, and the use of its token.
LINKS = {
    "unsubscribe_url": ("u", "unsubscribe"),
    "preferences_url": ("p", "preferences"),
    "survey_url": ("s", "survey"),
    "appointment_url": ("a", "appointment"),
}
#: Use of a token that leads on to a link of the message.
CLICK = "click"
_TAG = 16
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def sign_token(secret: bytes, use: str, message_key: str) -> str:
    """A URL-safe token that binds a message key (hex) to one use, for example `unsubscribe`."""
    body = bytes.fromhex(message_key)
    return _written(body + _tag(secret, use, body))


class TokenSigner:
    """`sign_token` with its key and use worked in once: for signing a link for each message of a batch."""

    def __init__(self, secret: bytes, use: str) -> None:
        self._hmac = PreparedHmac(secret, _domain(use))

    def __call__(self, message_keys: Sequence[str]) -> list[str]:
        """`sign_token(secret, use, key)` of each key, in their order."""
        bodies = list(map(bytes.fromhex, message_keys))
        signed = zip(bodies, self._hmac.digests(bodies), strict=True)
        return [_written(body + digest[:_TAG]) for body, digest in signed]


def read_token(secret: bytes, use: str, token: str) -> str | None:
    """The message key, or None when the token is truncated, forged, altered or meant for another use."""
    if len(token) > 128 or not token.isascii():
        return None
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    # The last character has bits that decoding drops: one signature would have several spellings.
    if len(raw) <= _TAG or _written(raw) != token:
        return None
    body, tag = raw[:-_TAG], raw[-_TAG:]
    return body.hex() if hmac.compare_digest(tag, _tag(secret, use, body)) else None


def read_click(secret: bytes, token: str) -> tuple[str, int] | None:
    """Message key and number of the link of a token that `ClickSigner` made; None as of `read_token`."""
    body = read_token(secret, CLICK, token)
    return None if body is None or len(body) < 4 else (body[:-2], int(body[-2:], 16))


class ClickSigner:
    """Tokens of messages' counted links, by their number (at most 255)."""

    def __init__(self, secret: bytes) -> None:
        self._sign = TokenSigner(secret, CLICK)

    def __call__(self, message_keys: Sequence[str], index: int) -> list[str]:
        """Of one link, the token of each message, in their order."""
        return self._sign([f"{key}{index:02x}" for key in message_keys])


def _written(raw: bytes) -> str:
    """Base64 for URLs without padding (RFC 4648, section 5)."""
    return binascii.b2a_base64(raw, newline=False).translate(_URL_SAFE, b"=").decode()


def _tag(secret: bytes, use: str, body: bytes) -> bytes:
    return hmac.digest(secret, _domain(use) + body, "sha256")[:_TAG]


def _domain(use: str) -> bytes:
    return b"token\x00" + use.encode() + b"\x00"
