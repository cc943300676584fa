"""Bodies of printed letters: plain HTML in the layout of `templates/_layout`, and no way out of it.

What stands in the window of the envelope is the layout's alone. A body therefore has text elements and a few classes,
no style of its own, no picture and no address to fetch: nothing of it can be moved to where everybody reads it.
"""

from __future__ import annotations

import re
from pathlib import Path

from alongside.content.compose import compose_text
from alongside.model.errors import ConfigurationInvalid
from alongside.model.findings import Finding, nearest

_TAG = re.compile(r"<!--.*?-->|<(/?)([a-zA-Z!][\w-]*)((?:\"[^\"]*\"|'[^']*'|[^'\">])*)>", re.DOTALL)
_JINJA = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
_ELEMENTS = ("br", "div", "em", "h2", "h3", "li", "ol", "p", "span", "strong", "table", "tbody", "td", "th", "tr", "ul")
_CLASSES = ("box", "care", "keep", "quiet")
_OPEN_ENDED = frozenset({"br"})
_CLASS = re.compile(r"""\s*class=(["'])([a-z ]+)\1\s*""")


def compose_letter(root: Path, path: Path) -> str:
    """The Jinja2 source of a letter, with its layout resolved.

    Raises
    ------
    ConfigurationInvalid : the body holds mark-up that a letter may not have, named with its line
    """
    try:
        source = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        source = ""  # said with its reason below
    if fault := _fault(_JINJA.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), source)):
        raise ConfigurationInvalid([Finding(str(path), *fault)])
    return compose_text(root, path)


def _fault(source: str) -> tuple[int, str, str, str] | None:
    """Line, field, what is wrong and the remedy of the first fault."""
    open_tags: list[tuple[str, int]] = []
    for tag in _TAG.finditer(source):
        line, name = source.count("\n", 0, tag.start()) + 1, (tag[2] or "").lower()
        if not name:  # a comment
            continue
        if name not in _ELEMENTS:
            known = nearest(name, _ELEMENTS) or f"a letter has: {', '.join(_ELEMENTS)}"
            return line, "", f"<{name}> may not stand in a letter", known
        if tag[1]:
            if not open_tags or open_tags.pop()[0] != name:
                return line, "", f"</{name}> closes what is not open", "close elements in the order of their opening"
        elif what := _attributes(tag[3]):
            return line, "", what, f"only class, one of: {', '.join(_CLASSES)}"
        elif name not in _OPEN_ENDED:
            open_tags.append((name, line))
    if open_tags:
        name, line = open_tags[-1]
        return line, "", f"<{name}> is never closed", "close it"
    return None


def _attributes(written: str) -> str:
    """What is wrong with an element's attributes, or the empty string."""
    if not written.strip(" \n/"):
        return ""
    found = _CLASS.fullmatch(written)
    if not found:
        return f"an element of a letter may not have {' '.join(written.split())[:60]}"
    strange = set(found[2].split()) - set(_CLASSES)
    return f"{min(strange)!r} is no class of a letter" if strange else ""
