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
_armed = os.environ.get("ALONGSIDE_FAILPOINT")


def arm(name: str | None) -> None:
    """Arm a failpoint in this process (None disarms)."""
    global _armed
    _armed = name


def failpoint(name: str) -> None:
    """Kill this process, as if by power failure, when this failpoint is armed."""
    if _armed == name:
        os.kill(os.getpid(), signal.SIGKILL)
