"""How fast a channel is used, and when it is left alone."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from alongside.channels.base import Answer, LetterRefused
from alongside.delivery.pacing import Breaker, Pace
from alongside.model.errors import DeliveryError, OutcomeUnknown, Refused, Retryable, Throttled


@dataclass
class Clock:
    """Time that passes only by sleeping."""

    at: float = 100.0

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


def failed(error: DeliveryError | Refused, wait: float | None = None) -> Answer:
    return Answer(retry=("k",), trouble=error, retry_after=wait, requests=1)


async def test_a_thousand_messages_a_second_take_a_second_a_thousand() -> None:
    clock = Clock()
    pace = Pace(1000, clock.now, clock.sleep)
    for _ in range(5):
        await pace.take(1000)
    assert clock.at == pytest.approx(104.0)  # the first goes at once, on credit


async def test_time_not_used_is_not_saved_for_a_burst() -> None:
    clock = Clock()
    pace = Pace(10, clock.now, clock.sleep)
    await pace.take(1)
    clock.at += 3600
    for _ in range(11):
        await pace.take(1)
    assert clock.at == pytest.approx(3701.0)


async def test_rests_grow_and_end_with_giving_up() -> None:
    clock = Clock()
    breaker = Breaker(limit=4, base=1.0, now=clock.now, sleep=clock.sleep)
    rests = []
    for _ in range(4):
        breaker.learn(failed(Retryable("service unavailable")))
        rests.append(breaker.resting)
        await breaker.wait()
    assert rests[:3] == [1.0, 2.0, 4.0]
    assert breaker.is_open
    assert "service unavailable" in breaker.open_because


async def test_a_success_forgives() -> None:
    clock = Clock()
    breaker = Breaker(limit=3, base=1.0, now=clock.now, sleep=clock.sleep)
    for _ in range(5):
        breaker.learn(failed(OutcomeUnknown("no answer")))
        breaker.learn(failed(OutcomeUnknown("no answer")))
        breaker.learn(Answer(accepted=("k",)))
    assert not breaker.is_open


async def test_a_vendor_that_says_how_long_to_wait_is_obeyed_and_not_counted_as_failing() -> None:
    clock = Clock()
    breaker = Breaker(limit=2, throttle_limit=10, now=clock.now, sleep=clock.sleep)
    for _ in range(9):
        breaker.learn(failed(Throttled("too many", retry_after=3), 3.0))
        await breaker.wait()
    assert (clock.at, breaker.is_open) == (pytest.approx(127.0), False)
    breaker.learn(failed(Throttled("too many", retry_after=3), 3.0))
    assert breaker.is_open


@pytest.mark.parametrize(
    "error",
    [Refused("the key was revoked", remedy="x"), OutcomeUnknown("a proxy answered", remedy="Check the proxy.")],
)
def test_what_only_a_person_can_mend_opens_at_once(error: DeliveryError | Refused) -> None:
    breaker = Breaker()
    breaker.learn(failed(error))
    assert breaker.is_open


def test_a_letter_that_was_refused_says_that_the_vendor_is_well() -> None:
    breaker = Breaker(limit=1)
    breaker.learn(Answer(retry=("k",), trouble=LetterRefused("from.email"), burn=True))
    assert not breaker.is_open
