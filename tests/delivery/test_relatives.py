"""A message to a daughter about her father: what she reads, and what stops it between planning and the call."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import yaml

from alongside.delivery.recheck import still_stands
from alongside.ledger import consent, relations
from alongside.ledger.claims import Claim, Scope, claim
from alongside.ledger.consent import ConsentEvent
from alongside.ledger.vault import Identity
from alongside.model.enums import Channel, Decision
from tests.delivery.clinic import SHARED, Clinic
from tests.delivery.conftest import AcceptedLog
from tests.fakes import NOON, key_of

FATHER, DAUGHTER = f"p{0:016x}", f"p{1:016x}"
BODY = "{{ patient_relation }} / {{ patient_name or 'nobody' }} / {{ salutation }}"
KIN = {"is": "child", "gender": "male", "as": "family"}


@pytest.fixture
def family(clinic: Clinic) -> Clinic:
    """A father who let his daughter know, and a message to her about him."""
    folder = clinic.project.templates / SHARED
    definition = yaml.safe_load((folder / "message.yaml").read_text("utf-8"))
    (folder / "message.yaml").write_text(yaml.safe_dump({**definition, "to": "family", "variables": {}}), "utf-8")
    for locale in ("zh_CN", "en"):
        for name in (f"email.{locale}.txt.j2", f"email.{locale}.mjml.j2"):
            text = (folder / name).read_text("utf-8")
            (folder / name).write_text(text.replace("A short walk today", f"{BODY} A short walk today"), "utf-8")
    clinic.admit(range(2))
    with clinic.ledger.begin() as connection:
        named = {
            FATHER: Identity(name="Peter Novak", gender="male"),
            DAUGHTER: Identity(name="Anna Novak", email="patient1@example.com"),
        }
        clinic.vault.store(connection, named, NOON)
    clinic.relate([0], [1])
    clinic.plan(
        [1],
        person_id=[DAUGHTER],
        subject_person_id=[FATHER],
        variables=json.dumps({"v": {}, "zone": "Asia/Shanghai", "quiet": [None, None], "kin": KIN}),
    )
    return clinic


def _forbids(clinic: Clinic) -> None:
    with clinic.ledger.begin() as connection:
        relations.decide(connection, FATHER, DAUGHTER, Decision.DENY, clinic.as_of, by="nurse", evidence="call")


def _wants_none_of_it(clinic: Clinic) -> None:
    event = ConsentEvent(FATHER, "education", "*", Decision.DENY, clinic.as_of, "preferences", "page")
    with clinic.ledger.begin() as connection:
        consent.record(connection, [event], clinic.as_of)


def _daughter_leaves(clinic: Clinic) -> None:
    event = ConsentEvent(DAUGHTER, "education", "email", Decision.DENY, clinic.as_of, "preferences", "page")
    with clinic.ledger.begin() as connection:
        consent.record(connection, [event], clinic.as_of)


CHANGES = pytest.mark.parametrize(
    ("change", "gate"),
    [(_forbids, "no_relative"), (_wants_none_of_it, "no_relative"), (_daughter_leaves, "no_consent")],
)


def _claimed(clinic: Clinic) -> Claim:
    scope, now = Scope(Channel.EMAIL), datetime.now(UTC)
    held = claim(clinic.ledger, scope, attempt_id="a", worker="w", now=now, due=clinic.as_of, lease_seconds=60)
    assert held is not None
    return held


def test_she_reads_of_her_father_under_her_own_name(family: Clinic, accepted: AcceptedLog) -> None:
    family.dispatch()
    (record,) = accepted()
    assert record["to"] == "patient1@example.com"
    kept = (family.project.root.parent / "vendor" / "bodies.ndjson").read_text("utf-8")
    for words in ("your father", "Peter Novak", "Anna Novak"):
        assert words in kept


@CHANGES
def test_whoever_changes_their_mind_reaches_what_is_queued(
    family: Clinic, accepted: AcceptedLog, change: Callable[[Clinic], None], gate: str
) -> None:
    change(family)
    family.dispatch()
    assert accepted() == []
    assert family.states_of([1]) == [("withheld", gate)]


@CHANGES
def test_and_what_is_being_sent(family: Clinic, change: Callable[[Clinic], None], gate: str) -> None:
    held = _claimed(family)
    checked = family.recheck(held)
    assert [one.key for one in checked.ready] == [key_of(1)]
    with family.ledger.reading() as connection:
        assert still_stands(connection, held, checked, family.as_of)
    change(family)
    with family.ledger.reading() as connection:
        assert not still_stands(connection, held, checked, family.as_of)
    assert family.recheck(held).withheld == {key_of(1): gate}
