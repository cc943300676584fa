"""The stand-in of Firebase Cloud Messaging: with our adapter, and with Google's own library."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from alongside.channels.base import Addressee, Letter
from alongside.channels.fcm import SCOPE, Fcm
from alongside.channels.google_account import ServiceAccount
from alongside.model.errors import OutcomeUnknown, Refused, Throttled
from alongside.sandbox.common.faults import Fault, FaultKind
from alongside.sandbox.common.log import read_ndjson
from alongside.sandbox.fcm import PROJECT, Options, Running, serve, start
from alongside.sandbox.fcm.__main__ import options_from, parser
from tests.fakes import key_of

TEXT = "Qinghe: your visit\nWe expect you on Tuesday."


def device(number: int) -> str:
    return f"f{number:021d}:APA91b{'x' * 120}"


def letter(number: int = 1, text: str = TEXT) -> Letter:
    return Letter("b1", "app", "", "", "", text, "", "", (Addressee(key_of(number), device(number)),))


def adapter(running: Running, **changes: Any) -> Fcm:
    account = json.loads(running.account) | changes
    return Fcm(ServiceAccount.read(json.dumps(account)), running.url, timeout=0.4)


@asynccontextmanager
async def standing(folder: Path, **options: Any) -> AsyncIterator[tuple[Running, Fcm]]:
    async with serve(Options(folder, **options)) as running:
        channel = adapter(running)
        try:
            yield running, channel
        finally:
            await channel.close()


def accepted(folder: Path) -> list[dict[str, Any]]:
    return list(read_ndjson(folder / "accepted.ndjson"))


async def send(channel: Fcm, given: Letter) -> Any:
    return await channel.send(given, deadline=time.monotonic() + 30)


async def steer(running: Running, what: str, *given: Any) -> Any:
    return await asyncio.to_thread(getattr(running.control, what), *given)


async def test_what_is_sent_is_what_was_rendered(tmp_path: Path) -> None:
    async with standing(tmp_path) as (_, channel):
        assert (await send(channel, letter())).accepted == (key_of(1),)
    [one] = accepted(tmp_path)
    assert (one["to"], one["body"], one["tag"]) == (device(1), TEXT, key_of(1))
    assert one["data"] == {"m": key_of(1)}


async def test_googles_own_library_gets_a_token_and_sends_with_it(tmp_path: Path) -> None:
    reason = "google-auth is not installed: add it to the dev dependencies"
    service_account = pytest.importorskip("google.oauth2.service_account", reason=reason)
    requests = pytest.importorskip("google.auth.transport.requests", reason=reason)

    def talk(running: Running, **changes: Any) -> list[int]:
        info = json.loads(running.account) | changes
        credentials = service_account.Credentials.from_service_account_info(info, scopes=[SCOPE])
        session = requests.AuthorizedSession(credentials)
        url = f"{running.url}/v1/projects/{PROJECT}/messages:send"
        message = {"notification": {"title": "Hello", "body": "you"}, "token": device(3)}
        found = [session.post(url, json={"message": message}).status_code]
        found.append(session.post(url, json={"message": message | {"token": "short"}}).status_code)
        found.append(session.post(url.replace(PROJECT, "another"), json={"message": message}).status_code)
        return found

    async with standing(tmp_path) as (running, _):
        assert await asyncio.to_thread(talk, running) == [200, 400, 403]
        with pytest.raises(Exception, match="invalid_grant"):
            await asyncio.to_thread(talk, running, client_email="another@hospital.example")
    assert [one["to"] for one in accepted(tmp_path)] == [device(3)]


async def test_a_token_is_fetched_once_by_requests_that_go_together(tmp_path: Path) -> None:
    async with standing(tmp_path) as (running, channel):
        await asyncio.gather(*(send(channel, letter(number)) for number in range(20)))
        assert (await steer(running, "stats"))["tokens"] == 1
    assert len(accepted(tmp_path)) == 20


async def test_a_token_that_holds_no_more_is_renewed_and_the_message_goes(tmp_path: Path) -> None:
    async with standing(tmp_path) as (running, channel):
        await send(channel, letter(1))
        await steer(running, "forget_tokens")
        answers = await asyncio.gather(*(send(channel, letter(number)) for number in range(2, 10)))
        assert all(one.accepted for one in answers)
        assert (await steer(running, "stats"))["tokens"] == 2
    assert len(accepted(tmp_path)) == 9


@pytest.mark.parametrize(
    "changes", [{"client_email": "another@hospital.example"}, {"private_key_id": "old"}, {"project_id": "another"}]
)
async def test_an_account_that_is_not_known_is_no_fault_of_the_patients(
    tmp_path: Path, changes: dict[str, str]
) -> None:
    async with standing(tmp_path) as (running, _):
        channel = adapter(running, **changes)
        answer = await send(channel, letter())
        await channel.close()
    assert answer.retry == (key_of(1),)
    assert isinstance(answer.trouble, Refused)
    assert answer.closes == {}


async def test_a_removed_app_closes_its_address_and_no_other(tmp_path: Path) -> None:
    async with standing(tmp_path) as (running, channel):
        await steer(running, "remove", device(1))
        await steer(running, "estrange", device(2))
        gone, stranger, other = [await send(channel, letter(number)) for number in (1, 2, 3)]
    assert gone.closes == {key_of(1): "hard_bounce"}
    assert (list(stranger.rejected), stranger.closes) == ([key_of(2)], {})
    assert other.accepted == (key_of(3),)


@pytest.mark.parametrize(
    ("fault", "kind", "wait"),
    [
        (Fault(FaultKind.THROTTLE, retry_after=7), Throttled, 7.0),
        (Fault(FaultKind.FAIL, status=503), Throttled, 0.2),
        (Fault(FaultKind.WRONG_KEY), Refused, None),
    ],
)
async def test_what_was_not_taken_waits(
    tmp_path: Path, fault: Fault, kind: type[Exception], wait: float | None
) -> None:
    async with standing(tmp_path, faults=(fault,)) as (_, channel):
        answer = await send(channel, letter())
    assert (answer.retry, answer.retry_after) == ((key_of(1),), wait)
    assert isinstance(answer.trouble, kind)
    assert accepted(tmp_path) == []


@pytest.mark.parametrize(
    ("fault", "taken"),
    [
        (Fault(FaultKind.FAIL, status=500), 0),
        (Fault(FaultKind.HTML), 0),
        (Fault(FaultKind.DROP_BEFORE), 0),
        (Fault(FaultKind.DROP_AFTER), 1),
        (Fault(FaultKind.HANG, accept=True), 1),
        (Fault(FaultKind.HANG), 0),
    ],
)
async def test_what_nobody_knows_is_not_repeated_by_itself(tmp_path: Path, fault: Fault, taken: int) -> None:
    async with standing(tmp_path, faults=(fault,)) as (_, channel):
        answer = await send(channel, letter())
    assert answer.unknown == (key_of(1),)
    assert isinstance(answer.trouble, OutcomeUnknown)
    assert len(accepted(tmp_path)) == taken


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ({}, 400),
        ({"token": device(1)}, 400),
        ({"token": device(1), "notification": {"title": "x", "body": "y"}, "data": {"n": 1}}, 400),
        ({"token": device(1), "notification": {"title": "x", "body": "y"}, "data": {"google.x": "1"}}, 400),
        ({"token": device(1), "notification": {"title": "x", "body": "y" * 4096}}, 400),
        ({"token": device(1), "notification": {"title": "x", "body": "y"}, "priority": "high"}, 400),
        ({"token": device(1), "notification": {"title": "x", "body": "y"}}, 200),
    ],
)
async def test_what_it_takes(tmp_path: Path, message: dict[str, Any], status: int) -> None:
    async with standing(tmp_path) as (running, channel), aiohttp.ClientSession() as session:
        await send(channel, letter(9))
        headers = {"Authorization": f"Bearer {await channel._bearer.get()}"}
        url = f"{running.url}/v1/projects/{PROJECT}/messages:send"
        async with session.post(url, json={"message": message}, headers=headers) as answer:
            assert answer.status == status
        async with session.post(url, json={"message": message}) as answer:
            assert answer.status == 401


async def test_a_share_of_devices_has_lost_the_app(tmp_path: Path) -> None:
    async with standing(tmp_path, gone=0.3, seed=1) as (_, channel):
        answers = [await send(channel, letter(number)) for number in range(60)]
    gone = sum(bool(one.closes) for one in answers)
    assert 5 < gone < 35
    assert len(accepted(tmp_path)) == 60 - gone


def test_a_process_of_its_own_keeps_its_key(tmp_path: Path) -> None:
    keys = []
    for _ in range(2):
        with start(Options(tmp_path)) as running:
            assert running.control.stats()["accepted"] == 0
            keys.append(json.loads(running.account)["private_key"])
    assert keys[0] == keys[1]
    assert (tmp_path / "service-account-key.pem").stat().st_mode & 0o077 == 0


def test_the_set_up_survives_the_command_line(tmp_path: Path) -> None:
    options = Options(tmp_path, port=1, project="p", gone=0.25, seed=3, faults=(Fault(FaultKind.SLOW, seconds=0.5),))
    assert options_from(parser().parse_args(options.arguments())) == options
