"""The SMTP channel against a real SMTP server (aiosmtpd), well-behaved and not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alongside.channels.base import Addressee, Answer, Letter, LetterRefused
from alongside.channels.smtp import Smtp
from alongside.model.errors import OutcomeUnknown, Refused, Retryable, Throttled
from alongside.sandbox.common.faults import Fault, FaultKind
from alongside.sandbox.common.log import read_ndjson
from alongside.sandbox.smtp import Options, Running, serve, start
from alongside.sandbox.smtp.__main__ import options_from, parser
from tests.fakes import key_of


def letter(*numbers: int, **changes: Any) -> Letter:
    everybody = tuple(
        Addressee(key_of(number), f"p{number}@example.com", {"-s1-": f"N{number}"}, f"https://x.example/u/{number}")
        for number in numbers or (1,)
    )
    found = Letter(
        "b1", "care@hospital.example", "Qinghe", "hello@hospital.example", "Dear -s1-", "Text for -s1-",
        "<p>Text for -s1-</p>", "care.hospital.example", everybody,
    )  # fmt: skip
    return replace(found, **changes)


@asynccontextmanager
async def standing(folder: Path, **options: Any) -> AsyncIterator[tuple[Running, Smtp]]:
    async with serve(Options(folder, **options)) as running:
        channel = Smtp(running.url, timeout=2, at_once=4)
        try:
            yield running, channel
        finally:
            await channel.close()


async def send(channel: Smtp, given: Letter) -> Answer:
    return await channel.send(given, deadline=time.monotonic() + 30)


def taken(folder: Path) -> list[dict[str, Any]]:
    return list(read_ndjson(folder / "accepted.ndjson"))


async def test_each_recipient_gets_a_mail_of_their_own(tmp_path: Path) -> None:
    async with standing(tmp_path) as (_, channel):
        answer = await send(channel, letter(*range(30)))
    assert sorted(answer.accepted) == sorted(key_of(number) for number in range(30))
    found = {record["m"]: record for record in taken(tmp_path)}
    assert len(found) == 30
    assert {(found[key_of(n)]["to"], found[key_of(n)]["subject"]) for n in range(30)} == {
        (f"p{n}@example.com", f"Dear N{n}") for n in range(30)
    }
    assert {record["b"] for record in found.values()} == {"b1"}


async def test_connections_are_kept(tmp_path: Path) -> None:
    async with standing(tmp_path) as (_, channel):
        for number in range(5):
            await send(channel, letter(number))
        assert len(channel._idle) == 1


async def test_a_recipient_that_nobody_has_stops_no_other(tmp_path: Path) -> None:
    async with standing(tmp_path, refuse=("p2@example.com",)) as (_, channel):
        answer = await send(channel, letter(1, 2, 3))
    assert sorted(answer.accepted) == sorted([key_of(1), key_of(3)])
    assert "550" in answer.rejected[key_of(2)]
    assert "p2" not in answer.rejected[key_of(2)]


@pytest.mark.parametrize(
    ("fault", "trouble", "accepted"),
    [
        (Fault(FaultKind.THROTTLE), None, 0),  # greylisting: this recipient later
        (Fault(FaultKind.FAIL, status=503), Throttled, 0),
        (Fault(FaultKind.DROP_AFTER), OutcomeUnknown, 1),
        (Fault(FaultKind.DROP_BEFORE), OutcomeUnknown, 0),
        (Fault(FaultKind.HANG, accept=True), OutcomeUnknown, 1),
        (Fault(FaultKind.SLOW, seconds=0.1), None, 1),
    ],
)
async def test_what_goes_wrong_after_the_message_is_not_guessed(
    tmp_path: Path, fault: Fault, trouble: type | None, accepted: int
) -> None:
    async with standing(tmp_path, faults=(replace(fault, count=1),)) as (_, channel):
        answer = await send(channel, letter())
        assert type(answer.trouble) is (trouble or type(None))
        assert len(taken(tmp_path)) == accepted
        if not accepted and fault.kind in (FaultKind.THROTTLE, FaultKind.FAIL):
            assert answer.retry == (key_of(1),)
            assert (await send(channel, letter())).accepted  # the connection is as good as before


async def test_a_message_that_is_refused_for_its_content_is_rejected(tmp_path: Path) -> None:
    async with standing(tmp_path, faults=(Fault(FaultKind.FAIL, status=500, count=1),)) as (_, channel):
        assert "554" in next(iter((await send(channel, letter())).rejected.values()))


async def test_a_login_is_used_and_a_wrong_one_is_the_accounts_fault(tmp_path: Path) -> None:
    async with standing(tmp_path, login=("care", "s3cret/@")) as (running, _):
        right = Smtp(running.url)
        assert (await send(right, letter())).accepted
        await right.close()
        wrong = Smtp(running.url.replace("s3cret", "no"))
        assert isinstance((await send(wrong, letter())).trouble, Refused)


async def test_where_nobody_listens_nothing_was_taken() -> None:
    channel = Smtp("smtp://127.0.0.1:1", timeout=1)
    assert isinstance((await send(channel, letter())).trouble, Retryable)
    with pytest.raises(Refused, match="cannot be asked"):
        await channel.lookup("m", key_of(1))


async def test_without_tls_nothing_leaves_where_it_is_wanted(tmp_path: Path) -> None:
    async with standing(tmp_path) as (running, _):
        strict = Smtp(running.url.replace("smtp://", "smtp+starttls://"), timeout=2)
        answer = await send(strict, letter())
        assert isinstance(answer.trouble, Refused | Retryable)
    assert taken(tmp_path) == []


@pytest.mark.parametrize("url", ["", "http://x.example", "smtp://", "mail.example"])
def test_an_address_of_no_server_is_refused(url: str) -> None:
    with pytest.raises(Refused, match="SMTP_URL"):
        Smtp(url)


def test_what_no_server_would_take_is_not_asked() -> None:
    channel = Smtp("smtp://127.0.0.1")
    for broken in (letter(sender_address="müller@x"), letter(text=" "), letter(subject="")):
        with pytest.raises(LetterRefused):
            channel.check(broken)
    bad = replace(letter(), addressees=(Addressee(key_of(1), "x@y\r\nRCPT TO:<z@example.com>"),))
    assert list(channel.check(bad)) == [key_of(1)]


def test_it_runs_as_a_process_of_its_own(tmp_path: Path) -> None:
    options = Options(
        tmp_path, login=("u", "p"), refuse=("x@example.com",), faults=(Fault(FaultKind.THROTTLE),), seed=3
    )
    assert options_from(parser().parse_args(options.arguments())) == options
    with start(Options(tmp_path)) as running:
        assert asyncio.run(_one(running.url)).accepted
        assert running.control.stats()["accepted"] == 1


async def _one(url: str) -> Answer:
    channel = Smtp(url)
    try:
        return await send(channel, letter())
    finally:
        await channel.close()
