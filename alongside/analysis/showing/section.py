"""One experiment's part of the HTML report: words and figures, ready to place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo

from alongside.analysis.judging.harm import HarmEvidence
from alongside.analysis.judging.subgroups import PERIOD
from alongside.analysis.result import Division, ExperimentResult, GuardrailStatus, MetricInfo
from alongside.analysis.showing.boundary import boundary_svg
from alongside.analysis.showing.curve import curve_svg
from alongside.analysis.showing.forest import NARROW, WIDE, forest_svg, unclaimed
from alongside.analysis.showing.wording import amount, bounds, chance_text, level, loss_text, p_is, p_text, percent
from alongside.analysis.showing.words import words
from alongside.model.enums import Locale, Verdict
from alongside.stats import Comparison, Interval


@dataclass(frozen=True)
class Row:
    """A line of the comparison table, as text."""

    variant: str
    metric: str
    role: str
    treatment: str
    control: str
    difference: str
    interval: str
    relative: str
    p_value: str
    status: str


@dataclass(frozen=True)
class HarmRow:
    """One guardrail of one variant under watch, as text: people affected, the evidence, what follows."""

    variant: str
    metric: str
    affected: str
    control: str
    evidence: str
    status: str


@dataclass(frozen=True)
class Breakdown:
    """One variant by one column of a person, as text: title, (value, people, difference, interval), what it says."""

    title: str
    rows: tuple[tuple[str, str, str, str], ...]
    note: str
    head: str  # of the first column


@dataclass(frozen=True)
class Section:
    name: str
    verdict: Verdict
    headline: str
    arms: tuple[tuple[str, int], ...]
    rows: tuple[Row, ...]
    next_steps: tuple[str, ...]  # what follows, and when
    remarks: tuple[str, ...]
    delivery: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]
    figure: str  # SVG
    narrow_figure: str  # the same for a phone
    paths: tuple[tuple[str, str], ...] = ()  # boundary figures: for a desk and for a phone
    harm: tuple[HarmRow, ...] = ()
    harm_note: str = ""
    breakdowns: tuple[Breakdown, ...] = ()
    curve: tuple[str, str] | None = None  # by days since the message: for a desk and for a phone


def section(result: ExperimentResult, locale: Locale, decided: Sequence[str] = (), zone: tzinfo = UTC) -> Section:
    """The report's section in one language.

    Parameters
    ----------
    decided : what follows from a decision
    zone : of the hospital, for the days that are named
    """
    unsaid = unclaimed(result)
    goals = [
        _row(result, item.variant, item.metric, item.comparison, item.adjusted, item.adjusted_p, "goal", locale,
             unsaid or ("open" if not item.significant else "better" if item.improvement > 0 else "worse"))
        for item in result.goals
    ]  # fmt: skip
    guardrails = [
        _row(result, item.variant, item.metric, item.comparison, item.comparison.interval, item.comparison.p_value,
             "guardrail", locale, unsaid or item.status.value)
        for item in result.guardrails
    ]  # fmt: skip
    return Section(
        result.name,
        result.verdict,
        result.verdict_text[locale],
        tuple((name, arm.n) for name, arm in result.arms.items()),
        (*goals, *guardrails),
        (*decided, *([] if unsaid and decided else _ahead(result, locale, zone))),
        _remarks(result, locale),
        tuple((name, tuple(counts.items())) for name, counts in result.delivery.items()),
        forest_svg(result, locale, WIDE),
        forest_svg(result, locale, NARROW),
        _paths(result, locale),
        tuple(_harm_row(result, item, locale) for item in result.harm),
        _harm_note(result, locale),
        () if unsaid == "void" else tuple(_breakdown(division, locale) for division in result.divisions),
        _curve(result, locale),
    )


def _curve(result: ExperimentResult, locale: Locale) -> tuple[str, str] | None:
    if not result.since_message or not result.goals:
        return None
    metric = result.goals[0].metric
    wide, narrow = (curve_svg(metric, result.since_message, locale, layout.width) for layout in (WIDE, NARROW))
    return wide, narrow


def _breakdown(division: Division, locale: Locale) -> Breakdown:
    say, metric = words(locale), division.metric
    rows = []
    for part in division.parts:
        interval = bounds(part.comparison.interval, metric, locale, " … ")
        value = say.get(f"value:{part.value}", part.value).replace("/", " – ")
        rows.append((value, f"{part.people:,}", amount(part.comparison.difference, metric, locale), interval))
    title = say["by_subgroup"].format(metric=metric.words(locale), column=say[f"column:{division.column}"])
    key = "unknown_effect" if division.p_value is None else "other_effect" if division.p_value < 0.05 else "same_effect"
    note, head = say[key].format(p=p_is(division.p_value)), "enrolled" if division.column == PERIOD else "subgroup"
    return Breakdown(f"{title} ({division.variant})", tuple(rows), note, say[head])


def _meanings(result: ExperimentResult, locale: Locale) -> list[str]:
    say, found = words(locale), []
    for goal in result.goals:
        names = {"variant": goal.variant, "metric": goal.metric.words(locale)}
        if (meaning := goal.meaning) is None:
            continue
        if meaning.chance_better is not None and meaning.expected_loss is not None:
            loss = loss_text(meaning.expected_loss, goal.metric, locale)
            found.append(say["meaning"].format(chance=chance_text(meaning.chance_better, locale), loss=loss, **names))
        if meaning.corrected is not None and unclaimed(result) is None:
            found.append(say["corrected"].format(amount=amount(meaning.corrected, goal.metric, locale), **names))
    return found


def _paths(result: ExperimentResult, locale: Locale) -> tuple[tuple[str, str], ...]:
    if result.looking is None:
        return ()
    widths = (WIDE.width, NARROW.width)
    return tuple(
        (boundary_svg(path, locale, widths[0]), boundary_svg(path, locale, widths[1])) for path in result.looking.paths
    )


def _harm_row(result: ExperimentResult, item: HarmEvidence, locale: Locale) -> HarmRow:
    metric = next(rail.metric for rail in result.guardrails if rail.metric.name == item.metric)
    one, other = item.affected, item.affected_control
    return HarmRow(
        item.variant,
        metric.harm_words(locale),
        f"{one.events:,} / {one.people:,}",
        f"{other.events:,} / {other.people:,}",
        f"{item.evidence:,.1f} : 1" if item.evidence < 1e6 else "> 1,000,000 : 1",
        words(locale)["harm_stop" if item.stop else "harm_none"],
    )


def _harm_note(result: ExperimentResult, locale: Locale) -> str:
    if not result.harm:
        return ""
    threshold = f"{result.harm[0].threshold:,.0f}"
    return words(locale)["harm_watch_note"].format(threshold=threshold, alpha=f"{result.alpha * 100:g} %")


def _row(
    result: ExperimentResult,
    variant: str,
    metric: MetricInfo,
    comparison: Comparison,
    interval: Interval,
    p_value: float | None,
    role: str,
    locale: Locale,
    status: str,
) -> Row:
    relative = comparison.relative.estimate
    return Row(
        variant,
        metric.words(locale),
        words(locale)[role],
        level(result.arms[variant].metrics[metric.name].mean, metric),
        level(result.arms[result.control].metrics[metric.name].mean, metric),
        amount(comparison.difference, metric, locale),
        bounds(interval, metric, locale, " … "),
        "–" if relative is None else percent(relative, signed=True),
        p_text(p_value),
        words(locale)[status],
    )


def _ahead(result: ExperimentResult, locale: Locale, zone: tzinfo) -> list[str]:
    """Which look this was, what a winner waits for, and when the next look or the verdict comes."""
    say, maturity, looking = words(locale), result.maturity, result.looking
    if maturity is None:
        return []
    if result.verdict is Verdict.INVALID:
        return [say["invalid_next"]]
    due = maturity.verdict_due.astimezone(zone).date().isoformat()
    if looking is None:
        return [say["verdict_on"].format(due=due)] if result.verdict is Verdict.NOT_MATURE else []
    if looking.next_at is None:
        return [say["looked"].format(taken=looking.taken, planned=looking.planned)]
    key, day = "looks" if looking.taken else "first_look", looking.next_at.astimezone(zone).date().isoformat()
    return [say[key].format(taken=looking.taken, planned=looking.planned, due=due, day=day), *_waiting(result, locale)]


def _waiting(result: ExperimentResult, locale: Locale) -> list[str]:
    """Variants that win already, and the guardrails that are not shown to be unharmed yet."""
    found = []
    say = words(locale)
    for goal in result.goals:
        if not goal.significant or goal.improvement <= 0 or result.exploratory:
            continue
        rails = [
            f"“{item.metric.words(locale)}”"
            for item in result.guardrails
            if item.variant == goal.variant and item.status is not GuardrailStatus.UNHARMED
        ]
        names = {"variant": goal.variant, "metric": goal.metric.words(locale)}
        found += [say["waiting"].format(guardrails=say["comma"].join(rails), **names)] if rails else []
    return found


def _remarks(result: ExperimentResult, locale: Locale) -> tuple[str, ...]:
    say = words(locale)
    remarks = [] if result.verdict is Verdict.INVALID else _meanings(result, locale)
    remarks += [say["exploratory"].format(text=text[locale]) for text in result.exploratory]
    sizes = "sizes_wrong" if result.verdict is Verdict.INVALID else "sizes_right"
    if result.sample_ratio.p_value is not None:
        remarks.append(say[sizes].format(p=p_is(result.sample_ratio.p_value)))
    if result.next_shares and result.verdict is Verdict.NOT_MATURE:
        shares = say["comma"].join(f"{name} {share * 100:.0f} %" for name, share in result.next_shares.items())
        remarks.append(say["next_shares"].format(shares=shares))
    if maturity := result.maturity:
        remarks.append(say["maturity"].format(mature=f"{maturity.mature:,}", open=f"{maturity.open:,}"))
        remarks += [say["late"].format(late=f"{maturity.late:,}")] if maturity.late else []
    return (*remarks, *(note[locale] for note in result.notes))
