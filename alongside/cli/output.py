"""What every command prints through: one console, one form of JSON, one form of refusal."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

#: Control characters (C0 without tab and line feed, C1), and those that set or isolate the direction of writing.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
AsJson = Annotated[bool, typer.Option("--json", help="Print machine-readable JSON instead.")]


def console() -> Console:
    """Standard output, styled when it is a terminal."""
    from rich.console import Console

    return Console(highlight=False)


def harmless(text: str) -> str:
    """Words of somebody outside, for a terminal: characters that would steer it, or turn the direction of writing, show
    as �. Line breaks and tabs stay.
    """
    return _STEERING.sub("\N{REPLACEMENT CHARACTER}", text)


def emit(content: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(content, ensure_ascii=False, indent=2, default=str) + "\n")


def tell(content: Mapping[str, Any], as_json: bool, *lines: str) -> None:
    """The result of a command that changed something: as JSON, or in sentences."""
    if as_json:
        emit(content)
        return
    out = console()
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)


def fail(message: str, code: int = 1) -> typer.Exit:
    """Say on standard error why nothing was done; `raise fail(...)`."""
    typer.secho(message, fg="red", err=True)
    return typer.Exit(code)


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], numeric: Sequence[str] = ()) -> None:
    """A table in the terminal; columns named in `numeric` stand right."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", title_style="bold", header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(_cell(value)) for value in row))  # conditions and reasons may well hold brackets
    console().print(table)


def show_pairs(title: str, pairs: Mapping[str, Any]) -> None:
    show_table(title, ("", "count"), list(pairs.items()), numeric=("count",))


def _cell(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else str(value)
