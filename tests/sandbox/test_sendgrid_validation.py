"""What the stand-in refuses, in the vendor's shape, and what it takes."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from alongside.sandbox.sendgrid.checks import HELP, errors_body, valid_email
from alongside.sandbox.sendgrid.validation import MAX_FAULTS, validate
from tests.channels.sendgrid_contract import mail_send, violations
from tests.descriptions import description_of

NOW = 1_772_323_200.0  # 2026-03-01T00:00:00Z


def message(**changes: Any) -> dict[str, Any]:
    """A request such as our own channel builds; `changes` replace fields, None removes one."""
    body: dict[str, Any] = {
        "personalizations": [personalization("a@example.com")],
        "from": {"email": "care@mail.hospital.example", "name": "Qinghe Demonstration Hospital"},
        "reply_to": {"email": "hello@hospital.example"},
        "subject": "Your review is due, -name-",
        "content": [
            {"type": "text/plain", "value": "Dear -name-"},
            {"type": "text/html", "value": "<p>Dear -name-</p>"},
        ],
        "headers": {"List-Id": "<care.mail.hospital.example>"},
        "tracking_settings": {"click_tracking": {"enable": True, "enable_text": False}},
    }
    body.update(changes)
    return {key: value for key, value in body.items() if value is not None}


def personalization(address: str, **changes: Any) -> dict[str, Any]:
    own: dict[str, Any] = {
        "to": [{"email": address}],
        "substitutions": {"-name-": "张女士"},
        "custom_args": {"m": "0" * 32, "b": "batch"},
        "headers": {
            "List-Unsubscribe": "<http://127.0.0.1:8021/u/token>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
    }
    own.update(changes)
    return {key: value for key, value in own.items() if value is not None}


def one(**changes: Any) -> dict[str, Any]:
    return message(personalizations=[personalization("a@example.com", **changes)])


def many(count: int, **changes: Any) -> dict[str, Any]:
    return message(personalizations=[personalization(f"p{n}@example.com", **changes) for n in range(count)])


REFUSED: list[tuple[str, Any, str]] = [
    ("no personalization", message(personalizations=[]), "personalizations"),
    ("personalizations missing", message(personalizations=None), "personalizations"),
    ("1001 personalizations", many(1001), "personalizations"),
    ("a personalization that is no object", message(personalizations=["x"]), "personalizations.0"),
    ("1002 recipients in 501", many(501, cc=None), ""),
    ("an empty to", one(to=[]), "personalizations.0.to"),
    ("no to", one(to=None), "personalizations.0.to"),
    ("to without an address", one(to=[{"name": "A"}]), "personalizations.0.to.0.email"),
    ("an address without a domain", one(to=[{"email": "nobody"}]), "personalizations.0.to.0.email"),
    ("an address with a blank", one(to=[{"email": "a b@example.com"}]), "personalizations.0.to.0.email"),
    ("a full-width address", one(to=[{"email": "ａ@example.com"}]), "personalizations.0.to.0.email"),
    ("a bad cc", one(cc=[{"email": "x@"}]), "personalizations.0.cc.0.email"),
    ("cc that is no array", one(cc={"email": "c@example.com"}), "personalizations.0.cc"),
    ("a name with a comma", one(to=[{"email": "a@example.com", "name": "Li, A"}]), "personalizations.0.to.0.name"),
    ("a name with a semicolon", one(to=[{"email": "a@example.com", "name": "A;B"}]), "personalizations.0.to.0.name"),
    ("an unknown key in an address", one(to=[{"email": "a@example.com", "x": 1}]), "personalizations.0.to.0.x"),
    ("to and cc alike", one(cc=[{"email": "A@example.com"}]), "personalizations.0"),
    ("an unknown key in a personalization", one(substitution={}), "personalizations.0.substitution"),
    ("a substitution that is no string", one(substitutions={"-n-": 1}), "personalizations.0.substitutions"),
    ("too many bytes of substitutions", one(substitutions={"-n-": "中" * 3400}), "personalizations.0.substitutions"),
    ("a custom argument that is no string", one(custom_args={"m": 1}), "personalizations.0.custom_args"),
    ("too many bytes of arguments", one(custom_args={"m": "x" * 10_000}), "personalizations.0.custom_args"),
    ("arguments too long together", one(custom_args={"m": "x" * 6000}) | {"custom_args": {"k": "y" * 6000}}, "..."),
    ("a reserved header", one(headers={"Reply-To": "x@example.com"}), "personalizations.0.headers.Reply-To"),
    ("a header with a line break", one(headers={"X-A": "a\r\nBcc: x"}), "personalizations.0.headers.X-A"),
    ("a header name with a colon", one(headers={"X:A": "a"}), "personalizations.0.headers.X:A"),
    ("an own subject with a line break", one(subject="a\nb"), "personalizations.0.subject"),
    ("an own send_at too late", one(send_at=int(NOW) + 72 * 3600 + 1), "personalizations.0.send_at"),
    ("dynamic data that is no object", one(dynamic_template_data=[]), "personalizations.0.dynamic_template_data"),
    ("no from", message(**{"from": None}), "from.email"),
    ("an invalid from", message(**{"from": {"email": "care"}}), "from.email"),
    ("Unicode in the from name", message(**{"from": {"email": "c@example.com", "name": "青禾"}}), "from.name"),
    ("reply_to twice", message(reply_to_list=[{"email": "b@example.com"}]), "reply_to"),
    ("an invalid reply_to", message(reply_to={"email": "x"}), "reply_to.email"),
    ("an empty reply_to_list", message(reply_to=None, reply_to_list=[]), "reply_to_list"),
    ("no subject", message(subject=None), "subject"),
    ("an empty subject", message(subject=""), "subject"),
    ("no content", message(content=None), "content"),
    ("empty content", message(content=[{"type": "text/plain", "value": ""}]), "content.0.value"),
    ("content without a type", message(content=[{"value": "x"}]), "content.0.type"),
    ("a content type with parameters", message(content=[{"type": "text/plain; x", "value": "x"}]), "content.0.type"),
    (
        "html before text",
        message(content=[{"type": "text/html", "value": "x"}, {"type": "text/plain", "value": "x"}]),
        "content",
    ),
    (
        "a calendar before html",
        message(content=[{"type": "text/calendar", "value": "x"}, {"type": "text/html", "value": "x"}]),
        "content",
    ),
    ("the same type twice", message(content=[{"type": "text/plain", "value": "x"}] * 2), "content"),
    ("a reserved header of the message", message(headers={"x-sg-id": "1"}), "headers.x-sg-id"),
    ("eleven categories", message(categories=[str(n) for n in range(11)]), "categories"),
    ("the same category twice", message(categories=["a", "a"]), "categories"),
    ("a long category", message(categories=["x" * 256]), "categories.0"),
    ("a category that is no string", message(categories=[1]), "categories"),
    ("arguments of the message too long", message(custom_args={"k": "x" * 10_001}), "custom_args"),
    ("send_at too late", message(send_at=int(NOW) + 72 * 3600 + 1), "send_at"),
    ("send_at as text", message(send_at="tomorrow"), "send_at"),
    ("an attachment without content", message(attachments=[{"filename": "a.pdf"}]), "attachments.0.content"),
    (
        "an unknown disposition",
        message(attachments=[{"content": "eA==", "filename": "a", "disposition": "beside"}]),
        "attachments.0.disposition",
    ),
    ("an unknown mail setting", message(mail_settings={"sandbox": {}}), "mail_settings.sandbox"),
    ("tracking that is no object", message(tracking_settings=True), "tracking_settings"),
    ("asm without a group", message(asm={}), "asm.group_id"),
    ("an unknown key", message(subjekt="x"), "subjekt"),
    ("substitutions in a dynamic template", message(template_id="d-1"), "personalizations.0.substitutions"),
]


@pytest.mark.parametrize(("body", "field"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_is_refused_with_the_field_that_is_wrong(body: Any, field: str) -> None:
    if not field:  # 501 times to and cc
        for n, item in enumerate(body["personalizations"]):
            item["cc"] = [{"email": f"c{n}@example.com"}]
        field = "personalizations"
    errors = validate(body, NOW)
    fields = [error.field for error in errors]
    assert ("personalizations.0.custom_args" if field == "..." else field) in fields
    assert all(error.message and error.help and error.help.startswith(HELP) for error in errors)
    document = json.loads(errors_body(errors))
    assert all(set(entry) == {"message", "field", "help"} for entry in document["errors"])


@pytest.mark.parametrize("body", [[], "text", 1, None])
def test_a_body_that_is_no_object_is_refused(body: Any) -> None:
    assert len(validate(body, NOW)) == 1


def test_an_address_twice_in_one_request_is_refused_whatever_its_case() -> None:
    body = message(personalizations=[personalization("a@example.com"), personalization("A@Example.com")])
    errors = validate(body, NOW)
    assert [error.field for error in errors] == ["personalizations.1"]
    assert "more than once" in errors[0].message


def test_faults_are_limited_however_many_there_are() -> None:
    assert len(validate(many(1000, subject=""), NOW)) == MAX_FAULTS


TAKEN: list[tuple[str, Any]] = [
    ("our usual request", message()),
    ("a thousand recipients", many(1000)),
    ("500 with a copy each", message(personalizations=[
        personalization(f"p{n}@example.com", cc=[{"email": f"c{n}@example.com"}]) for n in range(500)
    ])),
    ("substitutions of exactly 10,000 bytes", one(substitutions={"-n-": "x" * 9_997})),
    ("a quoted name with a comma", one(to=[{"email": "a@example.com", "name": '"Li, A"'}])),
    ("a Chinese recipient's name", one(to=[{"email": "a@example.com", "name": "张伟"}])),
    ("send_at of exactly 72 hours", message(send_at=int(NOW) + 72 * 3600)),
    ("send_at in the past", message(send_at=int(NOW) - 60)),
    ("a subject in each personalization", one(subject="own") | {"subject": None}),
    ("a dynamic template without content", message(
        personalizations=[personalization("a@example.com", substitutions=None, dynamic_template_data={"a": 1})],
        template_id="d-1", content=None, subject=None,
    )),
    ("ten categories", message(categories=[str(n) for n in range(10)])),
    ("text, html and a calendar", message(content=[
        {"type": "text/plain", "value": "x"},
        {"type": "text/html", "value": "x"},
        {"type": "text/calendar", "value": "x"},
    ])),
]  # fmt: skip


@pytest.mark.parametrize("body", [case[1] for case in TAKEN], ids=[case[0] for case in TAKEN])
def test_is_taken(body: Any) -> None:
    if body.get("subject", "x") is None:
        body = {key: value for key, value in body.items() if key != "subject"}
    assert validate(body, NOW) == []


@pytest.mark.parametrize(
    ("address", "valid"),
    [
        ("a@example.com", True),
        ("first.last+tag@mail.example.co", True),
        ("o'brien@example.com", True),
        ("x@xn--fiq228c.example", True),
        ("a@localhost", False),
        (".a@example.com", False),
        ("a.@example.com", False),
        ("a..b@example.com", False),
        ("a@-example.com", False),
        ("a@example..com", False),
        ("a@exam_ple.com", False),
        ("a@example.com\n", False),
        ("a@@example.com", False),
        ("张@example.com", False),
        ("a" * 65 + "@example.com", False),
        ("a@" + "b" * 64 + ".com", False),
        ("a@" + ".".join(["b" * 60] * 5) + ".com", False),
        ("", False),
        (None, False),
    ],
)
def test_addresses(address: Any, valid: bool) -> None:
    assert valid_email(address) is valid


# ------------------------------------------------------------------------------------------- the vendor's own words
@pytest.mark.parametrize("body", [case[1] for case in TAKEN], ids=[case[0] for case in TAKEN])
def test_what_is_taken_conforms_to_the_vendors_description(body: Any) -> None:
    body = {key: value for key, value in body.items() if value is not None}
    assert violations(mail_send(), [body]) == []


def test_the_vendors_own_example_is_taken() -> None:
    assert validate(mail_send().schema["example"], NOW) == []


@pytest.mark.peer_data
@pytest.mark.parametrize("name", ["MailSendDynamicTemplate", "MailSendNoTemplate"])
def test_the_examples_of_the_vendors_later_edition_are_taken(name: str, peer_data: Path) -> None:
    openapi = json.loads((peer_data / "sendgrid-oai" / "tsg_mail_v3.json").read_text("utf-8"))
    examples = openapi["components"]["requestBodies"]["PostMailSend"]["content"]["application/json"]["examples"]
    assert validate(examples[name]["value"], NOW) == []


def test_what_the_vendors_description_forbids_is_refused() -> None:
    forbidden = [name for name, body, _ in REFUSED if isinstance(body, dict) and not mail_send().is_valid(body)]
    assert len(forbidden) > 15
    for name, body, _ in REFUSED:
        if name in forbidden:
            assert validate(body, NOW), name


def test_error_documents_conform_to_the_vendors_description() -> None:
    schema = copy.deepcopy(description_of("sendgrid")["components"]["schemas"]["global_error_response_schema"])
    # Documented as an object, but the endpoint's error page and every recorded answer show a link.
    del schema["properties"]["errors"]["items"]["properties"]["help"]
    document = json.loads(errors_body(validate({}, NOW)))
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(document)) == []
