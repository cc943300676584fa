"""What the stand-in of Twilio tells afterwards: signed, at least once, in any order, and what patients answer."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from alongside.channels.base import Addressee, Letter
from alongside.channels.twilio_events import Inbound, read_inbound, read_status
from alongside.channels.twilio_signature import SIGNATURE_HEADER, read_form, verify
from alongside.ledger.events import DeliveryEvent
from alongside.model.enums import EventKind
from alongside.sandbox.common.phones import Draws, draw, opt_out_type, timeline
from alongside.sandbox.twilio import DEFAULT_AUTH_TOKEN, DEFAULT_NUMBER, Rates, read_ndjson
from alongside.sandbox.twilio.webhooks import retries_of
from tests.fakes import key_of
from tests.sandbox.test_twilio import NOON, PATIENT, SERVICE, Caller, calling, certain

LATER = NOON + timedelta(days=1)


@dataclass
class Receiver:
    """Our side: takes what is signed, in our words. `refuse` so many requests first, with `status`."""

    url: str = ""
    refuse: int = 0
    status: int = 503
    events: list[DeliveryEvent] = field(default_factory=list)
    inbound: list[Inbound] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    requests: int = 0

    async def take(self, request: web.Request) -> web.Response:
        self.requests += 1
        self.tokens.append(request.headers["I-Twilio-Idempotency-Token"])
        if self.requests <= self.refuse:
            return web.Response(status=self.status)
        fields = read_form(await request.read())
        url = str(request.url)
        assert fields is not None
        assert verify(DEFAULT_AUTH_TOKEN, url, fields, request.headers[SIGNATURE_HEADER])
        if request.path == "/in":
            message = read_inbound(fields)
            assert message is not None
            self.inbound.append(message)
        else:
            event = read_status(url, fields, datetime.now(UTC))
            assert event is not None
            self.events.append(event)
        return web.Response(status=204)

    def kinds(self, number: int) -> list[EventKind]:
        return [event.kind for event in self.events if event.message_key == key_of(number)]


@contextlib.asynccontextmanager
async def receiving(**options: int) -> AsyncIterator[Receiver]:
    found = Receiver(**options)  # type: ignore[arg-type]  # only the numbers are given
    app = web.Application()
    app.router.add_post("/{path}", found.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()


async def send(caller: Caller, receiver: Receiver, count: int, *, sender: str = DEFAULT_NUMBER) -> None:
    to = tuple(Addressee(key_of(number), f"+861380000{number:04d}") for number in range(count))
    channel = caller.channel(callback=f"{receiver.url}/cb", timeout=10)
    letter = Letter("b" + "0" * 32, sender, "", "", "", "复诊提醒，拒收请回复R", "", "", to)
    answer = await channel.send(letter, deadline=float("inf"))
    await channel.close()
    assert len(answer.accepted) == count


async def begin(caller: Caller) -> None:
    await caller.control("clock", now=NOON.isoformat())


async def wait(caller: Caller, moment: datetime = LATER) -> None:
    _, answer = await caller.control("clock", now=moment.isoformat(), settle=30)
    assert answer["settled"] is True


async def stats(caller: Caller) -> dict[str, int]:
    return (await caller.get("/_sandbox/stats"))[1]


# ---------------------------------------------------------------------------------------------------------- statuses
async def test_every_message_reports_its_way_signed_and_with_its_own_key(tmp_path: Path) -> None:
    async with receiving() as receiver, calling(tmp_path, rates=certain()) as caller:
        await begin(caller)
        await send(caller, receiver, 5)
        assert receiver.events == [], "nothing happens before its time"
        await wait(caller, NOON + timedelta(seconds=0.5))
        await wait(caller)
        for number in range(5):
            assert receiver.kinds(number) == [EventKind.PROCESSED, EventKind.DELIVERED]
        assert len(set(receiver.tokens)) == 10
        assert (await stats(caller))["callbacks_posted"] == 10


async def test_a_messaging_service_also_reports_that_it_queued(tmp_path: Path) -> None:
    async with receiving() as receiver, calling(tmp_path, rates=certain()) as caller:
        await begin(caller)
        await send(caller, receiver, 1, sender=SERVICE)
        await wait(caller)
        statuses = [event.event_id.partition(".")[2] for event in receiver.events]
        assert statuses == ["queued", "sent", "delivered"]


@pytest.mark.parametrize(
    ("rate", "kinds", "detail"),
    [
        ("unknown_number", [EventKind.PROCESSED, EventKind.BOUNCE], "30005"),
        ("unreachable", [EventKind.PROCESSED, EventKind.BLOCKED], "30003"),
        ("filtered", [EventKind.PROCESSED, EventKind.BLOCKED], "30007"),
        ("silent", [EventKind.PROCESSED, EventKind.BLOCKED], "30008"),
        ("landline", [EventKind.BOUNCE], "30006"),
    ],
)
async def test_what_does_not_arrive_says_why(tmp_path: Path, rate: str, kinds: list[EventKind], detail: str) -> None:
    async with receiving() as receiver, calling(tmp_path, rates=certain(**{rate: 1.0})) as caller:
        await begin(caller)
        await send(caller, receiver, 1)
        await wait(caller)
        assert receiver.kinds(0) == kinds
        assert receiver.events[-1].detail.startswith(detail)
        _, resource = await caller.get(f"{caller_path(caller)}.json")
        assert str(resource["error_code"]) == detail


def caller_path(caller: Caller) -> str:
    (record,) = caller.accepted()
    return f"/2010-04-01/Accounts/{record['account']}/Messages/{record['sid']}"


async def test_repetitions_are_the_same_events(tmp_path: Path) -> None:
    async with receiving() as receiver, calling(tmp_path, rates=certain(), duplicates=1.0) as caller:
        await begin(caller)
        await send(caller, receiver, 10)
        await wait(caller)
        assert len(receiver.events) == 40
        assert set(Counter(event.event_id for event in receiver.events).values()) == {2}
        assert (await stats(caller))["callbacks_repeated"] == 20


async def test_the_same_messages_are_disturbed_in_every_run(tmp_path: Path) -> None:
    told: list[tuple[Counter[str], int]] = []
    async with receiving() as receiver:
        for run in ("one", "two"):
            receiver.events.clear()
            async with calling(tmp_path / run, rates=certain(), duplicates=0.3, reorder=0.3) as caller:
                await begin(caller)
                await send(caller, receiver, 40)
                await wait(caller)
            counts = Counter(f"{event.message_key} {event.kind}" for event in receiver.events)
            backwards = sum(receiver.kinds(number)[0] is EventKind.DELIVERED for number in range(40))
            told.append((counts, backwards))
    assert told[0] == told[1]
    assert 90 < sum(told[0][0].values()) < 120
    assert 4 < told[0][1] < 24


async def test_the_order_may_be_wrong_and_the_resource_is_right(tmp_path: Path) -> None:
    async with receiving() as receiver, calling(tmp_path, rates=certain(), reorder=1.0) as caller:
        await begin(caller)
        await send(caller, receiver, 1)
        await wait(caller)
        assert receiver.kinds(0) == [EventKind.DELIVERED, EventKind.PROCESSED]
        assert (await caller.get(f"{caller_path(caller)}.json"))[1]["status"] == "delivered"


@pytest.mark.parametrize(
    ("fragment", "refuse", "status", "requests", "taken"),
    [
        ("", 1, 503, 2, 1),  # the vendor's default: no second try after an error status; `delivered` comes by itself
        ("#rc=5&rp=all", 3, 503, 5, 2),
        ("#rc=2&rp=5xx", 9, 503, 6, 0),
        ("#rc=5&rp=5xx", 9, 403, 2, 0),
        ("#rc=1&rp=4xx", 1, 403, 3, 2),
    ],
)
async def test_the_vendor_tries_as_often_as_the_address_asks(
    tmp_path: Path, fragment: str, refuse: int, status: int, requests: int, taken: int
) -> None:
    async with receiving(refuse=refuse, status=status) as receiver, calling(tmp_path, rates=certain()) as caller:
        await begin(caller)
        await caller.send(StatusCallback=f"{receiver.url}/cb?b=b&m={key_of(0)}{fragment}")
        await wait(caller)
        assert (receiver.requests, len(receiver.events)) == (requests, taken)
        found = await stats(caller)
        assert (found["callbacks_posted"], found["lost"]) == (taken, 2 - taken)
        assert len(set(receiver.tokens)) == 2, "a further try carries the same token"


def test_how_often_is_read_from_the_fragment() -> None:
    assert (retries_of("http://x/").count, retries_of("http://x/").on) == (1, {"ct"})
    assert retries_of("http://x/#rc=99&rp=4xx,5xx").count == 5
    assert retries_of("http://x/#rc=-1").count == 1
    assert retries_of("http://x/#rc=0&rp=all").apply("rt")


async def test_a_restart_tells_the_rest_once(tmp_path: Path) -> None:
    async with receiving() as receiver:
        async with calling(tmp_path, rates=certain(stop=1.0), inbound_url=f"{receiver.url}/in") as caller:
            await begin(caller)
            await send(caller, receiver, 6)
            await wait(caller, NOON + timedelta(seconds=6))
            early = len(receiver.events)
            assert 6 <= early < 12, "some are sent, not all delivered"
        async with calling(tmp_path, rates=certain(stop=1.0), inbound_url=f"{receiver.url}/in") as caller:
            await wait(caller)
            assert set(Counter(event.event_id for event in receiver.events).values()) == {1}
            assert len(receiver.events) == 12
            assert len(receiver.inbound) == 6
        async with calling(tmp_path, rates=certain(stop=1.0), inbound_url=f"{receiver.url}/in") as caller:
            await wait(caller, LATER + timedelta(days=1))
            assert (len(receiver.events), len(receiver.inbound)) == (12, 6)


# ----------------------------------------------------------------------------------------------------------- patients
async def test_patients_answer_in_the_language_of_the_message(tmp_path: Path) -> None:
    async with receiving() as receiver:
        options = {"rates": certain(stop=0.5, answer=0.5), "inbound_url": f"{receiver.url}/in"}
        async with calling(tmp_path, **options) as caller:
            await begin(caller)
            await send(caller, receiver, 40)
            for number in range(40):
                await caller.send(To=f"+1202555{number:04d}", Body="Your visit is tomorrow. Reply STOP to end.")
            await wait(caller)
            words = {message.text for message in receiver.inbound if message.sender.startswith("+86")}
            assert {"退订", "R", "TD"} <= words
            assert len(words) == 6
            assert "STOP" in {message.text for message in receiver.inbound if message.sender.startswith("+1")}
            assert len(receiver.inbound) == 80
            written = {line["sid"]: line["body"] for line in read_ndjson(tmp_path / "inbound.ndjson")}
            assert written == {message.sid: message.text for message in receiver.inbound}


async def test_stop_is_the_vendors_business_and_chinese_words_are_ours(tmp_path: Path) -> None:
    async with receiving() as receiver, calling(tmp_path, rates=certain()) as caller:
        await begin(caller)
        await caller.control("webhook", url=f"{receiver.url}/in")
        for text, code in (("退订", None), ("R", None), (" stop ", 21610), ("START", None), ("Unsubscribe", 21610)):
            await caller.control("inbound", **{"from": PATIENT, "body": text})
            status, body = await caller.send()
            assert (status, body.get("code")) == ((201, None) if code is None else (400, code)), text
        other, _ = await caller.send(From="+15005550123")
        assert other == 201, "an opt-out is from one sender"
        await wait(caller)
        assert [message.text for message in receiver.inbound] == ["退订", "R", " stop ", "START", "Unsubscribe"]
        assert {message.opt_out for message in receiver.inbound} == {""}
    async with calling(tmp_path) as caller:
        assert (await caller.send())[1]["code"] == 21610, "it is remembered"


async def test_a_messaging_service_says_what_it_took_for_an_opt_out(tmp_path: Path) -> None:
    async with receiving() as receiver, calling(tmp_path, inbound_url=f"{receiver.url}/in") as caller:
        await caller.control("inbound", **{"from": PATIENT, "body": "STOP", "service": SERVICE})
        await wait(caller, datetime.now(UTC) + timedelta(seconds=1))
        assert [message.opt_out for message in receiver.inbound] == ["STOP"]
        assert (await caller.send(From=None, MessagingServiceSid=SERVICE))[1]["code"] == 21610


def test_the_rates_are_the_truth() -> None:
    """Shares of accepted messages, over many patients; three standard errors."""
    rates, day, count = Rates(stop=0.05, answer=0.1), NOON.date(), 20_000
    found: Counter[str] = Counter()
    for number in range(count):
        for step in timeline(rates, draw(1, f"+86138{number:08d}", day), "提醒", by_service=False):
            left = "stop" if step.text in ("退订", "R", "TD") else "answer"
            found[str(step.code or step.status) if step.status else left] += 1
    wanted = {"delivered": rates.delivered, "30005": rates.unknown_number, "30003": rates.unreachable,
              "30007": rates.filtered, "30008": rates.silent, "30006": rates.landline,
              "stop": rates.stop, "answer": rates.answer}  # fmt: skip
    for name, rate in wanted.items():
        error = (rate * (1 - rate) / count) ** 0.5
        assert abs(found[name] / count - rate) < 3.5 * error, name


def test_a_patients_luck_knows_nothing_of_the_message() -> None:
    luck = draw(1, PATIENT, NOON.date())
    assert luck == draw(1, PATIENT, NOON.date())
    assert luck != draw(1, PATIENT, LATER.date())
    assert luck != draw(2, PATIENT, NOON.date())
    fates = {timeline(Rates(), luck, body, by_service=False)[1].status for body in ("a", "b", "提醒")}
    assert len(fates) == 1


def test_steps_come_in_the_order_of_time() -> None:
    for luck in (
        Draws(0.9, 0.0, 0.0, 0.0, 0.0),
        Draws(0.999, 0.999, 0.0, 0.999, 0.999),
        Draws(0.0, 0.5, 0.5, 0.5, 0.5),
    ):
        steps = timeline(Rates(), luck, "提醒", by_service=True)
        assert [step.after for step in steps] == sorted(step.after for step in steps)


@pytest.mark.parametrize(("text", "meaning"), [("STOP", "STOP"), (" quit\n", "STOP"), ("start", "START"), ("R", "")])
def test_which_words_the_vendor_knows(text: str, meaning: str) -> None:
    assert opt_out_type(text) == meaning
