"""The closed loop over real ports: accepted mail, simulated patients, signed events, one-click, ledger."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from alongside.bootstrap import Services, build
from alongside.channels.base import Addressee, Letter, Posted
from alongside.channels.sendgrid import SendGrid
from alongside.delivery.keywords import is_stop
from alongside.delivery.vendors import WECHAT_PATH
from alongside.ledger import Ledger
from alongside.ledger.schema import consent_event, delivery_event, message, suppression, thread
from alongside.model.enums import Channel, DeliveryMode, Locale, MessageState, Purpose
from alongside.model.errors import Refused
from alongside.model.tokens import sign_token
from alongside.sandbox import wechat
from alongside.sandbox.common.clock import simulated_now
from alongside.sandbox.sendgrid import Options, read_ndjson, start
from alongside.sandbox.wechat.followers import Rates
from alongside.settings import Environment, HospitalSettings, Project
from alongside.web import create_app
from alongside.web.__main__ import callbacks_of, patient_clock, webhook_key
from tests.delivery.clinic import Clinic, registered
from tests.ledgers import SqliteLedgers
from tests.web.browser import serving
from tests.web.conftest import ROOT, plan_message

START = datetime(2026, 3, 1, tzinfo=UTC)
PEOPLE = 60
RULES = "rules: [{name: all, match: ['review'], open: 0.8, click: 0.6, unsubscribe: 0.25, bounce: 0.1}]\n"


@pytest.fixture
def ledger_url(tmp_path: Path, sqlite_ledgers: SqliteLedgers) -> str:
    """One store is enough here."""
    return sqlite_ledgers.place(tmp_path / "ledger.db")


def test_what_patients_do_reaches_the_ledger(ledger: Ledger, settings: HospitalSettings, tmp_path: Path) -> None:
    folder = tmp_path / "stand-in"
    rules = tmp_path / "responses.yaml"
    rules.write_text(RULES, "utf-8")
    for n in range(PEOPLE):
        plan_message(ledger, f"{n:032x}", Purpose.EDUCATION, Locale.EN, f"p{n:016x}")
    with start(Options(folder, responses=rules, seed=2, duplicates=0.3, reorder=0.5)) as running:
        app = create_app(
            ledger,
            settings=settings,
            webhook_key=running.public_key,
            clock=lambda: datetime.now(UTC),
            patient_clock=lambda: simulated_now(folder / "clock.json") or datetime.now(UTC),
        )
        with serving(app) as base:
            control = running.control
            control.set_webhook(f"{base}/webhooks/sendgrid")
            control.set_clock(START)
            asyncio.run(_send(running.url, running.api_key, base, ledger))
            assert control.set_clock(START + timedelta(days=5), settle=60)
            stats = control.stats()
    assert stats["accepted"] == PEOPLE == len(list(read_ndjson(folder / "accepted.ndjson")))
    with ledger.begin() as connection:
        states = Counter(connection.scalars(sa.select(message.c.state)))
        kinds = Counter(connection.scalars(sa.select(delivery_event.c.kind)))
        left = connection.execute(
            sa.select(consent_event.c.person_id, consent_event.c.decided_at).where(
                consent_event.c.purpose == "education"
            )
        ).all()
    assert states == {MessageState.DELIVERED: kinds["delivered"], MessageState.BOUNCED: kinds["bounce"]}
    assert kinds["processed"] == PEOPLE
    assert kinds["unsubscribe"] == stats["one_clicks"] == len(left) > 5
    # Decisions belong to the simulated day, or no gate of a replay would respect them.
    assert {row.decided_at for row in left} == {START + timedelta(days=5)}


async def _send(url: str, api_key: str, base: str, ledger: Ledger) -> None:
    channel = SendGrid(api_key, url)
    people = tuple(
        Addressee(
            f"{n:032x}",
            f"p{n}@example.com",
            {"-name-": f"Patient {n}"},
            f"{base}/u/{sign_token(ledger.info.secret, 'unsubscribe', f'{n:032x}')}",
        )
        for n in range(PEOPLE)
    )
    letter = Letter(
        batch_id="b1",
        sender_address="care@mail.hospital.example",
        sender_name="青禾市示范医院",
        reply_to="hello@hospital.example",
        subject="Your review, -name-",
        text="Dear -name-",
        html="<p>Dear -name-</p>",
        list_id="care.mail.hospital.example",
        addressees=people,
    )
    try:
        assert await channel.post(channel.build(letter)) == Posted(202)
        assert len(await channel.lookup("b", "b1")) == PEOPLE
    finally:
        await channel.close()


# ----------------------------------------------------------------------------------------------------------- runner
def _services(tmp_path: Path, mode: DeliveryMode = DeliveryMode.SANDBOX, **environment: str) -> Services:
    config = tmp_path / "config"
    config.mkdir()
    text = (ROOT / "config" / "alongside.yaml").read_text("utf-8").replace("mode: sandbox", f"mode: {mode}")
    (config / "alongside.yaml").write_text(text, "utf-8")
    return Services(Project.at(tmp_path), Environment(**environment), lambda: START)


def test_the_runner_wants_a_key_that_verifies_webhooks(tmp_path: Path) -> None:
    services = _services(tmp_path)
    with pytest.raises(Refused, match="SENDGRID_WEBHOOK_KEY"):
        webhook_key(services, None)
    with pytest.raises(Refused, match="no stand-in has run there"):
        webhook_key(services, tmp_path / "nowhere")
    (tmp_path / "webhook-public-key.txt").write_text("key\n", "utf-8")
    assert webhook_key(services, tmp_path) == "key"


@pytest.mark.parametrize("mode", [DeliveryMode.STAGING, DeliveryMode.LIVE])
def test_a_stand_in_is_not_believed_where_real_mail_goes(tmp_path: Path, mode: DeliveryMode) -> None:
    services = _services(tmp_path, mode, sendgrid_webhook_key="real")
    (tmp_path / "webhook-public-key.txt").write_text("key\n", "utf-8")
    assert webhook_key(services, None) == "real"
    with pytest.raises(Refused, match="may not be believed"):
        webhook_key(services, tmp_path)


def test_the_runner_follows_the_stand_ins_day(tmp_path: Path) -> None:
    services = _services(tmp_path)
    assert patient_clock(services, None)() == START
    follow = patient_clock(services, tmp_path)
    assert follow() == START
    (tmp_path / "clock.json").write_text(json.dumps({"now": "2026-03-09T08:00:00+08:00"}), "utf-8")
    assert follow() == datetime(2026, 3, 9, tzinfo=UTC)


def test_a_start_without_a_key_ends_with_one_clear_line(tmp_path: Path) -> None:
    _services(tmp_path)
    environment = {"ALONGSIDE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "alongside.web"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "no key verifies webhooks" in done.stderr
    assert "Traceback" not in done.stderr


# ------------------------------------------------------------------------------------------------------------- WeChat
TEMPLATE = {
    "template_id": "a_minute_for_your_heart",
    "title": "A minute for your heart",
    "fields": [{"name": "thing1", "label": "What to do"}],
}
LIVELY = Rates(stranger=0.2, block=0.15, fail=0.1, unfollow=0.15, stop=0.15, answer=0.2)


def test_what_followers_do_reaches_the_ledger(ledger_url: str, tmp_path: Path) -> None:
    """Planned, dispatched, told of, left, answered: everything over real ports, events twice now and then."""
    folder = tmp_path / "followers"
    options = wechat.Options(folder, templates=(registered(TEMPLATE),), rates=LIVELY, seed=3, duplicates=0.3)
    with wechat.start(options) as running:
        clinic = Clinic.open(ledger_url, tmp_path / "clinic", running.url, wechat={"registered": [TEMPLATE]})
        clinic.admit(range(PEOPLE), channels=("wechat",))
        clinic.plan(range(PEOPLE), channel=Channel.WECHAT)
        house = build(clinic.project, replace(clinic.environment, wechat_token=running.token))
        clock = lambda: simulated_now(folder / "clock.json") or datetime.now(UTC)  # noqa: E731
        app = create_app(
            clinic.ledger,
            settings=clinic.settings,
            webhook_key="",
            clock=lambda: datetime.now(UTC),
            callbacks=callbacks_of(house, clock),
        )
        with serving(app) as base:
            running.control.set_webhook(f"{base}{WECHAT_PATH}")
            running.control.set_clock(clinic.as_of)
            report = clinic.dispatch(channel=Channel.WECHAT)
            assert running.control.set_clock(clinic.as_of + timedelta(days=1), settle=60)
            stats = running.control.stats()
        told = list(read_ndjson(folder / "inbound.ndjson"))
        with clinic.ledger.reading() as connection:
            reasons = Counter(connection.scalars(sa.select(suppression.c.reason)))
            threads = connection.scalar(sa.select(sa.func.count()).select_from(thread))
        states = clinic.states
        clinic.ledger.engine.dispose()
        house.ledger.engine.dispose()
    assert stats["accepted"] == report.progress.accepted == PEOPLE - states["rejected"]
    assert (stats["lost"], stats["unheard"]) == (0, 0)
    assert stats["events_posted"] == stats["accepted"]
    assert stats["events_repeated"] > 0
    assert states["delivered"] + states["dropped"] + states["bounced"] == stats["accepted"]
    left = [one for one in told if one["kind"] == "unsubscribe"]
    words = [one for one in told if one["kind"] == "text"]
    stops = [one for one in words if is_stop(one["words"])]
    assert reasons == {
        "unfollowed": states["rejected"] + len(left),
        "refused": states["dropped"],
        "unsubscribe": len(stops),
    }
    assert threads == len(words) - len(stops) > 0
    assert min(reasons.values()) > 0
