"""E-mail through an SMTP server, by the same protocol: nobody can be asked afterwards, so policy decides."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtplib import SMTP

from alongside.channels.smtp import Smtp
from alongside.model.errors import Permanent
from alongside.sandbox.common.faults import Fault, FaultKind
from alongside.sandbox.common.log import read_ndjson
from alongside.sandbox.smtp import Options, Running, serve
from tests.delivery.clinic import Clinic, name_of
from tests.delivery.conftest import in_a_thread


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with in_a_thread(serve(Options(tmp_path / "smtp"))) as running:
        yield running


@pytest.fixture
def mailing(ledger_url: str, tmp_path: Path, server: Running) -> Iterator[Clinic]:
    opened = Clinic.open(
        ledger_url, tmp_path / "project", server.url, email={"provider": "smtp", "timeout_seconds": 15}
    )
    opened.admit(range(20))
    yield opened
    opened.ledger.engine.dispose()


def taken(tmp_path: Path) -> Counter[str]:
    return Counter(record["m"] for record in read_ndjson(tmp_path / "smtp" / "accepted.ndjson"))


def test_each_patient_gets_one_mail_that_is_their_own(mailing: Clinic, tmp_path: Path) -> None:
    mailing.plan(range(20), batch_size=7)
    assert mailing.dispatch(workers=2).progress.accepted == 20
    assert mailing.dispatch().progress.accepted == 0
    found = taken(tmp_path)
    assert (len(found), set(found.values())) == (20, {1})
    assert len({record["html_sha256"] for record in read_ndjson(tmp_path / "smtp" / "accepted.ndjson")}) > 1
    assert name_of(1) != name_of(2)


@pytest.mark.parametrize(("purpose", "after"), [("care", "planned"), ("education", "unresolved")])
def test_what_nobody_can_tell_is_decided_by_policy(mailing: Clinic, server: Running, purpose: str, after: str) -> None:
    mailing.plan([1], purpose=purpose)
    server.control.behave([Fault(FaultKind.DROP_AFTER, count=1)])
    mailing.dispatch()
    assert mailing.states == {"unknown": 1}
    mailing.reconcile(grace=timedelta(0))
    assert mailing.states == {after: 1}


def test_a_recipient_that_a_server_wants_later_holds_up_nobody(
    mailing: Clinic, server: Running, tmp_path: Path
) -> None:
    mailing.plan(range(5))
    server.control.behave([Fault(FaultKind.THROTTLE, count=2)])
    report = mailing.dispatch()
    assert (report.progress.accepted, report.progress.retried) == (3, 2)
    assert mailing.states == {"accepted": 3, "planned": 2}
    mailing.as_of += timedelta(minutes=10)
    assert mailing.dispatch().progress.accepted == 2
    assert (len(taken(tmp_path)), set(taken(tmp_path).values())) == (5, {1})


def test_a_refused_recipient_costs_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list with a thousand dead addresses would greet the server, and log in, a thousand times."""
    opened: list[SMTP] = []
    connect = SMTP.connect

    async def counted(line: SMTP, **options: Any) -> Any:
        opened.append(line)
        return await connect(line, **options)

    monkeypatch.setattr(SMTP, "connect", counted)

    async def send(url: str, *recipients: str) -> list[str]:
        channel, found = Smtp(url), []
        for to in recipients:
            envelope = json.dumps({"from": "care@mail.hospital.example", "to": to}).encode()
            try:
                await channel.post(envelope + b"\nSubject: Hello\r\n\r\nHello\r\n")
                found.append("taken")
            except Permanent:
                found.append("refused")
        await channel.close()
        return found

    gone = "nobody@example.com"
    with in_a_thread(serve(Options(tmp_path / "smtp", refuse=(gone,)))) as running:
        told = asyncio.run(send(running.url, "a@example.com", gone, gone, "b@example.com"))
    assert told == ["taken", "refused", "refused", "taken"]
    assert len(opened) == 1
