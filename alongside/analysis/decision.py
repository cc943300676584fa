"""The decision rule, apart from how the numbers came about.

Ship only if a goal wins and every guardrail is unharmed; without proof the control stays. Looking every day costs
nothing before the planned day, because nothing but harm is decided earlier, and harm at a level divided by the number
of daily looks (Bonferroni's bound, whatever the looks' dependence).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from alongside.analysis.result import GoalComparison, GuardrailComparison, GuardrailStatus
from alongside.model.enums import Verdict
from alongside.outreach.experiments.definition import ExperimentDefinition
from alongside.stats.sample_ratio import SampleRatio


@dataclass(frozen=True)
class Evidence:
    """All that the rule looks at.

    `mismatched`: arms without their planned sizes, if any; `early_harm`: the guardrails at the level of a daily look.
    """

    goals: Sequence[GoalComparison]
    guardrails: Sequence[GuardrailComparison]
    mismatched: SampleRatio | None = None
    complete: bool = True
    exploratory: bool = False
    early_harm: Sequence[GuardrailComparison] = ()


@dataclass(frozen=True)
class Decided:
    """`variant` is who the verdict is about: the winner, the harmful or the losing one, or the nearest to a win."""

    verdict: Verdict
    variant: str | None = None
    goal: GoalComparison | None = None
    guardrail: GuardrailComparison | None = None


def early_alpha(definition: ExperimentDefinition) -> float:
    """Level of one daily look for harm."""
    days = definition.design.planned_days + math.ceil(definition.waits.total_seconds() / 86400)
    return definition.design.alpha / max(1, days)


def decide(evidence: Evidence) -> Decided:
    """The verdict."""
    if evidence.mismatched is not None:
        return Decided(Verdict.INVALID)
    if not evidence.complete:
        harmful = _harmed(evidence.early_harm)
        return (
            Decided(Verdict.STOP_FOR_HARM, harmful.variant, None, harmful) if harmful else Decided(Verdict.NOT_MATURE)
        )
    winners = _winning(evidence.goals)
    safe = [goal for goal in winners if _all_unharmed(evidence.guardrails, goal.variant)]
    if safe:
        verdict = Verdict.INCONCLUSIVE if evidence.exploratory else Verdict.SHIP
        return Decided(verdict, safe[0].variant, safe[0])
    if harmful := _harmed(evidence.guardrails):
        return Decided(Verdict.STOP_FOR_HARM, harmful.variant, None, harmful)
    if winners:
        unclear = _first_not_unharmed(evidence.guardrails, winners[0].variant)
        return Decided(Verdict.INCONCLUSIVE, winners[0].variant, winners[0], unclear)
    return _without_winner(evidence.goals)


def _winning(goals: Sequence[GoalComparison]) -> list[GoalComparison]:
    """Significant improvements of variants that are significantly worse on no other goal: first goal, best first."""
    losers = {goal.variant for goal in goals if goal.significant and goal.improvement < 0}
    winning = [goal for goal in goals if goal.significant and goal.improvement > 0 and goal.variant not in losers]
    order = list(dict.fromkeys(goal.metric.name for goal in goals))
    return sorted(winning, key=lambda goal: (order.index(goal.metric.name), -goal.improvement))


def _without_winner(goals: Sequence[GoalComparison]) -> Decided:
    variants = {goal.variant for goal in goals}
    worse = [goal for goal in goals if goal.significant and goal.improvement < 0]
    if worse and variants == {goal.variant for goal in worse}:
        return Decided(Verdict.KEEP_CONTROL, worse[0].variant, worse[0])
    known = [goal for goal in goals if goal.comparison.p_value is not None]
    first = [goal for goal in known if goal.metric == known[0].metric]
    nearest = max(first, key=lambda goal: goal.improvement, default=None)
    return Decided(Verdict.INCONCLUSIVE, nearest.variant if nearest else None, nearest)


def _harmed(guardrails: Sequence[GuardrailComparison]) -> GuardrailComparison | None:
    return next((item for item in guardrails if item.status is GuardrailStatus.HARMED), None)


def _all_unharmed(guardrails: Sequence[GuardrailComparison], variant: str) -> bool:
    return _first_not_unharmed(guardrails, variant) is None


def _first_not_unharmed(guardrails: Sequence[GuardrailComparison], variant: str) -> GuardrailComparison | None:
    mine = (item for item in guardrails if item.variant == variant)
    return next((item for item in mine if item.status is not GuardrailStatus.UNHARMED), None)
