"""Figures over time: runs as bars, a course as a small line. SVG text, for the report."""

from __future__ import annotations

from collections.abc import Sequence

from alongside.model.enums import Locale

_WIDTH, _HEIGHT, _BASE = 900, 240, 190
_WORDS = {
    Locale.EN: ("Messages by run", "accepted", "delivered"),
    Locale.ZH_CN: ("每次运行的消息数", "已接收", "已送达"),
}


def bars_svg(days: Sequence[tuple[str, int, int]], locale: Locale) -> str:
    """Bars of (label, accepted, delivered): light for accepted, dark for delivered within it."""
    title, accepted, delivered = _WORDS[locale]
    most = max((count for _, count, _ in days), default=0)
    step = (_WIDTH - 80) / max(len(days), 1)
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title}" xmlns="http://www.w3.org/2000/svg">',
        f'<text x="20" y="22" class="t">{title}</text>',
        f'<rect x="{_WIDTH - 240}" y="10" width="12" height="12" fill="#b9d5cf"/>'
        f'<text x="{_WIDTH - 222}" y="21" class="s">{accepted}</text>',
        f'<rect x="{_WIDTH - 130}" y="10" width="12" height="12" fill="#1f6f64"/>'
        f'<text x="{_WIDTH - 112}" y="21" class="s">{delivered}</text>',
    ]
    every = max(1, len(days) // 12)
    for place, (label, taken, arrived) in enumerate(days):
        left = 50 + place * step
        for count, colour in ((taken, "#b9d5cf"), (arrived, "#1f6f64")):
            height = (_BASE - 50) * count / most if most else 0
            parts.append(
                f'<rect x="{left:.1f}" y="{_BASE - height:.1f}" width="{step * 0.7:.1f}" height="{height:.1f}"'
                f' fill="{colour}"><title>{label}: {count:,}</title></rect>'
            )
        if taken:
            top = _BASE - (_BASE - 50) * taken / most - 5
            parts.append(f'<text x="{left + step * 0.35:.1f}" y="{top:.1f}" class="n">{taken:,}</text>')
        if place % every == 0:
            parts.append(f'<text x="{left + step * 0.35:.1f}" y="{_BASE + 18}" class="n">{label}</text>')
    parts.append(f'<line x1="45" x2="{_WIDTH - 25}" y1="{_BASE}" y2="{_BASE}" stroke="#8a9a97"/></svg>')
    return "".join(parts)


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
