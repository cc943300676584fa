"""The expression language: a small, typed part of SQL over one person.

An expression is parsed by sqlglot and checked here against what may stand in it. Only listed kinds of nodes pass, so
that no expression can reach another table, a file or a setting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from alongside.model.findings import nearest
from alongside.segments.columns import USABLE
from alongside.segments.functions import FUNCTIONS
from alongside.segments.types import Type

MAX_LENGTH = 4000
MAX_DEPTH = 60

#: SQL's own functions and operators that may be used, by the name under which they are written.
BUILT_IN = (
    *("abs", "round", "floor", "ceil", "least", "greatest", "coalesce", "nullif", "if"),
    *("lower", "upper", "trim", "concat", "len", "starts_with", "contains", "list_contains", "list_has_any"),
    *("year", "month", "day", "hour", "dayofweek", "today", "cast"),
)


@dataclass(frozen=True)
class Fault:
    """What is wrong in an expression; `fragment` is a piece of its text, to find the line."""

    what: str
    remedy: str = ""
    fragment: str = ""


@dataclass(frozen=True)
class Scope:
    """What names an expression may use.

    Attributes
    ----------
    names : known names by kind (concept kinds, department, service, topic, survey); a kind that is absent is not
        checked
    tags : type of every tag
    segments : names of all segments
    """

    names: Mapping[str, AbstractSet[str]] = field(default_factory=dict)
    tags: Mapping[str, Type] = field(default_factory=dict)
    segments: AbstractSet[str] = frozenset()


@dataclass(frozen=True)
class Parsed:
    """The tree of an expression, or why there is none."""

    text: str
    tree: exp.Expr | None
    faults: tuple[Fault, ...] = ()


def parse(text: str) -> Parsed:
    """The expression's tree; syntax faults instead of exceptions."""
    if len(text) > MAX_LENGTH:
        what = f"is longer than {MAX_LENGTH:,} characters"
        return Parsed(text, None, (Fault(what, "split it into tags or segments"),))
    try:
        trees = [tree for tree in sqlglot.parse(text, dialect="duckdb") if tree is not None]
    except SqlglotError as error:
        return Parsed(text, None, (_syntax(error, text),))
    except RecursionError:
        return Parsed(text, None, (Fault("is nested too deeply", "split it into tags or segments"),))
    if len(trees) != 1 or not isinstance(trees[0], exp.Expr):
        remedy = "write a condition such as age >= 60 and has_condition('hypertension')"
        return Parsed(text, None, (Fault("must be exactly one expression", remedy),))
    if _too_deep(trees[0]):
        return Parsed(text, None, (Fault("is nested too deeply", "split it into tags or segments"),))
    return Parsed(text, trees[0])


def _syntax(error: SqlglotError, text: str) -> Fault:
    details = getattr(error, "errors", None) or [{}]
    near = str(details[0].get("highlight") or "")
    description = str(details[0].get("description") or "").strip(". ")
    if not description or "<class" in description:
        description = "something is missing or out of place"
    place = f" near '{near}'" if near and near != text else ""
    return Fault(f"cannot be read as an expression{place}: {description}", "check quotes, commas and brackets", near)


def _too_deep(tree: exp.Expr) -> bool:
    """Deeper than people nest; long chains of AND and OR count once."""
    stack = [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        if depth > MAX_DEPTH:
            return True
        same = isinstance(node, (exp.And, exp.Or))
        for child in node.iter_expressions():
            stack.append((child, depth if same and type(child) is type(node) else depth + 1))
    return False


def references(tree: exp.Expr) -> Iterator[tuple[str, str]]:
    """(kind, name) of the tags and segments that the expression names."""
    for call in tree.find_all(exp.Anonymous):
        function = FUNCTIONS.get(call.name.lower())
        if function and function.parameters and function.parameters[0].kind in ("tag", "segment"):
            first = call.expressions[0] if call.expressions else None
            if isinstance(first, exp.Literal) and first.is_string:
                yield function.parameters[0].kind, first.name


def known_column(name: str) -> Fault | None:
    """None when the column may be used."""
    if name in USABLE:
        return None
    remedy = nearest(name, USABLE) or nearest(name, FUNCTIONS) or "docs/segments.md lists the columns"
    return Fault(f"'{name}' is not a known column", remedy, name)
