"""Figures as self-contained SVG: no fonts or scripts to load, readable in a report, a page or a Prefect artifact.

Text uses the reader's own fonts, so that Chinese needs none to be installed where the figure is made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from alongside.analysis.result import ExperimentResult, GuardrailStatus, MetricInfo
from alongside.analysis.wording import amount, level
from alongside.model.enums import Locale
from alongside.outreach.experiments.metrics import MetricKind
from alongside.stats import Interval

_FONT = "system-ui, 'Noto Sans', 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', sans-serif"
_INK, _FAINT, _GRID = "#1f2933", "#616e7c", "#d9e2ec"
_GOOD, _BAD, _NEUTRAL = "#0b7a4b", "#b42318", "#52606d"
_WIDTH, _LEFT, _RIGHT, _ROW = 760, 270, 170, 46


@dataclass(frozen=True)
class _Row:
    title: str
    detail: str
    metric: MetricInfo
    estimate: float
    interval: Interval
    colour: str
    margin: float | None = None  # in the metric's own direction: where harm begins


_WORDS = {
    "goals": {
        Locale.ZH_CN: "与对照“{control}”的差异（{level} 区间）",
        Locale.EN: "Difference from “{control}” ({level} interval)",
    },
    "guardrail": {Locale.ZH_CN: "护栏", Locale.EN: "guardrail"},
    "goal": {Locale.ZH_CN: "目标", Locale.EN: "goal"},
    "none": {Locale.ZH_CN: "尚无可比较的数据", Locale.EN: "Nothing to compare yet"},
    "funnel": {Locale.ZH_CN: "发送漏斗", Locale.EN: "Funnel"},
    "limit": {Locale.ZH_CN: "允许的界限", Locale.EN: "accepted limit"},
    "worse": {Locale.ZH_CN: "变差", Locale.EN: "worse"},
    "better": {Locale.ZH_CN: "变好", Locale.EN: "better"},
}


def forest_svg(result: ExperimentResult, locale: Locale = Locale.EN) -> str:
    """Every variant against control on every metric: estimate, interval, zero, and the guardrails' margins.

    Each row is scaled by itself (metrics differ in unit) with "better" on the right; green excludes no difference or
    is unharmed, red is worse, grey proves nothing.
    """
    rows = _rows(result, locale)
    confidence = f"{(1 - result.alpha) * 100:g} %"
    title = _WORDS["goals"][locale].format(control=result.control, level=confidence)
    if not rows:
        return _svg(90, title, [_text(20, 62, _WORDS["none"][locale], colour=_FAINT)])
    body = [
        _text(_LEFT, 46, "← " + _WORDS["worse"][locale], size=11, colour=_FAINT),
        _text(_WIDTH - _RIGHT, 46, _WORDS["better"][locale] + " →", size=11, colour=_FAINT, anchor="end"),
    ]
    if any(row.margin is not None for row in rows):
        middle = (_LEFT + _WIDTH - _RIGHT) / 2
        body.append(_line(middle - 44, 36, middle - 44, 48, _BAD, 1.5, dash="3 3"))
        body.append(_text(middle - 36, 46, _WORDS["limit"][locale], size=11, colour=_FAINT))
    for index, row in enumerate(rows):
        body += _forest_row(row, 62 + index * _ROW, locale)
    return _svg(72 + len(rows) * _ROW, title, body)


def _rows(result: ExperimentResult, locale: Locale) -> list[_Row]:
    rows = []
    for goal in result.goals:
        if goal.comparison.difference is not None and goal.comparison.p_value is not None:
            colour = _NEUTRAL if not goal.significant else _GOOD if goal.improvement > 0 else _BAD
            means = _means(result, goal.variant, goal.metric)
            detail = f"{goal.variant} · {_WORDS['goal'][locale]} · {means}"
            rows.append(
                _Row(goal.metric.words(locale), detail, goal.metric, goal.comparison.difference, goal.adjusted, colour)
            )
    colours = {GuardrailStatus.UNHARMED: _GOOD, GuardrailStatus.HARMED: _BAD, GuardrailStatus.UNCLEAR: _NEUTRAL}
    for item in result.guardrails:
        if item.comparison.difference is not None and item.comparison.p_value is not None:
            detail = f"{item.variant} · {_WORDS['guardrail'][locale]} · {_means(result, item.variant, item.metric)}"
            rows.append(
                _Row(
                    item.metric.words(locale), detail, item.metric, item.comparison.difference,
                    item.comparison.interval, colours[item.status], item.margin,
                )
            )  # fmt: skip
    return rows


def _means(result: ExperimentResult, variant: str, metric: MetricInfo) -> str:
    one, other = (result.arms[name].metrics[metric.name].mean for name in (variant, result.control))
    return f"{level(one, metric)} / {level(other, metric)}"


def _forest_row(row: _Row, top: float, locale: Locale) -> list[str]:
    sign = row.metric.direction.sign
    low, high = sorted(
        sign * (row.estimate if bound is None else bound) for bound in (row.interval.low, row.interval.high)
    )
    reach = max(abs(low), abs(high), row.margin or 0.0, 1e-12) * 1.1
    middle = top + 18

    def at(value: float) -> float:
        return _LEFT + (value + reach) / (2 * reach) * (_WIDTH - _LEFT - _RIGHT)

    parts = [
        _text(20, top + 14, _short(row.title, 34)),
        _text(20, top + 30, _short(row.detail, 44), size=11, colour=_FAINT),
        _line(_LEFT, middle, _WIDTH - _RIGHT, middle, _GRID),
        _line(at(0), top + 2, at(0), top + 34, _FAINT),
        _line(at(low), middle, at(high), middle, row.colour, 3),
        f'<circle cx="{at(sign * row.estimate):.1f}" cy="{middle:.1f}" r="5" fill="{row.colour}"/>',
        _text(_WIDTH - _RIGHT + 14, top + 14, amount(row.estimate, row.metric, locale), colour=row.colour, weight=600),
        _text(_WIDTH - _RIGHT + 14, top + 30, _bounds(row, locale), size=11, colour=_FAINT),
    ]
    if row.margin is not None:
        parts.append(_line(at(-row.margin), top + 6, at(-row.margin), top + 30, _BAD, 1.5, dash="3 3"))
    return parts


def _bounds(row: _Row, locale: Locale) -> str:
    factor = 100 if row.metric.kind is MetricKind.BINARY else 1
    texts = ["∞" if bound is None else f"{bound * factor:+.3g}" for bound in (row.interval.low, row.interval.high)]
    return f"{texts[0]} to {texts[1]}" if locale is Locale.EN else f"{texts[0]} 至 {texts[1]}"


def funnel_svg(stages: Sequence[tuple[str, int]], locale: Locale = Locale.EN, title: str | None = None) -> str:
    """Bars of (label, count), each with its count and its share of the first."""
    rows = list(stages)
    largest = max((count for _, count in rows), default=0)
    heading = title or _WORDS["funnel"][locale]
    if not largest:
        return _svg(90, heading, [_text(20, 62, _WORDS["none"][locale], colour=_FAINT)])
    body = []
    for index, (label, count) in enumerate(rows):
        top = 46 + index * 30
        width = (_WIDTH - 220 - 160) * count / largest
        share = f"{count / rows[0][1] * 100:.1f} %" if rows[0][1] else "–"
        body += [
            _text(210, top + 15, _short(label, 26), size=12, anchor="end"),
            f'<rect x="220" y="{top}" width="{max(width, 1):.1f}" height="20" rx="3" fill="#2f6f9f"/>',
            _text(220 + max(width, 1) + 8, top + 15, f"{count:,}  ({share})", size=12, colour=_FAINT),
        ]
    return _svg(60 + len(rows) * 30, heading, body)


def _short(text: str, most: int) -> str:
    """Shortened to about `most` Latin widths; a Chinese character takes two."""
    width = 0
    for index, letter in enumerate(text):
        width += 2 if ord(letter) > 0x2E7F else 1
        if width > most:
            return text[:index] + "…"
    return text


def _svg(height: float, title: str, body: Sequence[str]) -> str:
    inner = "\n".join(body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {math.ceil(height)}" role="img" '
        f'aria-label={quoteattr(title)} style="max-width:{_WIDTH}px;width:100%;height:auto" font-family="{_FONT}">\n'
        f"<title>{escape(title)}</title>\n"
        f'<rect width="{_WIDTH}" height="{math.ceil(height)}" fill="#ffffff"/>\n'
        f"{_text(20, 26, title, size=15, weight=600)}\n{inner}\n</svg>"
    )


def _text(
    x: float, y: float, text: str, *, size: int = 13, colour: str = _INK, anchor: str = "start", weight: int = 400
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}" '
        f'font-weight="{weight}">{escape(text)}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1, dash: str = "") -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'stroke-width="{width:g}" stroke-linecap="round"{dashes}/>'
    )
