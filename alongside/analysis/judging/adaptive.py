"""An experiment whose shares follow its results: compared batch by batch, and what the next batch gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from alongside.analysis.judging.comparing import Compare, Viewed
from alongside.analysis.observing.observation import SeenBatch
from alongside.analysis.observing.sums import NOBODY, ArmSums, Sums
from alongside.outreach.experiments import ExperimentDefinition
from alongside.stats.bandit import compare_batches, thompson_shares
from alongside.stats.proportions import Proportion
from alongside.stats.sample_ratio import SampleRatio, batched_sample_ratio

#: When shares came into force, oldest first.
Schedule = Sequence[tuple[datetime, Mapping[str, float]]]


def in_batches(definition: ExperimentDefinition, batches: Sequence[SeenBatch]) -> Viewed:
    """Every comparison as a sum over batches, which moving shares do not bias."""

    def viewed(compare: Compare, variant: str, metric: str) -> Compare:
        del compare
        rates = [
            {arm: _rate(batch.sums.get(metric, {}).get(arm, NOBODY)) for arm in definition.shares} for batch in batches
        ]
        return lambda alpha: compare_batches(rates, variant, definition.control, alpha).comparison

    return viewed


def next_shares(definition: ExperimentDefinition, sums: Mapping[str, Sums]) -> dict[str, float] | None:
    """Shares of the next batch by Thompson sampling on the goal; None where shares do not move."""
    if definition.bandit is None:
        return None
    goal = definition.goals[0]
    rates = {arm: _rate(sums[goal.name].get(arm, NOBODY)) for arm in definition.shares}
    if goal.direction.sign < 0:
        rates = {arm: Proportion(rate.n, rate.n - rate.successes) for arm, rate in rates.items()}
    return thompson_shares(rates, definition.bandit.minimum_share)


def ratio_over_batches(
    definition: ExperimentDefinition, batches: Sequence[SeenBatch], schedule: Schedule
) -> SampleRatio:
    """The arms' sizes against the shares that were in force when each batch was assigned."""
    counted = []
    for batch in batches:
        earlier = [shares for since, shares in schedule if since < batch.assigned_at]
        # Arms that were taken out since are left out, as their people are.
        shares = definition.with_shares(earlier[-1] if earlier else {}).shares
        counted.append(({arm: batch.units.get(arm, 0) for arm in definition.shares}, shares))
    return batched_sample_ratio(counted or [(dict.fromkeys(definition.shares, 0), definition.shares)])


def _rate(sums: ArmSums) -> Proportion:
    return Proportion(sums.n, round(sums.total))
