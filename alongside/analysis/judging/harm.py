"""The second clock: exact evidence of harm, looked at with every evaluation from the first day on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from alongside.analysis.observing.first_events import Affected, Watched, is_watched
from alongside.outreach.experiments import ExperimentDefinition
from alongside.stats import eprocess


@dataclass(frozen=True)
class HarmEvidence:
    """How strongly the data speak against "this variant does no harm" on one guardrail.

    Attributes
    ----------
    evidence : largest e-value so far: a bet against "no harm" would have multiplied its stake by this
    threshold : from here on the variant is stopped; the chance of ever getting here without harm, on any guardrail
        or variant, is at most alpha
    affected, affected_control : people who had the harm
    """

    variant: str
    metric: str
    evidence: float
    threshold: float
    affected: Affected
    affected_control: Affected

    @property
    def stop(self) -> bool:
        return self.evidence >= self.threshold


def weigh(definition: ExperimentDefinition, watched: Mapping[str, Mapping[str, Watched]]) -> tuple[HarmEvidence, ...]:
    """The evidence of every variant on every watched guardrail; alpha is shared evenly among them.

    Parameters
    ----------
    watched : by metric, then variant
    """
    names = [rule.metric.name for rule in definition.guardrails if is_watched(rule.metric)]
    pairs = [(variant, name) for name in names for variant in definition.treatments]
    threshold = len(pairs) / definition.design.alpha
    found = []
    for variant, name in pairs:
        seen = watched.get(name, {}).get(variant)
        if seen is None:
            continue
        largest = max(0.0, max(eprocess.log_evidence(seen.strata), default=0.0))
        evidence = math.exp(min(largest, 600.0))
        found.append(HarmEvidence(variant, name, evidence, threshold, seen.variant, seen.control))
    return tuple(found)
