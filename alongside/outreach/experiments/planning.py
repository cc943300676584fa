"""Before launch: what the experiment can find with the people it will have, and a refusal if that is too little."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from alongside.model.errors import Refused
from alongside.outreach.experiments.calendar import days_between_looks
from alongside.outreach.experiments.definition import ExperimentDefinition, Guardrail, Looks
from alongside.outreach.experiments.metrics import Metric, MetricKind
from alongside.stats import normal, power


@dataclass(frozen=True)
class GuardrailPower:
    """Chance to show that a guardrail is unharmed when the variants are truly alike; None without a typical rate."""

    metric: str
    margin: float
    power: float | None


@dataclass(frozen=True)
class DesignReport:
    """What to expect.

    Attributes
    ----------
    people_needed : over all arms, for the planned power at the planned smallest effect
    people_expected : enrolled within the planned days
    power : at the planned smallest effect with the expected people
    detectable_effect : smallest absolute improvement found with the planned power; None when there is none
    days_needed : days of enrolment until the needed people are there; None when that never happens
    verdict_after_days : days from launch to the verdict, the last person's window included
    design_effect : people of households or clinics that tell as much as one who is assigned alone; else 1
    """

    experiment: str
    goal: str
    comparisons: int
    people_needed: int
    people_expected: int
    power: float
    planned_power: float
    minimum_effect: float
    detectable_effect: float | None
    days_needed: int | None
    planned_days: int
    verdict_after_days: float
    guardrails: tuple[GuardrailPower, ...]
    design_effect: float = 1.0

    @property
    def powered(self) -> bool:
        return self.people_expected >= self.people_needed

    @property
    def warnings(self) -> tuple[str, ...]:
        """Guardrails that this many people could hardly show to be unharmed: the experiment could not ship."""
        return tuple(
            f"guardrail '{item.metric}' with margin {item.margin:g} would be shown unharmed "
            + (f"with a chance of only {item.power:.0%}" if item.power >= 0.005 else "hardly ever")
            + ": widen the margin or enrol more people"
            for item in self.guardrails
            if item.power is not None and item.power < self.planned_power
        )

    def require_powered(self) -> None:
        """Refuse the launch of an experiment that would most likely find nothing.

        Raises
        ------
        Refused : names what the experiment could find and what would make it powered
        """
        if self.powered:
            return
        what = (
            f"underpowered: {self.people_expected:,} people are expected within {self.planned_days} days, "
            f"{self.people_needed:,} are needed to find {self.minimum_effect:g} on '{self.goal}' with power "
            f"{self.planned_power:.0%} (it would have {self.power:.0%})"
        )
        raise Refused(what, where=f"experiment {self.experiment}", remedy=self._remedy())

    def _remedy(self) -> str:
        ways = []
        if self.days_needed is not None:
            ways.append(f"set design.planned_days to {self.days_needed}")
        if self.detectable_effect is not None:
            ways.append(f"set design.minimum_effect to {_round_up(self.detectable_effect):g}")
        ways.append("widen the campaign's segment")
        text = ", or ".join(ways)
        return text[0].upper() + text[1:] + "."


def design(definition: ExperimentDefinition, audience_now: int, audience_per_day: float = 0.0) -> DesignReport:
    """What the experiment can find with `audience_now` people at launch and this many new ones a day."""
    plan = definition.design
    expected = int(audience_now + audience_per_day * plan.planned_days)
    needed = people_needed(definition)
    missing = max(0.0, needed - audience_now)
    days = None if missing and audience_per_day <= 0 else math.ceil(missing / audience_per_day) if missing else 1
    weakest = weakest_arm(definition)
    return DesignReport(
        definition.name,
        definition.goals[0].name,
        len(definition.treatments) * len(definition.goals),
        needed,
        expected,
        power_at(definition, weakest, expected, plan.minimum_effect),
        plan.power,
        plan.minimum_effect,
        _detectable(definition, weakest, expected),
        days,
        plan.planned_days,
        plan.planned_days + definition.waits.total_seconds() / 86400,
        tuple(_guardrail(definition, guardrail, weakest, expected) for guardrail in definition.guardrails),
        crowding(definition),
    )


#: Below, an arm waits so long for its people that the experiment ends before it could say anything.
SMALLEST_SHARE = 0.05
#: Arms of a mean: beyond this, rare large values in the small arm make Welch's test claim too much
#: (docs/calibration.md).
MOST_UNEQUAL = 2.0


def too_unequal(shares: Mapping[str, float], control: str) -> str | None:
    """An arm whose share differs too much from the control's for comparing means; None where there is none."""
    base = shares.get(control)
    if not base:
        return None
    return next((arm for arm, share in shares.items() if max(share / base, base / share) > MOST_UNEQUAL + 1e-9), None)


def unfit(definition: ExperimentDefinition) -> list[str]:
    """Why an experiment may not be launched, whatever its audience; `check` only warns, as it may run already."""
    found = []
    for arm, share in definition.shares.items():
        if share < SMALLEST_SHARE:
            found.append(f"experiment {definition.name}: the share of '{arm}' is below {SMALLEST_SHARE:g}")
    unequal = too_unequal(definition.shares, definition.control)
    if unequal and any(goal.averages for goal in definition.goals):
        arms = f"'{unequal}' and '{definition.control}'"
        what = f"{arms} are more unequal than {MOST_UNEQUAL:g} : 1 for a goal that is a count, mean or ratio"
        found.append(f"experiment {definition.name}: {what}")
    return found


def people_needed(definition: ExperimentDefinition) -> int:
    """Over all arms, for the planned power at the planned smallest effect on the first goal."""
    return max(_people(definition, treatment) for treatment in definition.treatments)


def weakest_arm(definition: ExperimentDefinition) -> str:
    """The variant with the fewest people: what it can find, the others can."""
    return min(definition.treatments, key=lambda name: definition.shares[name])


def comparison_level(definition: ExperimentDefinition) -> float:
    """Alpha of one comparison: Bonferroni's, which Holm's procedure never falls below."""
    return definition.design.alpha / (len(definition.treatments) * len(definition.goals))


def _split(definition: ExperimentDefinition, treatment: str) -> tuple[float, float]:
    """Control's share, and the treatment's units per unit of control."""
    share = definition.shares[definition.control]
    return share, definition.shares[treatment] / share


def looks_cost(definition: ExperimentDefinition) -> float:
    """How many times the people of a single look are needed for the same power: a little over 1 with daily looks."""
    if definition.design.looks is Looks.FINAL:
        return 1.0
    # People come evenly over the planned days, so that a look adds as much as any other.
    count = math.ceil(definition.design.planned_days / days_between_looks(definition))
    return _cost_of(count, comparison_level(definition), definition.design.power)


@cache
def _cost_of(count: int, alpha: float, wanted: float) -> float:
    from alongside.stats import sequential  # imports NumPy, which most commands do not need

    single = normal.isf(alpha / 2) + normal.isf(1 - wanted)
    looks = [sequential.Look(number / count, number / count) for number in range(1, count + 1)]

    def missing(expected_z: float) -> float:
        return wanted - sequential.power(looks, expected_z, alpha).overall

    return (normal.bisect(missing, single, 2 * single) / single) ** 2


def crowding(definition: ExperimentDefinition) -> float:
    """Design effect: how many people of households or clinics tell as much as one who was assigned alone.

    Raises
    ------
    Refused : the design does not say how the people are clustered
    """
    plan = definition.design
    if not definition.unit.is_cluster:
        return 1.0
    if plan.cluster_size is None or plan.cluster_icc is None:
        what = f"a {definition.unit} as unit needs design.cluster_size and design.cluster_icc"
        raise Refused(what, where=f"experiment {definition.name}", remedy="Take both from earlier data.")
    from alongside.stats.clusters import design_effect

    return design_effect(plan.cluster_size, plan.cluster_cv or 0.0, plan.cluster_icc)


def _in_clusters(definition: ExperimentDefinition, people: float) -> float:
    """People of an arm that are worth so many who were assigned alone, and no fewer clusters than can be compared."""
    plan = definition.design
    if plan.cluster_size is None or plan.cluster_icc is None or not definition.unit.is_cluster:
        return people
    from alongside.stats.clusters import clusters_needed

    return plan.cluster_size * clusters_needed(people, plan.cluster_size, plan.cluster_cv or 0.0, plan.cluster_icc)


def _deviation(goal: Metric) -> float:
    """Of a person's value; for a quantile that of the mean with the same error, values being about normal."""
    deviation = goal.deviation or 0.0
    return deviation if goal.quantile is None else deviation * power.spread_of_quantile(goal.quantile)


def _people(definition: ExperimentDefinition, treatment: str) -> int:
    plan, goal = definition.design, definition.goals[0]
    share, ratio = _split(definition, treatment)
    alpha = comparison_level(definition)
    if goal.kind is MetricKind.BINARY:
        reached = plan.base_rate + goal.direction.sign * plan.minimum_effect
        control = power.sample_size_proportions(plan.base_rate, reached, plan.power, alpha, ratio)
    else:
        control = power.sample_size_means(plan.minimum_effect, _deviation(goal), plan.power, alpha, ratio)
    crowding(definition)  # says what a design in clusters lacks
    arms = (control, share), (control * ratio, share * ratio)
    return math.ceil(max(_in_clusters(definition, people) / part for people, part in arms) * looks_cost(definition))


def power_at(definition: ExperimentDefinition, treatment: str, people: int, effect: float) -> float:
    """Chance to find this improvement of the first goal with so many people over all arms.

    Raises
    ------
    ValueError : the improved rate would lie outside [0, 1]
    """
    plan, goal = definition.design, definition.goals[0]
    share, ratio = _split(definition, treatment)
    control, alpha = people * share / looks_cost(definition) / crowding(definition), comparison_level(definition)
    if control < 1:
        return 0.0
    if goal.kind is MetricKind.BINARY:
        reached = plan.base_rate + goal.direction.sign * effect
        return power.power_proportions(control, plan.base_rate, reached, alpha, ratio)
    return power.power_means(control, effect, _deviation(goal), alpha, ratio)


def _detectable(definition: ExperimentDefinition, treatment: str, people: int) -> float | None:
    plan, goal = definition.design, definition.goals[0]
    share, ratio = _split(definition, treatment)
    control, alpha = people * share / looks_cost(definition) / crowding(definition), comparison_level(definition)
    if control < 1:
        return None
    if goal.kind is MetricKind.BINARY:
        # A decrease of a rate is an increase of its complement.
        rate = plan.base_rate if goal.direction.sign > 0 else 1 - plan.base_rate
        return power.detectable_rate(control, rate, plan.power, alpha, ratio)
    return power.detectable_mean(control, _deviation(goal), plan.power, alpha, ratio)


def _guardrail(definition: ExperimentDefinition, guardrail: Guardrail, treatment: str, people: int) -> GuardrailPower:
    metric = guardrail.metric
    share, ratio = _split(definition, treatment)
    chance, control = None, people * share / crowding(definition)
    if metric.kind is MetricKind.BINARY and metric.typical is not None and control >= 1:
        chance = power.power_non_inferiority(control, metric.typical, guardrail.margin, definition.design.alpha, ratio)
    return GuardrailPower(metric.name, guardrail.margin, chance)


def _round_up(effect: float) -> float:
    """To two significant digits, upwards: a value that a person would write."""
    digits = 1 - math.floor(math.log10(effect))
    scale: float = 10.0**digits
    return math.ceil(effect * scale) / scale
