"""The stand-in of Twilio as its callers meet it: answers, faults, the log, reading back, its own process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from alongside.channels.base import Addressee, Answer, Letter
from alongside.channels.twilio import Twilio
from alongside.model.enums import MessageState
from alongside.model.errors import OutcomeUnknown, Refused, Retryable, Throttled
from alongside.sandbox.twilio import (
    DEFAULT_ACCOUNT_SID,
    DEFAULT_AUTH_TOKEN,
    DEFAULT_NUMBER,
    Fault,
    FaultKind,
    Options,
    Rates,
    read_ndjson,
    serve,
    start,
)
from alongside.sandbox.twilio.__main__ import main, options_from, parser
from tests.fakes import key_of

PATH = f"/2010-04-01/Accounts/{DEFAULT_ACCOUNT_SID}/Messages"
SERVICE = "MG" + "b" * 32
PATIENT = "+8613812345678"
NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
FORM = {"To": PATIENT, "From": DEFAULT_NUMBER, "Body": "复诊提醒。拒收请回复R"}


class Caller:
    """A client of one stand-in, and the adapter beside it."""

    def __init__(self, session: aiohttp.ClientSession, url: str, folder: Path) -> None:
        self.session, self.url, self.folder = session, url, folder
        self.auth = aiohttp.encode_basic_auth(DEFAULT_ACCOUNT_SID, DEFAULT_AUTH_TOKEN)

    def channel(self, **options: Any) -> Twilio:
        given = {"callback": "http://127.0.0.1:9/cb", "timeout": 0.4} | options
        return Twilio(DEFAULT_ACCOUNT_SID, DEFAULT_AUTH_TOKEN, self.url, **given)

    async def send(self, *, auth: str | None = None, **changes: str | None) -> tuple[int, dict[str, Any]]:
        form = {name: value for name, value in (FORM | changes).items() if value is not None}
        headers = {"Authorization": auth or self.auth, "Content-Type": "application/x-www-form-urlencoded"}
        data = urlencode(form).encode()
        async with self.session.post(f"{self.url}{PATH}.json", data=data, headers=headers) as answer:
            return answer.status, await answer.json()

    async def get(self, path: str, **params: str) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": self.auth}
        async with self.session.get(self.url + path, params=params, headers=headers) as answer:
            return answer.status, await answer.json()

    async def control(self, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
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


def letter(count: int, sender: str = DEFAULT_NUMBER) -> Letter:
    to = tuple(Addressee(key_of(number), f"+861380000{number:04d}", {"-s01-": f"N{number}"}) for number in range(count))
    return Letter("b" + "0" * 32, sender, "", "", "", "Dear -s01-, see you on Monday.", "", "", to)


async def send(channel: Twilio, count: int) -> Answer:
    answer = await channel.send(letter(count), deadline=time.monotonic() + 60)
    await channel.close()
    return answer


# ---------------------------------------------------------------------------------------------------------- answers
async def test_an_accepted_message_is_in_the_log_before_the_answer_comes(caller: Caller) -> None:
    status, body = await caller.send(StatusCallback=f"http://127.0.0.1:9/cb?b=batch&m={key_of(1)}#rc=5")
    assert status == 201
    (record,) = caller.accepted()
    assert (record["sid"], record["to"], record["body"]) == (body["sid"], PATIENT, FORM["Body"])
    assert (record["b"], record["m"], record["segments"]) == ("batch", key_of(1), 1)
    assert (body["status"], body["direction"], body["num_segments"]) == ("queued", "outbound-api", "1")
    assert body["date_sent"] is None


async def test_a_messaging_service_accepts_and_chooses_the_number_later(caller: Caller) -> None:
    status, body = await caller.send(From=None, MessagingServiceSid=SERVICE)
    assert (status, body["status"], body["num_segments"]) == (201, "accepted", "0")
    assert body["messaging_service_sid"] == SERVICE


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"To": None}, 21604),
        ({"To": "13812345678"}, 21211),
        ({"To": "+15005550001"}, 21211),
        ({"To": "+15005550002"}, 21612),
        ({"To": "+15005550003"}, 21408),
        ({"To": "+15005550004"}, 21610),
        ({"To": "+15005550009"}, 21614),
        ({"From": None}, 21603),
        ({"From": "nobody@x"}, 21212),
        ({"From": "+15005550007"}, 21606),
        ({"From": "+15005550008"}, 21611),
        ({"From": PATIENT}, 21266),
        ({"From": None, "MessagingServiceSid": "MG1"}, 21705),
        ({"Body": None}, 21602),
        ({"Body": "  "}, 21602),
        ({"Body": "x" * 1601}, 21617),
        ({"StatusCallback": "hospital.example"}, 21609),
        ({"ValidityPeriod": "0"}, 20001),
        ({"ValidityPeriod": "36001"}, 20001),
        ({"SmartEncoded": "no"}, 20001),
        ({"Boddy": "x"}, 20001),
        ({"SendAt": "2026-03-03T00:00:00Z"}, 20001),
    ],
)
async def test_what_the_vendor_refuses(caller: Caller, changes: dict[str, Any], code: int) -> None:
    status, body = await caller.send(**changes)
    assert (status, body["status"], body["code"]) == (400, 400, code)
    assert caller.accepted() == []


async def test_only_the_accounts_own_credentials_open_it(tmp_path: Path) -> None:
    async with calling(tmp_path, api_keys={"SK1": "other"}, senders=(SERVICE,)) as caller:
        for auth in ("Basic !", "Bearer x", "", aiohttp.encode_basic_auth("AC1", DEFAULT_AUTH_TOKEN),
                     aiohttp.encode_basic_auth(DEFAULT_ACCOUNT_SID, "wrong"),
                     aiohttp.encode_basic_auth("SK1", "")):  # fmt: skip
            status, body = await caller.send(auth=auth or "none")
            assert (status, body["code"]) == (401, 20003)
        status, body = await caller.send(auth=aiohttp.encode_basic_auth("SK1", "other"))
        assert (status, body["code"]) == (400, 21606), "this sender is not the account's"
        assert (await caller.get("/2010-04-01/Accounts/AC0/Messages.json"))[1]["code"] == 20404


async def test_too_many_at_a_time_are_throttled(tmp_path: Path) -> None:
    slow = Fault(FaultKind.SLOW, seconds=0.2)
    async with calling(tmp_path, concurrency=2, faults=(slow,)) as caller:
        found = await asyncio.gather(*(caller.send(To=f"+861380000{number:04d}") for number in range(5)))
    assert sorted(status for status, _ in found).count(429) >= 1
    assert len(list(read_ndjson(tmp_path / "accepted.ndjson"))) == [status for status, _ in found].count(201)


# ----------------------------------------------------------------------------------------- the adapter against it
async def test_the_adapter_reaches_every_patient_once(caller: Caller) -> None:
    answer = await send(caller.channel(timeout=5), 30)
    assert sorted(answer.accepted) == [key_of(number) for number in range(30)]
    found = {record["m"]: record["body"] for record in caller.accepted()}
    assert found == {key_of(number): f"Dear N{number}, see you on Monday." for number in range(30)}
    assert {record["b"] for record in caller.accepted()} == {"b" + "0" * 32}


@pytest.mark.parametrize(
    ("fault", "trouble", "accepted"),
    [
        (Fault(FaultKind.THROTTLE, retry_after=2), Throttled, 0),
        (Fault(FaultKind.FAIL, status=503), Retryable, 0),
        (Fault(FaultKind.FAIL, status=500), OutcomeUnknown, 0),
        (Fault(FaultKind.WRONG_KEY), Refused, 0),
        (Fault(FaultKind.HTML), OutcomeUnknown, 0),
        (Fault(FaultKind.DROP_BEFORE), OutcomeUnknown, 0),
        (Fault(FaultKind.DROP_AFTER), OutcomeUnknown, 1),
        (Fault(FaultKind.HANG), OutcomeUnknown, 0),
        (Fault(FaultKind.HANG, accept=True), OutcomeUnknown, 1),
    ],
    ids=lambda value: value.kind.value if isinstance(value, Fault) else None,
)
async def test_each_fault_means_what_it_should(
    tmp_path: Path, fault: Fault, trouble: type[Exception], accepted: int
) -> None:
    async with calling(tmp_path, faults=(fault,)) as caller:
        answer = await send(caller.channel(), 1)
        assert type(answer.trouble) is trouble
        assert len(answer.unknown) == (trouble is OutcomeUnknown)
        assert len(caller.accepted()) == accepted
        assert answer.retry_after == (2 if trouble is Throttled else None)
        _, stats = await caller.get("/_sandbox/stats")
        assert stats["faults"] == {fault.kind.value: 1}


async def test_a_lost_answer_is_traced_by_the_text(tmp_path: Path) -> None:
    lost = Fault(FaultKind.DROP_AFTER, count=1)
    async with calling(tmp_path, faults=(lost, Fault(FaultKind.DROP_BEFORE))) as caller:
        channel = caller.channel(at_once=1)
        begun = datetime.now(UTC)
        assert (await channel.send(letter(1), deadline=time.monotonic() + 60)).unknown
        assert (await channel.send(letter(1), deadline=time.monotonic() + 60)).unknown
        number = letter(1).addressees[0].address
        found = await channel.trace(number, key_of(0), "Dear N0,", begun)
        assert (found.states, found.conclusive) == ((MessageState.ACCEPTED,), True), "one arrived, one did not"
        assert (await channel.trace(number, key_of(1), "Dear N1,", begun)).states == ()
        sid = caller.accepted()[0]["sid"]
        assert await channel.lookup("sid", sid) == [MessageState.ACCEPTED]
        assert await channel.lookup("sid", "SM" + "0" * 32) == []
        await channel.close()


async def test_a_long_history_is_read_page_by_page(caller: Caller) -> None:
    for number in range(7):
        await caller.send(Body=f"text {number}")
    sids, path, pages = [], f"{PATH}.json?To=%2B8613812345678&PageSize=3", 0
    while path:
        _, page = await caller.get(path)
        sids += [one["sid"] for one in page["messages"]]
        path, pages = page["next_page_uri"], pages + 1
    assert pages == 3
    assert sorted(sids) == sorted(record["sid"] for record in caller.accepted())
    assert (await caller.get(f"{PATH}.json", To="+8613800000000"))[1]["messages"] == []
    for name, value in (("PageSize", "0"), ("PageSize", "1001"), ("Page", "x"), ("DateSent>", "soon")):
        assert (await caller.get(f"{PATH}.json", **{name: value}))[0] == 400


async def test_messages_that_still_wait_have_no_date_and_are_not_found_by_one(tmp_path: Path) -> None:
    """Why the adapter does not filter by date."""
    async with calling(tmp_path, rates=certain()) as caller:
        await caller.control("clock", now=NOON.isoformat())
        await caller.send()
        assert len((await caller.get(f"{PATH}.json", To=PATIENT))[1]["messages"]) == 1
        assert (await caller.get(f"{PATH}.json", **{"DateSent>": "2026-03-02"}))[1]["messages"] == []
        await caller.control("clock", now=(NOON + timedelta(minutes=5)).isoformat(), settle=5)
        for name, count in (("DateSent", 1), ("DateSent>", 1), ("DateSent<", 1)):
            found = (await caller.get(f"{PATH}.json", **{name: "2026-03-02"}))[1]["messages"]
            assert [one["status"] for one in found] == ["delivered"] * count
        assert (await caller.get(f"{PATH}.json", **{"DateSent<": "2026-03-01"}))[1]["messages"] == []


async def test_the_vendors_own_library_understands_it(caller: Caller) -> None:
    reason = "the peer twilio is not installed: add it to the dev dependencies"
    rest = pytest.importorskip("twilio.rest", reason=reason)
    http = pytest.importorskip("twilio.http.http_client", reason=reason)
    errors = pytest.importorskip("twilio.base.exceptions", reason=reason)

    class Redirected(http.TwilioHttpClient):  # type: ignore[misc,name-defined]  # the peer is not typed
        def request(self, method: str, url: str, **given: Any) -> Any:
            return super().request(method, url.replace("https://api.twilio.com", caller.url), **given)

    messages = rest.Client(DEFAULT_ACCOUNT_SID, DEFAULT_AUTH_TOKEN, http_client=Redirected()).messages

    def talk() -> None:
        made = [messages.create(to=PATIENT, from_=DEFAULT_NUMBER, body=f"text {number}") for number in range(5)]
        assert {one.status for one in made} == {"queued"}
        assert made[0].date_created.tzinfo is not None
        assert (made[0].date_sent, made[0].error_code, made[0].num_segments) == (None, None, "1")
        listed = messages.list(to=PATIENT, page_size=2)  # three pages
        assert sorted(one.sid for one in listed) == sorted(one.sid for one in made)
        assert messages(made[0].sid).fetch().body == "text 0"
        with pytest.raises(errors.TwilioRestException) as refused:
            messages.create(to="+15005550009", from_=DEFAULT_NUMBER, body="x")
        assert (refused.value.status, refused.value.code) == (400, 21614)

    await asyncio.to_thread(talk)


def certain(**changes: float) -> Rates:
    """Rates under which everything is delivered and nobody answers."""
    nothing = dict.fromkeys(("unknown_number", "unreachable", "filtered", "silent", "landline", "stop", "answer"), 0.0)
    return Rates(**(nothing | changes))


# ---------------------------------------------------------------------------------------------------------- process
async def test_nothing_leaves_this_machine(tmp_path: Path) -> None:
    for options in ({"host": "0.0.0.0"}, {"inbound_url": "https://hospital.example/sms"}):
        with pytest.raises(Refused, match="loopback"):
            async with serve(Options(tmp_path, **options)):  # type: ignore[arg-type]  # the values differ in type
                pass
    async with calling(tmp_path, rates=certain()) as caller:
        await caller.control("clock", now=NOON.isoformat())
        assert (await caller.send(StatusCallback="https://hospital.example/cb"))[0] == 201
        await caller.control("clock", now=(NOON + timedelta(hours=1)).isoformat(), settle=5)
        _, stats = await caller.get("/_sandbox/stats")
        assert (stats["unheard"], stats["callbacks_posted"]) == (2, 0)


def test_it_runs_as_a_process_and_tells_where(tmp_path: Path) -> None:
    options = Options(tmp_path / "box", senders=(SERVICE,), faults=(Fault(FaultKind.HTML, count=1),))
    with start(options) as running:
        assert running.url.startswith("http://127.0.0.1:")
        assert running.account_sid == DEFAULT_ACCOUNT_SID
        assert running.control.stats()["accepted"] == 0
        assert running.control.pending()["settled"] is True
        assert running.control.text(PATIENT, "STOP", service=SERVICE).startswith("SM")
        assert running.control.stats()["opted_out"] == 1
        with pytest.raises(Refused, match="time zone"):
            running.control.set_clock(datetime(2026, 3, 1))  # noqa: DTZ001  # a naive moment is the point


def test_the_command_line_says_the_same_as_the_options(tmp_path: Path) -> None:
    options = Options(
        tmp_path,
        port=1234,
        api_keys={"SK1": "s:t"},
        senders=(SERVICE, "+15005550006"),
        inbound_url="http://127.0.0.1:1/in",
        rates=certain(stop=0.25),
        seed=7,
        faults=(Fault(FaultKind.THROTTLE, rate=0.5, retry_after=2),),
        duplicates=0.1,
        reorder=0.2,
        patients=False,
        concurrency=3,
    )
    assert options_from(parser().parse_args(options.arguments())) == options


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--rate", "stopp=0.1"], "unknown rate 'stopp'"),
        (["--rate", "stop=often"], "is not a number"),
        (["--rate", "stop=0.9", "--rate", "answer=0.9"], "more than the"),
        (["--rate", "stop=2"], "not between 0 and 1"),
        (["--fault", "explode"], "unknown kind"),
        (["--api-key", "SK1"], "a name and a secret"),
        (["--host", "0.0.0.0"], "loopback only"),
    ],
)
def test_a_wrong_set_up_is_told(
    tmp_path: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--dir", str(tmp_path), *arguments]) == 1
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("clock", {"now": "yesterday"}),
        ("clock", {}),
        ("behave", {"faults": "all"}),
        ("behave", {"faults": [{"kind": "explode"}]}),
        ("webhook", {"url": "https://hospital.example"}),
        ("inbound", {"from": PATIENT}),
        ("inbound", {"from": 1, "body": "R"}),
    ],
)
async def test_a_control_call_that_is_not_understood_says_why(caller: Caller, path: str, body: dict[str, Any]) -> None:
    status, answer = await caller.control(path, **body)
    assert status == 400
    assert json.dumps(answer["errors"][0]["message"])
