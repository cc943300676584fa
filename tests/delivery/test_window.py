"""A vendor that bears little is given little; a vendor that hangs holds up nobody else."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from alongside.channels.base import Answer
from alongside.delivery.pacing import Breaker, Window
from alongside.model.enums import Channel
from alongside.model.errors import OutcomeUnknown, Permanent, Refused, Retryable, Throttled
from alongside.sandbox import twilio
from tests.delivery.clinic import PERSONAL, Clinic
from tests.delivery.conftest import in_a_thread

WELL = Answer(accepted=("k",))
TROUBLES = [Throttled("too many", retry_after=1), OutcomeUnknown("no answer"), Retryable("no connection")]


def trouble(error: Throttled | OutcomeUnknown | Retryable | Permanent | Refused) -> Answer:
    return Answer(retry=("k",), trouble=error)


# ------------------------------------------------------------------------------------------------------------ the rule
@pytest.mark.parametrize("error", TROUBLES)
async def test_trouble_halves_once_for_all_that_were_under_way_and_success_opens_slowly(
    error: Throttled | OutcomeUnknown | Retryable,
) -> None:
    window = Window(64)
    marks = [await window.enter() for _ in range(64)]
    for mark in marks:
        window.leave(mark, trouble(error))
    assert window.size == 32
    for _ in range(33):
        window.leave(await window.enter(), WELL)
    assert 32.9 < window.size < 33.1  # a windowful of answers, one more


@pytest.mark.parametrize(
    "answer", [None, trouble(Refused("the key was revoked")), trouble(Permanent("a bad address")), WELL]
)
async def test_what_says_nothing_of_how_much_a_vendor_bears_changes_nothing(answer: Answer | None) -> None:
    window = Window(8)
    window.leave(await window.enter(), answer)
    assert window.size == 8


async def test_it_never_closes() -> None:
    window = Window(8)
    for _ in range(20):
        window.leave(await asyncio.wait_for(window.enter(), 5), trouble(TROUBLES[0]))
    assert window.size == 1


async def test_whoever_gives_up_waiting_leaves_the_place_to_the_next() -> None:
    window = Window(1)
    mark = await window.enter()
    first, second = asyncio.create_task(window.enter()), asyncio.create_task(window.enter())
    await asyncio.sleep(0)
    window.leave(mark, WELL)
    await asyncio.sleep(0)  # the first is woken ...
    first.cancel()  # ... which is gone before it could take its place
    window.leave(await asyncio.wait_for(second, 5), WELL)
    assert window._busy == 0


async def test_who_goes_on_at_once_wakes_nobody_in_vain() -> None:
    window = Window(1)
    mark = await window.enter()
    other = asyncio.create_task(window.enter())
    await asyncio.sleep(0)
    (turn,) = window._waiting
    for _ in range(3):
        window.leave(mark, WELL)
        mark = await window.enter()
        await asyncio.sleep(0.01)
        assert list(window._waiting) == [turn]
    window.leave(mark, WELL)
    await asyncio.wait_for(other, 5)


@given(
    most=st.integers(1, 12),
    bears=st.integers(1, 12),
    requests=st.integers(1, 60),
    order=st.randoms(use_true_random=False),
)
def test_everybody_gets_through_and_never_more_than_the_window_are_under_way(
    most: int, bears: int, requests: int, order: random.Random
) -> None:
    async def play() -> None:
        window, busy = Window(most), 0

        async def one() -> None:
            nonlocal busy
            mark = await window.enter()
            busy += 1
            assert busy <= most
            too_many = busy > bears
            for _ in range(order.randint(0, 3)):
                await asyncio.sleep(0)
            busy -= 1
            window.leave(mark, trouble(TROUBLES[0]) if too_many else WELL)
            assert 1 <= window.size <= most

        await asyncio.gather(*(one() for _ in range(requests)))
        assert window._busy == 0

    asyncio.run(play())


def test_throttled_together_counts_once() -> None:
    now = itertools.count(100.0, 0.001)
    breaker = Breaker(throttle_limit=3, now=lambda: next(now))
    for _ in range(64):
        breaker.learn(Answer(retry=("k",), retry_after=10.0, trouble=TROUBLES[0]))
    assert (breaker.throttles, breaker.is_open) == (1, False)


# ------------------------------------------------------------------------------------------------------------ a worker
@dataclass
class Narrow:
    """A vendor of e-mail that looks at `bears` requests at once and throttles the others."""

    bears: int
    busy: int = 0
    taken: int = 0
    throttled: int = 0

    async def send(self, _request: web.Request) -> web.Response:
        if self.busy >= self.bears:
            self.throttled += 1
            return web.Response(status=429, headers={"Retry-After": "0.05"})
        self.busy += 1
        await asyncio.sleep(0.005)
        self.busy -= 1
        self.taken += 1
        return web.Response(status=202)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_post("/v3/mail/send", self.send)
        async with TestServer(app) as server:
            yield str(server.make_url("")).rstrip("/")


@contextmanager
def clinic_towards(url: str, folder: Path, ledger_url: str, messages: int) -> Iterator[Clinic]:
    opened = Clinic.open(ledger_url, folder, url, email={"connections": 32})
    opened.admit(range(messages))
    opened.plan(range(messages), template=PERSONAL, batch_size=50)
    yield opened
    opened.ledger.engine.dispose()


def test_a_worker_learns_what_a_vendor_bears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost, and the vendor is troubled less than by a worker that always comes back with everything."""
    stubborn = Narrow(4)
    with (
        monkeypatch.context() as fixed,
        in_a_thread(stubborn.serving()) as url,
        clinic_towards(url, tmp_path / "fixed", f"sqlite:///{tmp_path / 'one.db'}", 100) as clinic,
    ):
        fixed.setattr(Window, "leave", lambda window, mark, _answer, leave=Window.leave: leave(window, mark, None))
        assert clinic.dispatch().progress.accepted == stubborn.taken == 100
    adaptive = Narrow(4)
    with (
        in_a_thread(adaptive.serving()) as url,
        clinic_towards(url, tmp_path / "adaptive", f"sqlite:///{tmp_path / 'other.db'}", 100) as clinic,
    ):
        assert clinic.dispatch().progress.accepted == adaptive.taken == 100
    assert adaptive.throttled < stubborn.throttled / 2


class Hanging:
    """A vendor of e-mail that takes requests and answers none before it is released."""

    def __init__(self) -> None:
        self.asked, self.released = threading.Event(), threading.Event()

    async def send(self, _request: web.Request) -> web.Response:
        self.asked.set()
        while not self.released.is_set():
            await asyncio.sleep(0.01)
        return web.Response(status=202)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_post("/v3/mail/send", self.send)
        async with TestServer(app) as server:
            yield str(server.make_url("")).rstrip("/")


def test_a_vendor_that_hangs_holds_up_no_other_channel(tmp_path: Path, ledger_url: str) -> None:
    """Both channels share a ledger, in which nothing is held for the time of a call."""
    hanging = Hanging()
    with (
        in_a_thread(hanging.serving()) as url,
        in_a_thread(twilio.serve(twilio.Options(tmp_path / "texts", patients=False))) as texts,
        ThreadPoolExecutor(1) as pool,
    ):
        clinic = Clinic.open(ledger_url, tmp_path / "project", url)
        clinic.admit(range(40))
        clinic.admit(range(100, 130), channels=("sms",))
        clinic.plan(range(40), template=PERSONAL, batch_size=5)
        clinic.plan(range(100, 130), channel=Channel.SMS, run_id="run-2", batch_size=5)
        mail = pool.submit(clinic.dispatch, channel=Channel.EMAIL)
        assert hanging.asked.wait(60)
        told = clinic.towards(texts.url).dispatch(channel=Channel.SMS)
        assert told.progress.accepted == 30
        assert not mail.done()
        hanging.released.set()
        assert mail.result(60).progress.accepted == 40
        clinic.ledger.engine.dispose()
