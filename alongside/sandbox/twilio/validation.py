"""What the stand-in refuses, as the vendor would, and stricter where a mistake of ours would go unnoticed.

The `+1500555....` numbers are those of the vendor's test credentials, with the same meaning
(https://www.twilio.com/docs/iam/test-credentials).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from alongside.sandbox.twilio.http import VendorRefusal

#: Parameters of a message in the vendor's OpenAPI description. It ignores others; here they are refused.
KNOWN = frozenset(
    ["To", "From", "MessagingServiceSid", "Body", "StatusCallback", "ApplicationSid", "MaxPrice", "ProvideFeedback",
     "Attempt", "ValidityPeriod", "ForceDelivery", "ContentRetention", "AddressRetention", "SmartEncoded",
     "PersistentAction", "TrafficType", "ShortenUrls", "ScheduleType", "SendAt", "SendAsMms", "ContentVariables",
     "MessageIntent", "RiskCheck", "FallbackFrom", "MediaUrl", "ContentSid"]
)  # fmt: skip
#: Of those, what this stand-in does not imitate.
NOT_IMITATED = frozenset(
    ["MediaUrl", "ContentSid", "ContentVariables", "SendAt", "ScheduleType", "ApplicationSid", "SendAsMms"]
)
MAGIC_RECIPIENTS = {
    "+15005550001": 21211,
    "+15005550002": 21612,
    "+15005550003": 21408,
    "+15005550004": 21610,
    "+15005550009": 21614,
}
MAGIC_SENDERS = {"+15005550001": 21212, "+15005550007": 21606, "+15005550008": 21611}
_PHONE = re.compile(r"\+[1-9]\d{6,14}")
_SENDER = re.compile(r"\+[1-9]\d{6,14}|\d{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 +\-_&]{1,11}")
_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")
_BOOLEANS = ("SmartEncoded", "ShortenUrls", "ProvideFeedback", "ForceDelivery")


def validate(form: Mapping[str, str], senders: tuple[str, ...]) -> None:
    """Check the fields of a message.

    Raises
    ------
    VendorRefusal : 400 with the vendor's code
    """
    for code in (_unknown(form), _recipient(form), _sender(form, senders), _content(form), _options(form)):
        if code is not None:
            raise VendorRefusal(400, *code)


Code = tuple[int, str] | None


def _unknown(form: Mapping[str, str]) -> Code:
    unknown = sorted(form.keys() - KNOWN)
    if unknown:
        return 20001, unknown[0]
    missing = sorted(form.keys() & NOT_IMITATED)
    return (20001, f"{missing[0]} is not imitated by the stand-in") if missing else None


def _recipient(form: Mapping[str, str]) -> Code:
    number = form.get("To", "")
    if not number:
        return 21604, ""
    if not _PHONE.fullmatch(number):
        return 21211, number
    return (MAGIC_RECIPIENTS[number], number) if number in MAGIC_RECIPIENTS else None


def _sender(form: Mapping[str, str], senders: tuple[str, ...]) -> Code:
    service, number = form.get("MessagingServiceSid", ""), form.get("From", "")
    found: Code = None
    if not service and not number:
        found = 21603, ""
    elif service and not _SERVICE.fullmatch(service):
        found = 21705, service
    elif number and not _SENDER.fullmatch(number):
        found = 21212, number
    elif number in MAGIC_SENDERS:
        found = MAGIC_SENDERS[number], number
    elif number == form.get("To"):
        found = 21266, ""
    elif senders and (service or number) not in senders:
        found = (21705, service) if service else (21606, number)
    return found


def _content(form: Mapping[str, str]) -> Code:
    body = form.get("Body", "")
    if not body.strip():
        return 21602, ""
    return (21617, "") if len(body) > 1600 else None


def _options(form: Mapping[str, str]) -> Code:
    if (url := form.get("StatusCallback")) is not None and not _is_web(url):
        return 21609, url
    validity = form.get("ValidityPeriod")
    if validity is not None and not (validity.isascii() and validity.isdigit() and 1 <= int(validity) <= 36_000):
        return 20001, "ValidityPeriod"
    wrong = [name for name in _BOOLEANS if form.get(name, "true") not in ("true", "false")]
    return (20001, wrong[0]) if wrong else None


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False
