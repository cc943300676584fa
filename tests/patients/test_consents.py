"""What extracts say about consent goes into the log once, and never against what the patient said later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from alongside.ledger import consent, people, schema
from alongside.ledger.consent import ConsentEvent
from alongside.model.enums import Decision
from tests.patients.world import NOW, Row, World, patient

WANG = {"full_name": "王小明", "birth_date": "1980-05-06", "mrn": "P7"}
YESTERDAY = datetime(2026, 2, 28, 12, 30, 15, 250_000, UTC).replace(tzinfo=None)  # canonical moments are naive UTC


def _row(decision: str = "permit", decided_at: datetime = YESTERDAY, patient_source_id: str = "b", **other: Any) -> Row:
    return {
        "source": "crm", "patient_source_id": patient_source_id, "purpose": "education", "channel": "email",
        "decision": decision, "decided_at": decided_at, "evidence": "form 7", **other,
    }  # fmt: skip


def _stands(world: World) -> Decision | None:
    person = world.person_map()["crm", "b"]
    with world.ledger.begin() as connection:
        found = consent.decide(connection, [person], "education", "email")
    return found[person][0] if person in found else None


def _resolve(world: World, *consents: Row, now: datetime = NOW) -> None:
    world.resolve(patient("a", **WANG), patient("b", "crm", **WANG), consent=consents, now=now)


def test_decisions_are_recorded_once_under_the_record_that_brought_them(world: World) -> None:
    _resolve(world, _row(), _row("deny", patient_source_id="stranger"))
    report = world.record_consents()
    assert (report.rows, report.recorded, report.unknown_people, report.ahead) == (2, 1, 1, 0)
    assert world.record_consents(NOW + timedelta(days=1)).recorded == 0
    with world.ledger.begin() as connection:
        row = connection.execute(sa.select(schema.consent_event)).one()
        own = connection.execute(
            sa.select(schema.person_alias.c.person_id).where(schema.person_alias.c.source == "crm")
        ).scalar_one()
    assert (row.person_id, row.origin, row.evidence) == (own, "extract:crm", "form 7")
    assert (row.decided_at, row.recorded_at) == (YESTERDAY.replace(tzinfo=UTC), NOW)
    # the same decision written by hand is the same fact
    event = ConsentEvent(own, "education", "email", Decision.PERMIT, row.decided_at, "extract:crm", "form 7")
    assert event.fact == row.fact
    assert _stands(world) == Decision.PERMIT


def test_an_extract_never_revives_what_was_withdrawn_on_the_page(world: World) -> None:
    _resolve(world, _row())
    world.record_consents()
    person = world.person_map()["crm", "b"]
    with world.ledger.begin() as connection:
        withdrawn = ConsentEvent(person, "education", "*", Decision.DENY, NOW, "unsubscribe")
        consent.record(connection, [withdrawn], NOW)
    for night in range(1, 4):
        now = NOW + timedelta(days=night)
        _resolve(world, _row(), _row(evidence=f"export {night}"), _row(source_id=f"again{night}"), now=now)
        world.record_consents(now)
        assert _stands(world) == Decision.DENY
    later = YESTERDAY + timedelta(days=5)
    _resolve(world, _row(decided_at=later), now=NOW + timedelta(days=5))
    world.record_consents(NOW + timedelta(days=5))
    assert _stands(world) == Decision.PERMIT


def test_a_grant_of_tomorrow_waits_and_a_misdated_withdrawal_counts_today(world: World) -> None:
    ahead = NOW.replace(tzinfo=None) + timedelta(days=1)
    _resolve(world, _row(decided_at=ahead))
    assert world.record_consents().ahead == 1
    assert _stands(world) is None
    assert world.record_consents(NOW + timedelta(days=2)).recorded == 1
    assert _stands(world) == Decision.PERMIT
    _resolve(world, _row("deny", decided_at=ahead + timedelta(days=36_500)), now=NOW + timedelta(days=3))
    assert world.record_consents(NOW + timedelta(days=3)).recorded == 1
    assert _stands(world) == Decision.DENY
    assert world.record_consents(NOW + timedelta(days=4)).recorded == 0


def test_a_split_takes_the_consent_of_its_own_record_along(world: World) -> None:
    _resolve(world, _row(), {**_row("deny", patient_source_id="a"), "source": "his", "purpose": "survey"})
    world.record_consents()
    group = world.person_map()["his", "a"]
    secret = world.ledger.info.secret
    with world.ledger.begin() as connection:
        left, right = (people.alias_of(secret, *record) for record in (("his", "a"), ("crm", "b")))
        people.decide_review(connection, (left, right), "different", "desk", NOW)
    world.again()
    alone = world.person_map()
    assert alone["his", "a"] == group != alone["crm", "b"]
    with world.ledger.begin() as connection:
        both = list(alone.values())
        education = consent.decide(connection, both, "education", "email")
        survey = consent.decide(connection, both, "survey", "email")
    assert {person: found[0] for person, found in education.items()} == {alone["crm", "b"]: Decision.PERMIT}
    assert {person: found[0] for person, found in survey.items()} == {group: Decision.DENY}


@pytest.mark.parametrize(
    "broken",
    [
        {"decision": None},
        {"decision": None, "channel": None},
        {"decision": None, "decided_at": None},
        {"decision": "deny", "decided_at": None},
        {"decision": "deny", "channel": None},
    ],
)
def test_a_later_record_that_cannot_be_read_blocks_until_it_can(world: World, broken: dict[str, Any]) -> None:
    old = _row(decided_at=YESTERDAY - timedelta(days=30))
    _resolve(world, old)
    world.record_consents(NOW - timedelta(days=1))
    assert _stands(world) == Decision.PERMIT
    new = {**_row(source_id="K2", evidence="form 8"), **broken}
    for night in range(2):  # an extract repeats it
        _resolve(world, old, new)
        report = world.record_consents(NOW + timedelta(days=night))
        assert (report.unreadable, report.recorded) == (1, 1 - night)
        assert _stands(world) == Decision.DENY
    _resolve(world, old, _row(source_id="K2", evidence="form 8"))
    assert world.record_consents(NOW + timedelta(days=2)).recorded == 2
    assert _stands(world) == Decision.PERMIT
    _resolve(world, old, new)  # it breaks a second time
    assert world.record_consents(NOW + timedelta(days=3)).recorded == 1
    assert _stands(world) == Decision.DENY
    _resolve(world, old, _row("deny", source_id="K2"))
    world.record_consents(NOW + timedelta(days=4))
    assert _stands(world) == Decision.DENY


def test_a_record_that_can_be_read_again_never_lifts_what_was_withdrawn_on_the_page(world: World) -> None:
    broken = _row(source_id="K2", decision=None)
    _resolve(world, broken)
    world.record_consents()
    person = world.person_map()["crm", "b"]
    with world.ledger.begin() as connection:
        withdrawn = ConsentEvent(person, "education", "email", Decision.DENY, NOW, "unsubscribe")
        consent.record(connection, [withdrawn], NOW)
    _resolve(world, {**broken, "decision": "permit"})
    world.record_consents(NOW + timedelta(days=1))
    assert _stands(world) == Decision.DENY


@pytest.mark.parametrize("broken", [{"decided_at": None}, {"channel": None}])
def test_a_grant_without_its_day_or_channel_permits_nothing_and_takes_nothing_away(
    world: World, broken: dict[str, Any]
) -> None:
    _resolve(world, {**_row(source_id="K2"), **broken})
    report = world.record_consents()
    assert (report.recorded, report.unreadable, _stands(world)) == (0, 0, None)
    _resolve(world, _row(), {**_row(source_id="K2"), **broken})
    world.record_consents(NOW + timedelta(days=1))
    assert _stands(world) == Decision.PERMIT


def test_another_later_proven_grant_ends_what_could_not_be_read(world: World) -> None:
    broken = _row(source_id="K2", decision=None)
    _resolve(world, broken)
    world.record_consents()
    _resolve(world, broken, _row(source_id="K3", decided_at=YESTERDAY + timedelta(hours=1)))
    world.record_consents(NOW + timedelta(days=1))
    assert _stands(world) == Decision.PERMIT
