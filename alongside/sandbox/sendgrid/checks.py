"""Checks of single fields of a mail/send body, shared by the message and its personalizations."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

MAX_SUBSTITUTION_BYTES = 10_000
MAX_CUSTOM_ARGS_BYTES = 10_000
MAX_SCHEDULE_SECONDS = 72 * 3600

RESERVED_HEADERS = frozenset(
    {"x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding"}
    | {"to", "from", "subject", "reply-to", "cc", "bcc"}
)
HELP = "http://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html#message."

_ADDRESS_KEYS = frozenset({"email", "name"})
_LOCAL = r"(?!\.)(?!.*\.\.)[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}(?<!\.)"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = re.compile(rf"{_LOCAL}@(?:{_LABEL}\.)+{_LABEL}")
_HEADER_NAME = re.compile(r"[!-9;-~]+")

Body: TypeAlias = Mapping[str, Any]
#: Where a value stands, such as ("personalizations", 0, "to"); joined only when it is refused, which is rare.
Place: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True)
class ApiError:
    """One entry of the vendor's `errors` array. `field` is a path such as `personalizations.0.to.0.email`."""

    message: str
    field: str | None = None
    help: str | None = None

    def as_json(self) -> dict[str, str | None]:
        return {"message": self.message, "field": self.field, "help": self.help}


def errors_body(errors: Iterable[ApiError]) -> bytes:
    """The vendor's error document: `{"errors": [{"message", "field", "help"}]}`."""
    return orjson.dumps({"errors": [error.as_json() for error in errors]})


def refuse(errors: list[ApiError], message: str, *place: str | int) -> None:
    """Add a fault at this place, with the vendor's link to its explanation."""
    anchor = ".".join(part for part in place if isinstance(part, str))
    errors.append(ApiError(message, ".".join(map(str, place)), HELP + anchor))


def check_keys(value: Body, known: frozenset[str], place: Place, errors: list[ApiError]) -> None:
    if not value.keys() <= known:
        for key in sorted(value.keys() - known):
            refuse(errors, f"Additional property {key} is not allowed", *place, key)


# ------------------------------------------------------------------------------------------------------ addresses
def valid_email(text: Any) -> bool:
    """Whether the vendor takes this as an address: ASCII, at most 254 characters, a domain of two labels or more."""
    return isinstance(text, str) and len(text) <= 254 and _EMAIL.fullmatch(text) is not None


def check_address_extras(address: Body, place: Place, errors: list[ApiError]) -> None:
    """Everything of an address object but its `email`."""
    check_keys(address, _ADDRESS_KEYS, place, errors)
    name = address.get("name")
    if name is None:
        return
    if not isinstance(name, str):
        refuse(errors, "The name parameter must be a string.", *place, "name")
    elif (";" in name or "," in name) and not (name.startswith('"') and name.endswith('"')):
        refuse(errors, "The name may not contain a semicolon or a comma unless it is quoted.", *place, "name")
    elif "\n" in name or "\r" in name:
        refuse(errors, "The name may not contain line breaks.", *place, "name")


def check_from(value: Any, place: Place, errors: list[ApiError]) -> None:
    if not isinstance(value, dict) or not value.get("email"):
        message = "The from object must be provided for every email send. It is an object that requires the email."
        refuse(errors, message, *place, "email")
        return
    if not valid_email(value["email"]):
        refuse(errors, "The from email does not contain a valid address.", *place, "email")
    check_address_extras(value, place, errors)
    if isinstance(value.get("name"), str) and not value["name"].isascii():
        refuse(errors, "The from name may not contain Unicode; send it as an encoded word.", *place, "name")


def check_reply_address(value: Any, place: Place, errors: list[ApiError]) -> None:
    if not isinstance(value, dict) or not valid_email(value.get("email")):
        refuse(errors, "The reply_to email does not contain a valid address.", *place, "email")
    else:
        check_address_extras(value, place, errors)


# --------------------------------------------------------------------------------------------------------- fields
def check_subject_text(value: Any, place: Place, errors: list[ApiError]) -> None:
    if not isinstance(value, str) or not value:
        refuse(errors, "The subject must be a string of at least one character.", *place)
    elif "\n" in value or "\r" in value:
        refuse(errors, "The subject may not contain line breaks.", *place)


def check_headers(value: Any, place: Place, errors: list[ApiError]) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        refuse(errors, "The headers must be an object of string values.", *place)
        return
    for name, text in value.items():
        if fault := _header_name_fault(name):
            refuse(errors, fault, *place, name)
        elif not isinstance(text, str) or "\n" in text or "\r" in text:
            refuse(errors, "A header value must be a string without line breaks.", *place, name)


@functools.lru_cache(maxsize=256)
def _header_name_fault(name: str) -> str:
    if name.lower() in RESERVED_HEADERS:
        return f"The header {name} is reserved and may not be set."
    return "" if _HEADER_NAME.fullmatch(name) else "A header name must be printable ASCII without spaces or colons."


def check_substitutions(value: Any, place: Place, errors: list[ApiError]) -> None:
    if not _is_string_map(value):
        refuse(errors, "The substitutions must be an object of string values.", *place)
    # JSON adds quotes and separators, so a document under the limit needs no exact count.
    elif json_size(value) > MAX_SUBSTITUTION_BYTES:
        size = sum(len(key.encode()) + len(text.encode()) for key, text in value.items())
        if size > MAX_SUBSTITUTION_BYTES:
            message = f"Substitutions may not exceed {MAX_SUBSTITUTION_BYTES} bytes per personalization block."
            refuse(errors, message, *place)


def check_dynamic_data(value: Any, place: Place, errors: list[ApiError]) -> None:
    if not isinstance(value, dict):
        refuse(errors, "The dynamic_template_data must be an object.", *place)


def check_custom_args(value: Any, shared_bytes: int, place: Place, errors: list[ApiError]) -> None:
    """Per e-mail: the message's own arguments and those of the whole send (`shared_bytes`) count together."""
    if value is None:
        return
    if not _is_string_map(value):
        refuse(errors, "The custom_args must be an object of string values.", *place)
    elif json_size(value) + shared_bytes > MAX_CUSTOM_ARGS_BYTES:
        refuse(errors, f"The custom_args may not exceed {MAX_CUSTOM_ARGS_BYTES} bytes.", *place)


def check_send_at(value: Any, now: float, place: Place, errors: list[ApiError]) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        refuse(errors, "The send_at parameter must be a unix timestamp in seconds.", *place)
    elif value > now + MAX_SCHEDULE_SECONDS:
        refuse(errors, "Scheduling more than 72 hours in advance is forbidden.", *place)


def json_size(value: Any) -> int:
    """Bytes of the value as compact JSON; nothing counts as 0."""
    return len(orjson.dumps(value)) if value else 0


def _is_string_map(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    for text in value.values():  # noqa: SIM110 - asked twice of every recipient, of one or two values
        if text.__class__ is not str:
            return False
    return True
