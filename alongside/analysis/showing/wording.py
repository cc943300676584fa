"""The verdict in one sentence that a head of marketing understands, in both languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from alongside.analysis.judging.decision import Decided
from alongside.analysis.judging.harm import HarmEvidence
from alongside.analysis.result import Arm, Maturity, MetricInfo
from alongside.analysis.showing.words import words
from alongside.model.enums import Locale, Verdict
from alongside.outreach.experiments import Unit
from alongside.outreach.experiments.metrics import MetricKind
from alongside.stats import Interval, Unavailable
from alongside.stats.sample_ratio import SampleRatio

_ZH, _EN = Locale.ZH_CN, Locale.EN

_SENTENCES: Mapping[str, Mapping[Locale, str]] = {
    "ship": {
        _ZH: "采用“{variant}”：“{metric}”为 {mean}，对照“{control}”为 {base}（{change}），各项护栏指标均未受损。",
        _EN: "Use “{variant}”: “{metric}” is {mean} with it and {base} with “{control}” ({change}), and no guardrail"
        " is harmed.",
    },
    "win": {
        _ZH: "采用“{variant}”：“{metric}”为 {mean}，对照“{control}”为 {base}（{change}）。",
        _EN: "Use “{variant}”: “{metric}” is {mean} with it and {base} with “{control}” ({change}).",
    },
    "keep": {
        _ZH: "保留“{control}”：“{variant}”更差，“{metric}”为 {mean}，而对照为 {base}（{change}）。",
        _EN: "Keep “{control}”: “{variant}” does worse, “{metric}” is {mean} with it and {base} without ({change}).",
    },
    "unclear": {
        _ZH: "尚无定论，保留“{control}”：“{metric}”在“{variant}”为 {mean}，在对照为 {base}（{change}），可能只是偶然。",
        _EN: "No proof either way, so keep “{control}”: “{metric}” is {mean} with “{variant}” and {base} with"
        " “{control}” ({change}), which may be chance.",
    },
    "nothing": {
        _ZH: "数据不足，无法比较，保留“{control}”。",
        _EN: "There are too few data to compare anything, so keep “{control}”.",
    },
    "alike": {
        _ZH: "无法比较，保留“{control}”：各组所有人的“{metric}”数值都相同。",
        _EN: "Keep “{control}”: everybody in both arms has the same value of “{metric}”, so there is nothing to"
        " compare.",
    },
    "endless": {
        _ZH: "无法比较，保留“{control}”：“{metric}”没有有限的数值（例如达到该分位的人太少）。",
        _EN: "Keep “{control}”: “{metric}” has no finite value to compare, as when too few people have reached it.",
    },
    "unproven_guardrail": {
        _ZH: "暂时保留“{control}”：“{variant}”改善了“{metric}”（{change}），但不能证明“{guardrail}”未受损"
        "（最坏可能变差 {worst}，允许 {margin}）。",
        _EN: "Keep “{control}” for now: “{variant}” improves “{metric}” ({change}), but “{guardrail}” is not shown to"
        " be unharmed (it may be worse by {worst}, accepted are {margin}).",
    },
    "exploratory": {
        _ZH: "仅供探索，不作结论：实验在启动后被修改；“{variant}”的“{metric}”看似更好（{change}），"
        "请重新做一次实验来证实。",
        _EN: "Exploratory only, because the experiment was changed after its launch: “{variant}” looks better on"
        " “{metric}” ({change}); prove it with a fresh experiment.",
    },
    "harm": {
        _ZH: "停用“{variant}”：“{guardrail}”变差，为 {mean}，而对照为 {base}（{change}）；保留“{control}”。",
        _EN: "Stop “{variant}”: “{guardrail}” is worse, {mean} against {base} ({change}); keep “{control}”.",
    },
    "weighed": {
        _ZH: "停用“{variant}”：“{guardrail}”在 {people} {units}中有 {affected} {unit}，对照 {people_0} {units}中有"
        " {affected_0} {unit}；若无伤害，出现如此证据（{evidence} : 1）的机会极小；保留“{control}”。",
        _EN: "Stop “{variant}”: {affected} of its {people} {units} count as “{guardrail}”, and {affected_0} of"
        " {people_0} with “{control}”; evidence as strong as this ({evidence} : 1) hardly ever comes by chance, so keep"
        " “{control}”.",
    },
    "early": {
        _ZH: "为时尚早：目前已入组 {enrolled} 人，其中 {known} 人的结果已知，最迟 {due} 得出结论。",
        _EN: "Too early to tell: so far the outcomes of {known} of {enrolled} people are known, and the verdict is due"
        " by {due}.",
    },
    "void": {
        _ZH: "结果作废：{place}各组{units}数（{observed}）与计划（{expected}）不符（{p}），请先查明原因，"
        "再看任何差异。",
        _EN: "Void: {place}the arms got {observed} {units} where {expected} were planned ({p}); find the cause before"
        " believing any difference.",
    },
}

_UNTOLD = {Unavailable.NO_VARIATION: "alike", Unavailable.NOT_FINITE: "endless"}

#: What was assigned, and is counted: in Chinese the word with its measure, and the measure alone.
_UNITS: Mapping[Unit, Mapping[Locale, tuple[str, str]]] = {
    Unit.PERSON: {_ZH: ("人", "人"), _EN: ("people", "people")},
    Unit.HOUSEHOLD: {_ZH: ("户家庭", "户"), _EN: ("households", "households")},
    Unit.CLINIC: {_ZH: ("个科室", "个"), _EN: ("clinics", "clinics")},
}


#: One part of the people: by what they are divided (a column, or the planned channel), and its value there.
Place = tuple[str, str]
CHANNEL = "channel"


@dataclass(frozen=True)
class Facts:
    """What the sentences may mention."""

    control: str
    arms: Mapping[str, Arm]
    alpha: float
    sample_ratio: SampleRatio
    has_guardrails: bool
    exploratory: bool
    maturity: Maturity | None = None
    unit: Unit = Unit.PERSON
    zone: tzinfo = UTC  # of the readers: what is due at their breakfast is yesterday's in another
    place: Place | None = None  # where the arms' sizes are wrong, unless among everybody


def sentence(decided: Decided, facts: Facts) -> dict[Locale, str]:
    """The verdict in words, by locale."""
    key = _key(decided, facts)
    return {locale: _SENTENCES[key][locale].format(**_values(decided, facts, locale)) for locale in (_ZH, _EN)}


def _key(decided: Decided, facts: Facts) -> str:
    if decided.harm is not None:
        return "weighed"
    simple = {
        Verdict.SHIP: "ship" if facts.has_guardrails else "win",
        Verdict.KEEP_CONTROL: "keep",
        Verdict.STOP_FOR_HARM: "harm",
        Verdict.NOT_MATURE: "early",
        Verdict.INVALID: "void",
    }
    if decided.verdict in simple:
        return simple[decided.verdict]
    if decided.goal is None:
        reason = decided.untold.comparison.reason if decided.untold else None
        return _UNTOLD.get(reason, "nothing") if reason else "nothing"
    if decided.guardrail is not None:
        return "unproven_guardrail"
    won = decided.goal.significant and decided.goal.improvement > 0
    return "exploratory" if won and facts.exploratory else "unclear"


def _values(decided: Decided, facts: Facts, locale: Locale) -> dict[str, str]:
    units, unit = _UNITS[facts.unit][locale]
    values = {"variant": decided.variant or "", "control": facts.control, "units": units, "unit": unit}
    if decided.verdict is Verdict.INVALID:
        values["place"] = _place(facts.place, locale)
        return values | _ratio_values(facts.sample_ratio) | {"units": units.removeprefix("户").removeprefix("个")}
    if facts.maturity is not None:
        enrolled = facts.maturity.mature + facts.maturity.open
        values |= {"known": f"{facts.maturity.mature:,}", "enrolled": f"{enrolled:,}"}
        values["due"] = _day(facts.maturity.verdict_due, facts.zone)
    if guardrail := decided.guardrail:
        values["guardrail"] = guardrail.metric.words(locale)
        values["margin"] = amount(guardrail.margin, guardrail.metric, locale, signed=False)
        low, high = guardrail.comparison.interval.low, guardrail.comparison.interval.high
        worst = high if guardrail.metric.direction.sign < 0 else None if low is None else -low
        values["worst"] = amount(worst, guardrail.metric, locale, signed=False)
    if harm := decided.harm:
        if decided.guardrail is not None:
            values["guardrail"] = decided.guardrail.metric.harm_words(locale)
        return values | _harm_values(harm)
    if decided.untold is not None:
        values["metric"] = decided.untold.metric.words(locale)
    source = decided.goal or decided.guardrail
    if source is not None:
        metric = source.metric
        interval = decided.goal.adjusted if decided.goal else source.comparison.interval
        values["metric"] = metric.words(locale)
        values["mean"] = level(facts.arms[source.variant].metrics[metric.name].mean, metric)
        values["base"] = level(facts.arms[facts.control].metrics[metric.name].mean, metric)
        values["change"] = change(source.comparison.difference, interval, metric, facts.alpha, locale)
    return values


def _harm_values(harm: HarmEvidence) -> dict[str, str]:
    return {
        "affected": f"{harm.affected.events:,}",
        "people": f"{harm.affected.people:,}",
        "affected_0": f"{harm.affected_control.events:,}",
        "people_0": f"{harm.affected_control.people:,}",
        "evidence": f"{min(harm.evidence, 1e6):,.0f}",
    }


def _place(place: Place | None, locale: Locale) -> str:
    if place is None:
        return ""
    say, (division, value) = words(locale), place
    column, part = say.get(f"column:{division}", division), say.get(f"value:{value}", value)
    return f"在“{column}：{part}”这部分人中，" if locale is _ZH else f"in one part of the people ({column}: {part}) "


def _ratio_values(ratio: SampleRatio) -> dict[str, str]:
    observed = " : ".join(f"{count:,}" for count in ratio.observed.values())
    expected = " : ".join(f"{count:,.0f}" for count in ratio.expected.values())
    return {"observed": observed, "expected": expected, "p": p_is(ratio.p_value)}


def _day(moment: datetime, zone: tzinfo) -> str:
    return moment.astimezone(zone).date().isoformat()


def level(value: float | None, metric: MetricInfo) -> str:
    """A mean as people write it: a rate in percent, anything else with three significant digits."""
    if value is None:
        return "–"
    return percent(value) if metric.kind is MetricKind.BINARY else _digits(value)


def percent(value: float, *, signed: bool = False) -> str:
    """A share in percent; what rounds to nothing has no sign."""
    return f"{_points(value, signed=signed)} %"


def _points(value: float, *, signed: bool) -> str:
    rounded = round(value * 100, 1)
    return f"{rounded:{'+' if signed and rounded else ''},.1f}" if rounded else "0.0"


def amount(value: float | None, metric: MetricInfo, locale: Locale, *, signed: bool = True) -> str:
    """A difference: percentage points for a rate."""
    if value is None:
        return "–"
    if metric.kind is not MetricKind.BINARY:
        return ("+" if signed and value > 0 else "") + _digits(value)
    unit = " 个百分点" if locale is Locale.ZH_CN else " points"
    return _points(value, signed=signed) + unit


def bounds(interval: Interval, metric: MetricInfo, locale: Locale, between: str) -> str:
    """Both ends of an interval without their unit; a dash where there is none at all."""
    if interval.low is None and interval.high is None:
        return "–"
    ends = (("-∞", interval.low), ("+∞", interval.high))
    return between.join(
        unbounded if bound is None else amount(bound, metric, locale).split(" ")[0] for unbounded, bound in ends
    )


def change(difference: float | None, interval: Interval, metric: MetricInfo, alpha: float, locale: Locale) -> str:
    """A difference with its interval."""
    confidence = f"{(1 - alpha) * 100:g} %"
    text = amount(difference, metric, locale)
    if locale is Locale.ZH_CN:
        return f"差异 {text}，{confidence} 区间 {bounds(interval, metric, locale, ' 至 ')}"
    return f"difference {text}, {confidence} interval {bounds(interval, metric, locale, ' to ')}"


def chance_text(chance: float, locale: Locale) -> str:
    """A chance in percent that never claims to be certain."""
    above, below = ("超过 ", "不到 ") if locale is Locale.ZH_CN else ("above ", "below ")
    if chance > 0.999:
        return f"{above}99.9 %"
    return f"{below}0.1 %" if chance < 0.001 else f"{chance * 100:.1f} %"


def loss_text(loss: float, metric: MetricInfo, locale: Locale) -> str:
    """An expected loss; what rounds to nothing is said to be less than the smallest amount."""
    if metric.kind is MetricKind.BINARY and loss < 0.0005:
        below = "不到 " if locale is Locale.ZH_CN else "below "
        return below + amount(0.001, metric, locale, signed=False)
    return amount(loss, metric, locale, signed=False)


def p_text(p: float | None) -> str:
    if p is None:
        return "–"
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def p_is(p: float | None) -> str:
    """The same within a sentence."""
    return f"p {text}" if (text := p_text(p)).startswith("<") else f"p = {text}"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
