"""What simulated patients do to the world: signed events, bookings, one-click unsubscribes, also after a restart."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from alongside.channels.sendgrid_events import translate
from alongside.channels.sendgrid_signature import verify
from alongside.sandbox.common.clock import StandInClock, simulated_now
from alongside.sandbox.sendgrid import read_ndjson
from alongside.sandbox.sendgrid.behaviour import Act, draw, timeline
from alongside.sandbox.sendgrid.events import SIGNATURE_HEADER, TIMESTAMP_HEADER, event
from alongside.sandbox.sendgrid.responses import read_responses
from tests.sandbox.test_sendgrid import Caller, calling
from tests.sandbox.test_sendgrid_validation import message, personalization

START = datetime(2026, 3, 1, 0, 0, tzinfo=UTC)
PEOPLE = 120
RULES = """
defaults: {bounce: 0.05, blocked: 0.02, deferred: 0.1}
rules:
  - name: review
    match: ["Your review is due"]
    open: 0.6
    click: 0.4
    bot_click: 0.1
    unsubscribe: 0.1
    complaint: 0.03
    book: {service: follow_up, probability: 0.3, within_days: 7, typical_days: 2}
"""


@dataclass
class Receiver:
    """A webhook and an unsubscribe endpoint that remember what came; `refuse` answers that many calls with 500."""

    url: str = ""
    batches: list[tuple[bytes, str, str]] = field(default_factory=list)
    unsubscribed: list[tuple[str, str]] = field(default_factory=list)
    refuse: int = 0
    public_key: str = ""

    async def hook(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self.refuse:
            self.refuse -= 1
            return web.Response(status=500)
        self.batches.append((body, request.headers[SIGNATURE_HEADER], request.headers[TIMESTAMP_HEADER]))
        return web.Response(status=204)

    async def leave(self, request: web.Request) -> web.Response:
        if self.refuse:
            self.refuse -= 1
            return web.Response(status=503)
        self.unsubscribed.append((request.match_info["token"], await request.text()))
        return web.Response(text="done")

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for body, _, _ in self.batches for event in json.loads(body)]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    app = web.Application()
    app.router.add_post("/hook", found.hook)
    app.router.add_post("/u/{token}", found.leave)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


@contextlib.asynccontextmanager
async def playing(folder: Path, receiver: Receiver, **options: Any) -> AsyncIterator[Caller]:
    rules = folder / "responses.yaml"
    rules.write_text(RULES, "utf-8")
    async with calling(folder, responses=rules, seed=4, webhook_url=f"{receiver.url}/hook", **options) as caller:
        yield caller


def letter(receiver: Receiver, count: int = PEOPLE, first: int = 0, *, one_click: bool = True) -> dict[str, Any]:
    people = []
    for n in range(first, first + count):
        headers = {
            "List-Unsubscribe": f"<mailto:leave@hospital.example>, <{receiver.url}/u/{n}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        }
        people.append(
            personalization(
                f"p{n}@example.com",
                custom_args={"m": f"{n:032x}", "b": "b1"},
                headers=headers if one_click else None,
            )
        )
    html = '<a href="https://hospital.example/book">Book</a> Dear -name-'
    return message(
        personalizations=people,
        categories=["c1"],
        content=[{"type": "text/plain", "value": "Dear -name-"}, {"type": "text/html", "value": html}],
    )


async def at(caller: Caller, moment: datetime, settle: float = 20) -> bool:
    status, answer = await caller.control("clock", now=moment.isoformat(), settle=settle)
    assert status == 200, answer
    return bool(answer["settled"])


def expected(days: float = 30) -> Counter[Act]:
    """What the truth says about these patients: computed without the stand-in."""
    from alongside.sandbox.sendgrid.responses import Responses
    from alongside.settings.yaml_source import parse_document, validate

    rules = validate(Responses, parse_document(Path("rules"), RULES))
    found: Counter[Act] = Counter()
    for n in range(PEOPLE):
        steps = timeline(rules.rates("review"), draw(4, f"p{n}@example.com", START.date()))
        found.update(step.act for step in steps if step.after <= days * 86_400)
    return found


# ------------------------------------------------------------------------------------------------------------ events
async def test_every_event_comes_once_signed_and_in_the_vendors_shape(tmp_path: Path, receiver: Receiver) -> None:
    async with playing(tmp_path, receiver) as caller:
        await at(caller, START)
        assert (await caller.send(letter(receiver, one_click=False)))[0] == 202
        assert await at(caller, START + timedelta(days=30))
        _, key = await caller.get("/_sandbox/key")
    now = datetime.now(UTC)
    for body, signature, timestamp in receiver.batches:
        assert verify(key["public_key"], body, signature, timestamp, now=now)
        assert not verify(key["public_key"], body + b" ", signature, timestamp, now=now)
    events = receiver.events
    assert len({one["sg_event_id"] for one in events}) == len(events)
    truth = expected()
    kinds = Counter(one["event"] for one in events)
    assert kinds["processed"] == PEOPLE
    assert kinds["delivered"] == truth[Act.DELIVERED]
    assert kinds["bounce"] == truth[Act.BOUNCE] + truth[Act.BLOCKED]
    assert kinds["open"] == truth[Act.OPEN] + truth[Act.MACHINE_OPEN]
    assert kinds["click"] == truth[Act.CLICK] + truth[Act.BOT_CLICK]
    assert kinds["unsubscribe"] == truth[Act.UNSUBSCRIBE] > 0
    assert kinds["spamreport"] == truth[Act.COMPLAINT]
    assert all(translate(one) is not None for one in events), "our own receiver must understand all of them"
    for one in events:
        assert {"email", "timestamp", "event", "sg_event_id", "sg_message_id", "m", "b"} <= one.keys()
        assert one["timestamp"] >= START.timestamp()
        assert one["category"] == "c1"
    blocked = [one for one in events if one.get("type") == "blocked"]
    assert len(blocked) == truth[Act.BLOCKED]
    clicks = [one for one in events if one["event"] == "click"]
    assert {one["url"] for one in clicks} == {"https://hospital.example/book"}
    assert sum(bool(one.get("sg_machine_open")) for one in events) == truth[Act.MACHINE_OPEN]


async def test_nothing_happens_before_its_time(tmp_path: Path, receiver: Receiver) -> None:
    async with playing(tmp_path, receiver) as caller:
        await at(caller, START)
        await caller.send(letter(receiver))
        assert await at(caller, START)
        assert {one["event"] for one in receiver.events} == {"processed"}
        await at(caller, START + timedelta(hours=1))
        soon = Counter(one["event"] for one in receiver.events)
        assert soon["delivered"] == expected(1 / 24)[Act.DELIVERED]
        for day in (1 / 24, 1, 2, 5, 30):
            await at(caller, START + timedelta(days=day))
            booked = list(read_ndjson(tmp_path / "bookings.ndjson"))
            assert len(booked) == expected(day)[Act.BOOK]
        assert (await caller.get("/_sandbox/pending"))[1]["messages"] == 0
    assert booked[0].keys() == {"to", "at", "service", "message"}
    assert {one["service"] for one in booked} == {"follow_up"}
    assert all(START <= datetime.fromisoformat(one["at"]) <= START + timedelta(days=7) for one in booked)
    assert {one["message"] for one in booked} <= {f"{n:032x}" for n in range(PEOPLE)}


async def test_a_scheduled_message_waits_for_its_hour(tmp_path: Path, receiver: Receiver) -> None:
    later = START + timedelta(hours=10)
    async with playing(tmp_path, receiver) as caller:
        await at(caller, START)
        await caller.send(letter(receiver, 3) | {"send_at": int(later.timestamp())})
        await at(caller, START + timedelta(hours=9))
        assert receiver.events == []
        await at(caller, later + timedelta(hours=1))
        assert Counter(one["event"] for one in receiver.events)["processed"] == 3


async def test_what_the_receiver_refuses_comes_again(tmp_path: Path, receiver: Receiver) -> None:
    receiver.refuse = 3
    async with playing(tmp_path, receiver) as caller:
        await at(caller, START)
        await caller.send(letter(receiver))
        assert await at(caller, START + timedelta(hours=1))
        _, stats = await caller.get("/_sandbox/stats")
    assert (stats["posts_refused"], receiver.refuse) == (3, 0)
    assert Counter(one["event"] for one in receiver.events)["processed"] == PEOPLE


async def test_duplicates_and_reordering_as_in_life(tmp_path: Path, receiver: Receiver) -> None:
    async with playing(tmp_path, receiver, duplicates=0.3, reorder=0.5) as caller:
        await at(caller, START)
        for hour in range(24):
            await caller.send(letter(receiver, 5, 5 * hour))
            await at(caller, START + timedelta(hours=hour))
    ids = Counter(one["sg_event_id"] for one in receiver.events)
    repeated = sum(count > 1 for count in ids.values())
    assert 0.15 < repeated / len(ids) < 0.4
    moments = [[one["timestamp"] for one in json.loads(body)] for body, _, _ in receiver.batches]
    assert any(times != sorted(times) for times in moments)


async def test_an_account_without_a_webhook_hears_nothing_but_patients_book(tmp_path: Path, receiver: Receiver) -> None:
    async with playing(tmp_path, receiver) as caller:
        assert (await caller.control("webhook", url=None))[1] == {"webhook": None}
        await at(caller, START)
        await caller.send(letter(receiver))
        assert await at(caller, START + timedelta(days=30))
        _, stats = await caller.get("/_sandbox/stats")
    assert receiver.events == []
    assert stats["events_unheard"] > 2 * PEOPLE
    assert stats["bookings"] == expected()[Act.BOOK]


async def test_the_vendor_drops_what_bounced_or_complained_before(tmp_path: Path, receiver: Receiver) -> None:
    async with playing(tmp_path, receiver) as caller:
        await at(caller, START)
        await caller.send(letter(receiver, one_click=False))
        await at(caller, START + timedelta(days=10))
        gone = {one["email"] for one in receiver.events if one["event"] in ("spamreport", "unsubscribe")}
        gone |= {one["email"] for one in receiver.events if one.get("type") == "bounce"}
        receiver.batches.clear()
    async with playing(tmp_path, receiver) as caller:  # the list survives a restart
        await caller.send(letter(receiver))
        await at(caller, START + timedelta(days=11))
    dropped = [one for one in receiver.events if one["event"] == "dropped"]
    assert {one["email"] for one in dropped} == gone
    assert {one["reason"] for one in dropped} <= {
        "Bounced Address",
        "Spam Reporting Address",
        "Unsubscribed Address",
    }
    assert len(dropped) > 5


# --------------------------------------------------------------------------------------------------------- one click
async def test_patients_leave_through_the_real_endpoint(tmp_path: Path, receiver: Receiver) -> None:
    async with playing(tmp_path, receiver) as caller:
        await at(caller, START)
        await caller.send(letter(receiver))
        receiver.refuse = 0
        assert await at(caller, START + timedelta(days=30))
        _, stats = await caller.get("/_sandbox/stats")
    assert len(receiver.unsubscribed) == expected()[Act.UNSUBSCRIBE] == stats["one_clicks"]
    assert {body for _, body in receiver.unsubscribed} == {"List-Unsubscribe=One-Click"}
    assert "unsubscribe" not in {one["event"] for one in receiver.events}


async def test_a_link_elsewhere_is_never_followed(tmp_path: Path, receiver: Receiver) -> None:
    body = letter(receiver)
    for item in body["personalizations"]:
        item["headers"]["List-Unsubscribe"] = "<https://hospital.example/u/token>"
    async with playing(tmp_path, receiver) as caller:
        await at(caller, START)
        await caller.send(body)
        assert await at(caller, START + timedelta(days=30))
    assert receiver.unsubscribed == []
    assert Counter(one["event"] for one in receiver.events)["unsubscribe"] == expected()[Act.UNSUBSCRIBE]


# ----------------------------------------------------------------------------------------------------------- restart
async def test_a_restart_loses_nothing_and_repeats_no_booking(tmp_path: Path, receiver: Receiver) -> None:
    async with playing(tmp_path, receiver) as caller:
        await at(caller, START)
        await caller.send(letter(receiver))
        await at(caller, START + timedelta(days=2))
    assert simulated_now(tmp_path / "clock.json") == START + timedelta(days=2)
    receiver.refuse = 2
    async with playing(tmp_path, receiver) as caller:
        _, stats = await caller.get("/_sandbox/stats")
        assert stats["now"] == "2026-03-03T00:00:00.000Z"
        assert await at(caller, START + timedelta(days=30))
    truth = expected()
    events = receiver.events
    assert len({one["sg_event_id"] for one in events}) == len(events)
    reported = sum(truth.values()) - truth[Act.BOOK] - truth[Act.UNSUBSCRIBE]
    assert len(events) == reported
    assert len(list(read_ndjson(tmp_path / "bookings.ndjson"))) == truth[Act.BOOK]
    assert len(receiver.unsubscribed) == truth[Act.UNSUBSCRIBE]


async def test_a_crash_between_booking_and_note_repeats_events_only(tmp_path: Path, receiver: Receiver) -> None:
    async with playing(tmp_path, receiver) as caller:
        await at(caller, START)
        await caller.send(letter(receiver))
        await at(caller, START + timedelta(days=30))
    first = receiver.events
    (tmp_path / "posted.ndjson").unlink()  # as if nothing of it had reached the disk
    async with playing(tmp_path, receiver) as caller:
        assert await at(caller, START + timedelta(days=31))
    assert Counter(one["sg_event_id"] for one in receiver.events) == Counter({one["sg_event_id"]: 2 for one in first})
    assert len(list(read_ndjson(tmp_path / "bookings.ndjson"))) == expected()[Act.BOOK]


async def test_a_receiver_that_stays_away_does_not_stop_the_world(tmp_path: Path, receiver: Receiver) -> None:
    receiver.refuse = 10_000
    async with playing(tmp_path, receiver) as caller:
        await at(caller, START)
        await caller.send(letter(receiver))
        assert not await at(caller, START + timedelta(days=30), settle=0.5)
        await asyncio.sleep(0.3)
        assert len(list(read_ndjson(tmp_path / "bookings.ndjson"))) == expected()[Act.BOOK]
        assert (await caller.get("/_sandbox/pending"))[1]["posting"] > 0
    receiver.refuse = 0
    async with playing(tmp_path, receiver) as caller:
        assert await at(caller, START + timedelta(days=31))
    assert Counter(one["event"] for one in receiver.events)["processed"] == PEOPLE


# ------------------------------------------------------------------------------------------------------------- clock
async def test_time_does_not_run_backwards(tmp_path: Path, receiver: Receiver) -> None:
    async with playing(tmp_path, receiver) as caller:
        await at(caller, START)
        for moment in ("2026-02-28T00:00:00+00:00", "2026-03-02T00:00:00", "tomorrow", ""):
            status, document = await caller.control("clock", now=moment)
            assert (status, "errors" in document) == (400, True)
        _, stats = await caller.get("/_sandbox/stats")
        assert (stats["now"], stats["simulated_time"]) == ("2026-03-01T00:00:00.000Z", True)


async def test_without_a_clock_time_is_real(tmp_path: Path, receiver: Receiver) -> None:
    async with playing(tmp_path, receiver) as caller:
        await caller.send(letter(receiver, 3))
        for _ in range(200):
            if Counter(one["event"] for one in receiver.events)["processed"] == 3:
                break
            await asyncio.sleep(0.02)
        _, stats = await caller.get("/_sandbox/stats")
    assert stats["simulated_time"] is False
    assert Counter(one["event"] for one in receiver.events) == {"processed": 3}


def test_the_clock_is_kept(tmp_path: Path) -> None:
    clock = StandInClock(tmp_path / "clock.json")
    assert not clock.simulated
    clock.set(START)
    again = StandInClock(tmp_path / "clock.json")
    assert (again.simulated, again.now()) == (True, START.timestamp())


def test_events_of_the_shipped_rules_name_every_act() -> None:
    rules = read_responses(Path(__file__).resolve().parents[2] / "config" / "sandbox" / "responses.yaml")
    assert rules.rules
    record = {"request_id": "r", "n": 0, "to": "a@example.com", "m": "m", "b": None, "dropped": "Bounced Address"}
    for act in set(Act) - {Act.BOOK}:
        found = event(record, act, 1, START.timestamp())
        assert found["event"]
        assert "b" not in found
