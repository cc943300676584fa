"""Evaluating a running experiment: sums from the stores, then statistics, verdict and words on a handful of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from alongside.analysis.comparing import compare_goals, compare_guardrails
from alongside.analysis.decision import Evidence, decide, early_alpha
from alongside.analysis.observation import Observed, observe
from alongside.analysis.result import Arm, ArmMetric, ExperimentResult, MetricInfo, Words
from alongside.analysis.wording import Facts, sentence
from alongside.ledger import experiments as store
from alongside.model.enums import Locale, Verdict
from alongside.model.errors import Refused
from alongside.outreach.experiments import Decide, ExperimentDefinition, Metric
from alongside.stats.sample_ratio import MISMATCH, SampleRatio, sample_ratio

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
) -> ExperimentResult:
    """The experiment's result as of a moment.

    Parameters
    ----------
    tables : folder of a snapshot's Parquet tables
    as_of : the snapshot's moment; nothing later is looked at
    run_id : when given, the result is stored in the ledger, and a verdict that ends the experiment is written down

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
    observed = observe(definition, registration.launched_at, ledger, tables, as_of, warehouse)
    exploratory = _exploratory(definition, registration, store.edited_variants(ledger, definition.name))
    result = conclude(definition, observed, as_of, exploratory, store.delivery_by_variant(ledger, definition.name))
    if run_id is not None:
        record(ledger, definition, result, as_of, run_id)
    return result


def record(
    ledger: Ledger, definition: ExperimentDefinition, result: ExperimentResult, as_of: datetime, run_id: str
) -> None:
    """Store the result; the first verdict that ends the experiment becomes its decision."""
    verdict = result.verdict
    with ledger.begin() as connection:
        store.save_result(connection, definition.name, as_of, run_id, verdict.value, result.to_json())
        if verdict in {Verdict.NOT_MATURE, Verdict.INVALID}:
            return
        variant = (result.winner or definition.control) if definition.decide is Decide.SHIP_WINNER else None
        decision = {"verdict": verdict.value, "variant": variant}
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
    goals = compare_goals([_info(metric) for metric in definition.goals], observed.sums, treatments, control, alpha)
    rules = [(_info(item.metric), item.margin) for item in definition.guardrails]
    guardrails = compare_guardrails(rules, observed.sums, treatments, control, alpha)
    early = compare_guardrails(rules, observed.sums, treatments, control, early_alpha(definition))
    overall = _ratio(definition, observed.units)
    by_channel = {name: _ratio(definition, units) for name, units in observed.channels.items()}
    mismatched = _mismatched(overall, by_channel)
    complete = observed.maturity.complete(as_of)
    decided = decide(Evidence(goals, guardrails, mismatched, complete, bool(exploratory), early))
    arms = {name: _arm(definition, observed, name) for name in definition.shares}
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
    )


def _info(metric: Metric) -> MetricInfo:
    return MetricInfo(metric.name, metric.kind, metric.direction, metric.label)


def _ratio(definition: ExperimentDefinition, units: Mapping[str, int]) -> SampleRatio:
    return sample_ratio({name: units.get(name, 0) for name in definition.shares}, definition.shares)


def _arm(definition: ExperimentDefinition, observed: Observed, name: str) -> Arm:
    metrics = {
        metric.name: sums.as_metric() if (sums := observed.sums[metric.name].get(name)) else ArmMetric(0, None)
        for metric in definition.metrics
    }
    return Arm(observed.units.get(name, 0), metrics)


def _mismatched(overall: SampleRatio, by_channel: Mapping[str, SampleRatio]) -> SampleRatio | None:
    """The arms that did not get their planned sizes: everybody, else one channel at a level shared by all channels."""
    if overall.mismatch:
        return overall
    level = MISMATCH / max(1, len(by_channel))
    return next((ratio for ratio in by_channel.values() if ratio.p_value is not None and ratio.p_value < level), None)


def _notes(definition: ExperimentDefinition, observed: Observed) -> tuple[Words, ...]:
    notes: list[Words] = []
    for metric in definition.metrics:
        missing = sum(sums.missing for sums in observed.sums[metric.name].values())
        if missing:
            zh = f"{missing:,} 人没有“{metric.words(Locale.ZH_CN)}”的数值，未计入该指标"
            en = f"{missing:,} people have no value of “{metric.words(Locale.EN)}” and are left out of it"
            notes.append({Locale.ZH_CN: zh, Locale.EN: en})
    return tuple(notes)
