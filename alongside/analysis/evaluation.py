"""Evaluating a running experiment: sums from the stores, then statistics, verdict and words on a handful of numbers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from alongside.analysis.concluding import conclude
from alongside.analysis.judging.decision import stopping
from alongside.analysis.observing.observation import observe
from alongside.analysis.result import (
    ExperimentResult,
    Words,
)
from alongside.ledger import experiments as store
from alongside.model.enums import Locale, Verdict
from alongside.model.errors import Refused
from alongside.outreach.experiments import ANALYSIS_VERSION, Decide, ExperimentDefinition, Looks

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
    zone: tzinfo = UTC,
) -> ExperimentResult:
    """The experiment's result as of a moment.

    Parameters
    ----------
    tables : folder of a snapshot's Parquet tables
    as_of : the snapshot's moment; nothing later is looked at
    run_id : when given, the result is stored in the ledger, and a verdict that ends the experiment is written down
    clinical : variants that nobody gets for good before a clinician agrees, though they win
    zone : of the hospital, for the days that are named

    Raises
    ------
    Refused : the experiment was never launched
    StoreUnavailable : the ledger or a table of the snapshot is missing
    """
    with ledger.begin() as connection:
        registration = store.read(connection, definition.name)
        earlier = store.results(connection, definition.name) if definition.bandit else []
    if registration is None:
        what = f"experiment '{definition.name}' has not been launched"
        raise Refused(what, remedy="It is launched by the first run of its campaign.")
    # A verdict that came early ends the looking: later data of arms that are no longer filled would only blur it.
    ended = registration.decided_at if definition.design.looks is Looks.DAILY else None
    seen_until = min(as_of, ended) if ended else as_of
    observed = observe(definition, registration.launched_at, ledger, tables, seen_until, warehouse)
    # What is edited after the last outcome that counts can have changed none.
    counts_until = min(seen_until, definition.verdict_due(registration.launched_at))
    edited = store.edited_variants(ledger, definition.name, counts_until)
    exploratory = _exploratory(definition, registration, edited)
    delivery = store.delivery_by_variant(ledger, definition.name)
    schedule = [(item.as_of, item.result["next_shares"]) for item in earlier if item.result.get("next_shares")]
    found = conclude(definition, observed, seen_until, exploratory, delivery, schedule, zone)
    result = replace(found, as_of=as_of, notes=(*found.notes, *_of_another_version(registration)))
    result = _as_decided(result, ledger, registration, zone)
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
        if verdict is Verdict.NOT_MATURE or (verdict is Verdict.INVALID and not _harms(result)):
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


def _harms(result: ExperimentResult) -> bool:
    """Whether a variant is to be stopped. A void result ends nothing, because its cause may be mended; but whoever is
    harmed meanwhile is harmed."""
    return bool(stopping(result.harm, result.guardrails, looked=False))


def _as_decided(
    result: ExperimentResult, ledger: Ledger, registration: store.Registration, zone: tzinfo
) -> ExperimentResult:
    """The verdict that was decided, whatever came or was changed since: bookings are cancelled, webhooks come late.

    The numbers are those of now, and a note says when they would not give that verdict.
    """
    decided_at = registration.decided_at
    if decided_at is None or result.as_of is None or result.as_of < decided_at:
        return result
    with ledger.begin() as connection:
        stored = store.result_at(connection, registration.experiment, decided_at)
    if stored is None or stored.verdict == result.verdict.value:
        return result
    day = decided_at.astimezone(zone).date().isoformat()
    zh = f"结论作于 {day}，保持不变；此后到达或改动的内容已不支持它"
    en = f"the verdict is the one of {day} and stands; what came or was changed since would not give it"
    return replace(
        result,
        verdict=Verdict(stored.verdict),
        winner=stored.result["winner"],
        verdict_text={Locale(locale): text for locale, text in stored.result["verdict_text"].items()},
        notes=(*result.notes, {Locale.ZH_CN: zh, Locale.EN: en}),
        looking=replace(result.looking, next_at=None) if result.looking else None,
    )


def _of_another_version(registration: store.Registration) -> tuple[Words, ...]:
    """An upgrade in the middle changes how the same data are judged: whoever reads the result should know."""
    launched = registration.analysis_version
    if launched == ANALYSIS_VERSION:
        return ()
    zh = f"启动时的分析版本为 {launched}，本结果由版本 {ANALYSIS_VERSION} 得出"
    en = f"launched under version {launched} of the analysis, judged by version {ANALYSIS_VERSION}"
    return ({Locale.ZH_CN: zh, Locale.EN: en},)


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
