"""What SendGrid's `POST /v3/mail/send` refuses, and in which shape it answers.

Limits are the vendor's documented ones; where its OpenAPI description is silent (empty `to`, total recipients, bytes of
custom arguments, `send_at`, unknown keys, missing subject or content) the documentation of the endpoint's errors rules.
Pure: a parsed body and the time go in, faults come out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from alongside.sandbox.sendgrid.checks import (
    ApiError,
    Body,
    Place,
    check_address_extras,
    check_custom_args,
    check_dynamic_data,
    check_from,
    check_headers,
    check_keys,
    check_reply_address,
    check_send_at,
    check_subject_text,
    check_substitutions,
    json_size,
    refuse,
    valid_email,
)

MAX_BODY_BYTES = 30 * 1024 * 1024
MAX_PERSONALIZATIONS = 1000
MAX_RECIPIENTS = 1000
MAX_CATEGORIES = 10
MAX_CATEGORY_LENGTH = 255
MAX_FAULTS = 20

_ROOT_KEYS = frozenset(
    {"personalizations", "from", "reply_to", "reply_to_list", "subject", "content", "attachments", "template_id"}
    | {"headers", "categories", "custom_args", "send_at", "batch_id", "asm", "ip_pool_name", "sections"}
    | {"mail_settings", "tracking_settings"}
)
_PERSONALIZATION_KEYS = frozenset(
    {"from", "to", "cc", "bcc", "subject", "headers", "substitutions", "dynamic_template_data", "custom_args"}
    | {"send_at"}
)
_CONTENT_KEYS = frozenset({"type", "value"})
_ATTACHMENT_KEYS = frozenset({"content", "type", "filename", "disposition", "content_id"})
_SETTINGS_KEYS = {
    "asm": frozenset({"group_id", "groups_to_display"}),
    "mail_settings": frozenset(
        {"bypass_list_management", "bypass_spam_management", "bypass_bounce_management"}
        | {"bypass_unsubscribe_management", "footer", "sandbox_mode"}
    ),
    "tracking_settings": frozenset({"click_tracking", "open_tracking", "subscription_tracking", "ganalytics"}),
}
_OWN_FIELDS: dict[str, Callable[[Any, Place, list[ApiError]], None]] = {
    "subject": check_subject_text,
    "headers": check_headers,
    "substitutions": check_substitutions,
    "dynamic_template_data": check_dynamic_data,
    "from": check_from,
}


def validate(body: Any, now: float) -> list[ApiError]:
    """What the vendor would refuse about a mail/send body, at most `MAX_FAULTS` of it; empty means accepted.

    Parameters
    ----------
    body : the parsed JSON
    now : seconds since the epoch, for `send_at`
    """
    if not isinstance(body, dict):
        return [ApiError("The request body must be a JSON object.")]
    errors: list[ApiError] = []
    check_keys(body, _ROOT_KEYS, (), errors)
    check_from(body.get("from"), ("from",), errors)
    _check_personalizations(body, now, errors)
    _check_reply_to(body, errors)
    _check_subject(body, errors)
    _check_content(body, errors)
    check_headers(body.get("headers"), ("headers",), errors)
    _check_categories(body.get("categories"), errors)
    check_custom_args(body.get("custom_args"), 0, ("custom_args",), errors)
    check_send_at(body.get("send_at"), now, ("send_at",), errors)
    _check_attachments(body.get("attachments"), errors)
    _check_settings(body, errors)
    return errors[:MAX_FAULTS]


def sandbox_mode(body: Body) -> bool:
    """Whether the request asks to be validated only (`mail_settings.sandbox_mode.enable`)."""
    settings = body.get("mail_settings")
    mode = settings.get("sandbox_mode") if isinstance(settings, dict) else None
    return isinstance(mode, dict) and mode.get("enable") is True


def recipients(item: Body) -> Sequence[str]:
    """Every address of one personalization: to, cc and bcc."""
    if "cc" not in item and "bcc" not in item:
        return [address["email"] for address in item["to"]]
    return [address["email"] for kind in ("to", "cc", "bcc") if kind in item for address in item[kind] or ()]


# ------------------------------------------------------------------------------------------------ personalizations
def _check_personalizations(body: Body, now: float, errors: list[ApiError]) -> None:
    given = body.get("personalizations")
    if not isinstance(given, list) or not given:
        refuse(errors, "You must have at least one personalization.", "personalizations")
        return
    if len(given) > MAX_PERSONALIZATIONS:
        message = (
            f"The personalization block is limited to {MAX_PERSONALIZATIONS} personalizations per API request. "
            f"You have provided {len(given)} personalizations."
        )
        refuse(errors, message, "personalizations")
        return
    shared_bytes = json_size(body.get("custom_args"))
    dynamic = str(body.get("template_id") or "").startswith("d-")
    seen: set[str] = set()
    count = 0
    for index, item in enumerate(given):
        if not isinstance(item, dict):
            refuse(errors, "Each personalization must be an object.", "personalizations", index)
            continue
        count += _check_recipients(item, index, seen, errors)
        _check_own_fields(item, index, now, shared_bytes, errors)
        if dynamic and "substitutions" in item:
            message = "Substitutions may not be used with dynamic templating"
            refuse(errors, message, "personalizations", index, "substitutions")
        if len(errors) > MAX_FAULTS:
            return
    if count > MAX_RECIPIENTS:
        message = f"There is a limit of {MAX_RECIPIENTS} total recipients (to + cc + bcc) per request."
        refuse(errors, message, "personalizations")


def _check_own_fields(item: Body, index: int, now: float, shared_bytes: int, errors: list[ApiError]) -> None:
    check_keys(item, _PERSONALIZATION_KEYS, ("personalizations", index), errors)
    for key, value in item.items():
        if check := _OWN_FIELDS.get(key):
            check(value, ("personalizations", index, key), errors)
    if "custom_args" in item:
        check_custom_args(item["custom_args"], shared_bytes, ("personalizations", index, "custom_args"), errors)
    if "send_at" in item:
        check_send_at(item["send_at"], now, ("personalizations", index, "send_at"), errors)


def _check_recipients(item: Body, index: int, seen: set[str], errors: list[ApiError]) -> int:
    if not item.get("to"):
        message = (
            "The to array is required for all personalization objects, "
            "and must have at least one email object with a valid email address."
        )
        refuse(errors, message, "personalizations", index, "to")
    count = 0
    for kind in ("to", "cc", "bcc"):
        if not (group := item.get(kind)):
            continue
        if not isinstance(group, list):
            refuse(errors, f"The {kind} parameter must be an array.", "personalizations", index, kind)
            continue
        count += len(group)
        for position, address in enumerate(group):
            _check_recipient(address, ("personalizations", index, kind, position), seen, errors)
    return count


def _check_recipient(address: Any, place: Place, seen: set[str], errors: list[ApiError]) -> None:
    if not isinstance(address, dict) or not valid_email(address.get("email")):
        refuse(errors, "Does not contain a valid address.", *place, "email")
        return
    lowered = address["email"].lower()
    if lowered in seen:
        message = (
            "Each unique email address in the personalizations array should only be included once. "
            f"You have included [{lowered}] more than once."
        )
        refuse(errors, message, *place[:2])
    seen.add(lowered)
    if len(address) > 1:
        check_address_extras(address, place, errors)


# -------------------------------------------------------------------------------------------------- message level
def _check_reply_to(body: Body, errors: list[ApiError]) -> None:
    one, many = body.get("reply_to"), body.get("reply_to_list")
    if one is not None and many is not None:
        refuse(errors, "Use reply_to or reply_to_list, not both.", "reply_to")
    if one is not None:
        check_reply_address(one, ("reply_to",), errors)
    if many is None:
        return
    if not isinstance(many, list) or not 1 <= len(many) <= MAX_RECIPIENTS:
        refuse(errors, f"The reply_to_list must hold 1 to {MAX_RECIPIENTS} addresses.", "reply_to_list")
        return
    for position, address in enumerate(many):
        check_reply_address(address, ("reply_to_list", position), errors)


def _check_subject(body: Body, errors: list[ApiError]) -> None:
    if body.get("subject") is not None:
        check_subject_text(body["subject"], ("subject",), errors)
        return
    given = body.get("personalizations")
    each = isinstance(given, list) and all(isinstance(item, dict) and item.get("subject") for item in given)
    if not body.get("template_id") and not each:
        message = (
            "The subject is required. You can get around this requirement if you use a template with a subject "
            "defined or if every personalization has a subject defined."
        )
        refuse(errors, message, "subject")


def _check_content(body: Body, errors: list[ApiError]) -> None:
    content = body.get("content")
    if not content:
        if not body.get("template_id"):
            message = (
                "Unless a valid template_id is provided, the content parameter is required. "
                "There must be at least one defined content block."
            )
            refuse(errors, message, "content")
        return
    if not isinstance(content, list):
        refuse(errors, "The content parameter must be an array.", "content")
        return
    for index, block in enumerate(content):
        _check_content_block(block, ("content", index), errors)
    types = [str(block.get("type", "")).lower() for block in content if isinstance(block, dict)]
    if len(set(types)) != len(types):
        refuse(errors, "Each content type may be given once.", "content")
    if types != sorted(types, key=_content_rank):
        message = "If present, text/plain and text/html must be the first and second content types, in this order."
        refuse(errors, message, "content")


def _content_rank(mime: str) -> int:
    return {"text/plain": 0, "text/html": 1}.get(mime, 2)


def _check_content_block(block: Any, place: Place, errors: list[ApiError]) -> None:
    if not isinstance(block, dict):
        refuse(errors, "Each content block must be an object.", *place)
        return
    check_keys(block, _CONTENT_KEYS, place, errors)
    for key in ("type", "value"):
        text = block.get(key)
        if not isinstance(text, str) or not text:
            refuse(errors, f"The content {key} must be a string at least one character in length.", *place, key)
    mime = block.get("type")
    if isinstance(mime, str) and mime and ("/" not in mime or set(mime) & set(";,\r\n")):
        refuse(errors, "The content type must be a MIME type without parameters.", *place, "type")


def _check_categories(value: Any, errors: list[ApiError]) -> None:
    if value is None:
        return
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        refuse(errors, "The categories must be an array of strings.", "categories")
        return
    if len(value) > MAX_CATEGORIES:
        refuse(errors, f"There is a limit of {MAX_CATEGORIES} categories per request.", "categories")
    if len(set(value)) != len(value):
        refuse(errors, "Each category should be unique.", "categories")
    for position, name in enumerate(value):
        if not 1 <= len(name) <= MAX_CATEGORY_LENGTH:
            refuse(errors, f"A category must have 1 to {MAX_CATEGORY_LENGTH} characters.", "categories", position)


def _check_attachments(value: Any, errors: list[ApiError]) -> None:
    if value is None:
        return
    if not isinstance(value, list):
        refuse(errors, "The attachments parameter must be an array.", "attachments")
        return
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            refuse(errors, "Each attachment must be an object.", "attachments", index)
            continue
        check_keys(item, _ATTACHMENT_KEYS, ("attachments", index), errors)
        for key in ("content", "filename"):
            if not isinstance(item.get(key), str) or not item[key]:
                refuse(errors, f"The attachment {key} is required.", "attachments", index, key)
        if item.get("disposition", "attachment") not in ("attachment", "inline"):
            refuse(errors, "The disposition must be inline or attachment.", "attachments", index, "disposition")


def _check_settings(body: Body, errors: list[ApiError]) -> None:
    for name, known in _SETTINGS_KEYS.items():
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, dict):
            refuse(errors, f"The {name} parameter must be an object.", name)
            continue
        check_keys(value, known, (name,), errors)
        if name == "asm" and not isinstance(value.get("group_id"), int):
            refuse(errors, "The asm group_id is required and must be an integer.", "asm", "group_id")
