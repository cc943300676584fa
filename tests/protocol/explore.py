"""Every interleaving of the model: workers, a vendor, events, reconciliations and patients, step by step.

`explore` walks breadth first through all worlds that can be reached and checks, at every step, the invariants that
`docs/exactly-once.md` states in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from alongside.ledger.protocol import may_move
from alongside.model.enums import BatchState
from tests.protocol import model
from tests.protocol.model import ORDER, TERMINAL, Answer, Asked, Ledger


class Worker(NamedTuple):
    """What one worker remembers. Phases: idle, claimed, checked, calling, answered."""

    phase: str = "idle"
    batch: int = -1
    attempt: int = -1
    leased: bool = False  # by its own clock; it begins no request after the lease of its call
    ready: tuple[int, ...] = ()
    withheld: tuple[int, ...] = ()
    answer: Answer = Answer()


class Inquiry(NamedTuple):
    """A reconciliation that has asked and not yet written."""

    asked: Asked
    learnt: tuple[tuple[int, ...], ...]


IDLE = Worker()


class World(NamedTuple):
    ledger: Ledger
    workers: tuple[Worker, ...]
    taken: tuple[int, ...]  # by message: how often the vendor took it
    claims: int
    crashes: int
    inquiries: tuple[Inquiry, ...] = ()
    pauses: int = 1


@dataclass(frozen=True)
class Rules:
    """The bounds of an exploration, and what is allowed in it.

    Attributes
    ----------
    lookup : the vendor can tell what it has taken
    resends : purpose `care`: what nobody can tell about is sent again
    """

    lookup: bool = True
    resends: bool = False
    messages: int = 2
    workers: int = 2
    claims: int = 3
    crashes: int = 1
    reconcilers: int = 1
    pauses: int = 0
    withdrawals: int = 1
    outcomes: str = "accepted rejected retry taken lost"


class Broken(AssertionError):
    """An invariant does not hold; the message tells the way there."""


Step = tuple[str, World]


def explore(rules: Rules) -> int:
    """Walk through every world; returns how many there are.

    Raises
    ------
    Broken : with the invariant, the steps that lead there and how many worlds were seen
    """
    first = World(
        Ledger.plan([0] * rules.messages),
        (IDLE,) * rules.workers,
        (0,) * rules.messages,
        rules.claims,
        rules.crashes,
        pauses=rules.pauses,
    )
    came_from: dict[World, tuple[World, str] | None] = {first: None}
    settled: dict[tuple[Ledger, tuple[int, ...]], bool] = {}
    frontier = [first]
    while frontier:
        following: list[World] = []
        for world in frontier:
            for name, after in steps(world, rules):
                wrong = _wrong(world, name, after, rules)
                if not wrong and after not in came_from:
                    came_from[after] = (world, name)
                    following.append(after)
                    wrong = _never_ends(after, rules, settled)
                if wrong:
                    raise Broken(
                        f"{wrong}\nafter {' > '.join(_way(came_from, world))} > {name}\nin {after}\n"
                        f"({len(came_from)} worlds seen)"
                    )
        frontier = following
    return len(came_from)


# --------------------------------------------------------------------------------------------------------- the steps
def steps(world: World, rules: Rules) -> Iterator[Step]:
    """Everything that may happen next."""
    for number, worker in enumerate(world.workers):
        if worker in world.workers[:number]:
            continue  # workers who know the same are one case
        for name, after in _work(world, worker, rules):
            yield f"worker {name}", after
    ledger = world.ledger
    if any(batch.leased for batch in ledger.batches):
        late = tuple(worker._replace(leased=False) for worker in world.workers)
        yield "time passes", _with(world, model.time_passes(ledger), workers=tuple(sorted(late)))
    yield "expire calls", _with(world, model.expire_calls(ledger))
    for key, times in enumerate(world.taken):
        for state in (model.A, model.D) if times else ():
            yield f"event {state} of {key}", _with(world, model.event(ledger, key, state))
    for key in range(rules.withdrawals):
        if key not in ledger.withdrawn:
            yield f"patient of {key} leaves", _with(world, ledger._replace(withdrawn=ledger.withdrawn | {key}))
    if ledger.paused or world.pauses:
        left = world.pauses - (not ledger.paused)
        yield "pause or resume", _with(world, ledger._replace(paused=not ledger.paused), pauses=left)
    if len(world.inquiries) < rules.reconcilers:
        for asked in model.unknown_batches(ledger):
            knows = {key for key, times in enumerate(world.taken) if times} if rules.lookup else None
            inquiry = Inquiry(asked, model.learn(asked, knows, rules.resends))
            yield f"ask about {asked.batch}", world._replace(inquiries=tuple(sorted((*world.inquiries, inquiry))))
    for inquiry in world.inquiries:
        rest = list(world.inquiries)
        rest.remove(inquiry)
        after = model.resolve(ledger, *inquiry)
        yield f"resolve {inquiry.asked.batch}", _with(world, after, inquiries=tuple(rest))


def _work(world: World, worker: Worker, rules: Rules) -> Iterator[Step]:
    ledger, me = world.ledger, (worker.batch, worker.attempt)
    if worker.phase == "idle":
        for batch in model.claimable(ledger) if world.claims else ():
            attempt = world.claims
            mine = Worker("claimed", batch, attempt, leased=True)
            claimed = _with(world, model.claim(ledger, batch, attempt), claims=world.claims - 1)
            yield f"claims {batch} as {attempt}", _busy(claimed, worker, mine)
        return
    if worker.phase == "claimed":
        ready, withheld = model.recheck(ledger, worker.batch)
        yield "rechecks", _busy(world, worker, worker._replace(phase="checked", ready=ready, withheld=withheld))
    elif worker.phase == "checked" and not worker.ready:
        after, _ = model.settle_uncalled(ledger, *me, worker.withheld)
        yield "settles uncalled", _busy(_with(world, after), worker, IDLE)
    elif worker.phase == "checked":
        after, may_call = model.begin_call(ledger, *me, worker.ready, worker.withheld)
        if may_call:
            yield "begins call", _busy(_with(world, after), worker, worker._replace(phase="calling", leased=True))
        else:
            yield "gives back", _busy(_with(world, model.release(ledger, *me)[0]), worker, IDLE)
    elif worker.phase == "calling":
        for fates in product(rules.outcomes.split() if worker.leased else ("retry",), repeat=len(worker.ready)):
            yield f"sends {fates}", _sent(world, worker, fates)
    else:
        recorded = _with(world, model.settle(ledger, *me, worker.answer))
        yield "settles", _busy(recorded, worker, IDLE)
        if world.crashes:
            yield "settles, does not hear so, and will try again", recorded._replace(crashes=world.crashes - 1)
    if world.crashes:
        yield "dies", _busy(world._replace(crashes=world.crashes - 1), worker, IDLE)
        supervised = world._replace(crashes=world.crashes - 1, ledger=model.abandon(ledger, worker.attempt))
        yield "dies, seen by its supervisor", _busy(supervised, worker, IDLE)


def _sent(world: World, worker: Worker, fates: tuple[str, ...]) -> World:
    def of(*names: str) -> tuple[int, ...]:
        return tuple(key for key, fate in zip(worker.ready, fates, strict=True) if fate in names)

    taken = tuple(times + (key in of("accepted", "taken")) for key, times in enumerate(world.taken))
    answer = Answer(of("accepted"), of("rejected"), of("taken", "lost"), of("retry"))
    return _busy(world._replace(taken=taken), worker, worker._replace(phase="answered", answer=answer, leased=False))


def _with(world: World, ledger: Ledger, **changes: object) -> World:
    return world._replace(ledger=ledger, **changes)  # type: ignore[arg-type]


def _busy(world: World, worker: Worker, now: Worker) -> World:
    others = list(world.workers)
    others.remove(worker)
    return world._replace(workers=tuple(sorted((*others, now))))


# ---------------------------------------------------------------------------------------------------- the invariants
def _wrong(before: World, name: str, after: World, rules: Rules) -> str:
    """The invariants that this step breaks, in words; the empty string when it breaks none."""
    found = [*_wrong_with_messages(before, after, rules), *_wrong_with_batches(before.ledger, after.ledger)]
    if name == "worker begins call":
        (caller,) = set(after.workers) - set(before.workers) or {after.workers[-1]}
        if set(caller.ready) & before.ledger.withdrawn:
            found.append("a message is called although its patient had left before")
        if any(before.ledger.messages[key].state != model.P for key in caller.ready):
            found.append("a message is called that does not wait any more")
    return "; ".join(found)


def _wrong_with_messages(before: World, after: World, rules: Rules) -> Iterator[str]:
    policy_repeats = rules.resends and not rules.lookup
    if not policy_repeats and max(after.taken) > 1:
        yield "a message is on the wire twice, and its purpose does not allow that"
    for old, new, times in zip(before.ledger.messages, after.ledger.messages, after.taken, strict=True):
        planned_again = old.state == model.U and new.state == model.P
        if ORDER[new.state] < ORDER[old.state] and not planned_again:
            yield "a message moved back"
        if planned_again and times and not policy_repeats:
            yield "what the vendor took is planned again"


def _wrong_with_batches(before: Ledger, after: Ledger) -> Iterator[str]:
    for was, batch in zip(before.batches, after.batches, strict=False):
        if was.state != batch.state and not may_move(BatchState(was.state), BatchState(batch.state)):
            yield f"no step leads a batch from {was.state} to {batch.state}"
    for old, new in zip(before.messages, after.messages, strict=True):
        if new.batch != old.batch and after.batches[old.batch].state == model.CALLING:
            yield "a message is taken out of a batch that is being called"


def _never_ends(world: World, rules: Rules, settled: dict[tuple[Ledger, tuple[int, ...]], bool]) -> str:
    """Nothing is lost: once nobody dies any more and all events have arrived, every message has its end, and a true
    one. Whoever works in this world has died; one new worker comes, and a vendor that takes everything."""
    calm = (model.time_passes(world.ledger)._replace(paused=False), world.taken)
    if calm not in settled:
        settled[calm] = _ends_well(*calm, rules)
    return "" if settled[calm] else "a message is lost: it has no end, or an untrue one"


def _ends_well(ledger: Ledger, taken: tuple[int, ...], rules: Rules) -> bool:
    for attempt in range(-1, -9, -1):
        for key, times in enumerate(taken):
            ledger = model.event(ledger, key, model.D) if times else ledger
        ledger = model.expire_calls(ledger)
        for asked in model.unknown_batches(ledger):
            knows = {key for key, times in enumerate(taken) if times} if rules.lookup else None
            ledger = model.resolve(ledger, asked, model.learn(asked, knows, rules.resends))
        waiting = model.claimable(ledger)
        if not waiting:
            break
        ledger = model.claim(ledger, waiting[0], attempt)
        ready, withheld = model.recheck(ledger, waiting[0])
        if not ready:
            ledger, _ = model.settle_uncalled(ledger, waiting[0], attempt, withheld)
            continue
        ledger, may_call = model.begin_call(ledger, waiting[0], attempt, ready, withheld)
        if not may_call:
            return False
        taken = tuple(times + (key in ready) for key, times in enumerate(taken))
        ledger = model.settle(ledger, waiting[0], attempt, Answer(ready))
    ended = all(message.state in TERMINAL for message in ledger.messages)
    return ended and all(
        (message.state in model.KNOWN_TAKEN) == bool(times)
        for message, times in zip(ledger.messages, taken, strict=True)
    )


def _way(came_from: dict[World, tuple[World, str] | None], world: World) -> list[str]:
    way: list[str] = []
    while (step := came_from[world]) is not None:
        world, name = step
        way.append(name)
    return way[::-1]
