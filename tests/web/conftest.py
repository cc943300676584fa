"""A hospital's ledger with one message, and the application over it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from alongside.ledger import Ledger
from alongside.ledger.schema import message, person, run
from alongside.ledger.vault import Identity, Vault
from alongside.model.enums import DeliveryMode, MessageState, Purpose
from alongside.model.tokens import LINKS, sign_token
from alongside.outreach.catalogues import Catalogues, load
from alongside.sandbox.sendgrid.events import Signer
from alongside.settings import Environment, HospitalSettings, Project, read_model
from alongside.web import create_app
from alongside.web.knowledge import Knowledge
from alongside.web.picture import Booking, Seen

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PATIENT_NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@dataclass
class Wall:
    """A wall clock that a test can move."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **delta: float) -> None:
        self.now += timedelta(**delta)


@dataclass
class House:
    """The application, its ledger, and the vendor's side of the signature."""

    ledger: Ledger
    signer: Signer
    wall: Wall
    client: TestClient
    settings: HospitalSettings
    known: Knowledge
    keys: list[str] = field(default_factory=list)

    def plan(
        self,
        purpose: Purpose = Purpose.EDUCATION,
        locale: str = "zh_CN",
        person_id: str = "p0000000000000001",
        mode: DeliveryMode = DeliveryMode.SANDBOX,
        **columns: Any,
    ) -> str:
        """A message that was accepted; its key. `columns` of the message as they are wanted."""
        key = f"{len(self.keys) + 1:032x}"
        self.keys.append(key)
        plan_message(self.ledger, key, purpose, locale, person_id, mode)
        if columns:
            with self.ledger.begin() as connection:
                connection.execute(message.update().where(message.c.message_key == key).values(**columns))
        return key

    def book(
        self, locale: str = "en", person_id: str = "p0000000000000001", *, known: bool = True, **changes: Any
    ) -> str:
        """A message about an operation in three days; its key. `known`: the hospital's system has the booking."""
        at = PATIENT_NOW + timedelta(days=3)
        reference = {"source": "his", "id": f"A{len(self.keys)}", "at": f"{at:%Y-%m-%dT%H:%M:%SZ}"}
        if known:
            booking = Booking(**{"start_at": at, "status": "booked", "department": "ophthalmology", **changes})
            self.known.picture.bookings[person_id, "his", reference["id"]] = booking
        about = {"template": "treatment/pre_op_checklist", "campaign": "pre_op_checklist"}
        return self.plan(Purpose.CARE, locale, person_id, variables={"appointment": reference}, **about)

    def url(self, link: str, key: str) -> str:
        """The path of one of the message's links, by the name of its variable."""
        path, use = LINKS[link]
        return f"/{path}/{sign_token(self.ledger.info.secret, use, key)}"

    def admit(self, person_id: str, **seen: Any) -> None:
        """Let the hospital know this person, who has an address and a phone."""
        reached = {"email_state": "valid", "phone_state": "valid", "text_state": "valid", "openid_state": "missing"}
        self.known.picture.people[person_id] = Seen(**{**reached, **seen})
        identity = Identity(name="Anna Novak", email="anna.novak@example.com", phone="+8613912345678")
        with self.ledger.begin() as connection:
            self.known.vault.store(connection, {person_id: identity}, NOW)

    def link(self, key: str, use: str = "unsubscribe") -> str:
        return f"/u/{sign_token(self.ledger.info.secret, use, key)}"

    def preference_link(self, key: str) -> str:
        return f"/p/{sign_token(self.ledger.info.secret, 'preferences', key)}"


def plan_message(
    ledger: Ledger, key: str, purpose: Purpose, locale: str, person_id: str, mode: DeliveryMode = DeliveryMode.SANDBOX
) -> None:
    """Rows of one accepted message, of its person and of its run."""
    with ledger.begin() as connection:
        if not connection.execute(person.select().where(person.c.person_id == person_id)).first():
            connection.execute(person.insert().values(person_id=person_id, minted_at=PATIENT_NOW))
        connection.execute(
            run.insert().values(
                run_id=f"run-{key}",
                as_of=PATIENT_NOW,
                config_hash="c",
                config_commit="c",
                mode=mode,
                replay=True,
                started_at=NOW,
                state="completed",
                late=False,
            )
        )
        connection.execute(
            message.insert().values(
                message_key=key,
                batch_id="b",
                run_id=f"run-{key}",
                campaign="campaign",
                occurrence="2026-W10",
                person_id=person_id,
                subject_person_id=person_id,
                purpose=purpose,
                channel="email",
                template="stage/topic/message",
                template_hash="h",
                locale=locale,
                address_blind="ab" * 16,
                variables={},
                state=MessageState.ACCEPTED,
                planned_at=PATIENT_NOW,
                updated_at=NOW,
            )
        )


@pytest.fixture(scope="session")
def settings() -> HospitalSettings:
    return read_model(HospitalSettings, ROOT / "config" / "alongside.yaml")


class Pictured:
    """The hospital's picture of people, by hand; `tests/web/test_picture.py` looks into real snapshots."""

    def __init__(self) -> None:
        self.people: dict[str, Seen] = {}
        self.bookings: dict[tuple[str, str, str], Booking] = {}

    def of(self, person_id: str) -> Seen | None:
        return self.people.get(person_id)

    def booking(self, person_id: str, source: str, appointment: str) -> Booking | None:
        return self.bookings.get((person_id, source, appointment))


@pytest.fixture
def known(ledger: Ledger) -> Knowledge:
    """Topics of the shipped messages, a vault, and a picture in which a test puts people."""
    vault = Vault.open(ledger, Environment(vault_key=bytes(32)))
    known = shipped()
    topics = known.content.topics_for_patients()
    telling = frozenset({"pre_op_checklist"})
    return Knowledge(topics, Pictured(), vault, known.content, telling, known.sensitivity, known.content.settings)


@cache
def shipped() -> Catalogues:
    return load(Project.at(ROOT))


@pytest.fixture
def house(ledger: Ledger, settings: HospitalSettings, known: Knowledge, tmp_path: Path) -> Iterator[House]:
    wall = Wall()
    signer = Signer.load(tmp_path)
    app = create_app(
        ledger,
        settings=settings,
        webhook_key=signer.public_key,
        clock=wall,
        patient_clock=lambda: PATIENT_NOW,
        known=known,
        max_webhook_bytes=100_000,
        failures_per_minute=5,
    )
    with TestClient(app) as client:
        yield House(ledger, signer, wall, client, settings, known)
