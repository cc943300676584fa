"""Webhooks in Twilio's shape: their fields, their signature, and how often the vendor tries.

The signature is made here anew rather than with the adapter's own function, so that a mistake there shows.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urldefrag, urlencode

SIGNATURE_HEADER = "X-Twilio-Signature"
#: The same in every try of one webhook.
IDEMPOTENCY_HEADER = "I-Twilio-Idempotency-Token"
API_VERSION = "2010-04-01"
#: All tries together take no longer than this (seconds).
TOTAL_SECONDS = 15.0
CONNECT, READ, CLIENT_ERROR, SERVER_ERROR = "ct", "rt", "4xx", "5xx"


@dataclass(frozen=True)
class Retries:
    """What the fragment of a webhook's address asks for (connection overrides): by default one more try, and only when
    no connection came about.
    """

    count: int = 1
    on: frozenset[str] = frozenset({CONNECT})

    def apply(self, failure: str) -> bool:
        return failure in self.on or "all" in self.on


def retries_of(url: str) -> Retries:
    """Read `#rc=5&rp=all`; what is not understood stays at the default."""
    given = parse_qs(urldefrag(url).fragment)
    count, policy = given.get("rc", [""])[0], given.get("rp", [""])[0]
    return Retries(
        count=min(int(count), 5) if count.isascii() and count.isdigit() else 1,
        on=frozenset(policy.split(",")) if policy else frozenset({CONNECT}),
    )


def status_fields(record: Mapping[str, Any], status: str, code: int | None) -> dict[str, str]:
    """A status callback. It names no time, and no error unless there is one."""
    found = {
        "AccountSid": record["account"],
        "ApiVersion": API_VERSION,
        "From": record["from"],
        "MessageSid": record["sid"],
        "MessageStatus": status,
        "SmsSid": record["sid"],
        "SmsStatus": status,
        "To": record["to"],
    }
    if record["service"]:
        found["MessagingServiceSid"] = record["service"]
    if code is not None:
        found["ErrorCode"] = str(code)
    return found


def inbound_fields(record: Mapping[str, Any], opt_out: str) -> dict[str, str]:
    """A patient's message. `OptOutType` stands only where a messaging service took it for an opt-out."""
    found = {
        "AccountSid": record["account"],
        "ApiVersion": API_VERSION,
        "Body": record["body"],
        "From": record["from"],
        "MessageSid": record["sid"],
        "NumMedia": "0",
        "NumSegments": "1",
        "SmsMessageSid": record["sid"],
        "SmsSid": record["sid"],
        "SmsStatus": "received",
        "To": record["to"],
    }
    if record["service"]:
        found["MessagingServiceSid"] = record["service"]
        if opt_out:
            found["OptOutType"] = opt_out
    return found


def signed(auth_token: str, url: str, fields: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a webhook to `url` (without fragment)."""
    text = url
    for name in sorted(fields):
        text += name + fields[name]
    digest = hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()
    token = hashlib.sha256(text.encode()).hexdigest()[:32]
    headers = {
        "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
        SIGNATURE_HEADER: base64.b64encode(digest).decode(),
        IDEMPOTENCY_HEADER: token,
    }
    return urlencode(fields).encode(), headers
