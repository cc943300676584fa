"""What a reader sees of a message: paragraphs and links. Works on our own, well-formed HTML."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

_HIDDEN = re.compile(r"<!--.*?-->|<(style|script|title)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_BLOCK = re.compile(
    r"</?(?:p|div|table|tbody|tr|td|th|ul|ol|li|h[1-6]|br|hr|body|html|head|center|section)\b(?:\"[^\"]*\"|'[^']*'|[^'\">])*>",
    re.IGNORECASE,
)
_TAG = re.compile(r"<(?:\"[^\"]*\"|'[^']*'|[^'\">])*>")
_SPOKEN = re.compile(r"<(?:\"[^\"]*\"|'[^']*'|[^'\">])*?\b(?:alt|title|aria-label)=\"([^\"]*)\"")
_LINK = re.compile(r"<a\b((?:\"[^\"]*\"|'[^']*'|[^'\">])*)>(.*?)</a\s*>", re.DOTALL | re.IGNORECASE)
_HREF = re.compile(r"\bhref=\"([^\"]*)\"", re.IGNORECASE)


@dataclass(frozen=True)
class Link:
    """A link's address and the words on it."""

    href: str
    words: str


def html_paragraphs(source: str) -> list[str]:
    """Texts between block elements, inline mark-up dissolved; spoken attributes (alt, title) count as text."""
    shown = _HIDDEN.sub("", source)
    spoken = _SPOKEN.findall(shown)
    flat = [_TAG.sub("", part) for part in _BLOCK.split(shown)]
    return [text for part in (*flat, *spoken) if (text := html.unescape(part).strip())]


def readable(text: str, source: str) -> str:
    """What there is to read: the text, or where there is none (a printed letter) the paragraphs of the HTML."""
    return text if text.strip() or not source else "\n\n".join(html_paragraphs(source))


def text_paragraphs(source: str) -> list[str]:
    """Texts between empty lines."""
    return [part for part in re.split(r"\n\s*\n", source) if part.strip()]


def links(source: str) -> list[Link]:
    """Every link of an HTML body."""
    found = []
    for attributes, inner in _LINK.findall(_HIDDEN.sub("", source)):
        href = _HREF.search(attributes)
        found.append(Link(html.unescape(href.group(1)) if href else "", html.unescape(_TAG.sub("", inner)).strip()))
    return found
