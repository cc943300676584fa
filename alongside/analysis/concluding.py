"""From what was observed to statistics, verdict and words: pure, on a handful of numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from alongside.analysis.judging.adaptive import Schedule, in_batches, next_shares, ratio_over_batches
from alongside.analysis.judging.comparing import Viewed, compare_goals, compare_guardrails, comparer, once
from alongside.analysis.judging.decision import Evidence, decide, stopping
from alongside.analysis.judging.harm import weigh
from alongside.analysis.judging.looking import View, path
from alongside.analysis.judging.strata import in_strata
from alongside.analysis.judging.subgroups import PERIOD, divide
from alongside.analysis.judging.timing import by_enrolment, since_message
from alongside.analysis.judging.translation import translated
from alongside.analysis.observing.observation import Observed
from alongside.analysis.observing.sums import NOBODY, Sums
from alongside.analysis.result import (
    Arm,
    Division,
    ExperimentResult,
    GoalComparison,
    GuardrailComparison,
    Looking,
    MetricInfo,
    PathOfGoal,
    Words,
)
from alongside.analysis.showing.cluster_words import on_clusters
from alongside.analysis.showing.wording import CHANNEL, Facts, Place, sentence
from alongside.model.enums import Locale, Verdict
from alongside.outreach.experiments import Calendar, ExperimentDefinition, Looks
from alongside.stats.multiplicity import holm_levels
from alongside.stats.sample_ratio import MISMATCH, SampleRatio, running_sample_ratio


def conclude(
    definition: ExperimentDefinition,
    observed: Observed,
    as_of: datetime,
    exploratory: tuple[Words, ...] = (),
    delivery: Mapping[str, Mapping[str, int]] | None = None,
    schedule: Schedule = (),
    zone: tzinfo = UTC,
) -> ExperimentResult:
    """Statistics, verdict and words on what was observed. Pure.

    Parameters
    ----------
    schedule : of a bandit: since when which shares were in force
    zone : of the hospital, for the days that are named
    """
    calendar = Calendar.of(definition, observed.maturity.launched_at)
    view = _view(definition, calendar, observed, as_of)
    sums = observed.sums if view is None else view.sums
    goals, levels, guardrails = _compared(definition, observed, sums, view)
    harm = weigh(definition, observed.watched)
    sizes = _sizes(definition, observed, schedule)
    mismatched, place = sizes.mismatched or (None, None)
    complete = observed.maturity.complete(as_of)
    evidence = Evidence(
        goals,
        guardrails,
        mismatched,
        complete,
        bool(exploratory),
        stopping(harm, guardrails, looked=complete or view is not None),
        harm,
        view is not None,
    )
    decided = decide(evidence)
    facts = Facts(
        control=definition.control,
        arms={name: _arm(definition, observed.units, sums, name) for name in definition.shares},
        alpha=definition.design.alpha,
        sample_ratio=mismatched or sizes.overall,
        has_guardrails=bool(guardrails),
        exploratory=bool(exploratory),
        maturity=observed.maturity,
        unit=definition.unit,
        zone=zone,
        place=place,
    )
    return ExperimentResult(
        name=definition.name,
        control=facts.control,
        alpha=facts.alpha,
        arms=facts.arms,
        goals=goals,
        guardrails=guardrails,
        sample_ratio=sizes.overall,
        verdict=decided.verdict,
        winner=decided.variant if decided.verdict is Verdict.SHIP else None,
        verdict_text=sentence(decided, facts),
        as_of=as_of,
        maturity=observed.maturity,
        exploratory=exploratory,
        notes=(*_notes(definition, observed), *(_harm_all_the_same(evidence) if mismatched else ())),
        sample_ratio_by_channel=sizes.by_channel,
        delivery=delivery or {},
        looking=_looking(view, zip(goals, levels, strict=True), as_of, decided.verdict) if view else None,
        harm=harm,
        divisions=_divisions(definition, observed, view, calendar, as_of, zone),
        since_message=since_message(observed.reached, definition.goals[0], list(definition.shares), as_of),
        sample_ratio_by_subgroup=sizes.by_subgroup,
        next_shares=next_shares(definition, sums),
    )


def _compared(
    definition: ExperimentDefinition, observed: Observed, sums: Mapping[str, Sums], view: View | None
) -> tuple[tuple[GoalComparison, ...], list[float], tuple[GuardrailComparison, ...]]:
    """Goals with what they mean, the alpha that each has within the family, and guardrails."""
    alpha, control, treatments = definition.design.alpha, definition.control, definition.treatments
    viewed = _viewed(definition, observed, view)
    infos = [MetricInfo.of(metric) for metric in definition.goals]
    goals = compare_goals(infos, sums, treatments, control, alpha, viewed=viewed)
    p_values = [1.0 if goal.comparison.p_value is None else goal.comparison.p_value for goal in goals]
    levels = holm_levels(p_values, alpha)
    rules = [(MetricInfo.of(item.metric), item.margin) for item in definition.guardrails]
    guardrails = compare_guardrails(rules, sums, treatments, control, alpha, viewed)
    return translated(definition, goals, levels, view), levels, guardrails


@dataclass(frozen=True)
class _Sizes:
    """The arms' sizes against the plan, for everybody and in parts."""

    overall: SampleRatio
    by_channel: Mapping[str, SampleRatio]
    by_subgroup: Mapping[str, Mapping[str, SampleRatio]]

    @property
    def mismatched(self) -> tuple[SampleRatio, Place | None] | None:
        """Arms that did not get their planned sizes, and where: everybody, else one part at a level that all share."""
        if self.overall.mismatch:
            return self.overall, None
        divisions = {CHANNEL: self.by_channel, **self.by_subgroup}
        parts = [((name, value), ratio) for name, division in divisions.items() for value, ratio in division.items()]
        level = MISMATCH / max(1, len(parts))
        return next(
            ((ratio, place) for place, ratio in parts if ratio.p_value is not None and ratio.p_value < level), None
        )


def _sizes(definition: ExperimentDefinition, observed: Observed, schedule: Schedule) -> _Sizes:
    if definition.bandit:  # parts of the people have no planned shares of their own
        return _Sizes(ratio_over_batches(definition, observed.batches, schedule), {}, {})
    return _Sizes(
        _ratio(definition, observed.arrivals.values()),
        {name: _ratio(definition, [days]) for name, days in observed.arrivals.items()},
        {
            column: {value: _ratio(definition, [days]) for value, days in parts.items()}
            for column, parts in observed.divided.items()
        },
    )


def _viewed(definition: ExperimentDefinition, observed: Observed, view: View | None) -> Viewed:
    """How the data are looked at: batch by batch, within parts of the people, day by day, or once."""
    if definition.bandit:
        return in_batches(definition, observed.batches)
    if definition.stratify_by:
        return in_strata(definition, observed.strata)
    return once if view is None else view.at_last_look


def _view(definition: ExperimentDefinition, calendar: Calendar, observed: Observed, as_of: datetime) -> View | None:
    """What daily looks show; None where only the planned day decides."""
    if definition.design.looks is Looks.FINAL or definition.unit.is_cluster:
        return None
    arrivals: Counter[int] = Counter()
    for days in observed.arrivals.values():
        arrivals.update({day: sum(arms.values()) for day, arms in days.items()})
    return View(definition, calendar, observed.courses, arrivals, as_of)


def _looking(view: View, goals: Iterable[tuple[GoalComparison, float]], as_of: datetime, verdict: Verdict) -> Looking:
    paths = []
    for goal, alpha in goals:
        taken = view.taken(goal.variant, goal.metric.name)
        plain = [comparer(goal.metric, item.treatment, item.control)(alpha) for item in taken]
        points = path(view.calendar, taken, plain, goal.metric.direction.sign, alpha)
        paths.append(PathOfGoal(goal.variant, goal.metric, alpha, points))
    calendar = view.calendar
    upcoming = calendar.next_after(as_of) if verdict is Verdict.NOT_MATURE else None
    return Looking(calendar.taken(as_of), calendar.planned, upcoming, tuple(paths))


def _divisions(
    definition: ExperimentDefinition,
    observed: Observed,
    view: View | None,
    calendar: Calendar,
    as_of: datetime,
    zone: tzinfo,
) -> tuple[Division, ...]:
    goal, alpha = definition.goals[0], definition.design.alpha
    info = MetricInfo.of(goal)
    course = observed.courses.get(goal.name, ())
    if view is not None:
        course = [(number, sums) for number, sums in course if number <= calendar.taken(as_of)]
    periods = by_enrolment(course, calendar, goal.window + goal.settles, zone)
    columns = {**observed.subgroups, **({PERIOD: periods} if periods else {})}
    return tuple(
        divide(
            column, info, parts, variant, definition.control,
            alpha if view is None else view.level(variant, info.name, alpha),
        )
        for column, parts in columns.items()
        for variant in definition.treatments
    )  # fmt: skip


def _ratio(definition: ExperimentDefinition, arrivals: Iterable[Mapping[int, Mapping[str, int]]]) -> SampleRatio:
    """The arms' sizes against the plan, as they grew from day to day."""
    by_day: dict[int, Counter[str]] = {}
    for days in arrivals:
        for day, arms in days.items():
            by_day.setdefault(day, Counter()).update(arms)
    looks, total = [], Counter(dict.fromkeys(definition.shares, 0))
    for _, arms in sorted(by_day.items()):
        total.update(arms)
        looks.append(dict(total))
    return running_sample_ratio(looks or [dict(total)], definition.shares)


def _arm(definition: ExperimentDefinition, units: Mapping[str, int], sums: Mapping[str, Sums], name: str) -> Arm:
    metrics = {
        metric.name: sums[metric.name].get(name, NOBODY).as_metric(MetricInfo.of(metric))
        for metric in definition.metrics
    }
    return Arm(units.get(name, 0), metrics)


def _notes(definition: ExperimentDefinition, observed: Observed) -> tuple[Words, ...]:
    notes: list[Words] = list(on_clusters(definition, observed))
    if gone := observed.armless:
        zh = f"{gone:,} 人所在的组已不在实验定义中，未计入"
        en = f"{gone:,} people are in arms that the experiment no longer has, and are left out"
        notes.append({Locale.ZH_CN: zh, Locale.EN: en})
    for metric in definition.metrics:
        missing = sum(sums.missing for sums in observed.sums[metric.name].values())
        if missing:
            zh = f"{missing:,} 人没有“{metric.words(Locale.ZH_CN)}”的数值，未计入该指标"
            en = f"{missing:,} people have no value of “{metric.words(Locale.EN)}” and are left out of it"
            notes.append({Locale.ZH_CN: zh, Locale.EN: en})
    return tuple(notes)


def _harm_all_the_same(evidence: Evidence) -> Iterator[Words]:
    """What is proved to harm where the result is void: whoever looks for the cause should know."""
    for item in evidence.stopping:
        zh = f"结果虽作废，“{item.variant}”的伤害已证实：“{item.metric.harm_words(Locale.ZH_CN)}”"
        en = f"harm is proved although the result is void: “{item.variant}”, “{item.metric.harm_words(Locale.EN)}”"
        yield {Locale.ZH_CN: zh, Locale.EN: en}
