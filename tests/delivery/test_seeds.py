"""Seeds: staff get one copy of each text, first, marked, with nobody's values; and nothing else takes notice of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from alongside.content import load as load_content
from alongside.delivery.letters import Press
from alongside.delivery.recheck import Checked
from alongside.delivery.seeding import MARKS, Seeding, SeedReport, _ready, recheck_copies, unreachable
from alongside.ledger import claims, deliveries, inbox, seeds, suppressions
from alongside.ledger.claims import Claim, Scope
from alongside.ledger.deliveries import Filter
from alongside.ledger.harm import answered
from alongside.ledger.messages import count_messages
from alongside.ledger.runs import RunPins, pin_run
from alongside.ledger.schema import attempt, batch, message, seed_copy
from alongside.ledger.suppressions import Suppression
from alongside.model.enums import Channel, DeliveryMode, Locale, MessageState
from alongside.model.tokens import sign_token
from alongside.sandbox.common.log import read_ndjson
from alongside.sandbox.sendgrid.launch import Running
from alongside.settings import Project, Seeds
from alongside.settings.seeds import check_seeds
from alongside.web import create_app
from tests.conftest import ROOT
from tests.delivery.clinic import GIVEN_NAMES, PERSONAL, SHARED, Clinic
from tests.delivery.conftest import AcceptedLog
from tests.fakes import NOON

ADDRESSES = {"CHEN": "chen@staff.example", "WANG": "wang@staff.example", "PHONE": "+8613800000009"}
BOTH: dict[str, Any] = {
    "modes": ["sandbox", "staging"],
    "seeds": [{"name": "chen", "email": "env:CHEN", "phone": "env:PHONE"}, {"name": "wang", "email": "env:WANG"}],
}


@pytest.fixture
def clinic(ledger_url: str, tmp_path: Path, vendor: Running) -> Iterator[Clinic]:
    """Twelve patients have a message planned, in two languages and two texts."""
    opened = Clinic.open(ledger_url, tmp_path / "project", vendor.url, delivery={"staging_allow": ["us@own.example"]})
    opened.admit(range(12))
    opened.plan(range(4), template=SHARED, locale="en", batch_size=2)
    opened.plan(range(4, 8), template=SHARED, locale="zh_CN")
    opened.plan(range(8, 12), template=PERSONAL, locale="en")
    with opened.ledger.begin() as connection:
        pin_run(connection, run())
    yield opened
    opened.ledger.engine.dispose()


def run(day: int = 0, run_id: str = "run-1", mode: str = "sandbox") -> RunPins:
    return RunPins(run_id, NOON + timedelta(days=day), "c", "c", mode, True, False, NOON)


def plan(clinic: Clinic, of: RunPins | None = None, **changes: Any) -> SeedReport:
    wanted = Seeds.model_validate({**BOTH, **changes})
    seeding = Seeding(clinic.ledger, clinic.vault, clinic.settings, wanted, clinic.content)
    return seeding.plan(of or run(), "hello", datetime.now(UTC), ADDRESSES)


def bodies(folder: Path) -> list[dict[str, Any]]:
    return [record["body"] for record in read_ndjson(folder / "vendor" / "bodies.ndjson")]


def claimed(clinic: Clinic) -> list[str]:
    """Campaigns of batches, in the order in which they were claimed."""
    query = sa.select(batch.c.campaign).join(attempt, attempt.c.batch_id == batch.c.batch_id)
    with clinic.ledger.reading() as connection:
        return list(connection.scalars(query.order_by(attempt.c.claimed_at)))


def take(clinic: Clinic) -> Claim:
    held = claims.claim(
        clinic.ledger, Scope(), attempt_id="a", worker="w", now=clinic.clock.wall, due=NOON, lease_seconds=60
    )
    assert held is not None
    assert seeds.is_copy(held.campaign)  # copies are claimed first
    return held


def look(clinic: Clinic, held: Claim, mode: DeliveryMode = DeliveryMode.SANDBOX, now: datetime = NOON) -> Checked:
    with clinic.ledger.reading() as connection:
        return recheck_copies(
            connection, held, vault=clinic.vault, settings=clinic.settings, mode=mode, patient_now=now
        )


# ------------------------------------------------------------------------------------------------------- what is sent
def test_each_seed_gets_each_text_once_and_before_anybody_else(
    clinic: Clinic, accepted: AcceptedLog, tmp_path: Path
) -> None:
    assert plan(clinic) == SeedReport(copies=6)
    assert clinic.dispatch().progress.accepted == 12 + 6
    reached = Counter(str(record["to"]) for record in accepted())
    assert reached.pop("chen@staff.example") == reached.pop("wang@staff.example") == 3
    assert set(reached.values()) == {1}
    assert [seeds.is_copy(name) for name in claimed(clinic)] == [True] * 3 + [False] * 4

    assert plan(clinic) == SeedReport()  # a retry of the run
    assert plan(clinic, run(run_id="run-2")) == SeedReport()  # which planned nothing
    clinic.plan(range(20, 21), run_id="run-3", template=SHARED)
    assert plan(clinic, run(run_id="run-3")) == SeedReport()  # the same text on the same day
    clinic.plan(range(30, 31), run_id="run-4", template=SHARED)
    assert plan(clinic, run(1, "run-4")) == SeedReport(copies=2)

    written = [body for body in bodies(tmp_path) if "staff.example" in str(body["personalizations"])]
    assert sum(len(body["personalizations"]) for body in written) == 6
    for body in written:
        shown = str(body)
        assert body["subject"].startswith(tuple(MARKS.values()))
        assert "Alex Example" in shown or "张女士" in shown
        assert not any(f"{name} " in shown for name in GIVEN_NAMES)


def test_a_copy_waits_for_the_morning_and_is_rewritten_by_staging(clinic: Clinic) -> None:
    plan(clinic)
    held = take(clinic)
    at_night = look(clinic, held, now=NOON + timedelta(hours=12))
    assert at_night.ready == []
    assert set(at_night.postponed.values()) == {datetime(2026, 3, 3, 0, 0, tzinfo=UTC)}  # 08:00 in Shanghai
    assert {one.address for one in look(clinic, held, DeliveryMode.STAGING).ready} == {"us@own.example"}


@pytest.mark.parametrize(
    ("changes", "report"),
    [
        ({"modes": ["live"]}, SeedReport()),
        ({"from_messages": 13}, SeedReport()),
        ({"seeds": []}, SeedReport()),
        ({"seeds": [{"name": "chen", "email": "env:CHEN", "locales": ["zh_CN"]}]}, SeedReport(1)),
        ({"seeds": [{"name": "chen", "email": "env:CHEN", "purposes": ["care"]}]}, SeedReport()),
        ({"seeds": [{"name": "chen", "email": "env:CHEN", "campaigns": ["flu_vaccine"]}]}, SeedReport()),
        ({"seeds": [{"name": "chen", "phone": "env:PHONE"}]}, SeedReport()),  # the campaign sends e-mail only
        ({"seeds": [{"name": "lost", "email": "env:NOBODY"}]}, SeedReport(0, ("NOBODY",))),
        ({"seeds": [{"name": "wrong", "email": "env:PHONE"}]}, SeedReport(0, ("PHONE",))),
    ],
)
def test_who_gets_none(clinic: Clinic, changes: dict[str, Any], report: SeedReport) -> None:
    assert plan(clinic, **changes) == report


def test_a_seed_can_leave_and_a_dead_address_gets_no_more(clinic: Clinic, vendor: Running) -> None:
    plan(clinic)
    clinic.dispatch()
    with clinic.ledger.reading() as connection:
        rows = connection.execute(sa.select(seed_copy.c.seed, seed_copy.c.message_key)).tuples().all()
    key, secret = dict(rows)["chen"], clinic.ledger.info.secret
    app = create_app(
        clinic.ledger,
        settings=clinic.settings,
        webhook_key=vendor.public_key,
        clock=lambda: NOON,
        patient_clock=lambda: NOON,
    )
    with TestClient(app) as client:
        assert client.get(f"/p/{sign_token(secret, 'preferences', key)}").status_code == 200
        link = f"/u/{sign_token(secret, 'unsubscribe', key)}"
        assert client.post(link, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    blind = clinic.vault.blind_index("email", ADDRESSES["WANG"])
    with clinic.ledger.begin() as connection:
        suppressions.add(connection, [Suppression(blind, "email", "all", "hard_bounce", NOON, "event")])

    clinic.plan(range(20, 21), run_id="run-2", template=SHARED)
    plan(clinic, run(1, "run-2"))
    checked = look(clinic, take(clinic), now=NOON + timedelta(days=1))
    assert (checked.ready, sorted(checked.withheld.values())) == ([], ["no_consent", "suppressed"])


@pytest.mark.parametrize("locale", Locale)
def test_every_shipped_message_makes_a_copy(clinic: Clinic, locale: Locale) -> None:
    """Rendered from the examples of its author, found fit to be said, and marked where the provider lets it."""
    content = load_content(Project.at(ROOT))
    settings = content.settings
    press = Press(settings, content, b"secret", "https://hospital.example", DeliveryMode.LIVE)
    seeding = Seeding(clinic.ledger, clinic.vault, settings, Seeds.model_validate(BOTH), content)
    plan(clinic)
    held = take(clinic)
    for name in content:
        definition = content.message(name).definition
        for channel in {Channel.EMAIL, Channel.SMS} & set(definition.channels):
            text = seeds.Text(name, channel, locale, definition.sender, definition.purpose)
            copy = seeding._copy(seeding.seeds.seeds[0], text, "chen@staff.example", "x", NOON)
            waiting = seeds.Waiting(
                copy.message_key, copy.person_id, copy.template_hash, "", copy.variables, copy.address
            )
            checked = Checked([_ready(waiting, copy.address, locale)], NOON)
            of = replace(
                held,
                channel=channel,
                template=name,
                locale=locale,
                sender=definition.sender,
                purpose=definition.purpose,
            )
            (letter,) = press.compose(of, checked)
            assert checked.withheld == {}, name
            assert letter.subject.startswith(MARKS[locale]) is (channel is Channel.EMAIL)
            assert not letter.text.startswith(MARKS[locale])  # the provider of texts sends what it has registered


# -------------------------------------------------------------------------------------------------- who takes no notice
def test_patients_counts_and_pauses_take_no_notice(clinic: Clinic) -> None:
    plan(clinic)
    clinic.dispatch()
    with clinic.ledger.reading() as connection:
        counted = count_messages(connection, run_id="run-1", campaign="hello")
        judged = answered(connection, Channel.EMAIL, "hello", NOON - timedelta(days=1))
        listed = {one.campaign for one in deliveries.overview(connection, Filter(), due=NOON, max_attempts=5).groups}
        experiments = connection.scalar(
            sa.select(sa.func.count()).where(
                message.c.campaign.startswith(seeds.PREFIX),
                message.c.experiment.is_not(None) | message.c.variant.is_not(None),
            )
        )
    assert counted == {("hello", MessageState.ACCEPTED): 12}
    assert judged == 12
    assert listed == {"hello", "seeds/hello"}
    assert experiments == 0


def test_no_address_of_a_seed_stands_in_the_open(clinic: Clinic) -> None:
    plan(clinic)
    with clinic.ledger.reading() as connection:
        rows = connection.execute(sa.select(message).where(message.c.campaign == "seeds/hello")).all()
        kept = connection.execute(sa.select(seed_copy)).all()
    assert len(rows) == len(kept) == 6
    assert "staff.example" not in str([*rows, *kept])
    assert {row.person_id for row in rows}.isdisjoint({f"p{number:016x}" for number in range(12)})
    assert inbox.CAMPAIGN not in {row.campaign for row in rows}


def test_addresses_that_are_missing_are_named() -> None:
    assert unreachable(Seeds.model_validate(BOTH), {"CHEN": "x@y.example", "WANG": " "}) == ["PHONE", "WANG"]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("seeds:\n- {name: chen, email: chen@staff.example}", "seeds.0.email", "write env:NAME"),
        ("seeds:\n- {name: chen}", "seeds.0", "neither email nor phone, openid or device_token"),
        ("seeds:\n- {name: chen, email: env:A}\n- {name: chen, email: env:B}", "", "'chen' stands twice"),
        ("seeds:\n- {name: chen, email: env:A, campaigns: [flu_vacine]}", "seeds.0.campaigns.0", "'flu_vaccine'"),
        ("modes: [alive]", "modes.0", "did you mean 'live'"),
        ("sedes: []", "sedes", "did you mean 'seeds'"),
    ],
)
def test_faults_of_the_file_are_named_with_their_place(tmp_path: Path, text: str, place: str, words: str) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "seeds.yaml").write_text(text, "utf-8")
    (found,) = check_seeds(Project.at(tmp_path), ["flu_vaccine"])
    assert (found.field, found.line) == (place, 1 if not place or "." not in place else (1 if "modes" in place else 2))
    assert words in f"{found.what} {found.remedy}"
