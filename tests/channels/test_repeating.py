"""A vendor that recognises a repetition is asked again while nobody knows; anybody else never."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from alongside.channels import base
from alongside.channels.base import AddressClosed, Answer, Letter, Posted
from alongside.model.enums import MessageState
from alongside.model.errors import OutcomeUnknown, Permanent, Refused, Retryable
from tests.fakes import letter

LOST = OutcomeUnknown("no answer", where="fake")


class Fake(base.Channel):
    """Answers what it is told to, in order; the last for ever."""

    name, max_recipients = "fake", 1

    def __init__(self, answers: Sequence[Posted | Exception], seconds: float) -> None:
        self.answers, self.seconds, self.posts = list(answers), seconds, 0

    def check(self, letter: Letter) -> dict[str, str]:
        return {}

    def build(self, letter: Letter) -> bytes:
        return b"{}"

    async def post(self, body: bytes) -> Posted:
        found = self.answers[min(self.posts, len(self.answers) - 1)]
        self.posts += 1
        if isinstance(found, Posted):
            return found
        raise found

    def recognises(self, letter: Letter) -> float:
        return self.seconds

    async def lookup(self, argument: str, value: str) -> list[MessageState]:
        return []

    async def close(self) -> None:
        """Nothing to let go."""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_REPEAT_AFTER", (0.0, 0.0))


async def sent(channel: Fake, *, lease: float = 30.0) -> Answer:
    return await channel.send(letter(1), deadline=time.monotonic() + lease)


async def test_a_repetition_that_is_accepted_settles_it() -> None:
    channel = Fake([LOST, LOST, Posted(200, receipt="fake:1")], 600)
    answer = await sent(channel)
    [key] = answer.accepted
    assert (answer.receipts, channel.posts) == ({key: "fake:1"}, 3)


@pytest.mark.parametrize(
    "after", [Permanent("no"), AddressClosed("no", closes="hard_bounce"), Retryable("no"), Refused("no"), LOST]
)
async def test_nothing_else_does(after: Exception) -> None:
    channel = Fake([LOST, after], 600)
    answer = await sent(channel)
    assert len(answer.unknown) == 1
    assert (answer.rejected, answer.closes, answer.retry) == ({}, {}, ())
    assert channel.posts == 3


async def test_a_vendor_that_recognises_nothing_is_never_asked_twice() -> None:
    channel = Fake([LOST, Posted(200)], 0)
    assert len((await sent(channel)).unknown) == 1
    assert channel.posts == 1


async def test_what_is_clear_is_not_repeated() -> None:
    for answer in (Posted(200), Permanent("no"), Retryable("no"), Refused("no")):
        channel = Fake([answer], 600)
        await sent(channel)
        assert channel.posts == 1


async def test_no_repetition_begins_after_the_lease_or_when_it_would_not_be_recognised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(base, "_REPEAT_AFTER", (0.3, 0.3))
    for lease, seconds in ((0.2, 600), (30, 0.2)):
        channel = Fake([LOST, Posted(200)], seconds)
        assert len((await sent(channel, lease=lease)).unknown) == 1
        assert channel.posts == 1
