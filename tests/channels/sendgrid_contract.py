"""What SendGrid says a mail/send body must be: its OpenAPI description, and its own helper's body for a letter."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any, TypeVar

import orjson
from jsonschema import Draft202012Validator
from sendgrid.helpers.mail import (
    ClickTracking,
    Content,
    CustomArg,
    Email,
    Header,
    Mail,
    OpenTracking,
    Personalization,
    ReplyTo,
    SubscriptionTracking,
    Substitution,
    To,
    TrackingSettings,
)

from alongside.channels.base import Letter
from alongside.channels.sendgrid import encoded_name
from alongside.sandbox.common.log import read_ndjson
from tests.descriptions import description_of

#: Of one stand-in's bodies, and of one body's recipients. A recipient costs 0.2 ms, and some tests send a thousand.
MOST_BODIES, MOST_RECIPIENTS = 100, 20
Item = TypeVar("Item")


@cache
def mail_send() -> Draft202012Validator:
    """The vendor's own description of a mail/send body, corrected by its later edition and its documentation."""
    document = description_of("sendgrid")
    content = document["paths"]["/mail/send"]["post"]["requestBody"]["content"]["application/json"]
    schema = copy.deepcopy(content["schema"])
    # And subject and content, says this edition; a personalization may bring the one, a template both.
    schema["required"] = ["personalizations", "from"]
    schema["properties"]["custom_args"] = {"type": "object"}  # a string, say both editions
    personalization = schema["properties"]["personalizations"]["items"]["properties"]
    personalization["substitutions"]["additionalProperties"] = {"type": "string"}  # as in the later edition
    return Draft202012Validator({**schema, "components": document["components"]})


def violations(contract: Draft202012Validator, bodies: Iterable[dict[str, Any]]) -> list[str]:
    """What the description has against these bodies."""
    return [f"{error.json_path}: {error.message}" for body in bodies for error in contract.iter_errors(body)]


def kept_bodies(folder: Path) -> list[dict[str, Any]]:
    """Bodies that a stand-in took and kept; of many bodies and of many recipients an even sample."""
    return [_with_fewer_recipients(record["body"]) for record in _sample(list(_kept(folder)), MOST_BODIES)]


def _kept(folder: Path) -> Iterable[dict[str, Any]]:
    return read_ndjson(folder / "bodies.ndjson")


def _with_fewer_recipients(body: dict[str, Any]) -> dict[str, Any]:
    assert len(body["personalizations"]) <= 1000  # the limit that a sample would hide
    return {**body, "personalizations": _sample(body["personalizations"], MOST_RECIPIENTS)}


def _sample(items: Sequence[Item], most: int) -> Sequence[Item]:
    return items[:: max(1, ceil(len(items) / most))]


def normal(body: dict[str, Any]) -> dict[str, Any]:
    """As JSON, recipients in one order (the helper turns them round)."""
    found: dict[str, Any] = orjson.loads(orjson.dumps(body))
    found["personalizations"].sort(key=lambda item: item["custom_args"]["m"])
    return found


def by_helper(of: Letter) -> dict[str, Any]:
    """The body that the vendor's package builds for this letter."""
    mail = Mail(from_email=Email(of.sender_address, encoded_name(of.sender_name)), subject=of.subject)
    if of.reply_to:
        mail.reply_to = ReplyTo(of.reply_to)
    for kind, value in (("text/plain", of.text), ("text/html", of.html)):
        if value:
            mail.add_content(Content(kind, value))
    for one in of.addressees:
        personalization = Personalization()
        personalization.add_to(To(one.address))
        for token, value in one.substitutions.items():
            personalization.add_substitution(Substitution(token, value))
        personalization.add_custom_arg(CustomArg("m", one.key))
        personalization.add_custom_arg(CustomArg("b", of.batch_id))
        personalization.add_header(Header("List-Unsubscribe", f"<{one.unsubscribe_url}>"))
        personalization.add_header(Header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
        mail.add_personalization(personalization)
    mail.add_header(Header("List-Id", f"<{of.list_id}>"))
    mail.tracking_settings = _tracking()
    return mail.get()  # type: ignore[no-any-return]  # the package has no types


def _tracking() -> TrackingSettings:
    settings = TrackingSettings()
    settings.click_tracking = ClickTracking(True, False)
    settings.open_tracking = OpenTracking(True)
    settings.subscription_tracking = SubscriptionTracking(False)
    return settings
