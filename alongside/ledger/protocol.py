"""The protocol in two tables: how far each state of a message is along, and every step that changes a batch.

The statements of `claims`, `calls` and `unknowns` take their conditions from here; `docs/exactly-once.md` shows the
steps, and a model of them is explored in `tests/protocol`.
"""

from __future__ import annotations

from dataclasses import dataclass

from alongside.model.enums import BatchState, MessageState

#: How far each state is along; a message never moves to a smaller number, except that an `unknown` message is planned
#: again which the vendor has certainly never seen. A total order makes the end independent of the order in which
#: answers and events arrive.
FORWARD_ORDER: dict[MessageState, int] = {
    MessageState.PLANNED: 0,
    MessageState.WITHHELD: 1,
    MessageState.UNKNOWN: 2,
    MessageState.UNRESOLVED: 3,
    MessageState.REJECTED: 4,
    MessageState.ACCEPTED: 5,
    MessageState.DEFERRED: 6,
    MessageState.DELIVERED: 7,
    MessageState.DROPPED: 8,
    MessageState.BOUNCED: 9,
}

#: States which say that the vendor has taken the message.
TAKEN = tuple(state for state, order in FORWARD_ORDER.items() if order >= FORWARD_ORDER[MessageState.ACCEPTED])


def states_before(state: MessageState) -> list[str]:
    """States from which a message may move to `state`."""
    return [other.value for other, order in FORWARD_ORDER.items() if order < FORWARD_ORDER[state]]


@dataclass(frozen=True)
class Step:
    """One way in which a batch changes.

    Attributes
    ----------
    function : of `alongside.ledger`, which takes the step in one durable transaction
    moves : states that it leaves, each with the states in which it may end
    when : what else must hold
    """

    function: str
    moves: dict[BatchState, tuple[BatchState, ...]]
    when: str

    @property
    def leaves(self) -> list[str]:
        """The states that the step leaves, as they are stored."""
        return [state.value for state in self.moves]


_P, _CLAIMED, _CALLING = BatchState.PLANNED, BatchState.CLAIMED, BatchState.CALLING
_A, _R, _U = BatchState.ACCEPTED, BatchState.REJECTED, BatchState.UNKNOWN

CLAIM = Step(
    "claims.claim", {_P: (_CLAIMED,), _CLAIMED: (_CLAIMED,)}, "it waits and its time has come, or its lease ran out"
)
BEGIN_CALL = Step(
    "calls.begin_call",
    {_CLAIMED: (_CALLING,)},
    "this attempt holds it, its lease runs, no pause, the recheck stands, a new sender has room",
)
SETTLE_UNCALLED = Step("calls.settle_uncalled", {_CLAIMED: (_A,)}, "this attempt holds it; everything fell out")
RELEASE = Step("calls.release", {_CLAIMED: (_P,)}, "this attempt holds it")
SETTLE = Step(
    "calls.settle", {_CALLING: (_A, _R, _U, _P), _U: (_A, _R, _U, _P)}, "this attempt holds it; nobody called since"
)
EXPIRE = Step("calls.expire_calls", {_CALLING: (_U,)}, "its lease ran out")
ABANDON = Step("calls.abandon", {_CLAIMED: (_P,), _CALLING: (_U,)}, "its worker is known to have ended")
RESOLVE = Step("unknowns.resolve", {_U: (_A,)}, "the call that was asked about is still its last")

STEPS = (CLAIM, BEGIN_CALL, SETTLE_UNCALLED, RELEASE, SETTLE, EXPIRE, ABANDON, RESOLVE)


def may_move(before: BatchState, after: BatchState) -> bool:
    """Whether some step leads from one state of a batch to the other."""
    return any(after in step.moves.get(before, ()) for step in STEPS)
