"""The decision rule, apart from how the numbers came about.

Ship only if a goal wins and every guardrail is unharmed; without proof the control stays. Two clocks run: harm is
weighed by exact evidence that may be looked at whenever, and a win or a loss comes on the planned day, or on an earlier
look where the comparisons already pay for every look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alongside.analysis.judging.harm import HarmEvidence
from alongside.analysis.result import GoalComparison, GuardrailComparison, GuardrailStatus
from alongside.model.enums import Verdict
from alongside.stats.sample_ratio import SampleRatio


@dataclass(frozen=True)
class Evidence:
    """All that the rule looks at.

    Attributes
    ----------
    mismatched : arms without their planned sizes, if any
    stopping : guardrails on which harm is proved, whatever the day
    harm : what was weighed to prove it
    sequential : the comparisons pay for every look, so that a verdict may come before the planned day
    """

    goals: Sequence[GoalComparison]
    guardrails: Sequence[GuardrailComparison]
    mismatched: SampleRatio | None = None
    complete: bool = True
    exploratory: bool = False
    stopping: Sequence[GuardrailComparison] = ()
    harm: Sequence[HarmEvidence] = ()
    sequential: bool = False


@dataclass(frozen=True)
class Decided:
    """`variant` is who the verdict is about: the winner, the harmful or the losing one, or the nearest to a win."""

    verdict: Verdict
    variant: str | None = None
    goal: GoalComparison | None = None
    guardrail: GuardrailComparison | None = None
    harm: HarmEvidence | None = None  # where events were weighed one by one
    untold: GoalComparison | None = None  # the first goal, where nothing can be compared


def stopping(
    harm: Sequence[HarmEvidence], guardrails: Sequence[GuardrailComparison], *, looked: bool
) -> tuple[GuardrailComparison, ...]:
    """Guardrails on which a variant is to be stopped: harm is proved, and not shown to be within the margin.

    Parameters
    ----------
    looked : the comparisons may be read now, because they pay for every look or the planned day has come; until then
        only what is weighed event by event stops a variant
    """
    proved = {(item.variant, item.metric) for item in harm if item.stop}
    watched = {(item.variant, item.metric) for item in harm}

    def stops(item: GuardrailComparison) -> bool:
        pair = (item.variant, item.metric.name)
        compared = looked and pair not in watched and item.status is GuardrailStatus.HARMED
        return item.status is not GuardrailStatus.UNHARMED and (pair in proved or compared)

    return tuple(item for item in guardrails if stops(item))


def decide(evidence: Evidence) -> Decided:
    """The verdict."""
    if evidence.mismatched is not None:
        return Decided(Verdict.INVALID)
    if evidence.complete:
        return _final(evidence)
    if evidence.stopping:
        return _stop(evidence, evidence.stopping[0])
    if evidence.sequential and not evidence.exploratory:
        early = _final(evidence)
        if early.verdict in {Verdict.SHIP, Verdict.KEEP_CONTROL}:
            return early
    return Decided(Verdict.NOT_MATURE)


def _final(evidence: Evidence) -> Decided:
    winners = _winning(evidence.goals)
    safe = [goal for goal in winners if _all_unharmed(evidence.guardrails, goal.variant)]
    if safe:
        verdict = Verdict.INCONCLUSIVE if evidence.exploratory else Verdict.SHIP
        return Decided(verdict, safe[0].variant, safe[0])
    if harmful := next(iter(evidence.stopping), None) or _harmed(evidence.guardrails):
        return _stop(evidence, harmful)
    if winners:
        unclear = _first_not_unharmed(evidence.guardrails, winners[0].variant)
        return Decided(Verdict.INCONCLUSIVE, winners[0].variant, winners[0], unclear)
    return _without_winner(evidence.goals)


def _stop(evidence: Evidence, harmful: GuardrailComparison) -> Decided:
    """Stop this variant; the weighed events tell more than the comparison only where they are what proved it."""
    mine = (item for item in evidence.harm if (item.variant, item.metric) == (harmful.variant, harmful.metric.name))
    proof = next((item for item in mine if item.stop and harmful.status is not GuardrailStatus.HARMED), None)
    return Decided(Verdict.STOP_FOR_HARM, harmful.variant, None, harmful, proof)


def _winning(goals: Sequence[GoalComparison]) -> list[GoalComparison]:
    """Significant improvements of variants that are significantly worse on no other goal: first goal, best first."""
    losers = {goal.variant for goal in goals if goal.significant and goal.improvement < 0}
    winning = [goal for goal in goals if goal.significant and goal.improvement > 0 and goal.variant not in losers]
    order = list(dict.fromkeys(goal.metric.name for goal in goals))
    return sorted(winning, key=lambda goal: (order.index(goal.metric.name), -goal.improvement))


def _without_winner(goals: Sequence[GoalComparison]) -> Decided:
    variants = {goal.variant for goal in goals}
    worse = [goal for goal in goals if goal.significant and goal.improvement < 0]
    losers = {goal.variant for goal in worse}
    if worse and variants == losers:
        return Decided(Verdict.KEEP_CONTROL, worse[0].variant, worse[0])
    # A loser may win on another goal: that is no chance, and not what keeps the control.
    known = [goal for goal in goals if goal.comparison.p_value is not None and goal.variant not in losers]
    first = [goal for goal in known if goal.metric == known[0].metric]
    nearest = max(first, key=lambda goal: goal.improvement, default=None)
    untold = next(iter(goals), None) if nearest is None else None
    return Decided(Verdict.INCONCLUSIVE, nearest.variant if nearest else None, nearest, untold=untold)


def _harmed(guardrails: Sequence[GuardrailComparison]) -> GuardrailComparison | None:
    return next((item for item in guardrails if item.status is GuardrailStatus.HARMED), None)


def _all_unharmed(guardrails: Sequence[GuardrailComparison], variant: str) -> bool:
    return _first_not_unharmed(guardrails, variant) is None


def _first_not_unharmed(guardrails: Sequence[GuardrailComparison], variant: str) -> GuardrailComparison | None:
    mine = (item for item in guardrails if item.variant == variant)
    return next((item for item in mine if item.status is not GuardrailStatus.UNHARMED), None)
