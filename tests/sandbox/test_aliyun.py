"""The stand-in of Aliyun's SMS service: with our adapter, and with the vendor's own client."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from alongside.channels.aliyun import Aliyun
from alongside.channels.aliyun_signature import canonical_query, signed_headers
from alongside.channels.base import Addressee, Letter
from alongside.channels.registered import Registered
from alongside.model.enums import MessageState
from alongside.model.errors import OutcomeUnknown, Refused, Throttled
from alongside.sandbox.aliyun import DEFAULT_KEY_ID, DEFAULT_SECRET, Options, serve, start
from alongside.sandbox.aliyun.__main__ import options_from, parser
from alongside.sandbox.aliyun.launch import Running
from alongside.sandbox.common.faults import Fault, FaultKind
from alongside.sandbox.common.log import read_ndjson
from alongside.sandbox.common.phones import Rates
from tests.fakes import key_of

CONTENT = "您好，请于${day}到院。拒收请回复R"
SIGNATURE = "青禾"
NUMBER = "+8613812345678"
NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)


def letter(number: int = 1, to: str = NUMBER, day: str = "3月2日") -> Letter:
    text = f"【{SIGNATURE}】" + CONTENT.replace("${day}", day)
    return Letter("b1", SIGNATURE, "", "", "", text, "", "", (Addressee(key_of(number), to),))


def certain(**changes: float) -> Rates:
    """Rates under which everything is delivered and nobody answers."""
    nothing = dict.fromkeys(("unknown_number", "unreachable", "filtered", "silent", "landline", "stop", "answer"), 0.0)
    return Rates(**(nothing | changes))


@asynccontextmanager
async def standing(folder: Path, **options: Any) -> AsyncIterator[tuple[Running, Aliyun]]:
    given = {"templates": {"SMS_1": CONTENT}, "signatures": (SIGNATURE,), "patients": False} | options
    async with serve(Options(folder, **given)) as running:
        channel = adapter(running)
        try:
            yield running, channel
        finally:
            await channel.close()


def adapter(running: Running, **options: Any) -> Aliyun:
    given = {"registered": [Registered("SMS_1", CONTENT)], "timeout": 0.4} | options
    return Aliyun(options.pop("key_id", DEFAULT_KEY_ID), DEFAULT_SECRET, running.url, **given)


def accepted(folder: Path) -> list[dict[str, Any]]:
    return list(read_ndjson(folder / "accepted.ndjson"))


async def send(channel: Aliyun, given: Letter) -> Any:
    return await channel.send(given, deadline=time.monotonic() + 30)


# ----------------------------------------------------------------------------------------------------------- sending
async def test_what_is_sent_is_what_was_rendered(tmp_path: Path) -> None:
    async with standing(tmp_path) as (_, channel):
        assert (await send(channel, letter())).accepted == (key_of(1),)
    [one] = accepted(tmp_path)
    assert (one["to"], one["m"], one["body"]) == (NUMBER, key_of(1), letter().text)


async def test_the_vendors_own_client_understands_it(tmp_path: Path) -> None:
    reason = "the peer alibabacloud-dysmsapi20170525 is not installed: add it to the dev dependencies"
    client = pytest.importorskip("alibabacloud_dysmsapi20170525.client", reason=reason)
    models = pytest.importorskip("alibabacloud_dysmsapi20170525.models", reason=reason)
    openapi = pytest.importorskip("alibabacloud_tea_openapi.models", reason=reason)

    def talk(running: Running, secret: str = DEFAULT_SECRET) -> dict[str, Any]:
        config = openapi.Config(
            access_key_id=DEFAULT_KEY_ID,
            access_key_secret=secret,
            endpoint=urlsplit(running.url).netloc,
            protocol="http",
        )
        vendor = client.Client(config)
        sent = vendor.send_sms(
            models.SendSmsRequest(
                phone_numbers="13812345678",
                sign_name=SIGNATURE,
                template_code="SMS_1",
                template_param=json.dumps({"day": "3月 2日+"}),
                out_id=key_of(7),
            )
        ).body.to_map()
        day = f"{datetime.now(UTC) + timedelta(hours=8):%Y%m%d}"
        listed = vendor.query_send_details(
            models.QuerySendDetailsRequest(phone_number="13812345678", send_date=day, page_size=10, current_page=1)
        ).body.to_map()
        template = vendor.get_sms_template(models.GetSmsTemplateRequest(template_code="SMS_1")).body.to_map()
        return {"sent": sent, "listed": listed, "template": template}

    async with standing(tmp_path) as (running, _):
        told = await asyncio.to_thread(talk, running)
        assert told["sent"]["Code"] == "OK"
        [entry] = told["listed"]["SmsSendDetailDTOs"]["SmsSendDetailDTO"]
        assert (entry["OutId"], entry["SendStatus"], entry["Content"]) == (
            key_of(7),
            1,
            f"【{SIGNATURE}】您好，请于3月 2日+到院。拒收请回复R",
        )
        assert told["template"]["TemplateContent"] == CONTENT
        with pytest.raises(Exception, match="SignatureDoesNotMatch"):
            await asyncio.to_thread(talk, running, "wrong")
    assert len(accepted(tmp_path)) == 1


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"PhoneNumbers": "110"}, "isv.MOBILE_NUMBER_ILLEGAL"),
        ({"SignName": "别人"}, "isv.SMS_SIGNATURE_ILLEGAL"),
        ({"TemplateCode": "SMS_2"}, "isv.SMS_TEMPLATE_ILLEGAL"),
        ({"TemplateParam": "{}"}, "isv.TEMPLATE_MISSING_PARAMETERS"),
        ({"TemplateParam": '{"day": 3}'}, "isv.INVALID_JSON_PARAM"),
        ({"TemplateParam": "day"}, "isv.INVALID_JSON_PARAM"),
        ({"TemplateParam": json.dumps({"day": "x" * 36})}, "isv.PARAM_LENGTH_LIMIT"),
        ({"TemplateParam": '{"day": "http://evil.example"}'}, "isv.PARAM_NOT_SUPPORT_URL"),
    ],
)
async def test_it_refuses_as_strictly_as_the_real_one(tmp_path: Path, parameters: dict[str, str], code: str) -> None:
    usual = {
        "PhoneNumbers": "13812345678",
        "SignName": SIGNATURE,
        "TemplateCode": "SMS_1",
        "TemplateParam": '{"day": "3"}',
    }
    async with standing(tmp_path) as (running, _):
        status, answer = await call(running, "SendSms", usual | parameters)
    assert (status, answer["Code"]) == (200, code)
    assert accepted(tmp_path) == []


async def call(running: Running, action: str, parameters: dict[str, str], **changes: str) -> tuple[int, dict[str, Any]]:
    """A request that our adapter would not make."""
    query = canonical_query(parameters)
    given = {
        "host": urlsplit(running.url).netloc,
        "query": query,
        "key_id": DEFAULT_KEY_ID,
        "secret": DEFAULT_SECRET,
        "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "nonce": key_of(time.monotonic_ns()),
    } | changes
    headers = signed_headers(action, "2017-05-25", **given)
    async with aiohttp.ClientSession() as session, session.post(f"{running.url}/?{query}", headers=headers) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"secret": "wrong"}, "SignatureDoesNotMatch"),
        ({"key_id": "nobody"}, "InvalidAccessKeyId.NotFound"),
        ({"date": "2020-01-01T00:00:00Z"}, "InvalidTimeStamp.Expired"),
        ({"date": "now"}, "InvalidTimeStamp.Format"),
    ],
)
async def test_a_request_that_is_not_signed_just_now_is_refused(
    tmp_path: Path, changes: dict[str, str], code: str
) -> None:
    async with standing(tmp_path) as (running, _):
        assert (await call(running, "SendSms", {}, **changes))[1]["Code"] == code


async def test_a_copy_of_a_request_is_refused(tmp_path: Path) -> None:
    async with standing(tmp_path) as (running, _):
        ask = {"TemplateCode": "SMS_1"}
        assert (await call(running, "GetSmsTemplate", ask, nonce="n" * 32))[1]["Code"] == "OK"
        assert (await call(running, "GetSmsTemplate", ask, nonce="n" * 32))[1]["Code"] == "SignatureNonceUsed"
        assert (await call(running, "Nothing", {}))[0] == 404


async def test_a_number_has_its_daily_share(tmp_path: Path) -> None:
    async with standing(tmp_path) as (_, channel):
        for number in range(50):
            assert (await send(channel, letter(number))).accepted
        assert "share" in next(iter((await send(channel, letter(50))).rejected.values()))
        assert (await send(channel, letter(51, to="+8613900000000"))).accepted
    assert len(accepted(tmp_path)) == 51


@pytest.mark.parametrize(
    ("fault", "trouble", "taken"),
    [
        (Fault(FaultKind.THROTTLE), Throttled, 0),
        (Fault(FaultKind.FAIL, status=500), OutcomeUnknown, 0),
        (Fault(FaultKind.WRONG_KEY), Refused, 0),
        (Fault(FaultKind.HTML), OutcomeUnknown, 0),
        (Fault(FaultKind.DROP_BEFORE), OutcomeUnknown, 0),
        (Fault(FaultKind.DROP_AFTER), OutcomeUnknown, 1),
        (Fault(FaultKind.HANG, accept=True), OutcomeUnknown, 1),
        (Fault(FaultKind.SLOW, seconds=0.1), None, 1),
    ],
)
async def test_it_misbehaves_as_it_is_told(tmp_path: Path, fault: Fault, trouble: type | None, taken: int) -> None:
    async with standing(tmp_path, faults=(replace(fault, count=1),)) as (_, channel):
        answer = await send(channel, letter())
    assert type(answer.trouble) is (trouble or type(None))
    assert len(accepted(tmp_path)) == taken


# ------------------------------------------------------------------------------------------------------------- tracing
async def test_a_message_is_found_by_number_and_key(tmp_path: Path) -> None:
    since = datetime.now(UTC) - timedelta(minutes=1)
    async with standing(tmp_path) as (_, channel):
        for number in range(3):
            await send(channel, letter(number))
        found = await channel.trace(NUMBER, key_of(1), "", since)
        assert (found.states, found.conclusive) == ((MessageState.ACCEPTED,), True)
        assert (await channel.trace(NUMBER, key_of(9), "", since)).states == ()
        assert (await channel.trace("+8613900000000", key_of(1), "", since)).states == ()
        with pytest.raises(Refused, match="trace"):
            await channel.lookup("m", key_of(1))


async def test_what_is_registered_can_be_asked(tmp_path: Path) -> None:
    async with standing(tmp_path) as (_, channel):
        assert await channel.content_of("SMS_1") == CONTENT


# ------------------------------------------------------------------------------------------------------------ patients
class Receiver:
    """Takes what the provider tells; refuses the first calls when told to."""

    def __init__(self) -> None:
        self.reports: list[dict[str, Any]] = []
        self.texts: list[dict[str, Any]] = []
        self.refuse = 0
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        if self.refuse:
            self.refuse -= 1
            return web.Response(status=503)
        heard = self.reports if request.path.endswith("/report") else self.texts
        heard += await request.json()
        return web.json_response({"code": 0, "msg": "OK"})


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hear/{what}", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hear"
    try:
        yield receiver
    finally:
        await runner.cleanup()


async def advance(running: Running, moment: datetime) -> bool:
    return await asyncio.to_thread(running.control.set_clock, moment, settle=5)


@pytest.mark.parametrize(
    ("rates", "code"),
    [
        (certain(), "DELIVERED"),
        (certain(unknown_number=1.0), "INVALID_NUMBER"),
        (certain(unreachable=1.0), "MOBILE_NOT_ON_SERVICE"),
        (certain(filtered=1.0), "CONTENT_KEYWORD"),
    ],
)
async def test_each_message_is_reported_once(tmp_path: Path, rates: Rates, code: str) -> None:
    async with (
        receiving() as receiver,
        standing(tmp_path, patients=True, rates=rates, webhook_url=receiver.url) as (running, channel),
    ):
        await advance(running, NOON)
        await send(channel, letter())
        assert await advance(running, NOON + timedelta(hours=8))
        assert [(one["out_id"], one["err_code"]) for one in receiver.reports] == [(key_of(1), code)]
        assert receiver.reports[0]["success"] is (code == "DELIVERED")


async def test_a_report_that_is_not_taken_comes_again(tmp_path: Path) -> None:
    async with (
        receiving() as receiver,
        standing(tmp_path, patients=True, rates=certain(), webhook_url=receiver.url) as (running, channel),
    ):
        receiver.refuse = 2
        await advance(running, NOON)
        await send(channel, letter())
        await advance(running, NOON + timedelta(hours=1))
        assert len(receiver.reports) == 1


async def test_whoever_texts_that_they_leave_gets_nothing_more(tmp_path: Path) -> None:
    async with (
        receiving() as receiver,
        standing(tmp_path, patients=True, rates=certain(stop=1.0), webhook_url=receiver.url) as (running, channel),
    ):
        await advance(running, NOON)
        await send(channel, letter())
        await advance(running, NOON + timedelta(hours=9))
        assert [one["content"] in ("R", "TD", "退订") for one in receiver.texts] == [True]
        await send(channel, letter(2))
        await advance(running, NOON + timedelta(hours=10))
        assert receiver.reports[-1]["err_code"] == "USER_REJECT"
        await asyncio.to_thread(running.control.text, "+8613900000000", "请问", signature=SIGNATURE)
        await advance(running, NOON + timedelta(hours=11))
        assert receiver.texts[-1]["content"] == "请问"


async def test_after_a_restart_nothing_is_forgotten_and_nothing_told_twice(tmp_path: Path) -> None:
    options = {"patients": True, "rates": certain(answer=1.0)}
    async with receiving() as receiver:
        async with standing(tmp_path, webhook_url=receiver.url, **options) as (running, channel):
            await advance(running, NOON)
            for number in range(5):
                await send(channel, letter(number, to=f"+861390000000{number}"))
            await advance(running, NOON + timedelta(minutes=1))
            before = len(receiver.reports)
        assert before == 5
        async with standing(tmp_path, webhook_url=receiver.url, **options) as (running, _):
            await advance(running, NOON + timedelta(hours=9))
        assert len(receiver.reports) == 5
        assert len({one["sequence_id"] for one in receiver.texts}) == len(receiver.texts) == 5


# ------------------------------------------------------------------------------------------------------------- process
def test_options_survive_the_command_line(tmp_path: Path) -> None:
    options = Options(
        tmp_path,
        port=0,
        templates={"SMS_1": "a=b ${x}"},
        signatures=(SIGNATURE,),
        webhook_url="http://127.0.0.1:9/x",
        rates=certain(stop=0.5),
        faults=(Fault(FaultKind.THROTTLE, rate=0.5),),
        duplicates=0.1,
        patients=False,
    )
    assert options_from(parser().parse_args(options.arguments())) == options


def test_it_runs_as_a_process_of_its_own_on_loopback_only(tmp_path: Path) -> None:
    with start(Options(tmp_path, templates={"SMS_1": CONTENT})) as running:
        assert running.control.stats()["accepted"] == 0
    with pytest.raises(Refused, match="loopback"):
        asyncio.run(_open(Options(tmp_path, host="0.0.0.0")))


async def _open(options: Options) -> None:
    async with serve(options):
        pass
