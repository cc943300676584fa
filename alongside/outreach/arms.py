"""Which message each variant of a campaign gets, and who is in which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alongside.outreach.experiments import ExperimentDefinition, assign_sticky

if TYPE_CHECKING:
    import pyarrow as pa


#: The variant of people who get the campaign's message and are in no experiment.
NO_VARIANT = ""


@dataclass(frozen=True)
class Arms:
    """Which message each variant gets; `NO_VARIANT` is everybody without an experiment, or outside of it.

    Attributes
    ----------
    existing : who has an arm already
    taken : people whom other experiments of the layer have
    shares : of this run's new people, where they follow the results; else the definition's
    """

    experiment: ExperimentDefinition | None
    messages: dict[str, str]
    existing: pa.Table | None
    launched: bool
    taken: pa.Array | None = None
    shares: Mapping[str, float] | None = None

    @classmethod
    def of(
        cls,
        experiment: ExperimentDefinition,
        existing: pa.Table,
        *,
        launched: bool,
        taken: pa.Array | None = None,
        shares: Mapping[str, float] | None = None,
    ) -> Arms:
        """The arms of a running experiment; whoever is outside gets what its control gets."""
        messages = dict(experiment.messages)
        if experiment.layer is not None:
            messages[NO_VARIANT] = messages[experiment.control]
        return cls(experiment, messages, existing, launched, taken, shares)

    @property
    def distinct(self) -> list[str]:
        """Messages without repeats, in a fixed order."""
        return sorted(set(self.messages.values()))

    def variants(self, secret: bytes, people: pa.Array) -> tuple[list[str], list[bool]]:
        if self.experiment is None or self.existing is None:
            return [NO_VARIANT] * len(people), [False] * len(people)
        definition = self.experiment.with_shares(self.shares) if self.shares else self.experiment
        assigned = assign_sticky(secret, definition, people, self.existing, self.taken)
        return assigned.column("variant").fill_null(NO_VARIANT).to_pylist(), assigned.column("is_new").to_pylist()
