"""Which message each variant of a campaign gets, and who is in which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alongside.outreach.experiments import Enrolment, ExperimentDefinition, Unit, assign_sticky

if TYPE_CHECKING:
    import pyarrow as pa

#: The variant of people who get the campaign's message and are in no experiment.
NO_VARIANT = ""


@dataclass(frozen=True)
class Arms:
    """Which message each variant gets; `NO_VARIANT` is everybody without an experiment, or outside of it.

    Attributes
    ----------
    shares : of this run's new people, where they follow the results; else the definition's
    """

    experiment: ExperimentDefinition | None
    messages: dict[str, str]
    enrolment: Enrolment | None
    launched: bool
    shares: Mapping[str, float] | None = None

    @classmethod
    def of(
        cls,
        experiment: ExperimentDefinition,
        enrolment: Enrolment,
        *,
        launched: bool,
        shares: Mapping[str, float] | None = None,
    ) -> Arms:
        """The arms of a running experiment; whoever is outside gets what its control gets."""
        messages = dict(experiment.messages)
        if experiment.layer is not None or experiment.unit is Unit.CLINIC:
            messages[NO_VARIANT] = messages[experiment.control]
        return cls(experiment, messages, enrolment, launched, shares)

    @classmethod
    def decided(cls, experiment: ExperimentDefinition, variant: str) -> Arms:
        """Everybody gets the variant that was decided on, in no experiment any more.

        Where the file has lost that variant, it is the control's message: a decided experiment never starts again.
        """
        message = experiment.messages.get(variant, experiment.messages[experiment.control])
        return cls(None, {NO_VARIANT: message}, None, launched=True)

    @property
    def distinct(self) -> list[str]:
        """Messages without repeats, in a fixed order."""
        return sorted(set(self.messages.values()))

    @property
    def in_clusters(self) -> bool:
        """Whether `own_unit` (see units.py) says what is assigned."""
        return self.experiment is not None and self.experiment.unit.is_cluster

    def assign(self, secret: bytes, people: pa.Array, units: pa.Array | None) -> pa.Table:
        """`variant, is_new, cluster_id` of each person; `units` where households or clinics are assigned."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.experiment is None or self.enrolment is None:
            nobody = pa.nulls(len(people), pa.string())
            return pa.table(
                {"variant": nobody.fill_null(NO_VARIANT), "is_new": [False] * len(people), "cluster_id": nobody}
            )
        definition = self.experiment.with_shares(self.shares) if self.shares else self.experiment
        found = assign_sticky(secret, definition, people, self.enrolment, units)
        filled = pc.fill_null(found.column("variant"), NO_VARIANT)
        return found.set_column(found.column_names.index("variant"), "variant", filled)
