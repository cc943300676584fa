"""What the vendor's words mean, and what follows from them for the address and the consent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alongside.channels.sendgrid_events import KIND_OF, kind_of, translate
from alongside.delivery import ingest_events
from alongside.delivery.events import IngestReport
from alongside.ledger import Ledger, consent, schema
from alongside.ledger.runs import RunPins, pin_run
from alongside.model.enums import Decision, EventKind, Locale
from alongside.web import withdrawal
from tests.fakes import NOON, key_of, plan

STAMP = int(NOON.timestamp())


def word(name: str, number: int = 0, **extra: Any) -> dict[str, Any]:
    """One event in the vendor's shape."""
    return {
        "event": name,
        "email": "patient@example.com",
        "timestamp": STAMP,
        "m": key_of(number),
        "b": "b1",
        "sg_event_id": f"{name}-{number}-{extra.get('type', '')}",
        **extra,
    }


def take(ledger: Ledger, *events: Any) -> IngestReport:
    return ingest_events(ledger, [translate(event) for event in events], NOON)


def suppressed(ledger: Ledger) -> set[tuple[str, str, str]]:
    rows = ledger.read_arrow("SELECT blind, scope, reason FROM suppression").to_pylist()
    return {(row["blind"], row["scope"], row["reason"]) for row in rows}


def withdrawn(ledger: Ledger) -> set[str]:
    return withdrawn_by(ledger, [0])[0]


def withdrawn_by(ledger: Ledger, numbers: Sequence[int]) -> list[set[str]]:
    """Purposes that each of these patients has withdrawn from."""
    people = [f"p{number:016x}" for number in numbers]
    found: dict[str, set[str]] = {person: set() for person in people}
    with ledger.reading() as connection:
        for purpose in ("education", "marketing", "care"):
            for person, (decision, _) in consent.decide(connection, people, purpose, "email").items():
                found[person] |= {purpose} if decision is Decision.DENY else set()
    return [found[person] for person in people]


@pytest.mark.parametrize(("name", "kind"), KIND_OF.items())
def test_each_word_has_one_meaning(name: str, kind: EventKind) -> None:
    assert kind_of({"event": name}) is kind


def test_a_blocked_bounce_is_no_hard_bounce() -> None:
    assert kind_of({"event": "bounce", "type": "blocked"}) is EventKind.BLOCKED
    assert kind_of({"event": "bounce", "type": "bounce"}) is EventKind.BOUNCE


@pytest.mark.parametrize(
    "event",
    [
        word("group_resubscribe"), word("account_status_change"), word("new_thing"), {}, None, 7, "delivered", [],
        word("delivered", m=None), word("delivered", m="short"), word("delivered", m=key_of(1).upper() + "Z"),
        word("delivered", timestamp=None), word("delivered", timestamp="now"), word("delivered", timestamp=True),
        word("delivered", timestamp=1e300), word("delivered", timestamp=-1), word("delivered", sg_event_id=""),
        word("delivered", sg_event_id=None), {**word("delivered"), "event": ["delivered"]},
    ],
)  # fmt: skip
def test_what_is_malformed_or_about_no_message_is_ignored(ledger: Ledger, event: Any) -> None:
    plan(ledger, [0])
    assert translate(event) is None
    report = take(ledger, event, word("delivered"))
    assert (report.ignored, report.fresh) == (1, 1)


@pytest.mark.parametrize(
    ("event", "scope", "reason"),
    [
        (word("bounce", type="bounce", reason="550 no such user patient@example.com"), "all", "hard_bounce"),
        (word("spamreport"), "all", "complaint"),
        (word("unsubscribe"), "marketing", "unsubscribe"),
        (word("group_unsubscribe"), "marketing", "unsubscribe"),
        (word("dropped", reason="Bounced Address"), "all", "hard_bounce"),
        (word("dropped", reason="Spam Reporting Address"), "all", "complaint"),
        (word("dropped", reason="Unsubscribed Address"), "marketing", "unsubscribe"),
    ],
)
def test_an_address_that_must_not_be_written_to_is_suppressed(
    ledger: Ledger, event: dict[str, Any], scope: str, reason: str
) -> None:
    plan(ledger, [0])
    assert take(ledger, event, event).suppressed == 1
    assert suppressed(ledger) == {(f"{0:032x}", scope, reason)}
    details = ledger.read_arrow("SELECT detail FROM delivery_event").column(0).to_pylist()
    assert not any("@" in detail for detail in details)


@pytest.mark.parametrize(
    "event",
    [
        word("bounce", type="blocked"), word("deferred"), word("delivered"), word("open"), word("click"),
        word("dropped", reason="Spam Content"), word("dropped", reason="Recipient List over Package Quota"),
    ],
)  # fmt: skip
def test_passing_trouble_suppresses_nobody(ledger: Ledger, event: dict[str, Any]) -> None:
    plan(ledger, [0])
    take(ledger, event)
    assert (suppressed(ledger), withdrawn(ledger)) == (set(), set())


def test_unsubscribing_withdraws_consent_for_this_kind_and_for_marketing(ledger: Ledger) -> None:
    plan(ledger, [0])
    take(ledger, word("unsubscribe"))
    assert withdrawn(ledger) == {"education", "marketing"}


def test_one_click_and_the_vendors_word_come_to_the_same(ledger: Ledger) -> None:
    plan(ledger, [0])
    sent = withdrawal.find(ledger, key_of(0), Locale.EN)
    assert sent is not None
    for later in (timedelta(0), timedelta(minutes=1)):
        withdrawal.withdraw(ledger, sent, everything=False, now=NOON + later, wall=NOON + later)
    take(ledger, word("unsubscribe"))
    assert withdrawn(ledger) == {"education", "marketing"}
    assert suppressed(ledger) == {(f"{0:032x}", "marketing", "unsubscribe")}


def test_staging_tells_nothing_about_patients(ledger: Ledger) -> None:
    with ledger.begin() as connection:
        pin_run(connection, RunPins("run-1", NOON, "hash", "commit", "staging", False, False, NOON))
    plan(ledger, [0])
    take(ledger, word("bounce"), word("unsubscribe"))
    assert (suppressed(ledger), withdrawn(ledger)) == (set(), set())


@pytest.mark.parametrize(
    ("event", "machine"),
    [
        (word("open", sg_machine_open=True), True),
        (word("open", sg_machine_open=False, useragent="Mozilla/5.0 (iPhone)"), False),
        (word("click", useragent="Mozilla/5.0 (compatible; LinkScanner/1.0)"), True),
        (word("click", useragent="Mozilla/5.0 (iPhone) Mobile/15E148"), False),
        (word("click"), False),
    ],
)
def test_proxies_and_scanners_are_no_people(event: dict[str, Any], machine: bool) -> None:
    found = translate(event)
    assert found is not None
    assert found.machine is machine


_EVENTS = [
    word(name, number, **extra)
    for number in range(3)
    for name, extra in (
        ("processed", {}), ("deferred", {}), ("delivered", {}), ("open", {}), ("click", {}), ("spamreport", {}),
        ("unsubscribe", {}), ("bounce", {"type": "bounce"}), ("bounce", {"type": "blocked"}),
        ("dropped", {"reason": "Bounced Address"}),
    )
]  # fmt: skip


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """One ledger for all examples; each has messages of its own in it."""
    return Ledger.open(f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.db'}")


_FIRST = count(100, 3)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_order_and_repetition_change_nothing(shared: Ledger, data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(_EVENTS), min_size=1, max_size=12))
    shuffled = data.draw(st.permutations(chosen + data.draw(st.lists(st.sampled_from(chosen), max_size=6))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(shuffled)), max_size=3)))
    portions = [shuffled[start:end] for start, end in zip([0, *cuts], [*cuts, len(shuffled)], strict=True)]
    assert _end(shared, [chosen]) == _end(shared, portions)


def _end(ledger: Ledger, portions: Sequence[Sequence[dict[str, Any]]]) -> tuple[Any, ...]:
    """States, suppressed addresses and withdrawals of three new messages after these deliveries."""
    first = next(_FIRST)
    plan(ledger, range(first, first + 3))
    moved = {key_of(number): key_of(first + number) for number in range(3)}
    for portion in portions:
        own = [event | {"m": moved[event["m"]], "sg_event_id": f"{first} {event['sg_event_id']}"} for event in portion]
        ingest_events(ledger, [translate(event) for event in own], NOON)
    with ledger.reading() as connection:
        rows = connection.execute(sa.select(schema.message).where(schema.message.c.message_key.in_(moved.values())))
        states = sorted((row.message_key, row.state, row.accepted_at) for row in rows)
    stopped = {
        (int(blind, 16) - first, scope) for blind, scope, _ in suppressed(ledger) if 0 <= int(blind, 16) - first < 3
    }
    own_states = [(state, accepted_at) for _, state, accepted_at in states]
    return own_states, stopped, withdrawn_by(ledger, range(first, first + 3))
