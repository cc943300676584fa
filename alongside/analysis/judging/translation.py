"""What a result means, for readers: how likely the variant is better, what a wrong choice costs, and a winner's effect
without its luck. A translation of the verdict, never a reason for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from alongside.analysis.judging.looking import View, z_of
from alongside.analysis.result import GoalComparison, Meaning
from alongside.outreach.experiments import ExperimentDefinition
from alongside.stats import normal, sequential
from alongside.stats.shrinkage import posterior, shrink_winner


def translated(
    definition: ExperimentDefinition, goals: Sequence[GoalComparison], levels: Sequence[float], view: View | None
) -> tuple[GoalComparison, ...]:
    """The same goals with their meaning, where there is an effect to speak of.

    Parameters
    ----------
    levels : alpha of each comparison within its family
    """
    return tuple(
        replace(goal, meaning=_meaning(definition, goal, level, view))
        for goal, level in zip(goals, levels, strict=True)
    )


def _meaning(definition: ExperimentDefinition, goal: GoalComparison, level: float, view: View | None) -> Meaning | None:
    comparison, error = goal.comparison, goal.comparison.standard_error
    if comparison.difference is None or not error:
        return None
    believed = None
    if goal.metric.name == definition.goals[0].name:
        # Effects of about the planned size are usual, much larger ones are not.
        believed = posterior(goal.improvement, error, definition.design.minimum_effect)
    factor = _factor(goal, level, view) if goal.significant else None
    return Meaning(
        None if believed is None else believed.chance_better,
        None if believed is None else believed.loss_if_shipped,
        None if factor is None else comparison.difference * factor,
    )


def _factor(goal: GoalComparison, level: float, view: View | None) -> float | None:
    """What is left of a significant effect without the luck that made it significant, between 0 and 1.

    None where an earlier look had crossed its line and a guardrail kept the experiment open: it ended by none.
    """
    comparison = goal.comparison
    if view is None:
        difference, error = comparison.difference or 0.0, comparison.standard_error or 1.0
        return shrink_winner(difference, error, normal.isf(level / 2)).factor
    if view.crossed_before(goal.variant, goal.metric.name, level):
        return None
    looks = [item.look for item in view.taken(goal.variant, goal.metric.name)]
    z = z_of(view.plain(goal.variant, goal.metric.name), 1) if looks else None
    if not z:
        return 1.0
    return min(1.0, max(0.0, sequential.ending(looks, z, level).median / z))
