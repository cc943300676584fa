"""One experiment's part of the HTML report: words and figures, ready to place."""

from __future__ import annotations

from dataclasses import dataclass

from alongside.analysis.figures import forest_svg
from alongside.analysis.result import ExperimentResult, MetricInfo
from alongside.analysis.wording import amount, level, p_text
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
class Section:
    name: str
    verdict: Verdict
    headline: str
    arms: tuple[tuple[str, int], ...]
    rows: tuple[Row, ...]
    remarks: tuple[str, ...]
    delivery: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]
    figure: str  # SVG


_WORDS = {
    "goal": {Locale.ZH_CN: "目标", Locale.EN: "goal"},
    "guardrail": {Locale.ZH_CN: "护栏", Locale.EN: "guardrail"},
    "better": {Locale.ZH_CN: "显著更好", Locale.EN: "better"},
    "worse": {Locale.ZH_CN: "显著更差", Locale.EN: "worse"},
    "open": {Locale.ZH_CN: "未证实", Locale.EN: "not proven"},
    "unharmed": {Locale.ZH_CN: "未受损", Locale.EN: "unharmed"},
    "harmed": {Locale.ZH_CN: "受损", Locale.EN: "harmed"},
    "unclear": {Locale.ZH_CN: "不确定", Locale.EN: "unclear"},
    "exploratory": {Locale.ZH_CN: "仅供探索：{text}", Locale.EN: "Exploratory: {text}"},
    "ratio": {Locale.ZH_CN: "各组人数检验 p = {p}", Locale.EN: "Sample-ratio check p = {p}"},
    "maturity": {
        Locale.ZH_CN: "结果已知 {mature} 人，窗口未满 {open} 人，入组结束后 {late} 人（不计入）；结论日 {due}",
        Locale.EN: "Outcomes known of {mature} people, windows open of {open}, {late} came after enrolment and do not"
        " count; verdict due {due}",
    },
}


def section(result: ExperimentResult, locale: Locale) -> Section:
    """The report's section in one language."""
    goals = [
        _row(result, item.variant, item.metric, item.comparison, item.adjusted, item.adjusted_p, "goal", locale,
             _WORDS["open" if not item.significant else "better" if item.improvement > 0 else "worse"][locale])
        for item in result.goals
    ]  # fmt: skip
    guardrails = [
        _row(result, item.variant, item.metric, item.comparison, item.comparison.interval, item.comparison.p_value,
             "guardrail", locale, _WORDS[item.status.value][locale])
        for item in result.guardrails
    ]  # fmt: skip
    return Section(
        result.name,
        result.verdict,
        result.verdict_text[locale],
        tuple((name, arm.n) for name, arm in result.arms.items()),
        (*goals, *guardrails),
        _remarks(result, locale),
        tuple((name, tuple(counts.items())) for name, counts in result.delivery.items()),
        forest_svg(result, locale),
    )


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
    bounds = (amount(bound, metric, locale).split(" ")[0] for bound in (interval.low, interval.high))
    return Row(
        variant,
        metric.words(locale),
        _WORDS[role][locale],
        level(result.arms[variant].metrics[metric.name].mean, metric),
        level(result.arms[result.control].metrics[metric.name].mean, metric),
        amount(comparison.difference, metric, locale),
        " … ".join(bounds),
        "–" if relative is None else f"{relative * 100:+.1f} %",
        p_text(p_value),
        status,
    )


def _remarks(result: ExperimentResult, locale: Locale) -> tuple[str, ...]:
    remarks = [_WORDS["exploratory"][locale].format(text=text[locale]) for text in result.exploratory]
    remarks.append(_WORDS["ratio"][locale].format(p=p_text(result.sample_ratio.p_value)))
    if maturity := result.maturity:
        counts = {"mature": f"{maturity.mature:,}", "open": f"{maturity.open:,}", "late": f"{maturity.late:,}"}
        due = maturity.verdict_due.date().isoformat()
        remarks.append(_WORDS["maturity"][locale].format(due=due, **counts))
    return (*remarks, *(note[locale] for note in result.notes))
