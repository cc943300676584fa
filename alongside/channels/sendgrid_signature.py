"""The signature of SendGrid's event webhook. The only file that imports the vendor's SDK."""

from __future__ import annotations

import binascii
import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from sendgrid.helpers.eventwebhook import EventWebhook

from alongside.model.errors import Refused

SIGNATURE_HEADER = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP_HEADER = "X-Twilio-Email-Event-Webhook-Timestamp"
#: The vendor signs when it posts; a retry is signed anew. Older requests are somebody's copy.
FRESH = timedelta(minutes=10)
_TIMESTAMP = re.compile(r"\d{1,12}")


def verify(public_key: str, payload: bytes, signature: str, timestamp: str, *, now: datetime) -> bool:
    """Whether the vendor signed these bytes just now. False for anything malformed, stale or forged.

    Parameters
    ----------
    public_key : base64 SPKI of a P-256 key, from the vendor's settings page
    payload : the request's body, byte for byte
    timestamp : the header's text, seconds since the epoch
    now : wall time

    Raises
    ------
    Refused : `public_key` is not a key
    """
    key = _key(public_key)
    if not _TIMESTAMP.fullmatch(timestamp) or abs(now.timestamp() - int(timestamp)) > FRESH.total_seconds():
        return False
    try:
        text = payload.decode("utf-8")  # the SDK wants str and encodes it again
        return bool(EventWebhook().verify_signature(text, signature, timestamp, key))
    except (binascii.Error, UnicodeError, ValueError, TypeError):
        return False


@lru_cache(maxsize=8)
def _key(public_key: str) -> Any:
    """The key object; converting costs more than verifying, and a bad one is the operator's business."""
    try:
        key = EventWebhook().convert_public_key_to_ecdsa(public_key)
    except (ValueError, TypeError, binascii.Error, UnsupportedAlgorithm) as error:
        raise _bad_key() from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _bad_key()
    return key


def _bad_key() -> Refused:
    return Refused(
        "the webhook's public key is not a base64 P-256 key",
        where="SENDGRID_WEBHOOK_KEY",
        remedy="Copy the verification key from the vendor's Event Webhook settings.",
    )
