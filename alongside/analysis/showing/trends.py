"""Figures over time: runs as bars, a course as a small line. SVG text, for the report."""

from __future__ import annotations

from collections.abc import Sequence

from alongside.analysis.showing.words import words
from alongside.model.enums import Locale

_HEIGHT, _BASE = 240, 190
_LIGHT, _DARK = "#b9d5cf", "#1f6f64"
#: Units that a bar with its date needs; what does not fit is older and left out.
_LEAST_STEP = 18


def bars_svg(days: Sequence[tuple[str, int, int]], locale: Locale, width: int = 900) -> str:
    """Bars of (label, accepted, delivered), the newest that fit: light for accepted, dark for delivered within it."""
    say = words(locale)
    title = say["messages_by_run"]
    days = days[-((width - 40) // _LEAST_STEP) :]
    most = max((count for _, count, _ in days), default=0)
    step = min((width - 40) / max(len(days), 1), 140)
    parts = [
        f'<svg viewBox="0 0 {width} {_HEIGHT}" role="img" aria-label="{title}" xmlns="http://www.w3.org/2000/svg">',
        *_legend(width, (say["accepted"], _LIGHT), (say["delivered"], _DARK)),
    ]
    every = -(-len(days) * 42 // (width - 40)) or 1  # dates are 42 units wide
    for place, (label, taken, arrived) in enumerate(days):
        left = 20 + place * step
        for count, colour in ((taken, _LIGHT), (arrived, _DARK)):
            height = (_BASE - 50) * count / most if most else 0
            parts.append(
                f'<rect x="{left:.1f}" y="{_BASE - height:.1f}" width="{step * 0.7:.1f}" height="{height:.1f}"'
                f' fill="{colour}"><title>{label}: {count:,}</title></rect>'
            )
        middle = left + step * 0.35
        if taken and step >= 30:
            top = _BASE - (_BASE - 50) * taken / most - 5
            parts.append(f'<text x="{middle:.1f}" y="{top:.1f}" class="n">{taken:,}</text>')
        if (len(days) - 1 - place) % every == 0:
            parts.append(f'<text x="{middle:.1f}" y="{_BASE + 18}" class="n">{label}</text>')
    parts.append(f'<line x1="15" x2="{width - 15}" y1="{_BASE}" y2="{_BASE}" stroke="#8a9a97"/></svg>')
    return "".join(parts)


def _legend(width: int, *entries: tuple[str, str]) -> list[str]:
    return [
        f'<rect x="{width - 240 + place * 130}" y="10" width="12" height="12" fill="{colour}"/>'
        f'<text x="{width - 222 + place * 130}" y="21" class="s">{text}</text>'
        for place, (text, colour) in enumerate(entries)
    ]


def spark_svg(values: Sequence[float]) -> str:
    """A small line of shares between 0 and 1; the lower edge is 10 points below the lowest value."""
    if len(values) < 2:
        return ""
    low = max(0.0, min(values) - 0.1)
    points = " ".join(
        f"{4 + 112 * place / (len(values) - 1):.1f},{26 - 22 * (value - low) / (1.0001 - low):.1f}"
        for place, value in enumerate(values)
    )
    first, last = f"{values[0]:.1%}", f"{values[-1]:.1%}"
    return (
        '<svg viewBox="0 0 120 30" width="120" height="30" role="img" xmlns="http://www.w3.org/2000/svg"'
        f' aria-label="{first} to {last}">'
        f'<polyline points="{points}" fill="none" stroke="#1f6f64" stroke-width="2"/></svg>'
    )
