"""What came of a call: the outcome of every message of a batch, in one value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from alongside.ledger.warm_up import Take


@dataclass(frozen=True)
class Settlement:
    """What is known of a batch's messages after a call. Each key stands in exactly one place.

    Attributes
    ----------
    accepted, unknown : keys
    rejected : key -> why, in the vendor's words, without patient values
    retry : keys of which nothing was accepted; sent again from `not_before` on
    burn : whether the try counts against `max_attempts`; an outage does not
    taken : of a new sender's allowance, when the call was begun; what is in `retry` is given back
    closes : of those rejected, whose address gets nothing more by this channel -> the reason
    receipts : of those accepted -> the vendor's own id, by which its events will name them
    """

    accepted: Sequence[str] = ()
    unknown: Sequence[str] = ()
    rejected: Mapping[str, str] = field(default_factory=dict)
    retry: Sequence[str] = ()
    not_before: datetime | None = None
    burn: bool = True
    http_status: int | None = None
    detail: str = ""
    taken: Take | None = None
    closes: Mapping[str, str] = field(default_factory=dict)
    receipts: Mapping[str, str] = field(default_factory=dict)

    @property
    def outcome(self) -> str:
        found = [
            name
            for name, keys in (
                ("accepted", self.accepted),
                ("rejected", self.rejected),
                ("unknown", self.unknown),
                ("retryable", self.retry),
            )
            if keys
        ]
        return found[0] if len(found) == 1 else "mixed"
