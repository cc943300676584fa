"""What a plan says: a campaign's state, funnel and samples in one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from alongside.outreach.experiments import ExperimentDefinition
from alongside.outreach.gates import STAGES
from alongside.outreach.screening import Sample


@dataclass(frozen=True)
class CampaignPlan:
    """What a campaign would do, or did, in one run.

    Attributes
    ----------
    state : planned | blocked (data quality) | held (approval or envelope) | paused | closed (outside its window)
    funnel : stage -> count; every candidate is counted at the first gate that stopped them
    gates : gate -> candidates that it closes for, whatever else stops them
    variants : arm (or `all`) -> planned messages
    channels : channel -> planned messages
    senders : `channel/sender` -> planned messages
    decisions : Parquet file with one row a candidate: the gates and the facts they decided on
    """

    campaign: str
    state: str
    reason: str = ""
    funnel: dict[str, int] = field(default_factory=dict)
    gates: dict[str, int] = field(default_factory=dict)
    variants: dict[str, int] = field(default_factory=dict)
    channels: dict[str, int] = field(default_factory=dict)
    senders: dict[str, int] = field(default_factory=dict)
    config_hash: str = ""
    plan_hash: str = ""
    cost: float = 0.0
    previous: int | None = None
    entered: int = 0
    left: int = 0
    samples: tuple[Sample, ...] = ()
    findings: dict[str, int] = field(default_factory=dict)
    decisions: str = ""

    def enrolment(self, experiment: ExperimentDefinition) -> tuple[int, float]:
        """People whom the experiment would enrol at its launch, and how many new ones a day, as far as a run before
        tells."""
        people = sum(self.variants.get(name, 0) for name in experiment.shares)
        return people, self.entered * experiment.reach if self.previous is not None else 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def funnel_order(stages: Sequence[str]) -> list[str]:
    """Stages as people read them: audience, gates in their order, planned, then what delivery made of it."""
    known = [stage for stage in STAGES if stage in stages]
    return known + [stage for stage in stages if stage not in STAGES]
