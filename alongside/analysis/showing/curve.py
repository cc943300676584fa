"""How many had the event by each day since their message, one line an arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alongside.analysis.result import MetricInfo
from alongside.analysis.showing.svg import FAINT, GOOD, GRID, NARROW_WIDTH, NEUTRAL, drawing, line, shortened, text
from alongside.analysis.showing.words import words
from alongside.model.enums import Locale

_TOP, _BOTTOM, _LEFT = 50, 210, 44
_COLOURS = (NEUTRAL, GOOD, "#8a5a00", "#3b5bdb", "#9c36b5", "#0b7285", "#c92a2a", "#5c940d", "#e8590c", "#495057")


def curve_svg(metric: MetricInfo, shares: Mapping[str, Sequence[float]], locale: Locale, width: int) -> str:
    """Shares by day, as `timing.since_message` gives them; the first arm is drawn in grey."""
    say = words(locale)
    title = say["since_message"].format(metric=metric.words(locale))
    days = max((len(values) for values in shares.values()), default=0)
    most = max((values[-1] for values in shares.values()), default=0.0)
    if not days or most <= 0:
        return drawing(width, 90, title, [text(_LEFT, 62, say["nothing_to_compare"], colour=FAINT)])
    right = width - 14

    def x(day: int) -> float:
        return _LEFT + (right - _LEFT) * day / days

    def y(share: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * share / (most * 1.1)

    body = []
    for step in range(3):
        share, digits = most * step / 2, 1 if most >= 0.005 else 2
        body += [
            line(_LEFT, y(share), right, y(share), GRID),
            text(_LEFT - 6, y(share) + 4, f"{share * 100:.{digits}f} %", size=11, colour=FAINT, anchor="end"),
        ]
    for place, (arm, values) in enumerate(shares.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        places = " ".join(f"{x(day):.1f},{y(share):.1f}" for day, share in enumerate((0.0, *values)))
        body.append(f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        left = _LEFT + place * ((right - _LEFT) / max(3, len(shares)))
        body.append(text(left, _BOTTOM + 40, f"— {shortened(arm, 16)}", size=12, colour=colour, weight=600))
    every = max(1, days // (14 if width > NARROW_WIDTH else 7))
    body += [
        text(x(day), _BOTTOM + 18, str(day), size=11, colour=FAINT, anchor="middle")
        for day in range(0, days + 1, every)
    ]
    return drawing(width, _BOTTOM + 54, title, body)
