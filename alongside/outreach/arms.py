"""Which message each variant of a campaign gets, and who is in which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alongside.outreach.experiments import ExperimentDefinition, assign_sticky

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Arms:
    """Which message each variant gets; without an experiment the one variant is called ``""``."""

    experiment: ExperimentDefinition | None
    messages: dict[str, str]
    existing: pa.Table | None
    launched: bool

    @property
    def distinct(self) -> list[str]:
        """Messages without repeats, in a fixed order."""
        return sorted(set(self.messages.values()))

    def variants(self, secret: bytes, people: pa.Array) -> tuple[list[str], list[bool]]:
        if self.experiment is None or self.existing is None:
            return [""] * len(people), [False] * len(people)
        assigned = assign_sticky(secret, self.experiment, people, self.existing)
        return assigned.column("variant").to_pylist(), assigned.column("is_new").to_pylist()
