"""Where an expression stands, down to the line of the word that is wrong in it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from alongside.segments.language import Fault
from alongside.settings import Document

_REST_OF_FILE = 200


class Place(NamedTuple):
    """File, 1-based line of the field (0 unknown), the field's name, and the line where the next field begins."""

    path: str
    line: int
    field: str
    until: int = 0


def place_in(document: Document, steps: tuple[str, ...]) -> Place:
    """The place of a field of a document."""
    start = document.line(*steps)
    until = min((line for line in document.lines.values() if line > start), default=start + _REST_OF_FILE)
    return Place(str(document.path), start, ".".join(steps), until)


def line_of(path: str, line: int, until: int, fault: Fault) -> int:
    """The first line of the field that holds the fault's fragment, else the field's own."""
    if not fault.fragment or until <= line + 1:
        return line
    try:
        rows = Path(path).read_text("utf-8-sig").splitlines()[line - 1 : until - 1]
    except (OSError, UnicodeDecodeError):
        return line
    return next((line + index for index, row in enumerate(rows) if fault.fragment in row), line)
