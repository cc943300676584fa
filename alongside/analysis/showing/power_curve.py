"""The chance to find an effect, by its size: what an experiment promises before it is launched."""

from __future__ import annotations

from collections.abc import Sequence

from alongside.analysis.result import MetricInfo
from alongside.analysis.showing.svg import (
    BAD,
    FAINT,
    GOOD,
    GRID,
    INK,
    NEUTRAL,
    WIDE_WIDTH,
    drawing,
    line,
    text,
)
from alongside.analysis.showing.wording import amount
from alongside.analysis.showing.words import words
from alongside.model.enums import Locale
from alongside.outreach.experiments import CurvePoint, DesignReport

_TOP, _BOTTOM, _LEFT = 50, 250, 52
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


def power_svg(
    report: DesignReport,
    curve: Sequence[CurvePoint],
    metric: MetricInfo,
    locale: Locale = Locale.EN,
    width: int = WIDE_WIDTH,
) -> str:
    """Power by effect with the people expected; dashed are the planned power and the planned smallest effect."""
    say = words(locale)
    title = say["power_of"].format(metric=metric.words(locale), people=f"{report.people_expected:,}")
    right, most = width - 14, curve[-1].effect

    def x(effect: float) -> float:
        return _LEFT + effect / most * (right - _LEFT)

    def y(power: float) -> float:
        return _BOTTOM - power * (_BOTTOM - _TOP)

    body = [line(_LEFT, y(power), right, y(power), GRID) for power in _TICKS]
    body += [text(_LEFT - 8, y(power) + 4, f"{power:.0%}", size=11, colour=FAINT, anchor="end") for power in _TICKS]
    body += [
        line(_LEFT, y(report.planned_power), right, y(report.planned_power), NEUTRAL, 1, dash="4 4"),
        line(x(report.minimum_effect), _TOP, x(report.minimum_effect), _BOTTOM, NEUTRAL, 1, dash="4 4"),
    ]
    places = " ".join(f"{x(point.effect):.1f},{y(point.power):.1f}" for point in curve)
    body.append(f'<polyline points="{places}" fill="none" stroke="{INK}" stroke-width="2"/>')
    colour = GOOD if report.powered else BAD
    planned = f"{_amount(report.minimum_effect, metric, locale)}: {report.power:.0%}"
    body.append(
        f'<circle cx="{x(report.minimum_effect):.1f}" cy="{y(report.power):.1f}" r="5" fill="{colour}">'
        f"<title>{planned}</title></circle>"
    )
    for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        effect = _amount(share * most, metric, locale)
        body.append(text(x(share * most), _BOTTOM + 18, effect, size=11, colour=FAINT, anchor=anchor))
    found = say["power_at_minimum"].format(
        amount=_amount(report.minimum_effect, metric, locale), power=f"{report.power:.0%}"
    )
    body.append(text(_LEFT, _BOTTOM + 38, found, size=12, colour=colour, weight=600))
    return drawing(width, _BOTTOM + 52, title, body)


def _amount(effect: float, metric: MetricInfo, locale: Locale) -> str:
    return amount(metric.direction.sign * effect if effect else 0.0, metric, locale, signed=bool(effect))
