"""Keyed identifiers. All are deterministic in (secret, inputs), so that a retry derives the same ones."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence


def keyed_hash(secret: bytes, *parts: str, length: int = 16) -> str:
    """HMAC-SHA256 over length-prefixed parts, as `2 * length` hex digits (`length` bytes, at most 32)."""
    return hmac.digest(secret, b"".join(map(_prefixed, parts)), "sha256")[:length].hex()


class PreparedHmac:
    """HMAC-SHA256 (RFC 2104) with its key, and the beginning of every message, worked in once.

    Copying costs a fifth of making one anew, and a batch needs three thousand of them.
    """

    def __init__(self, key: bytes, begin: bytes = b"") -> None:
        from cryptography.hazmat.primitives.hashes import SHA256  # who only plans or checks never makes one
        from cryptography.hazmat.primitives.hmac import HMAC

        self._begun = HMAC(key, SHA256())
        self._begun.update(begin)

    def digest(self, message: bytes) -> bytes:
        """32 bytes: the same as `hmac.digest(key, begin + message, "sha256")`."""
        copy = self._begun.copy()
        copy.update(message)
        return copy.finalize()

    def digests(self, messages: Iterable[bytes]) -> list[bytes]:
        """`digest` of many messages: a call for each would cost a fifth of its work."""
        begin, found = self._begun.copy, []
        for message in messages:
            copy = begin()
            copy.update(message)
            found.append(copy.finalize())
        return found


class KeyedHash:
    """`keyed_hash` with its key and first parts worked in once: for hashing the same kind of value many times."""

    def __init__(self, secret: bytes, *parts: str) -> None:
        self._hmac = PreparedHmac(secret, b"".join(map(_prefixed, parts)))

    def __call__(self, part: str, length: int = 16) -> str:
        """The same as `keyed_hash(secret, *parts, part)`."""
        return self._hmac.digest(_prefixed(part))[:length].hex()

    def of_all(self, parts: Sequence[str], length: int = 16) -> list[str]:
        """The same of many values, in their order."""
        return [digest[:length].hex() for digest in self._hmac.digests(map(_prefixed, parts))]


def _prefixed(part: str) -> bytes:
    raw = part.encode()
    return len(raw).to_bytes(4, "big") + raw


def mint_person_id(secret: bytes, source: str, source_id: str) -> str:
    """The person_id of a record that no known person matches: `p` and 16 hex digits (64 bits)."""
    return "p" + keyed_hash(secret, "person", source, source_id, length=8)


def message_key(
    secret: bytes,
    recipient: str,
    subject: str,
    campaign: str,
    step: str,
    occurrence: str,
) -> str:
    """The identity of one intended message: 32 hex digits. The same intention always has the same key.

    Parameters
    ----------
    recipient : person_id of who receives it
    subject : person_id of the patient whom it is about (often the same)
    campaign : campaign or journey name
    step : step of the journey, `-` for a campaign
    occurrence : what makes a repeat legitimate, for example `2026-W09` or an appointment's id
    """
    return keyed_hash(secret, "message", recipient, subject, campaign, step, occurrence)


def unit_interval(secret: bytes, *parts: str) -> float:
    """A keyed uniform number in [0, 1), from the first 64 bits of the hash (2^64 resolution)."""
    return int(keyed_hash(secret, *parts, length=8), 16) / 2**64
