"""Named instants at which a crash test may kill this process. Without `ALONGSIDE_FAILPOINT` they do nothing."""

from __future__ import annotations

import os
import signal

#: Every boundary of the protocol, in its order.
FAILPOINTS = (
    "plan.before_commit",
    "claim.before_commit",
    "claim.after",
    "recheck.after",
    "call.before_commit",
    "call.after",
    "send.first_answer",
    "send.after",
    "settle.before_commit",
    "settle.after",
    "ingest.before_commit",
    "ingest.after",
    "reconcile.asked",
    "reconcile.before_commit",
    "reconcile.after",
)
_ARMED = os.environ.get("ALONGSIDE_FAILPOINT")


def _hit(name: str) -> None:
    if name == _ARMED:
        os.kill(os.getpid(), signal.SIGKILL)


def _ignore(_name: str) -> None:
    return None


failpoint = _hit if _ARMED else _ignore
