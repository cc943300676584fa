"""Our client and our stand-in of Twilio against the vendor's own OpenAPI description, with Prism between them."""

from __future__ import annotations

import asyncio
import copy
import functools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from alongside.channels import twilio
from alongside.channels.base import Addressee, Answer, Letter
from alongside.channels.twilio import Twilio
from alongside.model.enums import MessageState
from alongside.model.errors import OutcomeUnknown, Permanent, Refused, Retryable, Throttled
from alongside.sandbox.twilio import (
    DEFAULT_ACCOUNT_SID,
    DEFAULT_AUTH_TOKEN,
    DEFAULT_NUMBER,
    Control,
    Fault,
    FaultKind,
    Options,
    Rates,
    read_ndjson,
    resources,
    serve,
)
from alongside.sandbox.twilio.http import VendorRefusal
from tests.channels.test_twilio_request import SERVICE, letter
from tests.descriptions import description_of, proxying
from tests.fakes import NOON, key_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

MISSING = object()
LIST = "/2010-04-01/Accounts/{AccountSid}/Messages.json"
ONE = "/2010-04-01/Accounts/{AccountSid}/Messages/{Sid}.json"
MESSAGE = "api.v2010.account.message"
KEY = "SK" + "d" * 32


# -------------------------------------------------------------------------------------------------- the description
def narrowed(whole: dict[str, Any]) -> dict[str, Any]:
    """What the description says of messages, corrected where the vendor answers otherwise, and without its gaps."""
    paths = {name: copy.deepcopy(whole["paths"][name]) for name in (LIST, ONE)}
    schemas = {name: copy.deepcopy(schema) for name, schema in whole["components"]["schemas"].items()
               if name == MESSAGE or name.startswith("message_enum_")}  # fmt: skip
    page = paths[LIST]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    # Said to be URIs; the vendor sends paths, and its own libraries put its host before them.
    for name in ("first_page_uri", "next_page_uri", "previous_page_uri", "uri"):
        assert page["properties"][name]["format"] == "uri"
        page["properties"][name]["format"] = "uri-reference"
    for schema in (page, schemas[MESSAGE]):
        _close(schema)
    for operation in (paths[LIST]["post"], paths[LIST]["get"], paths[ONE]["get"]):
        operation["responses"]["default"] = _ERROR
    security = whole["components"]["securitySchemes"]
    return {**whole, "paths": paths, "components": {"schemas": schemas, "securitySchemes": security}}


def _close(schema: dict[str, Any]) -> None:
    """Nothing is required there and anything may stand beside it, so that a misspelt name would pass."""
    schema["required"], schema["additionalProperties"] = sorted(schema["properties"]), False
    for described in schema["properties"].values():
        if described.get("format") == "date-time-rfc-2822":  # a format that Prism passes over
            described["pattern"] = r"^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} \+0000$"


#: The description has no refusals. https://www.twilio.com/docs/usage/twilios-response has these four fields.
_ERROR = {
    "description": "A refusal",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["code", "message", "more_info", "status"],
                "additionalProperties": False,
                "properties": {
                    "code": {"type": "integer", "minimum": 20000, "maximum": 99999},
                    "message": {"type": "string", "minLength": 1},
                    "more_info": {"type": "string", "format": "uri"},
                    "status": {"type": "integer", "minimum": 400, "maximum": 599},
                },
            }
        }
    },
}


# ----------------------------------------------------------------------------------------------- client, Prism, vendor
@dataclass
class Vendor:
    """The stand-in behind Prism, at `url`.

    Attributes
    ----------
    names : method -> parameters that the description has. Prism passes over others, and over capitals in a query
    complaints : about requests and answers, in their order
    """

    url: str
    folder: Path
    control: Control
    names: dict[str, set[str]]
    complaints: list[str] = field(default_factory=list)
    channels: list[Twilio] = field(default_factory=list)

    def channel(self, account: str = DEFAULT_ACCOUNT_SID, secret: str = DEFAULT_AUTH_TOKEN, **options: Any) -> Twilio:
        given = {"callback": "http://127.0.0.1:9/webhooks/twilio"} | options
        self.channels.append(Twilio(account, secret, self.url, **given))
        return self.channels[-1]

    async def send(self, given: Letter, **options: Any) -> Answer:
        return await self.channel(**options).send(given, deadline=float("inf"))

    async def behave(self, *faults: Fault) -> None:
        await asyncio.to_thread(self.control.behave, faults)

    async def listen(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Between client and Prism: its refusals, what it has against answers that it lets pass, what it overlooks."""
        posted = (await request.body.as_bytes()).decode() if request.method == "POST" else ""
        given = [*request.url.query, *dict(parse_qsl(posted))]
        self.complaints += [f"{name} is not described" for name in given if name not in self.names[request.method]]
        answer = await handler(request)
        if answer.content_type == "application/problem+json":
            self.complaints.append(await answer.text())
        elif complaint := answer.headers.get("sl-violations"):
            self.complaints.append(complaint)
        return answer

    def complaint(self) -> str:
        """The only one, which is then forgotten."""
        (found,) = self.complaints
        self.complaints.clear()
        return found

    def sids(self, number: str) -> list[str]:
        return [one["sid"] for one in read_ndjson(self.folder / "accepted.ndjson") if one["to"] == number]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def proxied(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Vendor]:
    description = narrowed(description_of("twilio"))
    folder = tmp_path_factory.mktemp("twilio")
    rates = Rates(unknown_number=0.3, unreachable=0.2, stop=0.0, answer=0.0)
    async with serve(Options(folder, api_keys={KEY: "other"}, rates=rates)) as running:
        with proxying(tmp_path_factory.mktemp("prism"), description, running.url) as url:
            await asyncio.to_thread(running.control.set_clock, NOON)
            yield Vendor(url, folder, running.control, _names(description["paths"][LIST]))


def _names(path: dict[str, Any]) -> dict[str, set[str]]:
    form = path["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    return {
        "GET": {one["name"] for one in path["get"]["parameters"] if one["in"] == "query"},
        "POST": set(form["properties"]),
    }


@pytest_asyncio.fixture(loop_scope="module")
async def vendor(proxied: Vendor, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Vendor]:
    """Behaves well at the beginning; at the end no complaint may be left that the test did not expect."""
    overheard = functools.partial(aiohttp.ClientSession, middlewares=(proxied.listen,))
    monkeypatch.setattr(aiohttp, "ClientSession", overheard)
    await proxied.behave()
    yield proxied
    for channel in proxied.channels:
        await channel.close()
    left = "\n".join(proxied.complaints)
    proxied.channels.clear()
    proxied.complaints.clear()
    assert not left, left


def to(number: str) -> Letter:
    return letter(addressees=(Addressee(key_of(1), number, {"-s01-": "Wei"}),))


# ------------------------------------------------------------------------------------------------------------ sending
@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({}, {}),
        ({"text": "复诊提醒：-s01-，请于3月2日前来复诊。拒收请回复R"}, {}),
        ({"text": "100 % & more = +1; a?b#c / \"quoted\" \\ 😀\nsecond line"}, {}),
        ({"text": "你" * twilio.MAX_BODY}, {}),
        ({"sender_address": SERVICE}, {}),
        ({"sender_address": "12345"}, {}),
        ({"sender_address": "Qinghe Hosp"}, {}),
        ({}, {"callback": "http://127.0.0.1:9/cb?tenant=1&site=2"}),
        ({}, {"validity": 1}),
        ({}, {"validity": twilio.MAX_VALIDITY}),
        ({}, {"api_key": KEY, "secret": "other"}),
    ],
    ids=["plain", "Chinese", "signs", "long", "service", "short code", "name", "callback", "soon", "late", "key"],
)  # fmt: skip
async def test_what_is_sent_and_the_answer_conform(
    vendor: Vendor, changes: dict[str, Any], options: dict[str, Any]
) -> None:
    answer = await vendor.send(letter(**changes), **options)
    assert (answer.accepted, answer.trouble) == ((key_of(1),), None)


# --------------------------------------------------------------------------------------------------------- looking up
async def test_a_message_is_found_by_its_text_over_several_pages(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twilio, "PAGE_SIZE", 2)
    number = "+8613800005000"
    for _ in range(5):
        await vendor.send(to(number))
    found = await vendor.channel().trace(number, key_of(1), "Dear Wei,", NOON)
    assert (found.states, found.conclusive) == ((MessageState.ACCEPTED,) * 5, True)
    nobody = await vendor.channel().trace("+8613800005999", key_of(1), "Dear Wei,", NOON)
    assert (nobody.states, nobody.conclusive) == ((), True)


async def test_a_message_is_looked_up_before_and_after_its_fate(vendor: Vendor) -> None:
    numbers = [f"+86138000060{number:02d}" for number in range(12)]
    for number in numbers:
        await vendor.send(to(number))
    sids = [sid for number in numbers for sid in vendor.sids(number)]
    assert await _states(vendor, sids) == {MessageState.ACCEPTED}
    await asyncio.to_thread(vendor.control.set_clock, NOON + timedelta(days=1))
    assert await _states(vendor, sids) == {MessageState.DELIVERED, MessageState.BOUNCED}


async def _states(vendor: Vendor, sids: list[str]) -> set[MessageState]:
    channel = vendor.channel()
    return {state for sid in sids for state in await channel.lookup("sid", sid)}


async def test_a_patients_message_is_looked_up(vendor: Vendor) -> None:
    sid = await asyncio.to_thread(vendor.control.text, "+8613800007000", "好的，谢谢")
    assert await vendor.channel().lookup("sid", sid) == [MessageState.ACCEPTED]


async def test_what_does_not_exist(vendor: Vendor) -> None:
    assert await vendor.channel().lookup("sid", "SM" + "0" * 32) == []


# ------------------------------------------------------------------------------------------------------------ refusals
@pytest.mark.parametrize(
    ("number", "sender", "code"),
    [
        ("+15005550001", DEFAULT_NUMBER, "21211"),
        ("+15005550004", DEFAULT_NUMBER, "21610"),
        ("+15005550009", DEFAULT_NUMBER, "21614"),
        ("+8613812345678", "+15005550007", "21606"),
        ("+8613812345678", "+15005550008", "21611"),
    ],
)
async def test_a_refusal_conforms(vendor: Vendor, number: str, sender: str, code: str) -> None:
    answer = await vendor.send(letter(sender_address=sender, addressees=(Addressee(key_of(1), number),)))
    assert code in f"{answer.trouble} {answer.rejected}"


@pytest.mark.parametrize(
    ("fault", "trouble"),
    [
        (Fault(FaultKind.THROTTLE, retry_after=2), Throttled),
        (Fault(FaultKind.FAIL, status=503), Retryable),
        (Fault(FaultKind.FAIL, status=500), OutcomeUnknown),
        (Fault(FaultKind.WRONG_KEY), Refused),
    ],
    ids=["429", "503", "500", "401"],
)
async def test_a_failure_conforms(vendor: Vendor, fault: Fault, trouble: type[Exception]) -> None:
    await vendor.behave(fault)
    answer = await vendor.send(letter())
    assert type(answer.trouble) is trouble
    assert answer.retry_after == (2 if trouble is Throttled else None)


@pytest.mark.parametrize("who", [{"secret": "wrong"}, {"account": "AC" + "e" * 32}], ids=["password", "account"])
async def test_strangers_are_refused_everywhere(vendor: Vendor, who: dict[str, str]) -> None:
    channel = vendor.channel(**who)
    assert type((await vendor.send(letter(), **who)).trouble) is Refused
    with pytest.raises(Refused):
        await channel.trace("+8613812345678", key_of(1), "Dear Wei,", NOON)


# ------------------------------------------------------------------------------------------------ the check can fail
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("To", None),
        ("MessagingServiceSid", "MG1"),
        ("StatusCallback", "no address"),
        ("ValidityPeriod", "soon"),
        ("SmartEncoded", "no"),
        ("ContentRetention", "forever"),
    ],
)
async def test_a_field_of_the_wrong_form_does_not_pass(vendor: Vendor, name: str, value: str | None) -> None:
    form = {"To": "+8613800008000", "From": DEFAULT_NUMBER, "Body": "x", name: value}
    body = urlencode({key: value for key, value in form.items() if value is not None}).encode()
    with pytest.raises(Refused):
        await vendor.channel().post(body)
    assert name in vendor.complaint()
    assert vendor.sids("+8613800008000") == []


async def test_a_page_that_is_too_long_does_not_pass(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twilio, "PAGE_SIZE", 1001)
    with pytest.raises(Retryable):
        await vendor.channel().trace("+8613812345678", key_of(1), "Dear Wei,", NOON)
    assert "pagesize must be <= 1000" in vendor.complaint()


async def test_a_name_that_the_vendor_would_overlook_does_not_pass(vendor: Vendor) -> None:
    channel = vendor.channel()
    await channel._get(f"{channel._path}.json?to=%2B8613812345678")
    assert vendor.complaint() == "to is not described"
    with pytest.raises(Permanent):  # by the stand-in, where the vendor would send it
        await channel.post(channel.build(letter()) + b"&Validity=60")
    assert vendor.complaint() == "Validity is not described"


@pytest.mark.parametrize(
    "wrong",
    [{"sid": "SM1"}, {"status": "on its way"}, {"num_segments": 1}, {"date_created": "2026-03-02T04:00:00Z"},
     {"direction": "outbound"}, {"url": "x"}, {"uri": MISSING}, {"account_sid": "AC1"}],
    ids=lambda wrong: next(iter(wrong)),
)  # fmt: skip
async def test_an_answer_of_the_wrong_form_is_reported(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]
) -> None:
    right = resources.outbound

    def spoilt(*given: Any) -> dict[str, Any]:
        return {name: value for name, value in (right(*given) | wrong).items() if value is not MISSING}

    monkeypatch.setattr(resources, "outbound", spoilt)
    assert type((await vendor.send(letter())).trouble) is OutcomeUnknown
    assert next(iter(wrong)) in vendor.complaint()


async def test_a_page_of_the_wrong_form_is_reported(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    right = resources.page
    monkeypatch.setattr(resources, "page", lambda *given: {**right(*given), "next_page_uri": 7})
    with pytest.raises(Retryable):
        await vendor.channel().trace("+8613812345678", key_of(1), "Dear Wei,", NOON)
    assert "next_page_uri" in vendor.complaint()


async def test_a_refusal_of_the_wrong_form_is_reported(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = web.json_response({"message": "no", "status": 400}, status=400)
    monkeypatch.setattr(VendorRefusal, "response", lambda _self: nothing)
    await vendor.send(to("+15005550001"))
    assert "more_info" in vendor.complaint()


async def test_a_page_of_something_between_is_reported(vendor: Vendor) -> None:
    await vendor.behave(Fault(FaultKind.HTML))
    await vendor.send(letter())
    assert "text/html" in vendor.complaint()
