"""Settling by hand: what a person may decide, what is kept of it, and what no order of happenings may bring about."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alongside.ledger import Ledger, calls, claims, schema, unknowns
from alongside.ledger.claims import Claim, Scope
from alongside.ledger.events import DeliveryEvent, record_events
from alongside.ledger.messages import TAKEN
from alongside.ledger.resolving import NOT_SENT, Resolved, Ruling, Target, resolve_by_hand
from alongside.ledger.settlement import Settlement
from alongside.model.enums import EventKind, MessageState, Ruled
from alongside.model.errors import Refused
from tests.fakes import NOON, key_of, plan
from tests.ledgers import SqliteLedgers

MINUTE = timedelta(minutes=1)
LATER = NOON + 5 * MINUTE
PLAYED = datetime(2026, 3, 1, 0, 0, tzinfo=UTC)
numbers = count(1)


def ruling(outcome: Ruled, *, send_again: bool = False, because: str = "the feed shows it", by: str = "Li") -> Ruling:
    return Ruling(outcome, because, by, f"d{next(numbers):023d}", send_again)


ACCEPTED, NOT_SENT_AGAIN = Ruled.ACCEPTED, Ruled.NOT_SENT


def settle(ledger: Ledger, target: Target, made: Ruling, now: datetime = LATER) -> Resolved:
    return resolve_by_hand(ledger, target, made, now=now, patient_now=PLAYED)


def take(ledger: Ledger, name: str, *, now: datetime = NOON) -> Claim | None:
    return claims.claim(ledger, Scope(), attempt_id=name, worker="w", now=now, due=now, lease_seconds=60)


def lose(ledger: Ledger, numbers: range, *, purpose: str = "education", campaign: str = "hello") -> Claim:
    """Plan these in one batch, and let its worker die while it calls."""
    plan(ledger, numbers, purpose=purpose, campaign=campaign)
    held = take(ledger, f"a-{campaign}-{numbers.start}")
    assert held is not None
    assert calls.begin_call(ledger, held, now=NOON, lease_seconds=60)
    assert calls.expire_calls(ledger, NOON + 2 * MINUTE) == len(numbers)
    return held


def messages(ledger: Ledger) -> dict[str, dict[str, Any]]:
    with ledger.reading() as connection:
        rows = connection.execute(sa.select(schema.message)).mappings()
        return {row["message_key"]: dict(row) for row in rows}


def batches(ledger: Ledger) -> dict[str, dict[str, Any]]:
    with ledger.reading() as connection:
        return {row["batch_id"]: dict(row) for row in connection.execute(sa.select(schema.batch)).mappings()}


def audit(ledger: Ledger) -> list[dict[str, Any]]:
    with ledger.reading() as connection:
        rows = connection.execute(sa.select(schema.audit).order_by(schema.audit.c.seq)).mappings()
        return [dict(row) for row in rows]


def states(ledger: Ledger) -> list[str]:
    found = messages(ledger)
    return [found[key]["state"] for key in sorted(found)]


def test_accepted_by_hand_closes_the_batch_and_leaves_its_line_in_the_audit_trail(ledger: Ledger) -> None:
    held = lose(ledger, range(3))
    made = ruling(ACCEPTED)
    assert settle(ledger, Target(batch_id=held.batch_id), made) == Resolved(accepted=3)
    assert states(ledger) == ["accepted"] * 3
    assert {one["accepted_at"] for one in messages(ledger).values()} == {PLAYED}
    assert batches(ledger)[held.batch_id]["state"] == "accepted"
    (line,) = audit(ledger)
    assert (line["actor"], line["action"], line["subject"]) == ("Li", "resolve", f"batch:{held.batch_id}")
    assert line["details"] == {
        "as": "accepted",
        "because": "the feed shows it",
        "send_again": False,
        "target": f"batch {held.batch_id}",
        "decision": made.decision_id,
        "messages": [key_of(number) for number in range(3)],
        "planned_in": None,
    }


@pytest.mark.parametrize(
    ("purpose", "send_again", "outcome"),
    [
        ("care", False, Resolved(planned_again=2)),
        ("marketing", False, Resolved(given_up=2)),
        ("education", False, Resolved(given_up=2)),
        ("marketing", True, Resolved(planned_again=2)),
    ],
)
def test_what_was_not_sent_goes_again_by_purpose_or_by_the_flag(
    ledger: Ledger, purpose: str, send_again: bool, outcome: Resolved
) -> None:
    held = lose(ledger, range(2), purpose=purpose)
    made = ruling(NOT_SENT_AGAIN, send_again=send_again)
    assert settle(ledger, Target(campaign="hello"), made) == outcome
    again = take(ledger, "a2", now=LATER)
    if outcome.planned_again:
        assert again is not None
        assert (again.size, again.purpose, again.attempts) == (2, purpose, 0)
        assert audit(ledger)[0]["details"]["planned_in"] == again.batch_id != held.batch_id
        assert {(one["state"], one["reason"]) for one in messages(ledger).values()} == {("planned", None)}
    else:
        assert again is None
        assert {(one["state"], one["reason"]) for one in messages(ledger).values()} == {("unresolved", NOT_SENT)}


def test_one_message_is_settled_and_the_others_stay_unknown(ledger: Ledger) -> None:
    held = lose(ledger, range(3))
    assert settle(ledger, Target(message_key=key_of(1)), ruling(ACCEPTED)) == Resolved(accepted=1)
    assert states(ledger) == ["unknown", "accepted", "unknown"]
    assert batches(ledger)[held.batch_id]["state"] == "unknown"
    assert batches(ledger)[held.batch_id]["updated_at"] == NOON + 2 * MINUTE  # the grace period runs on
    with ledger.reading() as connection:
        (left,) = unknowns.unknown_batches(connection, before=LATER)
    assert list(left.messages) == [key_of(0), key_of(2)]


def test_what_an_event_has_moved_meanwhile_is_left_alone(ledger: Ledger) -> None:
    held = lose(ledger, range(3), purpose="care")
    with ledger.begin() as connection:
        told = [DeliveryEvent("e1", key_of(1), EventKind.DELIVERED, LATER)]
        record_events(connection, told, received_at=LATER)
    assert settle(ledger, Target(batch_id=held.batch_id), ruling(NOT_SENT_AGAIN)) == Resolved(planned_again=2)
    assert states(ledger) == ["planned", "delivered", "planned"]
    assert audit(ledger)[0]["details"]["messages"] == [key_of(0), key_of(2)]


def test_deciding_twice_changes_and_writes_nothing(ledger: Ledger) -> None:
    lose(ledger, range(2), purpose="marketing")
    target = Target(campaign="hello")
    assert settle(ledger, target, ruling(NOT_SENT_AGAIN)).given_up == 2
    assert settle(ledger, target, ruling(NOT_SENT_AGAIN)) == Resolved()
    assert len(audit(ledger)) == 1
    assert settle(ledger, target, ruling(NOT_SENT_AGAIN, send_again=True)).planned_again == 2  # on second thoughts
    with pytest.raises(Refused, match="no message of it is unknown"):
        settle(ledger, target, ruling(NOT_SENT_AGAIN, send_again=True))
    assert len(batches(ledger)) == 2


@pytest.mark.parametrize("outcome", [ACCEPTED, NOT_SENT_AGAIN])
def test_what_policy_left_unresolved_can_still_be_settled(ledger: Ledger, outcome: Ruled) -> None:
    lose(ledger, range(1))
    with ledger.begin() as connection:
        (found,) = unknowns.unknown_batches(connection, before=LATER)
        learnt = unknowns.Resolution({}, unresolved=[key_of(0)])
        unknowns.resolve(connection, found, learnt, now=LATER, patient_now=LATER)
    settle(ledger, Target(message_key=key_of(0)), ruling(outcome, send_again=outcome is NOT_SENT_AGAIN))
    assert states(ledger) == ["accepted" if outcome is ACCEPTED else "planned"]


def test_two_people_at_once_settle_each_message_once(ledger: Ledger) -> None:
    for start in (0, 10, 20, 30):
        lose(ledger, range(start, start + 10), purpose="care")
    results: list[Resolved] = []

    def decide(outcome: Ruled) -> None:
        try:
            results.append(settle(ledger, Target(campaign="hello"), ruling(outcome)))
        except Refused:
            results.append(Resolved())

    threads = [threading.Thread(target=decide, args=(outcome,)) for outcome in (ACCEPTED, NOT_SENT_AGAIN) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = sum(results, Resolved())
    assert total.accepted + total.planned_again == 40
    found = states(ledger)
    assert (found.count("accepted"), found.count("planned")) == (total.accepted, total.planned_again)
    assert sum(len(line["details"]["messages"]) for line in audit(ledger)) == 40


# ---------------------------------------------------------------------------------------------------------- refusals
@pytest.mark.parametrize("state", ["planned", "calling", "accepted", "rejected"])
def test_what_is_not_open_is_refused_and_stays(ledger: Ledger, state: str) -> None:
    plan(ledger, range(1))
    if state != "planned":
        held = take(ledger, "a1")
        assert held is not None
        assert calls.begin_call(ledger, held, now=NOON, lease_seconds=60)
        ends = {"accepted": Settlement(accepted=[key_of(0)]), "rejected": Settlement(rejected={key_of(0): "no"})}
        if state in ends:
            calls.settle(ledger, held, ends[state], now=NOON, patient_now=NOON)
    before = messages(ledger)
    for made in (ruling(ACCEPTED), ruling(NOT_SENT_AGAIN, send_again=True)):
        with pytest.raises(Refused, match="nothing to settle"):
            settle(ledger, Target(message_key=key_of(0)), made)
    assert messages(ledger) == before
    assert audit(ledger) == []


@pytest.mark.parametrize("target", [Target(message_key="f" * 32), Target(batch_id="b0"), Target(campaign="helo")])
def test_a_name_that_the_ledger_does_not_know_is_refused(ledger: Ledger, target: Target) -> None:
    lose(ledger, range(1))
    with pytest.raises(Refused, match="has no message of it"):
        settle(ledger, target, ruling(ACCEPTED))


@pytest.mark.parametrize(("because", "by", "word"), [(" ", "Li", "reason"), ("seen", "", "name")])
def test_a_decision_without_evidence_is_refused(ledger: Ledger, because: str, by: str, word: str) -> None:
    lose(ledger, range(1))
    with pytest.raises(Refused, match=word):
        settle(ledger, Target(campaign="hello"), ruling(ACCEPTED, because=because, by=by))
    with pytest.raises(Refused, match="not sent again"):
        settle(ledger, Target(campaign="hello"), ruling(ACCEPTED, send_again=True))
    assert states(ledger) == ["unknown"]


@pytest.mark.parametrize("parts", [{}, {"message_key": "m", "campaign": "c"}])
def test_a_target_is_one_thing(parts: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="one message, one batch or one campaign"):
        Target(**parts)


# ------------------------------------------------------------------------------------------------------------ fencing
def test_an_older_plan_than_the_restored_backup_is_never_planned_again(ledger: Ledger) -> None:
    held = lose(ledger, range(1), purpose="care")
    with ledger.begin() as connection:
        connection.execute(schema.ledger_info.update().values(epoch=2))
        connection.execute(schema.batch.update().values(attempt_id="restored-2"))
    made = ruling(NOT_SENT_AGAIN, send_again=True)
    assert settle(ledger, Target(batch_id=held.batch_id), made) == Resolved(given_up=1)
    assert str(batches(ledger)[held.batch_id]["attempt_id"]).startswith("restored-")


def test_a_late_answer_says_nothing_of_what_was_planned_again(ledger: Ledger) -> None:
    """The old worker comes back after a person has sent one message of its batch on its way again."""
    first = lose(ledger, range(2), purpose="care")
    settle(ledger, Target(message_key=key_of(0)), ruling(NOT_SENT_AGAIN))
    second = take(ledger, "a2", now=LATER)
    assert second is not None
    assert calls.begin_call(ledger, second, now=LATER, lease_seconds=60)
    keys = [key_of(0), key_of(1)]
    calls.settle(ledger, first, Settlement(retry=keys), now=LATER, patient_now=LATER)
    assert take(ledger, "a3", now=LATER) is None  # it would send the message a second time
    assert messages(ledger)[key_of(0)]["batch_id"] == second.batch_id


def test_what_the_vendor_told_of_the_call_before_is_not_applied_after_a_decision(ledger: Ledger) -> None:
    lose(ledger, range(2), purpose="marketing")
    with ledger.reading() as connection:
        (asked,) = unknowns.unknown_batches(connection, before=LATER)
    settle(ledger, Target(message_key=key_of(0)), ruling(NOT_SENT_AGAIN))
    with ledger.begin() as connection:
        learnt = unknowns.Resolution({}, again=list(asked.messages))
        unknowns.resolve(connection, asked, learnt, now=LATER, patient_now=LATER)
    assert states(ledger) == ["unresolved", "unknown"]


# ----------------------------------------------------------------------------------------------------------- property
class World:
    """Two batches of one ledger, a care one and a marketing one, to which anything may happen in any order."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.start = next(numbers) * 1000 + 10**7
        self.now = NOON
        self.held: list[Claim] = []
        self.asked: list[unknowns.UnknownBatch] = []
        self.keys: list[str] = []
        with ledger.begin() as connection:
            for table in (schema.message, schema.batch, schema.attempt, schema.delivery_event, schema.audit):
                connection.execute(table.delete())
        for offset, purpose in ((0, "care"), (10, "marketing")):
            chosen = range(self.start + offset, self.start + offset + 3)
            plan(ledger, chosen, purpose=purpose, campaign=purpose)
            self.keys += [key_of(number) for number in chosen]

    def step(self, kind: str, mask: int, pick: int) -> bool:
        """Let one thing happen; returns whether it may plan marketing again."""
        self.now += timedelta(seconds=20)
        some = [key for place, key in enumerate(self.keys) if mask >> place & 1]
        return bool(getattr(self, kind)(some, pick))

    def call(self, _some: list[str], pick: int) -> None:
        held = take(self.ledger, f"w{next(numbers)}", now=self.now)
        if held is not None and calls.begin_call(self.ledger, held, now=self.now, lease_seconds=60):
            self.held.append(held)

    def expire(self, _some: list[str], pick: int) -> None:
        self.now += 2 * MINUTE
        calls.expire_calls(self.ledger, self.now)

    def answer(self, some: list[str], pick: int) -> bool:
        """The vendor's word, perhaps late: it may say that nothing was accepted, for any purpose."""
        if not self.held:
            return False
        held = self.held[pick % len(self.held)]
        of = [key for key in some if messages(self.ledger)[key]["purpose"] == held.purpose]
        what = ({"accepted": of}, {"unknown": of}, {"retry": of}, {"rejected": dict.fromkeys(of, "no")})[pick % 4]
        if of:
            calls.settle(self.ledger, held, Settlement(**what), now=self.now, patient_now=self.now)  # type: ignore[arg-type]
        return "retry" in what

    def event(self, some: list[str], pick: int) -> None:
        kind = list(EventKind)[pick % len(EventKind)]
        found = [DeliveryEvent(f"e{next(numbers)}", key, kind, self.now) for key in some]
        with self.ledger.begin() as connection:
            record_events(connection, found, received_at=self.now)

    def ask(self, _some: list[str], pick: int) -> None:
        with self.ledger.reading() as connection:
            self.asked += unknowns.unknown_batches(connection, before=self.now)

    def learn(self, some: list[str], pick: int) -> bool:
        """What the vendor said when it was asked, perhaps long ago."""
        if not self.asked:
            return False
        of = self.asked[pick % len(self.asked)]
        again = [key for key in of.messages if key in some]
        found = {key: MessageState.ACCEPTED for key in of.messages if key not in some}
        with self.ledger.begin() as connection:
            learnt = unknowns.Resolution(found, again=again)
            unknowns.resolve(connection, of, learnt, now=self.now, patient_now=self.now)
        return True

    def rule(self, some: list[str], pick: int) -> bool:
        flag, outcome = pick % 3 == 0, ACCEPTED if pick // 2 % 3 == 2 else NOT_SENT_AGAIN
        campaign = Target(campaign=("care", "marketing")[len(some) % 2])
        targets = [Target(message_key=key) for key in some[:2]] if pick % 2 else [campaign]
        for target in targets:
            try:
                settle(self.ledger, target, ruling(outcome, send_again=flag and outcome is NOT_SENT_AGAIN), self.now)
            except Refused:
                continue
        return flag


@pytest.fixture
def hasty(tmp_path: Path, sqlite_ledgers: SqliteLedgers) -> Iterator[Ledger]:
    """A ledger that does not wait for the disk: hundreds of small transactions, and nobody pulls the plug."""
    ledger = Ledger.connect(sqlite_ledgers.place(tmp_path / "hasty.db"))
    sa.event.listen(ledger.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    yield ledger
    ledger.engine.dispose()


KINDS = ["call", "expire", "answer", "event", "ask", "learn", "rule", "rule"]
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 63), st.integers(0, 11)), min_size=4, max_size=14)
#: Both batches are called and lose their workers; of one message each an event tells that it was accepted.
WENT_OUT: list[tuple[str, int, int]] = [("call", 0, 0), ("call", 0, 0), ("expire", 0, 0), ("event", 0b001001, 0)]
ONE_TEST_ONE_LEDGER = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=15, deadline=None, suppress_health_check=ONE_TEST_ONE_LEDGER)
@given(steps=STEPS)
def test_whatever_happens_nothing_accepted_or_marketing_is_planned_again_without_a_word(
    hasty: Ledger, steps: list[tuple[str, int, int]]
) -> None:
    world = World(hasty)
    before, calling = messages(hasty), set[str]()
    for kind, mask, pick in WENT_OUT + steps:
        allowed = world.step(kind, mask, pick)
        after = messages(hasty)
        for key in world.keys:
            old, new = before[key], after[key]
            if MessageState(old["state"]) in TAKEN:
                assert MessageState(new["state"]) in TAKEN, (kind, old["state"], new["state"])
            if new["purpose"] == "marketing" and new["state"] == "planned" and old["state"] != "planned":
                assert allowed, (kind, old["state"])
            if old["batch_id"] in calling:  # in a request right now: joining another batch would send it twice
                assert new["batch_id"] == old["batch_id"] or kind == "answer", kind
        calling = {name for name, one in batches(hasty).items() if one["state"] == "calling"}
        before = after
