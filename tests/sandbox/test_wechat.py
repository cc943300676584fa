"""The stand-in of a WeChat account: with our adapter, and with a client and a parser that nobody here wrote."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from alongside.channels.base import Addressee, Letter
from alongside.channels.wechat import WeChat
from alongside.channels.wechat_templates import Template
from alongside.model.errors import OutcomeUnknown, Refused, Throttled
from alongside.sandbox.common.faults import Fault, FaultKind
from alongside.sandbox.common.log import read_ndjson
from alongside.sandbox.wechat import DEFAULT_APP_ID, DEFAULT_SECRET, DEFAULT_TOKEN, Options, Registered, Running, serve
from alongside.sandbox.wechat.__main__ import options_from, parser
from alongside.sandbox.wechat.followers import Rates
from tests.fakes import key_of

FIELDS = {"thing1": "医院", "time2": "到院时间"}
TEMPLATE = "visit-template-1"
OPENID = "oQh_000000000000000000000001"
TEXT = "到院提醒\n医院：青禾市示范医院\n到院时间：2026年3月10日 08:00"
NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
NOTHING = Rates(stranger=0, block=0, fail=0, unfollow=0, stop=0, answer=0)


def letter(number: int = 1, to: str = OPENID, text: str = TEXT, *, answering: bool = False) -> Letter:
    addressee = Addressee(key_of(number), to)
    return Letter("b1", "official account", "", "", "", text, "", "", (addressee,), answering)


@asynccontextmanager
async def standing(folder: Path, **options: Any) -> AsyncIterator[tuple[Running, WeChat]]:
    given = {"templates": (Registered(TEMPLATE, "到院提醒", FIELDS),), "patients": False} | options
    async with serve(Options(folder, **given)) as running:
        channel = adapter(running)
        try:
            yield running, channel
        finally:
            await channel.close()


def adapter(running: Running, secret: str = DEFAULT_SECRET, app_id: str = DEFAULT_APP_ID) -> WeChat:
    return WeChat(app_id, secret, running.url, templates=[Template(TEMPLATE, "到院提醒", FIELDS)], timeout=0.4)


def accepted(folder: Path) -> list[dict[str, Any]]:
    return list(read_ndjson(folder / "accepted.ndjson"))


async def send(channel: WeChat, given: Letter) -> Any:
    return await channel.send(given, deadline=time.monotonic() + 30)


async def steer(running: Running, what: str, *given: Any) -> Any:
    return await asyncio.to_thread(getattr(running.control, what), *given)


# ----------------------------------------------------------------------------------------------------------- sending
async def test_what_is_sent_is_what_was_rendered(tmp_path: Path) -> None:
    async with standing(tmp_path) as (_, channel):
        answer = await send(channel, letter(text=TEXT + "\nhttps://hospital.example/visit"))
    [one] = accepted(tmp_path)
    assert answer.accepted == (key_of(1),)
    assert answer.receipts == {key_of(1): f"wechat:{one['sid']}"}
    assert (one["to"], one["m"], one["body"], one["url"]) == (OPENID, key_of(1), TEXT, "https://hospital.example/visit")


class Peer:
    """`wechatpy`, which nobody here wrote, towards the stand-in."""

    def __init__(self, running: Running) -> None:
        reason = "the peer wechatpy is not installed: add it to the dev dependencies"
        module = pytest.importorskip("wechatpy", reason=reason)
        self.error = module.exceptions.WeChatClientException

        class Client(module.WeChatClient):  # type: ignore[misc, name-defined]
            API_BASE_URL = f"{running.url}/cgi-bin/"

            def fetch_access_token(self) -> Any:
                wanted = {"grant_type": "client_credential", "appid": self.appid, "secret": self.secret}
                return self._fetch_access_token(url=f"{running.url}/cgi-bin/token", params=wanted)

        self.client = Client(DEFAULT_APP_ID, DEFAULT_SECRET)

    def send(self, **changes: Any) -> dict[str, Any]:
        data = {"thing1": {"value": "青禾"}, "time2": {"value": "08:00"}}
        given = {"user_id": OPENID, "template_id": TEMPLATE, "data": data, "url": "https://a.example"} | changes
        return dict(self.client.message.send_template(**given))


async def test_a_client_that_nobody_here_wrote_understands_it(tmp_path: Path) -> None:
    def talk(running: Running) -> list[int]:
        peer = Peer(running)
        assert peer.send()["errmsg"] == "ok"
        running.control.text(OPENID, "在吗")
        peer.client.message.send_text(OPENID, "在的")
        codes = []
        for changes in ({"template_id": "another-template"}, {"user_id": "short"}, {"data": {"thing1": {"value": ""}}}):
            with pytest.raises(peer.error) as caught:
                peer.send(**changes)
            codes.append(caught.value.errcode)
        listed = peer.client.template.get_all_private_template()["template_list"]
        assert [one["template_id"] for one in listed] == [TEMPLATE]
        return codes

    async with standing(tmp_path) as (running, _):
        assert await asyncio.to_thread(talk, running) == [40037, 40003, 47003]
    assert [one["body"] for one in accepted(tmp_path)] == ["到院提醒\n医院：青禾\n到院时间：08:00", "在的"]


async def test_a_token_is_fetched_once_by_requests_that_go_together(tmp_path: Path) -> None:
    async with standing(tmp_path) as (running, channel):
        await asyncio.gather(*(send(channel, letter(number)) for number in range(20)))
        other = adapter(running)  # another process of ours: it gets the same one
        await send(other, letter(30))
        await other.close()
        assert (await steer(running, "stats"))["tokens"] == 1
    assert len(accepted(tmp_path)) == 21


async def test_a_token_that_holds_no_more_is_renewed_and_the_message_goes(tmp_path: Path) -> None:
    async with standing(tmp_path) as (running, channel):
        await send(channel, letter(1))
        await steer(running, "forget_tokens")
        answers = await asyncio.gather(*(send(channel, letter(number)) for number in range(2, 10)))
        assert all(one.accepted for one in answers)
        assert (await steer(running, "stats"))["tokens"] == 2
    assert len(accepted(tmp_path)) == 9


@pytest.mark.parametrize(("secret", "app_id"), [("wrong", DEFAULT_APP_ID), (DEFAULT_SECRET, "wx-another")])
async def test_an_account_that_is_not_known_is_no_fault_of_the_patients(
    tmp_path: Path, secret: str, app_id: str
) -> None:
    async with standing(tmp_path) as (running, _):
        channel = adapter(running, secret, app_id)
        answer = await send(channel, letter())
        await channel.close()
    assert answer.retry == (key_of(1),)
    assert isinstance(answer.trouble, Refused)
    assert DEFAULT_SECRET not in str(answer.trouble)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"to": "no openid"}, "not an openid"),
        ({"text": TEXT.replace("到院时间", "时间")}, "line 3 begins with"),
        ({"text": TEXT.replace("08:00", "8 o'clock")}, "time2 .* takes a time"),
    ],
)
async def test_what_the_vendor_would_refuse_does_not_leave(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    async with standing(tmp_path) as (running, channel):
        answer = await send(channel, letter(**changes))
        assert (await steer(running, "stats"))["answers"] == {}
    assert list(answer.rejected) == [key_of(1)]
    assert re.search(reason, answer.rejected[key_of(1)])


async def test_whoever_does_not_follow_closes_their_address(tmp_path: Path) -> None:
    async with standing(tmp_path, patients=True, rates=replace(NOTHING, stranger=1.0)) as (_, channel):
        answer = await send(channel, letter())
    assert "43004" in answer.rejected[key_of(1)]
    assert answer.closes == {key_of(1): "unfollowed"}


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(FaultKind.THROTTLE), Throttled),
        (Fault(FaultKind.WRONG_KEY), Refused),
    ],
)
async def test_what_was_not_taken_waits(tmp_path: Path, fault: Fault, kind: type[Exception]) -> None:
    async with standing(tmp_path, faults=(fault,)) as (_, channel):
        answer = await send(channel, letter())
    assert answer.retry == (key_of(1),)
    assert isinstance(answer.trouble, kind)
    assert accepted(tmp_path) == []


async def test_a_quota_that_is_used_up_is_waited_for(tmp_path: Path) -> None:
    async with standing(tmp_path, quota=1) as (_, channel):
        await send(channel, letter(1))
        answer = await send(channel, letter(2))
    assert answer.retry_after == 900.0


@pytest.mark.parametrize(
    "fault",
    [
        Fault(FaultKind.FAIL, count=2, status=503),
        Fault(FaultKind.FAIL, count=2, status=500),
        Fault(FaultKind.HTML, count=2),
        Fault(FaultKind.DROP_BEFORE, count=2),
        Fault(FaultKind.DROP_AFTER, count=2),
        Fault(FaultKind.HANG, count=1, accept=True),
    ],
)
async def test_a_message_without_an_answer_is_repeated_and_taken_once(tmp_path: Path, fault: Fault) -> None:
    async with standing(tmp_path, faults=(fault,)) as (_, channel):
        answer = await send(channel, letter())
    [one] = accepted(tmp_path)
    assert answer.accepted == (key_of(1),)
    assert answer.receipts == {key_of(1): f"wechat:{one['sid']}"}


async def test_a_message_that_never_gets_an_answer_stays_unknown(tmp_path: Path) -> None:
    async with standing(tmp_path, faults=(Fault(FaultKind.DROP_AFTER),)) as (_, channel):
        answer = await send(channel, letter())
    assert answer.unknown == (key_of(1),)
    assert isinstance(answer.trouble, OutcomeUnknown)
    assert len(accepted(tmp_path)) == 1


async def test_what_a_repetition_is_refused_for_says_nothing_of_the_first(tmp_path: Path) -> None:
    """Taken, no answer; before the repetition the account is closed to us. It must not count as rejected."""
    faults = (Fault(FaultKind.DROP_AFTER, count=1), Fault(FaultKind.WRONG_KEY))
    async with standing(tmp_path, faults=faults) as (_, channel):
        answer = await send(channel, letter())
    assert answer.unknown == (key_of(1),)
    assert len(accepted(tmp_path)) == 1


async def test_an_answer_is_not_repeated(tmp_path: Path) -> None:
    """It has nothing by which the vendor could recognise it."""
    async with standing(tmp_path) as (running, channel):
        await steer(running, "text", OPENID, "在吗")
        assert (await send(channel, letter(text="【青禾】在的", answering=True))).accepted == (key_of(1),)
        slow = adapter(running)
        await running_behaves(running, Fault(FaultKind.DROP_AFTER))
        assert (await send(slow, letter(2, text="【青禾】您好", answering=True))).accepted == (key_of(2),)
        await slow.close()
    assert [one["body"] for one in accepted(tmp_path)] == ["【青禾】在的", "【青禾】您好"]
    assert channel.recognises(letter(answering=True)) == 0


async def running_behaves(running: Running, *faults: Fault) -> None:
    await steer(running, "behave", list(faults))


async def test_nobody_is_answered_who_has_not_written_or_long_ago(tmp_path: Path) -> None:
    async with standing(tmp_path) as (running, channel):
        await steer(running, "set_clock", NOON)
        early = await send(channel, letter(text="在的", answering=True))
        await steer(running, "text", OPENID, "在吗")
        for number in range(6):
            last = await send(channel, letter(number, text="在的", answering=True))
        await steer(running, "set_clock", NOON + timedelta(hours=49))
        late = await send(channel, letter(9, text="在的", answering=True))
    assert "45015" in early.rejected[key_of(1)]
    assert "45047" in last.rejected[key_of(5)]
    assert "45015" in late.rejected[key_of(9)]


# -------------------------------------------------------------------------------------------------------- what it tells
class Receiver:
    """Keeps what it is told, checked by the peer's own parser and signature check."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.refuse = 0

    async def take(self, request: web.Request) -> web.Response:
        from wechatpy import parse_message
        from wechatpy.utils import check_signature

        given = request.query
        check_signature(DEFAULT_TOKEN, given["signature"], given["timestamp"], given["nonce"])
        if self.refuse:
            self.refuse -= 1
            return web.Response(status=503)
        self.told.append(parse_message(await request.text()))
        return web.Response(text="success")


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[Receiver, str]]:
    pytest.importorskip("wechatpy", reason="the peer wechatpy is not installed: add it to the dev dependencies")
    receiver, app = Receiver(), web.Application()
    app.router.add_post("/webhooks/wechat", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield receiver, f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks/wechat"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("rates", "told"),
    [
        (NOTHING, [("event", "templatesendjobfinish_success")]),
        (replace(NOTHING, block=1.0), [("event", "failed:user block")]),
        (replace(NOTHING, fail=1.0), [("event", "failed: system failed")]),
        (replace(NOTHING, unfollow=1.0), [("event", "success"), ("event", "unsubscribe")]),
        (replace(NOTHING, answer=1.0), [("event", "success"), ("text", "")]),
    ],
)
async def test_a_parser_that_nobody_here_wrote_reads_what_it_tells(
    tmp_path: Path, rates: Rates, told: list[tuple[str, str]]
) -> None:
    async with receiving() as (receiver, url), standing(tmp_path, patients=True, rates=rates, webhook_url=url) as both:
        running, channel = both
        await steer(running, "set_clock", NOON)
        await send(channel, letter())
        assert await asyncio.to_thread(running.control.set_clock, NOON + timedelta(hours=12), settle=20)
    [one] = accepted(tmp_path)
    assert [message.type for message in receiver.told] == [kind for kind, _ in told]
    assert {message.source for message in receiver.told} == {OPENID}
    finished = receiver.told[0]
    assert finished.event == "templatesendjobfinish"
    assert str(finished.id) == one["sid"]
    assert finished.status == told[0][1].removeprefix("templatesendjobfinish_")


async def test_it_tells_again_until_it_is_heard_and_after_a_restart(tmp_path: Path) -> None:
    async with receiving() as (receiver, url):
        receiver.refuse = 2
        async with standing(tmp_path, patients=True, rates=NOTHING, webhook_url=url) as (running, channel):
            await steer(running, "set_clock", NOON)
            await send(channel, letter(1))
            await asyncio.to_thread(running.control.set_clock, NOON + timedelta(hours=1), settle=20)
            await send(channel, letter(2, to=OPENID[:-1] + "2"))
        assert [message.event for message in receiver.told] == ["templatesendjobfinish"]
        async with standing(tmp_path, patients=True, rates=NOTHING, webhook_url=url) as (running, channel):
            await send(channel, letter(1))  # an hour later it is another message
            await asyncio.to_thread(running.control.set_clock, NOON + timedelta(hours=2), settle=20)
    assert len(accepted(tmp_path)) == 3
    assert {str(message.id) for message in receiver.told} == {one["sid"] for one in accepted(tmp_path)}


async def test_a_repetition_within_ten_minutes_is_recognised_after_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        async with standing(tmp_path) as (running, channel):
            await steer(running, "set_clock", NOON)
            assert (await send(channel, letter())).accepted
    assert len(accepted(tmp_path)) == 1


async def test_a_request_that_is_no_json_is_refused(tmp_path: Path) -> None:
    async with standing(tmp_path) as (running, channel), aiohttp.ClientSession() as session:
        await send(channel, letter())
        async with session.post(f"{running.url}/cgi-bin/stable_token", data=b"[]") as answer:
            assert (await answer.json())["errcode"] == 47001
        async with session.post(f"{running.url}/cgi-bin/message/template/send?access_token=x", json={}) as answer:
            assert (await answer.json())["errcode"] == 40001


# ------------------------------------------------------------------------------------------------------------- set-up
def test_the_set_up_survives_the_command_line(tmp_path: Path) -> None:
    options = Options(
        tmp_path,
        port=1,
        templates=(Registered(TEMPLATE, "到院提醒", FIELDS),),
        webhook_url="http://127.0.0.1:1/webhooks/wechat",
        rates=NOTHING,
        seed=3,
        faults=(Fault(FaultKind.SLOW, seconds=0.5),),
        duplicates=0.25,
        patients=False,
        quota=7,
    )
    assert options_from(parser().parse_args(options.arguments())) == options


@pytest.mark.parametrize("text", ["[]", "{}", '["a", "b", 3]', "a"])
def test_a_template_that_is_not_understood_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(Refused, match="--template"):
        options_from(parser().parse_args([f"--dir={tmp_path}", f"--template={text}"]))
