"""A model of the claim protocol: what the ledger must do, as pure functions of a small immutable state.

Times are left out: a lease runs or has run out. Keys, batches and attempts are numbers. Every function returns the
ledger afterwards and, where the engine's has one, its answer; the names are the engine's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from alongside.model.enums import BatchState, MessageState

# Plain text, because exploring compares and hashes states millions of times.
P, W, U, UR = (MessageState[name].value for name in ("PLANNED", "WITHHELD", "UNKNOWN", "UNRESOLVED"))
R, A, F, D = (MessageState[name].value for name in ("REJECTED", "ACCEPTED", "DEFERRED", "DELIVERED"))
X, B = MessageState.DROPPED.value, MessageState.BOUNCED.value
PLANNED, CLAIMED, CALLING = BatchState.PLANNED.value, BatchState.CLAIMED.value, BatchState.CALLING.value
ACCEPTED, REJECTED, UNKNOWN = BatchState.ACCEPTED.value, BatchState.REJECTED.value, BatchState.UNKNOWN.value
#: The order in which a message may move, said again by hand: the engine's table must agree with it.
ORDER = {state: place for place, state in enumerate((P, W, U, UR, R, A, F, D, X, B))}
KNOWN_TAKEN = frozenset((A, F, D, X, B))
#: A message in one of these needs nobody any more.
TERMINAL = frozenset((W, UR, R)) | KNOWN_TAKEN


class Batch(NamedTuple):
    state: str = PLANNED
    attempt: int | None = None
    leased: bool = False  # its lease runs


class Message(NamedTuple):
    state: str
    batch: int


class Ledger(NamedTuple):
    batches: tuple[Batch, ...]
    messages: tuple[Message, ...]
    withdrawn: frozenset[int] = frozenset()
    paused: bool = False

    @classmethod
    def plan(cls, batches: Iterable[int]) -> Ledger:
        """Messages by the number of their batch."""
        messages = tuple(Message(P, batch) for batch in batches)
        return cls((Batch(),) * (1 + max(message.batch for message in messages)), messages)

    def keys(self, batch: int, *states: str) -> tuple[int, ...]:
        return tuple(key for key, one in enumerate(self.messages) if one.batch == batch and one.state in states)


class Asked(NamedTuple):
    """What a reconciliation wants to know, and of which call."""

    batch: int
    attempt: int | None
    keys: tuple[int, ...]


class Answer(NamedTuple):
    """What is known of a call's messages: see `Settlement`."""

    accepted: tuple[int, ...] = ()
    rejected: tuple[int, ...] = ()
    unknown: tuple[int, ...] = ()
    retry: tuple[int, ...] = ()


# --------------------------------------------------------------------------------------------------------- the steps
def claimable(of: Ledger) -> tuple[int, ...]:
    """Batches that anybody may take: those that wait, or, when there is none, those whose holder went away."""
    if of.paused:
        return ()
    waits = tuple(n for n, one in enumerate(of.batches) if one.state == PLANNED)
    return waits or tuple(n for n, one in enumerate(of.batches) if one.state == CLAIMED and not one.leased)


def claim(of: Ledger, batch: int, attempt: int) -> Ledger:
    return _put(of, batch, Batch(CLAIMED, attempt, leased=True))


def recheck(of: Ledger, batch: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Keys that may leave, and keys that are withheld."""
    waiting = of.keys(batch, P)
    return (
        tuple(key for key in waiting if key not in of.withdrawn),
        tuple(key for key in waiting if key in of.withdrawn),
    )


def begin_call(
    of: Ledger, batch: int, attempt: int, ready: tuple[int, ...], withheld: tuple[int, ...]
) -> tuple[Ledger, bool]:
    held = of.batches[batch]
    mine = held.state == CLAIMED and held.attempt == attempt and held.leased
    stands = set(ready) <= set(of.keys(batch, P)) and not set(ready) & of.withdrawn
    if not mine or not stands or of.paused:
        return of, False
    return _put(_move(of, withheld, W), batch, Batch(CALLING, attempt, leased=True)), True


def settle_uncalled(of: Ledger, batch: int, attempt: int, withheld: tuple[int, ...]) -> tuple[Ledger, bool]:
    if not _holds(of, batch, attempt, CLAIMED):
        return of, False
    return _put(_move(of, withheld, W), batch, Batch(ACCEPTED, attempt)), True


def release(of: Ledger, batch: int, attempt: int) -> tuple[Ledger, bool]:
    if not _holds(of, batch, attempt, CLAIMED):
        return of, False
    return _put(of, batch, Batch()), True


def settle(of: Ledger, batch: int, attempt: int, answer: Answer) -> Ledger:
    of = _move(of, answer.accepted, A)  # whoever holds the batch now
    if not _holds(of, batch, attempt, CALLING, UNKNOWN):
        return of
    of = _move(_move(of, answer.rejected, R), answer.unknown, U)
    of = _back(of, batch, answer.retry)
    if answer.retry and not (answer.accepted or answer.rejected or answer.unknown):
        return _put(of, batch, Batch())
    state = ACCEPTED
    if answer.unknown:
        state = UNKNOWN
    elif answer.rejected and not (answer.accepted or answer.retry):
        state = REJECTED
    of = _put(of, batch, Batch(state, attempt))
    return _split(of, batch, answer.retry) if answer.retry else of


def expire_calls(of: Ledger, which: Callable[[Batch], bool] = lambda one: not one.leased) -> Ledger:
    for number, one in enumerate(of.batches):
        if one.state == CALLING and which(one):
            of = _put(_move(of, of.keys(number, P), U), number, Batch(UNKNOWN, one.attempt))
    return of


def abandon(of: Ledger, attempt: int) -> Ledger:
    for number, one in enumerate(of.batches):
        if one.state == CLAIMED and one.attempt == attempt:
            of = _put(of, number, Batch())
    return expire_calls(of, lambda one: one.attempt == attempt)


def event(of: Ledger, key: int, state: str) -> Ledger:
    return _move(of, (key,), state)


def unknown_batches(of: Ledger) -> tuple[Asked, ...]:
    return tuple(
        Asked(number, one.attempt, of.keys(number, U)) for number, one in enumerate(of.batches) if one.state == UNKNOWN
    )


def learn(asked: Asked, vendor: Collection[int] | None, resends: bool) -> tuple[tuple[int, ...], ...]:
    """Keys that were found, that are planned again, that stay unresolved. `vendor` None: nobody can tell."""
    if vendor is None:
        return ((), asked.keys, ()) if resends else ((), (), asked.keys)
    return (
        tuple(key for key in asked.keys if key in vendor),
        tuple(key for key in asked.keys if key not in vendor),
        (),
    )


def resolve(of: Ledger, asked: Asked, learnt: tuple[tuple[int, ...], ...]) -> Ledger:
    found, again, unresolved = learnt
    of = _move(of, found, A)
    if not _holds(of, asked.batch, asked.attempt, UNKNOWN):
        return of
    of = _move(of, set(unresolved) & set(of.keys(asked.batch, U)), UR)
    of = _split(_back(of, asked.batch, again), asked.batch, again)
    if of.keys(asked.batch, U):
        return of
    return _put(of, asked.batch, of.batches[asked.batch]._replace(state=ACCEPTED))


def time_passes(of: Ledger) -> Ledger:
    """Every lease runs out."""
    return of._replace(batches=tuple(one._replace(leased=False) for one in of.batches))


# ----------------------------------------------------------------------------------------------------------- helpers
def _holds(of: Ledger, batch: int, attempt: int | None, *states: str) -> bool:
    return of.batches[batch].attempt == attempt and of.batches[batch].state in states


def _put(of: Ledger, batch: int, value: Batch) -> Ledger:
    return of._replace(batches=(*of.batches[:batch], value, *of.batches[batch + 1 :]))


def _write(of: Ledger, new: dict[int, Message]) -> Ledger:
    return of._replace(messages=tuple(new.get(key, one) for key, one in enumerate(of.messages))) if new else of


def _move(of: Ledger, keys: Collection[int], state: str) -> Ledger:
    """Forward only."""
    ahead = {key: of.messages[key] for key in keys if ORDER[of.messages[key].state] < ORDER[state]}
    return _write(of, {key: one._replace(state=state) for key, one in ahead.items()})


def _back(of: Ledger, batch: int, keys: Collection[int]) -> Ledger:
    """The one step back: of what is unknown the vendor has taken nothing, or policy takes the risk."""
    return _write(of, {key: Message(P, batch) for key in of.keys(batch, U) if key in keys})


def _split(of: Ledger, batch: int, keys: Collection[int]) -> Ledger:
    """A batch of their own for those of the keys that wait in this one."""
    number = len(of.batches)
    waiting = {key: Message(P, number) for key in of.keys(batch, P) if key in keys}
    return _write(of, waiting)._replace(batches=(*of.batches, Batch())) if waiting else of
