"""The real ledger and the model, driven side by side through the same random history."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy.engine import Connection

from alongside.channels.base import Channel
from alongside.delivery.recheck import Checked, Ready, still_stands
from alongside.delivery.reconcile import learn
from alongside.ledger import Ledger, calls, claims, consent, pauses, recipients, unknowns
from alongside.ledger.claims import Claim, Scope
from alongside.ledger.consent import ConsentEvent
from alongside.ledger.events import DeliveryEvent, record_events
from alongside.ledger.messages import plan_batches
from alongside.ledger.schema import batch, message
from alongside.ledger.settlement import Settlement
from alongside.ledger.unknowns import Resolution, UnknownBatch
from alongside.ledger.vault import Contact
from alongside.model.enums import Decision, EventKind, MessageState
from tests.fakes import NOON, key_of, plan_rows
from tests.protocol import model
from tests.protocol.model import Answer, Asked

LEASE = 60.0
SIZES = (2, 2, 1)  # messages of each batch
#: What becomes of a message of a call; what needs more steps to come to an end is more frequent.
FATES = ("accepted", "rejected", "taken", "retry", "retry", "lost", "lost")
_runs = itertools.count(1)
_workers = st.sampled_from((0, 1))
_fates = st.lists(st.sampled_from(FATES), min_size=2, max_size=2)
_keys = st.integers(0, sum(SIZES) - 1)


class Vendor:
    """Remembers what it has taken, by the ids that travelled with it."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str]] = []  # batch id, message key

    async def lookup(self, kind: str, value: str) -> list[MessageState]:
        return [MessageState.ACCEPTED for one in self.taken if one["bm".index(kind)] == value]


@dataclass
class Hand:
    """What one worker remembers of the batch that it holds."""

    held: Claim
    batch: int
    attempt: int
    phase: str = "claimed"
    leased: bool = True
    checked: Checked | None = None
    ready: tuple[int, ...] = ()
    withheld: tuple[int, ...] = ()
    answer: Answer = field(default_factory=Answer)


class LedgerAndModel(RuleBasedStateMachine):
    """One run of a few messages. After every step the ledger is what the model says."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger, self.vendor, self.now = ledger, Vendor(), NOON
        self.run, self.attempts = f"protocol-{next(_runs)}", itertools.count(1)
        self.hands: dict[int, Hand] = {}
        self.inquiries: list[tuple[UnknownBatch, Resolution, Asked, tuple[tuple[int, ...], ...]]] = []

    @initialize(purpose=st.sampled_from(("care", "marketing")), lookup=st.booleans())
    def plan(self, purpose: str, lookup: bool) -> None:
        first = 100 * next(_runs)
        self.numbers = range(first, first + sum(SIZES))
        self.keys = [key_of(number) for number in self.numbers]
        self.people = [f"p{number:016x}" for number in self.numbers]
        self.purpose, self.lookup, self.resends = purpose, lookup, purpose == "care"
        said = [ConsentEvent(one, purpose, "email", Decision.PERMIT, NOON, "crm", "form") for one in self.people]
        with self.ledger.begin() as connection:
            plan_batches(
                connection, plan_rows(self.numbers, purpose=purpose), run_id=self.run, campaign="protocol",
                planned_at=NOON, now=NOON, batch_size=SIZES[0],
            )  # fmt: skip
            consent.record(connection, said, NOON)
        self.scope = Scope(run_id=self.run)
        self.model = model.Ledger.plan(number for number, size in enumerate(SIZES) for _ in range(size))
        with self.ledger.reading() as connection:
            mine = sa.select(batch.c.batch_id).where(batch.c.run_id == self.run).order_by(batch.c.batch_id)
            self.ids = list(connection.scalars(mine))

    # ------------------------------------------------------------------------------------------------------- workers
    @rule(worker=_workers, fates=_fates)
    def work(self, worker: int, fates: list[str]) -> None:
        """The next thing that this worker does."""
        hand = self.hands.get(worker)
        if hand is None:
            self._claim(worker)
        elif hand.phase == "claimed":
            self._recheck(hand)
        elif hand.phase == "checked":
            self._call(worker, hand)
        elif hand.phase == "calling":
            self._send(hand, fates if hand.leased else ["retry"] * 2)
        else:
            self._settle(hand)
            del self.hands[worker]

    @precondition(lambda self: any(self._answered(worker) for worker in self.hands))
    @rule()
    def settle_and_claim_the_next(self) -> None:
        """In one transaction, which is what a worker does that goes on."""
        worker, hand = next((worker, hand) for worker, hand in self.hands.items() if self._answered(worker))
        del self.hands[worker]
        self._claim(worker, after=hand)

    @rule(worker=_workers)
    def work_until_the_call(self, worker: int) -> None:
        for _ in range(3):
            hand = self.hands.get(worker)
            if hand is None or hand.phase in ("claimed", "checked"):
                self.work(worker, [])
                self.the_ledger_is_what_the_model_says()

    @rule(worker=_workers, fates=_fates)
    def work_until_the_answer(self, worker: int, fates: list[str]) -> None:
        self.work_until_the_call(worker)
        if worker in self.hands:
            self.work(worker, fates)

    @rule(worker=_workers, fates=_fates)
    def work_to_the_end(self, worker: int, fates: list[str]) -> None:
        self.work_until_the_answer(worker, fates)
        if self._answered(worker):
            self.work(worker, [])

    def _claim(self, worker: int, after: Hand | None = None) -> None:
        attempt = next(self.attempts)
        name = self._attempt_id(attempt)
        terms = {"attempt_id": name, "worker": name, "now": self.now, "due": self.now, "lease_seconds": LEASE}
        if after is None:
            held = claims.claim(self.ledger, self.scope, **terms)
        else:
            held = self._settle(after, lambda connection: claims.claim_within(connection, self.scope, **terms))
        ready = model.claimable(self.model)
        assert (held is not None) == bool(ready)
        if held is not None:
            self._note_new([held.batch_id])  # the settlement may have made it
            number = self.ids.index(held.batch_id)
            assert number in ready
            self.model = model.claim(self.model, number, attempt)
            self.hands[worker] = Hand(held, number, attempt)

    def _recheck(self, hand: Hand) -> None:
        held = hand.held
        with self.ledger.reading() as connection:
            waiting = recipients.waiting_recipients(connection, held.batch_id, held.purpose, "email", self.now)
            permitted = recipients.standing_consent(connection, waiting, held.purpose, "email", self.now).permitted
        contact = Contact(name="", email=None)
        ready = [Ready(one.key, "", contact, {}, "") for one in waiting if one.person_id in permitted]
        withheld = {one.key: "no_consent" for one in waiting if one.person_id not in permitted}
        hand.checked = Checked(ready, NOON, withheld)
        hand.phase, (hand.ready, hand.withheld) = "checked", model.recheck(self.model, hand.batch)
        assert [one.key for one in ready] == self._named(hand.ready)
        assert sorted(withheld) == self._named(hand.withheld)

    def _call(self, worker: int, hand: Hand) -> None:
        checked, held, now = hand.checked, hand.held, self.now
        assert checked is not None
        if not hand.ready:
            closed = calls.settle_uncalled(self.ledger, held, now=now, withheld=checked.withheld, postponed={})
            self.model, expected = model.settle_uncalled(self.model, hand.batch, hand.attempt, hand.withheld)
            assert closed == expected
            del self.hands[worker]
            return
        may_call = calls.begin_call(
            self.ledger, held, now=now, lease_seconds=LEASE, withheld=checked.withheld,
            stands=lambda connection: still_stands(connection, held, checked, now),
        )  # fmt: skip
        self.model, expected = model.begin_call(self.model, hand.batch, hand.attempt, hand.ready, hand.withheld)
        assert may_call == expected
        if may_call:
            hand.phase, hand.leased = "calling", True
        else:
            self._give_back(worker, hand)

    def _send(self, hand: Hand, fates: list[str]) -> None:
        fate = dict(zip(hand.ready, fates, strict=False))
        for key, what in fate.items():
            if what in ("accepted", "taken"):
                self.vendor.taken.append((hand.held.batch_id, self.keys[key]))

        def of(*names: str) -> tuple[int, ...]:
            return tuple(key for key, what in fate.items() if what in names)

        hand.answer = Answer(of("accepted"), of("rejected"), of("taken", "lost"), of("retry"))
        hand.phase = "answered"

    def _settle(self, hand: Hand, then: Callable[[Connection], Claim | None] | None = None) -> Claim | None:
        answer = hand.answer
        result = Settlement(
            accepted=self._named(answer.accepted),
            rejected=dict.fromkeys(self._named(answer.rejected), "bad address"),
            unknown=self._named(answer.unknown),
            retry=self._named(answer.retry),
            burn=False,
        )
        following = calls.settle(self.ledger, hand.held, result, now=self.now, patient_now=self.now, then=then)
        self.model = model.settle(self.model, hand.batch, hand.attempt, answer)
        return following

    def _answered(self, worker: int) -> bool:
        return worker in self.hands and self.hands[worker].phase == "answered"

    @precondition(lambda self: any(self._answered(worker) for worker in self.hands))
    @rule()
    def settle_and_not_hear_so(self) -> None:
        """The commit was done and its confirmation lost: the worker will settle once more."""
        self._settle(next(hand for worker, hand in self.hands.items() if self._answered(worker)))

    @precondition(lambda self: self.hands)
    @rule(worker=_workers, how=st.sampled_from(("dies", "dies, seen by its supervisor", "gives back")))
    def let_go(self, worker: int, how: str) -> None:
        hand = self.hands.get(worker)
        if hand is None:
            return
        if how == "gives back":
            self._give_back(worker, hand)
            return
        del self.hands[worker]
        if how != "dies":
            calls.abandon(self.ledger, self._attempt_id(hand.attempt), self.now)
            self.model = model.abandon(self.model, hand.attempt)

    def _give_back(self, worker: int, hand: Hand) -> None:
        if hand.phase in ("claimed", "checked"):
            released = calls.release(self.ledger, hand.held, now=self.now)
            self.model, expected = model.release(self.model, hand.batch, hand.attempt)
            assert released == expected
            del self.hands[worker]

    # ---------------------------------------------------------------------------------------------------- the others
    @precondition(lambda self: self.hands)
    @rule(expire=st.booleans())
    def leases_run_out(self, expire: bool) -> None:
        self.now += timedelta(seconds=LEASE + 1)
        self.model = model.time_passes(self.model)
        for hand in self.hands.values():
            hand.leased = False
        if expire:
            self.expire_calls()

    @rule()
    def expire_calls(self) -> None:
        calls.expire_calls(self.ledger, self.now)
        self.model = model.expire_calls(self.model)

    @precondition(lambda self: self.vendor.taken)
    @rule(data=st.data(), kinds=st.lists(st.sampled_from(("processed", "deferred", "delivered", "bounce")), min_size=1))
    def events_arrive(self, data: st.DataObject, kinds: list[str]) -> None:
        """In any order, some of them for the second time."""
        _, name = data.draw(st.sampled_from(self.vendor.taken))
        happened = [DeliveryEvent(f"{name}-{kind}", name, EventKind(kind), NOON) for kind in kinds]
        with self.ledger.begin() as connection:
            record_events(connection, happened, received_at=self.now)
        states = {"processed": model.A, "deferred": model.F, "delivered": model.D, "bounce": model.B}
        for kind in kinds:
            self.model = model.event(self.model, self.keys.index(name), states[kind])

    @rule(key=_keys)
    def patient_leaves(self, key: int) -> None:
        left = ConsentEvent(self.people[key], self.purpose, "email", Decision.DENY, NOON, "unsubscribe")
        with self.ledger.begin() as connection:
            consent.record(connection, [left], self.now)
        self.model = self.model._replace(withdrawn=self.model.withdrawn | {key})

    @rule(seldom=st.integers(0, 3))
    def pause_or_resume(self, seldom: int = 0) -> None:
        if seldom and not self.model.paused:
            return
        scope = f"run:{self.run}"
        with self.ledger.begin() as connection:
            if self.model.paused:
                assert pauses.lift_pause(connection, scope)
            else:
                assert pauses.set_pause(connection, scope, by="op", reason="storm", now=self.now)
        self.model = self.model._replace(paused=not self.model.paused)

    @precondition(lambda self: model.unknown_batches(self.model))
    @rule()
    def ask_the_vendor(self) -> None:
        """A reconciliation finds out what became of unknown messages; what it writes comes later."""
        with self.ledger.reading() as connection:
            found = unknowns.unknown_batches(connection, before=self.now, run_id=self.run)
        expected = {asked.batch: asked for asked in model.unknown_batches(self.model)}
        assert {self.ids.index(of.batch_id) for of in found} == set(expected)
        for of in found:
            asked = expected[self.ids.index(of.batch_id)]
            assert sorted(of.messages) == self._named(asked.keys)
            vendor = cast("Channel", self.vendor) if self.lookup else None
            real = asyncio.run(learn(self.ledger, vendor, of))
            knows = {self.keys.index(key) for _, key in self.vendor.taken} if self.lookup else None
            learnt = model.learn(asked, knows, self.resends)
            assert [sorted(real.found), sorted(real.again), sorted(real.unresolved)] == [*map(self._named, learnt)]
            self.inquiries.append((of, real, asked, learnt))

    @precondition(lambda self: self.inquiries)
    @rule(data=st.data())
    def write_what_was_learnt(self, data: st.DataObject) -> None:
        of, real, asked, learnt = self.inquiries.pop(data.draw(st.integers(0, len(self.inquiries) - 1)))
        with self.ledger.begin() as connection:
            unknowns.resolve(connection, of, real, now=self.now, patient_now=self.now)
        self.model = model.resolve(self.model, asked, learnt)

    # ---------------------------------------------------------------------------------------------------- invariants
    @invariant()
    def the_ledger_is_what_the_model_says(self) -> None:
        with self.ledger.reading() as connection:
            rows = connection.execute(sa.select(message).where(message.c.run_id == self.run)).all()
            batches = {row.batch_id: row for row in connection.execute(_BATCHES, {"run": self.run}).all()}
        self._note_new(batches)
        assert len(self.ids) == len(self.model.batches)
        messages = {row.message_key: (row.state, self.ids.index(row.batch_id)) for row in rows}
        assert [messages[key] for key in self.keys] == [tuple(one) for one in self.model.messages]
        for name, expected in zip(self.ids, self.model.batches, strict=True):
            row = batches[name]
            attempt = None if expected.attempt is None else self._attempt_id(expected.attempt)
            leased = row.lease_until is not None and row.lease_until > self.now
            assert (row.state, row.attempt_id, leased) == (expected.state, attempt, expected.leased)

    def _note_new(self, batch_ids: Iterable[str]) -> None:
        self.ids += sorted(set(batch_ids) - set(self.ids))

    @invariant()
    def nothing_is_on_the_wire_twice(self) -> None:
        if self.lookup or not self.resends:
            assert max(Counter(key for _, key in self.vendor.taken).values(), default=0) <= 1

    def teardown(self) -> None:
        """Nobody dies any more, all events arrive: every message has its end, and a true one."""
        if not hasattr(self, "model"):
            return
        self.hands.clear()
        if self.model.paused:
            self.pause_or_resume()
        for _ in range(20):
            self.leases_run_out(expire=True)
            self.ask_the_vendor()
            while self.inquiries:
                of, real, asked, learnt = self.inquiries.pop()
                with self.ledger.begin() as connection:
                    unknowns.resolve(connection, of, real, now=self.now, patient_now=self.now)
                self.model = model.resolve(self.model, asked, learnt)
                self.the_ledger_is_what_the_model_says()
            if not model.claimable(self.model):
                break
            for _ in range(5):
                self.work(0, ["accepted", "accepted"])
                self.the_ledger_is_what_the_model_says()
                if 0 not in self.hands:
                    break
        taken = {key for _, key in self.vendor.taken}
        arrived = [DeliveryEvent(f"{key}-delivered", key, EventKind.DELIVERED, NOON) for key in taken]
        with self.ledger.begin() as connection:
            record_events(connection, arrived, received_at=self.now)
            rows = connection.execute(sa.select(message).where(message.c.run_id == self.run)).all()
        assert {row.state for row in rows} <= model.TERMINAL
        assert {row.message_key for row in rows if row.state in model.KNOWN_TAKEN} == taken
        self.nothing_is_on_the_wire_twice()

    # ------------------------------------------------------------------------------------------------------- helpers
    def _attempt_id(self, attempt: int) -> str:
        return f"{self.run}-{attempt}"

    def _named(self, keys: tuple[int, ...]) -> list[str]:
        return [self.keys[key] for key in sorted(keys)]


_BATCHES = sa.select(batch).where(batch.c.run_id == sa.bindparam("run"))
