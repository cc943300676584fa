"""Figures as self-contained SVG: no fonts or scripts to load, readable in a report, a page or a Prefect artifact.

Text uses the reader's own fonts, so that Chinese needs none to be installed where the figure is made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

_FONT = "system-ui, 'Noto Sans', 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', sans-serif"
INK, FAINT, GRID = "#1f2933", "#616e7c", "#d9e2ec"
GOOD, BAD, NEUTRAL = "#0b7a4b", "#b42318", "#52606d"
#: A figure in its own units (CSS pixels at full width), on a desk and on a phone.
WIDE_WIDTH, NARROW_WIDTH = 760, 340

_LEADING = 18
#: Beyond stand Chinese characters, which take two Latin widths and may be broken anywhere.
_LAST_LATIN = 0x2E7F


def drawing(width: int, height: float, title: str, body: Sequence[str]) -> str:
    """A figure below its title, which takes a second line where it is long."""
    inner = "\n".join(body)
    left, size, most = (20, 15, 86) if width >= WIDE_WIDTH else (12, 13, 43)
    lines = _lines(title, most)
    if len(lines) > 1:
        height += _LEADING
        inner = f'<g transform="translate(0 {_LEADING})">\n{inner}\n</g>'
    heads = "\n".join(text(left, 26 + _LEADING * row, part, size=size, weight=600) for row, part in enumerate(lines))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {math.ceil(height)}" role="img" '
        f'aria-label={quoteattr(title)} style="max-width:{width}px;width:100%;height:auto" font-family="{_FONT}">\n'
        f"<title>{escape(title)}</title>\n"
        f'<rect width="{width}" height="{math.ceil(height)}" fill="#ffffff"/>\n'
        f"{heads}\n{inner}\n</svg>"
    )


def _lines(words: str, most: int) -> list[str]:
    """The words on one or two lines of about so many Latin widths."""
    first = shortened(words, most)
    if first == words:
        return [words]
    kept = first.removesuffix("…")
    if " " in kept and words[len(kept)] != " " and ord(kept[-1]) <= _LAST_LATIN:
        kept = kept[: kept.rindex(" ")]
    return [kept.rstrip(), shortened(words[len(kept) :].lstrip(), most)]


def shortened(words: str, most: int) -> str:
    """Shortened to about `most` Latin widths; a Chinese character takes two."""
    width = 0
    for index, letter in enumerate(words):
        width += 2 if ord(letter) > _LAST_LATIN else 1
        if width > most:
            return words[:index] + "…"
    return words


def text(
    x: float, y: float, text: str, *, size: int = 13, colour: str = INK, anchor: str = "start", weight: int = 400
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}" '
        f'font-weight="{weight}">{escape(text)}</text>'
    )


def line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1, dash: str = "") -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'stroke-width="{width:g}" stroke-linecap="round"{dashes}/>'
    )
