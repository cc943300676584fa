"""Findings: what is wrong with a file that a person wrote, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path


@dataclass(frozen=True, order=True)
class Finding:
    """One fault, in the form `file:line: field: what (remedy)`.

    `line` is 1-based; 0 means that the fault belongs to the file as a whole.
    """

    path: str
    line: int
    field: str
    what: str
    remedy: str = ""
    severity: str = "error"  # error | warning

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        field = f" {self.field}:" if self.field else ""
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{place}:{field} {self.what}{remedy}"


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?` for the closest known name, else the empty string."""
    match = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean '{match[0]}'?" if match else ""


def relative(path: Path, root: Path) -> str:
    """The path as a reader of the project writes it: relative to the root where possible."""
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return path.as_posix()
