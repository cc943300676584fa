"""The stand-in as its callers meet it: answers, faults, the log, the activity feed, its own process."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from jsonschema import Draft202012Validator

from alongside.model.errors import Refused, StoreUnavailable
from alongside.sandbox.common.faults import Faults, parse_fault, parse_fault_text
from alongside.sandbox.common.log import AppendLog
from alongside.sandbox.common.loopback import is_loopback_url
from alongside.sandbox.sendgrid import DEFAULT_API_KEY, Control, Fault, FaultKind, Options, read_ndjson, serve, start
from tests.descriptions import description_of
from tests.sandbox.test_sendgrid_validation import message, personalization

HEADERS = {"Authorization": f"Bearer {DEFAULT_API_KEY}", "Content-Type": "application/json"}


class Caller:
    """A client of one stand-in."""

    def __init__(self, session: aiohttp.ClientSession, url: str, folder: Path) -> None:
        self.session, self.url, self.folder = session, url, folder

    async def send(self, body: Any, **headers: str) -> tuple[int, Any, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.session.post(f"{self.url}/v3/mail/send", data=data, headers=HEADERS | headers) as answer:
            text = await answer.text()
            is_json = answer.content_type == "application/json"
            return answer.status, json.loads(text) if is_json and text else text, answer.headers

    async def get(self, path: str, **params: str) -> tuple[int, Any]:
        async with self.session.get(self.url + path, params=params, headers=HEADERS) as answer:
            return answer.status, await answer.json()

    async def control(self, path: str, **body: Any) -> tuple[int, Any]:
        async with self.session.post(f"{self.url}/_sandbox/{path}", json=body) as answer:
            return answer.status, await answer.json()

    def accepted(self) -> list[dict[str, Any]]:
        return list(read_ndjson(self.folder / "accepted.ndjson"))


@contextlib.asynccontextmanager
async def calling(folder: Path, **options: Any) -> AsyncIterator[Caller]:
    async with serve(Options(folder, **options)) as running, aiohttp.ClientSession() as session:
        yield Caller(session, running.url, folder)


@pytest.fixture
async def caller(tmp_path: Path) -> AsyncIterator[Caller]:
    async with calling(tmp_path) as found:
        yield found


# ---------------------------------------------------------------------------------------------------------- answers
async def test_an_accepted_message_is_in_the_log_before_the_answer_comes(caller: Caller) -> None:
    status, body, headers = await caller.send(message())
    assert (status, body) == (202, "")
    assert int(headers["X-RateLimit-Remaining"]) < int(headers["X-RateLimit-Limit"])
    assert int(headers["X-RateLimit-Reset"]) > time.time()
    (record,) = caller.accepted()
    assert record["request_id"] == headers["X-Message-Id"]
    assert (record["m"], record["b"], record["to"]) == ("0" * 32, "batch", "a@example.com")
    assert record["from"] == "care@mail.hospital.example"
    assert record["subject"] == "Your review is due, 张女士"
    assert record["html_sha256"] == hashlib.sha256(b"<p>Dear -name-</p>").hexdigest()
    assert record["unsubscribe"] == "http://127.0.0.1:8021/u/token"
    assert "Dear" not in json.dumps(record), "bodies are not stored"


async def test_a_thousand_recipients_are_a_thousand_lines(caller: Caller) -> None:
    people = [personalization(f"p{n}@example.com", custom_args={"m": f"{n:032x}", "b": "one"}) for n in range(1000)]
    assert (await caller.send(message(personalizations=people)))[0] == 202
    records = caller.accepted()
    assert {record["m"] for record in records} == {f"{n:032x}" for n in range(1000)}
    assert [record["n"] for record in records] == list(range(1000))


async def test_bodies_are_kept_when_asked(tmp_path: Path) -> None:
    async with calling(tmp_path, keep_bodies=True) as caller:
        await caller.send(message())
    (kept,) = read_ndjson(tmp_path / "bodies.ndjson")
    assert kept["body"] == message()


async def test_sandbox_mode_only_validates(caller: Caller) -> None:
    settings = {"sandbox_mode": {"enable": True}}
    assert (await caller.send(message(mail_settings=settings)))[0] == 200
    assert (await caller.send(message(mail_settings=settings, subject=None)))[0] == 400
    assert caller.accepted() == []


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (message(), {"Authorization": ""}, 401, "Permission denied"),
        (message(), {"Authorization": "Bearer SG.other"}, 401, "invalid, expired, or revoked"),
        (message(), {"Authorization": DEFAULT_API_KEY}, 401, "Permission denied"),
        (message(), {"Content-Type": "text/plain"}, 415, "Content-Type"),
        (b"{", {}, 400, "Bad Request"),
        (b"\xff\xfe", {}, 400, "Bad Request"),
        (b"", {}, 400, "Bad Request"),
        (b"[" * 100_000, {}, 400, "Bad Request"),
        (b"[]", {}, 400, "must be a JSON object"),
    ],
)
async def test_unusable_requests_answer_in_the_vendors_shape(
    caller: Caller, body: Any, headers: dict[str, str], status: int, words: str
) -> None:
    found, document, _ = await caller.send(body, **headers)
    assert found == status
    assert set(document["errors"][0]) == {"message", "field", "help"}
    assert words in document["errors"][0]["message"]
    assert caller.accepted() == []


async def test_more_than_30_mb_are_too_large(caller: Caller) -> None:
    status, document, _ = await caller.send(b'{"subject": "' + b"x" * (30 * 1024 * 1024) + b'"}')
    assert (status, document["errors"][0]["message"]) == (413, "content too large")


async def test_a_compressed_request_is_read(caller: Caller) -> None:
    packed = gzip.compress(json.dumps(message()).encode())
    assert (await caller.send(packed, **{"Content-Encoding": "gzip"}))[0] == 202


async def test_a_foreign_sender_is_forbidden(tmp_path: Path) -> None:
    async with calling(tmp_path, senders=("mail.hospital.example",)) as caller:
        assert (await caller.send(message()))[0] == 202
        assert (await caller.send(message(**{"from": {"email": "a@other.example"}})))[0] == 403
        own = personalization("a@example.com", **{"from": {"email": "a@other.example"}})
        assert (await caller.send(message(personalizations=[own])))[0] == 403


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v3/mail/send", 405), ("GET", "/v3/nothing", 404)])
async def test_unknown_paths_and_methods(caller: Caller, method: str, path: str, status: int) -> None:
    async with caller.session.request(method, caller.url + path) as answer:
        assert answer.status == status
        assert "errors" in await answer.json()


async def test_too_many_requests_a_minute_are_throttled(tmp_path: Path) -> None:
    async with calling(tmp_path, rate_limit=3) as caller:
        answers = [await caller.send(message()) for _ in range(8)]
    # A minute may turn in between: at most one more window is opened.
    throttled = [headers for status, _, headers in answers if status == 429]
    assert len(throttled) >= 2
    assert all(0 <= int(headers["Retry-After"]) <= 60 for headers in throttled)
    assert all(headers["X-RateLimit-Remaining"] == "0" for headers in throttled)


# ----------------------------------------------------------------------------------------------------------- faults
async def test_throttling_says_when_to_come_back(tmp_path: Path) -> None:
    async with calling(tmp_path, faults=(Fault(FaultKind.THROTTLE, retry_after=2.5, count=1),)) as caller:
        status, document, headers = await caller.send(message())
        assert (status, headers["Retry-After"]) == (429, "2.5")
        assert document["errors"][0]["message"] == "too many requests"
        assert (await caller.send(message()))[0] == 202


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault(FaultKind.FAIL, status=500), 500),
        (Fault(FaultKind.FAIL, status=503), 503),
        (Fault(FaultKind.WRONG_KEY), 401),
        (Fault(FaultKind.HTML), 200),
    ],
)
async def test_faults_that_accept_nothing(tmp_path: Path, fault: Fault, status: int) -> None:
    async with calling(tmp_path, faults=(fault,)) as caller:
        found, _, headers = await caller.send(message())
        assert found == status
        assert (headers["Content-Type"] == "text/html; charset=utf-8") is (fault.kind is FaultKind.HTML)
        assert caller.accepted() == []


@pytest.mark.parametrize(
    ("fault", "accepted"),
    [
        (Fault(FaultKind.DROP_BEFORE), 0),
        (Fault(FaultKind.DROP_AFTER), 1),
        (Fault(FaultKind.HANG), 0),
        (Fault(FaultKind.HANG, accept=True), 1),
    ],
)
async def test_no_answer_leaves_the_truth_in_the_log(tmp_path: Path, fault: Fault, accepted: int) -> None:
    async with calling(tmp_path, faults=(fault,)) as caller:
        with pytest.raises((aiohttp.ClientError, TimeoutError)):
            await asyncio.wait_for(caller.send(message()), 0.5)
        assert len(caller.accepted()) == accepted


async def test_a_slow_answer_is_an_answer(tmp_path: Path) -> None:
    async with calling(tmp_path, faults=(Fault(FaultKind.SLOW, seconds=0.2),)) as caller:
        started = time.monotonic()
        assert (await caller.send(message()))[0] == 202
        assert time.monotonic() - started >= 0.2


async def test_a_fault_does_not_hide_an_invalid_request(tmp_path: Path) -> None:
    async with calling(tmp_path, faults=(Fault(FaultKind.SLOW, seconds=0),)) as caller:
        assert (await caller.send({}))[0] == 400


async def test_behaviour_changes_at_run_time(caller: Caller) -> None:
    assert (await caller.control("behave", faults=[{"kind": "fail", "status": 500}]))[0] == 200
    assert (await caller.send(message()))[0] == 500
    assert (await caller.control("behave", faults=[]))[0] == 200
    assert (await caller.send(message()))[0] == 202
    _, stats = await caller.get("/_sandbox/stats")
    assert stats["answers"] == {"500": 1, "202": 1}
    assert (stats["faults"], stats["accepted"]) == ({"fail": 1}, 1)


@pytest.mark.parametrize(
    "body",
    [
        {"faults": [{"kind": "explode"}]},
        {"faults": [{"kind": "fail", "status": 404}]},
        {"faults": [{"kind": "fail", "rate": 2}]},
        {"faults": [{"kind": "fail", "rte": 1}]},
        {"faults": [{"kind": "slow", "seconds": "long"}]},
        {"faults": "fail"},
        {"faults": ["fail"]},
        {"faults": [], "seed": "x"},
    ],
)
async def test_a_mistyped_fault_is_refused_and_nothing_changes(caller: Caller, body: dict[str, Any]) -> None:
    status, document = await caller.control("behave", **body)
    assert (status, "errors" in document) == (400, True)
    assert (await caller.send(message()))[0] == 202


def test_faults_strike_the_same_requests_for_the_same_seed() -> None:
    plan = (Fault(FaultKind.FAIL, rate=0.3), Fault(FaultKind.THROTTLE, rate=0.2, skip=10, count=5))
    first, second, other = Faults(plan, 1), Faults(plan, 1), Faults(plan, 2)
    struck = [first.next() for _ in range(500)]
    assert struck == [second.next() for _ in range(500)]
    assert struck != [other.next() for _ in range(500)]
    kinds = [fault.kind for fault in struck if fault]
    assert 110 < kinds.count(FaultKind.FAIL) < 190
    assert kinds.count(FaultKind.THROTTLE) == 5
    assert all(fault is None or fault.kind is FaultKind.FAIL for fault in struck[:10])


def test_faults_on_the_command_line() -> None:
    assert parse_fault_text("throttle:rate=0.1,retry_after=2") == Fault(FaultKind.THROTTLE, 0.1, retry_after=2)
    assert parse_fault_text("hang:accept=true,count=3") == Fault(FaultKind.HANG, count=3, accept=True)
    for text in ("", "hang:accept", "hang:rate=often", "fail:status=200"):
        with pytest.raises(Refused):
            parse_fault_text(text)
    assert parse_fault({"kind": "fail", "count": None}).count is None


def test_options_survive_the_way_over_a_command_line(tmp_path: Path) -> None:
    from alongside.sandbox.sendgrid.__main__ import options_from, parser

    options = Options(
        tmp_path,
        port=8022,
        seed=5,
        webhook_url="http://127.0.0.1:1/x",
        faults=(Fault(FaultKind.HANG, 0.25, 2, 3, accept=True), Fault(FaultKind.FAIL, status=500)),
        duplicates=0.1,
        keep_bodies=True,
        patients=False,
        senders=("a.example", "b.example"),
    )
    assert options_from(parser().parse_args(options.arguments())) == options


# ---------------------------------------------------------------------------------------------------- activity feed
async def test_the_feed_finds_messages_by_their_arguments(caller: Caller) -> None:
    for batch in ("x", "y"):
        people = [
            personalization(f"{batch}{n}@example.com", custom_args={"m": f"{batch}{n}", "b": batch, "k": "v"})
            for n in range(3)
        ]
        await caller.send(message(personalizations=people))
    status, found = await caller.get("/v3/messages", query="unique_args['b']=\"x\"", limit="1000")
    assert status == 200
    assert [one["to_email"] for one in found["messages"]] == ["x0@example.com", "x1@example.com", "x2@example.com"]
    assert set(found["messages"][0]) == {
        "from_email", "msg_id", "subject", "to_email", "status", "opens_count", "clicks_count", "last_event_time",
    }  # fmt: skip
    for query, count in [
        ("unique_args['m']=\"y1\"", 1),
        ("(unique_args['m']='y1')", 1),
        ("unique_args['k']=\"v\"", 6),
        ('unique_args[\'b\']="x" AND to_email="x2@example.com"', 1),
        ('unique_args[\'m\'] IN ("x1","y2","z")', 2),
        ("unique_args['b']=\"nobody\"", 0),
        ("unique_args['other']=\"x\"", 0),
        ("from_email='care@mail.hospital.example'", 6),
        ("", 6),
    ]:
        _, answer = await caller.get("/v3/messages", query=query, limit="1000")
        assert len(answer["messages"]) == count, query
    _, answer = await caller.get("/v3/messages", limit="2")
    assert len(answer["messages"]) == 2


async def test_the_feed_is_as_the_vendor_describes_it(caller: Caller) -> None:
    await caller.send(message())
    _, found = await caller.get("/v3/messages", query="to_email='a@example.com'", limit="1000")
    answer = description_of("sendgrid")["paths"]["/messages"]["get"]["responses"]["200"]["content"]["application/json"]
    items = answer["schema"]["properties"]["messages"]["items"]
    # `allOf` beside the rest is an older form, with other words and times: nothing could satisfy both.
    described = {name: value for name, value in items.items() if name != "allOf"}
    (one,) = found["messages"]
    assert list(Draft202012Validator(described).iter_errors(one)) == []


async def test_the_feed_shows_one_message_with_its_arguments(caller: Caller) -> None:
    _, _, headers = await caller.send(message())
    prefix = headers["X-Message-Id"]
    _, found = await caller.get("/v3/messages", query=f"msg_id LIKE '{prefix}%'")
    (summary,) = found["messages"]
    status, details = await caller.get(f"/v3/messages/{summary['msg_id']}")
    assert status == 200
    assert json.loads(details["unique_args"]) == {"m": "0" * 32, "b": "batch"}
    assert (await caller.get("/v3/messages/nothing.0.recvd-stand-in"))[0] == 404


@pytest.mark.parametrize(
    "params",
    [
        {"query": "unique_args[b]=x"},
        {"query": 'unique_args[\'b\']="x" OR to_email="y"'},
        {"query": "msg_id LIKE '%x%'"},
        {"query": "x", "limit": "10"},
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "many"},
    ],
)
async def test_the_feed_refuses_what_it_does_not_understand(caller: Caller, params: dict[str, str]) -> None:
    status, document = await caller.get("/v3/messages", **params)
    assert (status, "errors" in document) == (400, True)


async def test_the_feed_wants_the_key(caller: Caller) -> None:
    for path in ("/v3/messages", "/v3/messages/x"):
        async with caller.session.get(caller.url + path) as answer:
            assert answer.status == 401


# ---------------------------------------------------------------------------------------------------- the log itself
async def test_concurrent_requests_share_an_fsync_and_lose_nothing(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    syncs = 0
    real = os.fdatasync

    def counting(descriptor: int) -> None:
        nonlocal syncs
        syncs += 1
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", counting)
    bodies = [
        message(personalizations=[personalization(f"p{n}@example.com", custom_args={"m": str(n)})]) for n in range(200)
    ]
    answers = await asyncio.gather(*[caller.send(body) for body in bodies])
    assert {status for status, _, _ in answers} == {202}
    assert {record["m"] for record in caller.accepted()} == {str(n) for n in range(200)}
    assert 0 < syncs < 200


async def test_a_full_disk_accepts_nothing_and_says_so(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    await caller.send(message())
    real = AppendLog._write

    def half(self: AppendLog, data: bytes) -> None:
        if self.path.name != "accepted.ndjson":  # the simulated patients go on writing down what they do
            real(self, data)
            return
        real(self, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(AppendLog, "_write", half)
    assert (await caller.send(message()))[0] == 500
    monkeypatch.undo()
    assert (await caller.send(message()))[0] == 202
    assert len(caller.accepted()) == 2


async def test_an_unfinished_line_was_never_acknowledged_and_is_cut(tmp_path: Path) -> None:
    async with calling(tmp_path) as caller:
        await caller.send(message())
    path = tmp_path / "accepted.ndjson"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"at":"2026-03-01T00:0')
    assert len(list(read_ndjson(path))) == 1
    async with calling(tmp_path) as caller:
        await caller.send(message())
        assert len(caller.accepted()) == 2
    assert path.read_bytes().startswith(whole)


async def test_a_log_gives_back_what_stands_at_an_offset(tmp_path: Path) -> None:
    log = AppendLog(tmp_path / "log.ndjson")
    lines = [json.dumps({"n": n, "text": "中" * n}).encode() for n in range(300)]
    offsets = await log.append(lines[:150]) + await log.append(lines[150:])
    assert [log.read(offset)["n"] for offset in offsets] == list(range(300))
    assert list(log.lines()) == list(zip(offsets, lines, strict=True))
    log.close()


# -------------------------------------------------------------------------------------------------------- loopback
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "hospital.example", ""])
async def test_it_refuses_to_be_reachable(tmp_path: Path, host: str) -> None:
    with pytest.raises(Refused, match="loopback"):
        async with serve(Options(tmp_path, host=host)):
            pass


@pytest.mark.parametrize(
    "url", ["https://hospital.example/hook", "http://192.0.2.1/", "ftp://127.0.0.1/", "http://127.0.0.1.example/", "x"]
)
async def test_events_never_leave_the_machine(tmp_path: Path, url: str) -> None:
    assert not is_loopback_url(url)
    with pytest.raises(Refused, match="loopback"):
        async with serve(Options(tmp_path, webhook_url=url)):
            pass
    async with calling(tmp_path) as caller:
        assert (await caller.control("webhook", url=url))[0] == 400
    with pytest.raises(Refused, match="loopback"):
        Control(url)


# --------------------------------------------------------------------------------------------------- its own process
def test_a_process_of_its_own_is_steered_and_ends_with_the_block(tmp_path: Path) -> None:
    with start(Options(tmp_path, faults=(Fault(FaultKind.FAIL, count=1),))) as running:
        control = running.control
        assert control.stats()["accepted"] == 0
        control.behave([Fault(FaultKind.THROTTLE, rate=0.5)], seed=3)
        assert control.pending()["settled"] is True
        assert (tmp_path / "webhook-public-key.txt").read_text().strip() == running.public_key
        with pytest.raises(Refused, match="not understood"):
            control._call("POST", "/_sandbox/clock", {"now": "yesterday"})
    with pytest.raises(StoreUnavailable, match="does not answer"):
        control.stats()


def test_it_ends_when_its_parent_is_gone(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "alongside.sandbox.sendgrid", "--dir", str(tmp_path), "--no-rules"]
    process = subprocess.Popen(
        [*command, "--until-stdin-closes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin
    assert process.stdout
    ready = json.loads(process.stdout.readline())
    assert ready["url"].startswith("http://127.0.0.1:")
    process.stdin.close()
    assert process.wait(10) == 0
    process.stdout.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "loopback only"),
        (["--fault", "explode"], "unknown kind 'explode'"),
        (["--responses", "missing.yaml"], "cannot be read"),
        (["--webhook", "http://hospital.example/"], "loopback only"),
    ],
)
def test_a_wrong_command_line_ends_with_one_clear_line(tmp_path: Path, arguments: list[str], words: str) -> None:
    command = [sys.executable, "-m", "alongside.sandbox.sendgrid", "--dir", str(tmp_path)]
    if "--responses" not in arguments:
        command.append("--no-rules")
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
