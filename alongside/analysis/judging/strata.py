"""Goals compared within parts of the people and put together again: what the parts differ by is no longer noise."""

from __future__ import annotations

from collections.abc import Mapping

from alongside.analysis.judging.comparing import Compare, Viewed
from alongside.analysis.observing.sums import NOBODY, ArmSums, Sums
from alongside.analysis.result import MetricInfo
from alongside.outreach.experiments import ExperimentDefinition, MetricKind
from alongside.stats.means import Mean
from alongside.stats.proportions import Proportion
from alongside.stats.stratification import compare_stratified_means, compare_stratified_proportions


def in_strata(definition: ExperimentDefinition, strata: Mapping[str, Mapping[str, Sums]]) -> Viewed:
    """Every goal post-stratified, each part weighed by its people in all arms; guardrails are left as they are.

    Parameters
    ----------
    strata : by goal, then part, then arm
    """
    kinds = {metric.name: MetricInfo.of(metric).kind for metric in definition.goals}

    def viewed(compare: Compare, variant: str, metric: str) -> Compare:
        parts = strata.get(metric)
        if not parts:
            return compare
        pairs = {
            value: (arms.get(variant, NOBODY), arms.get(definition.control, NOBODY)) for value, arms in parts.items()
        }
        weights = {value: float(sum(arm.n for arm in arms.values())) for value, arms in parts.items()}
        if kinds[metric] is MetricKind.BINARY:
            rates = {value: (_rate(one), _rate(other)) for value, (one, other) in pairs.items()}
            return lambda alpha: compare_stratified_proportions(rates, alpha, weights).comparison
        means = {value: (_mean(one), _mean(other)) for value, (one, other) in pairs.items()}
        return lambda alpha: compare_stratified_means(means, alpha, weights).comparison

    return viewed


def _rate(sums: ArmSums) -> Proportion:
    return Proportion(sums.n, round(sums.total))


def _mean(sums: ArmSums) -> Mean:
    return Mean(sums.n, sums.mean, sums.variance)
