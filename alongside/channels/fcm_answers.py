"""What Firebase Cloud Messaging answers, and what it means for the sender.

Source: ErrorCode of the HTTP v1 API (firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode) and the error model of
Google's APIs: a status word at the top, FCM's own code among the details.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from alongside.channels.base import AddressClosed, Posted
from alongside.channels.transport import retry_after
from alongside.model.errors import DeliveryError, OutcomeUnknown, Permanent, Refused, Throttled

#: Without Retry-After the vendor asks for a minute at least.
_QUOTA_SECONDS = 60.0
_REMEDY = "Check FCM_SERVICE_ACCOUNT, and that the account may send messages of this project."


def read_answer(status: int, headers: Mapping[str, str], body: bytes, now: float) -> DeliveryError | Refused | Posted:
    """What the answer to a message means.

    Parameters
    ----------
    now : seconds since the epoch, against a date in Retry-After
    """
    where = f"FCM, status {status}"
    given = _object(body)
    if status == 200 and isinstance(given.get("name"), str):
        return Posted(status)
    error = given.get("error")
    if not isinstance(error, dict):
        what = "the answer is not the vendor's: something between us and it replied, or the address is wrong"
        unclear = status >= 500 or status == 200
        return (OutcomeUnknown if unclear else Refused)(what, where=where, remedy="Check the proxy and FCM_URL.")
    return _refusal(_code(error), error, status, headers, now)


def is_of_token(status: int, body: bytes) -> bool:
    """Whether the access token was refused: nothing was looked at."""
    error = _object(body).get("error")
    return status == 401 and isinstance(error, dict) and _code(error) == "UNAUTHENTICATED"


def _refusal(
    code: str, error: Mapping[str, Any], status: int, headers: Mapping[str, str], now: float
) -> DeliveryError | Refused:
    where = f"FCM, status {status}"
    match code:
        case "UNREGISTERED":
            found: DeliveryError | Refused = AddressClosed(
                "UNREGISTERED the app is not on this device any more", closes="hard_bounce", where=where
            )
        case "INVALID_ARGUMENT" if _of_device(error):
            found = AddressClosed("INVALID_ARGUMENT not a device's token", closes="hard_bounce", where=where)
        case "INVALID_ARGUMENT":
            found = Permanent("INVALID_ARGUMENT the message is not one that the vendor takes", where=where)
        case "SENDER_ID_MISMATCH":
            # Closes nothing: with the key of a wrong project this would be said of everybody.
            found = Permanent("SENDER_ID_MISMATCH the device's app belongs to another project", where=where)
        case "THIRD_PARTY_AUTH_ERROR":
            found = Permanent("THIRD_PARTY_AUTH_ERROR the project lacks its key for Apple's devices", where=where)
        case "QUOTA_EXCEEDED" | "RESOURCE_EXHAUSTED":
            wait = retry_after(headers, now, otherwise=_QUOTA_SECONDS)
            found = Throttled("QUOTA_EXCEEDED too many messages", retry_after=wait, where=where)
        case "UNAVAILABLE":
            found = Throttled(
                "UNAVAILABLE the vendor is overloaded", retry_after=retry_after(headers, now), where=where
            )
        case "INTERNAL" | "UNKNOWN" | "DEADLINE_EXCEEDED":
            found = OutcomeUnknown(f"{code} the vendor failed after it had the message", where=where)
        case _ if status >= 500:
            found = OutcomeUnknown(f"{code} the vendor failed", where=where)
        case _:
            found = Refused(f"{code} the account or the project is not accepted", where=where, remedy=_REMEDY)
    return found


def _code(error: Mapping[str, Any]) -> str:
    """FCM's own code where there is one, else the status word."""
    for detail in _details(error):
        if str(detail.get("@type", "")).endswith("FcmError") and isinstance(detail.get("errorCode"), str):
            return str(detail["errorCode"])
    return str(error.get("status", "UNKNOWN"))[:40]


def _of_device(error: Mapping[str, Any]) -> bool:
    """Whether it is the device's token that is not valid, in one of the two ways in which the vendor says so."""
    fields = [
        violation.get("field")
        for detail in _details(error)
        for violation in detail.get("fieldViolations", ())
        if isinstance(violation, dict)
    ]
    return "message.token" in fields or (not fields and "registration token" in str(error.get("message", "")))


def _details(error: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = error.get("details")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
