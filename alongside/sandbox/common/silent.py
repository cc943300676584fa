"""The postman of a vendor that tells nobody anything: what steering asks of one, and nothing ever waits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar


class _Nothing:
    """A queue in which nothing ever is."""

    def __len__(self) -> int:
        return 0

    def next_due(self) -> float | None:
        return None

    def due(self, now: float) -> int:
        return 0


@dataclass
class Silent:
    """It has nothing to deliver; an address that it is given is kept and never called."""

    webhook_url: str | None = None
    queue: _Nothing = field(default_factory=_Nothing)
    posting: ClassVar[int] = 0

    def wake(self) -> None:
        """Nothing waits."""

    def settled(self) -> bool:
        return True

    async def settle(self, timeout: float) -> bool:
        return True
