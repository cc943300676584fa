"""Every comparison of an experiment in one figure: estimates, intervals, zero and the guardrails' margins."""

from __future__ import annotations

from dataclasses import dataclass

from alongside.analysis.result import ExperimentResult, GuardrailStatus, MetricInfo
from alongside.analysis.showing.svg import (
    BAD,
    FAINT,
    GOOD,
    GRID,
    NARROW_WIDTH,
    NEUTRAL,
    WIDE_WIDTH,
    drawing,
    line,
    shortened,
    text,
)
from alongside.analysis.showing.wording import amount, bounds, level
from alongside.analysis.showing.words import words
from alongside.model.enums import Locale, Verdict
from alongside.stats import Interval


@dataclass(frozen=True)
class Layout:
    """Where the parts of a forest's row stand, in the figure's own units (CSS pixels at full width).

    Attributes
    ----------
    start, end : x of the interval's line, from worst to best
    row, line, tick : height of a row; y of its line; half the height of the marks on it
    value, anchor : x of the estimate, and which end of the text stands there
    title_most, detail_most : Latin letters that fit
    """

    width: int
    start: int
    end: int
    row: int
    line: int
    tick: int
    value: int
    anchor: str
    title_most: int
    detail_most: int


WIDE = Layout(WIDE_WIDTH, 270, 590, row=46, line=18, tick=16, value=604, anchor="start", title_most=34, detail_most=44)
#: A phone: words above the line rather than beside it.
NARROW = Layout(NARROW_WIDTH, 12, 328, row=72, line=48, tick=11, value=328, anchor="end", title_most=28, detail_most=41)


@dataclass(frozen=True)
class _Row:
    title: str
    detail: str
    metric: MetricInfo
    estimate: float
    interval: Interval
    colour: str
    margin: float | None = None  # in the metric's own direction: where harm begins


def forest_svg(result: ExperimentResult, locale: Locale = Locale.EN, layout: Layout = WIDE) -> str:
    """Every variant against control on every metric: estimate, interval, zero, and the guardrails' margins.

    Each row is scaled by itself (metrics differ in unit) with "better" on the right; green and filled excludes no
    difference or is unharmed, a red square is worse, grey and hollow proves nothing, as does everything of which
    nothing is claimed yet.
    """
    say = words(locale)
    rows = _rows(result, locale)
    confidence = f"{(1 - result.alpha) * 100:g} %"
    title = say["difference_from"].format(control=result.control, level=confidence)
    if not rows:
        return drawing(layout.width, 90, title, [text(layout.start, 62, say["nothing_to_compare"], colour=FAINT)])
    body = [
        text(layout.start, 46, "← " + say["to_worse"], size=11, colour=FAINT),
        text(layout.end, 46, say["to_better"] + " →", size=11, colour=FAINT, anchor="end"),
    ]
    if any(row.margin is not None for row in rows):
        middle = (layout.start + layout.end) / 2
        body.append(line(middle - 44, 36, middle - 44, 48, BAD, 1.5, dash="3 3"))
        body.append(text(middle - 36, 46, say["limit"], size=11, colour=FAINT))
    for index, row in enumerate(rows):
        body += _forest_row(row, 62 + index * layout.row, locale, layout)
    bottom = 72 + len(rows) * layout.row
    body.append(text(20 if layout is WIDE else layout.start, bottom + 4, say["marks"], size=11, colour=FAINT))
    return drawing(layout.width, bottom + 16, title, body)


def unclaimed(result: ExperimentResult) -> str | None:
    """Why nothing is claimed of any comparison yet, as a key of `words`: the arms are void, or one look is planned and
    its day has not come, so that a difference that looks significant now is one of many that may.
    """
    if result.verdict is Verdict.INVALID:
        return "void"
    return "too_early" if result.verdict is Verdict.NOT_MATURE and result.looking is None else None


def _rows(result: ExperimentResult, locale: Locale) -> list[_Row]:
    rows, open_ = [], unclaimed(result) is not None
    for goal in result.goals:
        if goal.comparison.difference is not None and goal.comparison.p_value is not None:
            colour = NEUTRAL if open_ or not goal.significant else GOOD if goal.improvement > 0 else BAD
            means = _means(result, goal.variant, goal.metric)
            detail = f"{goal.variant} · {words(locale)['goal']} · {means}"
            rows.append(
                _Row(goal.metric.words(locale), detail, goal.metric, goal.comparison.difference, goal.adjusted, colour)
            )
    colours = {GuardrailStatus.UNHARMED: GOOD, GuardrailStatus.HARMED: BAD, GuardrailStatus.UNCLEAR: NEUTRAL}
    for item in result.guardrails:
        if item.comparison.difference is not None and item.comparison.p_value is not None:
            detail = f"{item.variant} · {words(locale)['guardrail']} · {_means(result, item.variant, item.metric)}"
            rows.append(
                _Row(
                    item.metric.words(locale), detail, item.metric, item.comparison.difference,
                    item.comparison.interval, NEUTRAL if open_ else colours[item.status], item.margin,
                )
            )  # fmt: skip
    return rows


def _means(result: ExperimentResult, variant: str, metric: MetricInfo) -> str:
    one, other = (result.arms[name].metrics[metric.name].mean for name in (variant, result.control))
    return f"{level(one, metric)} / {level(other, metric)}"


def _forest_row(row: _Row, top: float, locale: Locale, layout: Layout) -> list[str]:
    sign = row.metric.direction.sign
    low, high = sorted(
        sign * (row.estimate if bound is None else bound) for bound in (row.interval.low, row.interval.high)
    )
    reach = max(abs(low), abs(high), row.margin or 0.0, 1e-12) * 1.1
    middle, words_at = top + layout.line, 20 if layout.anchor == "start" else layout.start

    def at(value: float) -> float:
        return layout.start + (value + reach) / (2 * reach) * (layout.end - layout.start)

    def mark(value: float, half: float, colour: str, width: float = 1, dash: str = "") -> str:
        return line(at(value), middle - half, at(value), middle + half, colour, width, dash)

    value = amount(row.estimate, row.metric, locale)
    ends = bounds(row.interval, row.metric, locale, " to " if locale is Locale.EN else " 至 ")
    parts = [
        text(words_at, top + 14, shortened(row.title, layout.title_most)),
        text(words_at, top + 30, shortened(row.detail, layout.detail_most), size=11, colour=FAINT),
        line(layout.start, middle, layout.end, middle, GRID),
        mark(0, layout.tick, FAINT),
        line(at(low), middle, at(high), middle, row.colour, 3),
        _dot(at(sign * row.estimate), middle, row.colour),
        text(layout.value, top + 14, value, colour=row.colour, weight=600, anchor=layout.anchor),
        text(layout.value, top + 30, ends, size=11, colour=FAINT, anchor=layout.anchor),
    ]
    if row.margin is not None:
        parts.append(mark(-row.margin, layout.tick * 0.75, BAD, 1.5, dash="3 3"))
    return parts


def _dot(x: float, y: float, colour: str) -> str:
    """The estimate, told apart by its form as well: not everybody sees the colours, and a printer may have none."""
    if colour == BAD:
        return f'<rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10" fill="{colour}"/>'
    inside = "#ffffff" if colour == NEUTRAL else colour
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{inside}" stroke="{colour}" stroke-width="2"/>'
