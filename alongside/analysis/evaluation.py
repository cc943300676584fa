"""Evaluating a running experiment: sums from the stores, then statistics, verdict and words on a handful of numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from alongside.analysis.comparing import NOBODY, Sums, compare_goals, compare_guardrails, comparer, once
from alongside.analysis.decision import Evidence, decide
from alongside.analysis.harm import HarmEvidence, weigh
from alongside.analysis.looking import View, path
from alongside.analysis.observation import Observed, observe
from alongside.analysis.result import (
    Arm,
    Division,
    ExperimentResult,
    GoalComparison,
    GuardrailComparison,
    GuardrailStatus,
    Looking,
    MetricInfo,
    PathOfGoal,
    Words,
)
from alongside.analysis.subgroups import PERIOD, divide
from alongside.analysis.timing import by_enrolment, since_message
from alongside.analysis.translation import translated
from alongside.analysis.wording import Facts, sentence
from alongside.ledger import experiments as store
from alongside.model.enums import Locale, Verdict
from alongside.model.errors import Refused
from alongside.outreach.experiments import Calendar, Decide, ExperimentDefinition, Looks
from alongside.stats.multiplicity import holm_levels
from alongside.stats.sample_ratio import MISMATCH, SampleRatio, running_sample_ratio

if TYPE_CHECKING:
    from alongside.ledger import Ledger
    from alongside.warehouse import Warehouse


def evaluate(
    definition: ExperimentDefinition,
    ledger: Ledger,
    tables: Path,
    as_of: datetime,
    warehouse: Warehouse,
    run_id: str | None = None,
    clinical: Collection[str] = (),
) -> ExperimentResult:
    """The experiment's result as of a moment.

    Parameters
    ----------
    tables : folder of a snapshot's Parquet tables
    as_of : the snapshot's moment; nothing later is looked at
    run_id : when given, the result is stored in the ledger, and a verdict that ends the experiment is written down
    clinical : variants that nobody gets for good before a clinician agrees, though they win

    Raises
    ------
    Refused : the experiment was never launched
    StoreUnavailable : the ledger or a table of the snapshot is missing
    """
    with ledger.begin() as connection:
        registration = store.read(connection, definition.name)
    if registration is None:
        what = f"experiment '{definition.name}' has not been launched"
        raise Refused(what, remedy="It is launched by the first run of its campaign.")
    # A verdict that came early ends the looking: later data of arms that are no longer filled would only blur it.
    ended = registration.decided_at if definition.design.looks is Looks.DAILY else None
    seen_until = min(as_of, ended) if ended else as_of
    observed = observe(definition, registration.launched_at, ledger, tables, seen_until, warehouse)
    exploratory = _exploratory(definition, registration, store.edited_variants(ledger, definition.name))
    delivery = store.delivery_by_variant(ledger, definition.name)
    result = replace(conclude(definition, observed, seen_until, exploratory, delivery), as_of=as_of)
    if run_id is not None:
        record(ledger, definition, result, as_of, run_id, clinical)
    return result


def record(
    ledger: Ledger,
    definition: ExperimentDefinition,
    result: ExperimentResult,
    as_of: datetime,
    run_id: str,
    clinical: Collection[str] = (),
) -> None:
    """Store the result; the first verdict that ends the experiment becomes its decision, with its evidence."""
    verdict = result.verdict
    found = result.to_json()
    with ledger.begin() as connection:
        store.save_result(connection, definition.name, as_of, run_id, verdict.value, found)
        if verdict in {Verdict.NOT_MATURE, Verdict.INVALID}:
            return
        variant: str | None = result.winner or definition.control
        waits: str | None = None
        if definition.decide is not Decide.SHIP_WINNER:
            variant = None
        elif result.winner in clinical:
            variant, waits = definition.control, result.winner
        evidence = {"definition_hash": definition.definition_hash, "comparisons": found["comparisons"]}
        decision = {"verdict": verdict.value, "variant": variant, "waits": waits, "evidence": evidence}
        store.decide(connection, definition.name, decision, as_of)


def _exploratory(
    definition: ExperimentDefinition, registration: store.Registration, edited: list[str]
) -> tuple[Words, ...]:
    reasons: list[Words] = []
    if registration.exploratory_since is not None or registration.definition_hash != definition.definition_hash:
        reasons.append({Locale.ZH_CN: "实验定义在启动后被修改", Locale.EN: "the definition was edited after launch"})
    for name in edited:
        zh, en = f"变体“{name}”的文本在实验期间被修改", f"the text of “{name}” was edited while the experiment ran"
        reasons.append({Locale.ZH_CN: zh, Locale.EN: en})
    return tuple(reasons)


def conclude(
    definition: ExperimentDefinition,
    observed: Observed,
    as_of: datetime,
    exploratory: tuple[Words, ...] = (),
    delivery: Mapping[str, Mapping[str, int]] | None = None,
) -> ExperimentResult:
    """Statistics, verdict and words on what was observed. Pure."""
    alpha, control, treatments = definition.design.alpha, definition.control, definition.treatments
    calendar = Calendar.of(definition, observed.maturity.launched_at)
    view = _view(definition, calendar, observed, as_of)
    sums, viewed = (observed.sums, once) if view is None else (view.sums, view.at_last_look)
    infos = [MetricInfo.of(metric) for metric in definition.goals]
    plain = compare_goals(infos, sums, treatments, control, alpha, viewed=viewed)
    levels = holm_levels([1.0 if goal.comparison.p_value is None else goal.comparison.p_value for goal in plain], alpha)
    goals = translated(definition, plain, levels, view)
    rules = [(MetricInfo.of(item.metric), item.margin) for item in definition.guardrails]
    guardrails = compare_guardrails(rules, sums, treatments, control, alpha, viewed)
    harm = weigh(definition, observed.watched)
    overall = _ratio(definition, observed.arrivals.values())
    by_channel = {name: _ratio(definition, [days]) for name, days in observed.arrivals.items()}
    by_subgroup = {column: _ratios(definition, parts) for column, parts in observed.divided.items()}
    mismatched = _mismatched(overall, [by_channel, *by_subgroup.values()])
    complete = observed.maturity.complete(as_of)
    evidence = Evidence(
        goals, guardrails, mismatched, complete, bool(exploratory), _stopping(harm, guardrails), harm, view is not None
    )
    decided = decide(evidence)
    arms = {name: _arm(definition, observed.units, sums, name) for name in definition.shares}
    facts = Facts(control, arms, alpha, mismatched or overall, bool(guardrails), bool(exploratory), observed.maturity)
    return ExperimentResult(
        name=definition.name,
        control=control,
        alpha=alpha,
        arms=arms,
        goals=goals,
        guardrails=guardrails,
        sample_ratio=overall,
        verdict=decided.verdict,
        winner=decided.variant if decided.verdict is Verdict.SHIP else None,
        verdict_text=sentence(decided, facts),
        as_of=as_of,
        maturity=observed.maturity,
        exploratory=exploratory,
        notes=_notes(definition, observed),
        sample_ratio_by_channel=by_channel,
        delivery=delivery or {},
        looking=_looking(view, zip(goals, levels, strict=True), as_of, decided.verdict) if view else None,
        harm=harm,
        divisions=_divisions(definition, observed, view, calendar, as_of),
        since_message=since_message(observed.reached, definition.goals[0], list(definition.shares), as_of),
        sample_ratio_by_subgroup=by_subgroup,
    )


def _view(definition: ExperimentDefinition, calendar: Calendar, observed: Observed, as_of: datetime) -> View | None:
    """What daily looks show; None where only the planned day decides."""
    if definition.design.looks is Looks.FINAL:
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
    definition: ExperimentDefinition, observed: Observed, view: View | None, calendar: Calendar, as_of: datetime
) -> tuple[Division, ...]:
    goal, alpha = definition.goals[0], definition.design.alpha
    info = MetricInfo.of(goal)
    course = observed.courses.get(goal.name, ())
    if view is not None:
        course = [(number, sums) for number, sums in course if number <= calendar.taken(as_of)]
    periods = by_enrolment(course, calendar, goal.window + goal.settles)
    columns = {**observed.subgroups, **({PERIOD: periods} if periods else {})}
    return tuple(
        divide(
            column, info, parts, variant, definition.control,
            alpha if view is None else view.level(variant, info.name, alpha),
        )
        for column, parts in columns.items()
        for variant in definition.treatments
    )  # fmt: skip


def _ratios(definition: ExperimentDefinition, parts: Mapping[str, Mapping[str, int]]) -> dict[str, SampleRatio]:
    """The arms' sizes in each part, as of now: the e-process holds at whatever look it is read."""
    return {value: _ratio(definition, [{0: arms}]) for value, arms in parts.items()}


def _stopping(
    harm: Sequence[HarmEvidence], guardrails: Sequence[GuardrailComparison]
) -> tuple[GuardrailComparison, ...]:
    """Guardrails on which a variant is to be stopped: harm is proved, and not shown to be within the margin."""
    proved = {(item.variant, item.metric) for item in harm if item.stop}
    watched = {(item.variant, item.metric) for item in harm}
    return tuple(
        item
        for item in guardrails
        if item.status is not GuardrailStatus.UNHARMED
        and (
            (item.variant, item.metric.name) in proved
            or ((item.variant, item.metric.name) not in watched and item.status is GuardrailStatus.HARMED)
        )
    )


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


def _mismatched(overall: SampleRatio, divisions: Iterable[Mapping[str, SampleRatio]]) -> SampleRatio | None:
    """Arms that did not get their planned sizes: everybody, else one part at a level shared by all parts."""
    if overall.mismatch:
        return overall
    parts = [ratio for division in divisions for ratio in division.values()]
    level = MISMATCH / max(1, len(parts))
    return next((ratio for ratio in parts if ratio.p_value is not None and ratio.p_value < level), None)


def _notes(definition: ExperimentDefinition, observed: Observed) -> tuple[Words, ...]:
    notes: list[Words] = []
    for metric in definition.metrics:
        missing = sum(sums.missing for sums in observed.sums[metric.name].values())
        if missing:
            zh = f"{missing:,} 人没有“{metric.words(Locale.ZH_CN)}”的数值，未计入该指标"
            en = f"{missing:,} people have no value of “{metric.words(Locale.EN)}” and are left out of it"
            notes.append({Locale.ZH_CN: zh, Locale.EN: en})
    return tuple(notes)
