"""The way of one comparison through its boundaries, look by look: where it stands and what it still needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from alongside.analysis.result import PathOfGoal, Point
from alongside.analysis.showing.svg import (
    BAD,
    FAINT,
    GOOD,
    GRID,
    INK,
    NARROW_WIDTH,
    NEUTRAL,
    drawing,
    line,
    text,
)
from alongside.analysis.showing.words import words
from alongside.model.enums import Locale

_TOP, _BOTTOM = 50, 250
_LEFT = 44
#: Boundaries of the first looks lie far outside: the figure shows up to here, or to where the path went.
_REACH = 4.5


def boundary_svg(path: PathOfGoal, locale: Locale, width: int) -> str:
    """z of every look against the boundaries of a claim; "better" is up, looks to come are dashed."""
    say = words(locale)
    title = say["path_of"].format(metric=path.metric.words(locale), variant=path.variant)
    points = path.points
    if not points:
        return drawing(width, 90, title, [text(_LEFT, 62, say["nothing_to_compare"], colour=FAINT)])
    seen = [point for point in points if point.z is not None]
    reach = max([_REACH, *(abs(point.z or 0.0) * 1.1 for point in seen)])
    scale = _Scale(points, reach, width)
    body = _frame(scale, points, say, width, locale)
    for sign, colour in ((1, GOOD), (-1, BAD)):
        edge = [(point.number, sign * point.bound) for point in points]
        taken = len([point for point in points if point.people is not None])
        body += [scale.curve(edge[:taken], colour), scale.curve(edge[max(0, taken - 1) :], colour, dash="4 4")]
    body.append(scale.curve([(point.number, point.z or 0.0) for point in seen], INK))
    body += [
        f'<circle cx="{scale.x(point.number):.1f}" cy="{scale.y(point.z or 0.0):.1f}" r="3.5" fill="{_colour(point)}">'
        f"<title>{_day(point.at, locale)}: {point.z or 0.0:+.2f} / ±{point.bound:.2f}</title></circle>"
        for point in seen
    ]
    return drawing(width, _BOTTOM + 76, title, body)


class _Scale:
    """From look numbers and z to the figure's units; what lies outside is drawn at the edge."""

    def __init__(self, points: Sequence[Point], reach: float, width: int) -> None:
        self.reach, self.right = reach, width - 14
        self._first, self._last = min(0, points[0].number - 1), max(points[-1].number, 1)

    def x(self, number: int) -> float:
        return _LEFT + (number - self._first) / (self._last - self._first) * (self.right - _LEFT)

    def y(self, z: float) -> float:
        clipped = min(self.reach, max(-self.reach, z))
        return _TOP + (self.reach - clipped) / (2 * self.reach) * (_BOTTOM - _TOP)

    def curve(self, values: Sequence[tuple[int, float]], colour: str, dash: str = "") -> str:
        places = " ".join(f"{self.x(number):.1f},{self.y(z):.1f}" for number, z in values)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>'


def _frame(scale: _Scale, points: Sequence[Point], say: Mapping[str, str], width: int, locale: Locale) -> list[str]:
    parts = [line(_LEFT, scale.y(z), scale.right, scale.y(z), GRID) for z in (-4, -2, 0, 2, 4)]
    parts += [
        text(_LEFT - 8, scale.y(z) + 4, f"{z:+d}" if z else "0", size=11, colour=FAINT, anchor="end")
        for z in (-4, -2, 0, 2, 4)
    ]
    # The planned day, today, the first look: as many of their dates as find room.
    places = [points[-1], *[point for point in reversed(points) if point.people is not None][:1], points[0]]
    room = 64 if width > NARROW_WIDTH else 48
    drawn: list[float] = []
    for point in places:
        x = min(scale.x(point.number), scale.right - room / 2 + 10)
        if all(abs(x - other) > room for other in drawn):
            parts.append(text(x, _BOTTOM + 18, _day(point.at, locale), size=11, colour=FAINT, anchor="middle"))
            drawn.append(x)
    return [*parts, *_legend(scale, points, say)]


def _legend(scale: _Scale, points: Sequence[Point], say: Mapping[str, str]) -> list[str]:
    left, half = 12, (12 + scale.right) / 2
    parts = [
        text(left, _BOTTOM + 40, say["standard_errors"], size=11, colour=INK),
        text(left, _BOTTOM + 56, say["zone_better"], size=11, colour=GOOD),
        text(half, _BOTTOM + 56, say["zone_worse"], size=11, colour=BAD),
    ]
    if any(point.people is None for point in points):
        parts.append(text(left, _BOTTOM + 72, say["looks_to_come"], size=11, colour=FAINT))
    return parts


def _colour(point: Point) -> str:
    if point.z is None or abs(point.z) < point.bound:
        return NEUTRAL
    return GOOD if point.z > 0 else BAD


def _day(moment: datetime, locale: Locale) -> str:
    return f"{moment.month}月{moment.day}日" if locale is Locale.ZH_CN else f"{moment:%d %b}".lstrip("0")
