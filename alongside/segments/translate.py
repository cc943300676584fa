"""A checked expression as DuckDB SQL: a new tree, built from nodes, never from text."""

from __future__ import annotations

from datetime import datetime

from sqlglot import exp

from alongside.segments.building import Build
from alongside.segments.features import timestamp
from alongside.segments.functions import FUNCTIONS

_PARTS = (exp.Year, exp.Month, exp.Day, exp.Hour, exp.DayOfWeek)
_MOMENTS = {exp.DataType.Type.DATE, exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPNTZ}


def translate(tree: exp.Expr, build: Build) -> exp.Expr:
    """The expression over columns of `person`, tags, segments and the features that `build` collects."""
    return tree.copy().transform(lambda node: _node(node, build))


def _node(node: exp.Expr, build: Build) -> exp.Expr:
    """The node's replacement; a node that is returned unchanged has its children visited."""
    if isinstance(node, exp.Column):
        return exp.column(node.name.lower())
    if isinstance(node, (exp.Anonymous, exp.CurrentDate)):
        return exp.paren(_call(node, build))
    if isinstance(node, (exp.Cast, exp.TryCast)):
        return _cast(node, build)
    if isinstance(node, (exp.Div, exp.Mod)):
        return _division(node, build)
    if isinstance(node, _PARTS):
        return type(node)(this=build.local(translate(node.this, build)))
    return node


def _division(node: exp.Div | exp.Mod, build: Build) -> exp.Expr:
    """Division by nothing is an absent value, not an infinite one that exceeds every threshold."""
    divisor = exp.Nullif(this=translate(node.expression, build), expression=exp.Literal.number(0))
    return exp.paren(type(node)(this=exp.paren(translate(node.this, build)), expression=divisor))


def _call(node: exp.Anonymous | exp.CurrentDate, build: Build) -> exp.Expr:
    # sqlglot reads today() as SQL's own current date, which is not the run's moment.
    function = FUNCTIONS["today" if isinstance(node, exp.CurrentDate) else node.name.lower()]
    arguments: list[str | int | exp.Expr | None] = []
    for index, parameter in enumerate(function.parameters):
        argument = node.expressions[index] if index < len(node.expressions) else None
        if argument is None:
            arguments.append(None)
        elif parameter.kind == "moment":
            arguments.append(translate(argument, build))
        else:
            arguments.append(int(argument.name) if parameter.kind == "days" else argument.name)
    return function.build(build, *arguments)


def _cast(node: exp.Expr, build: Build) -> exp.Expr:
    if node.args["to"].this in _MOMENTS:
        return timestamp(build.moment.to_utc(datetime.fromisoformat(node.this.name)))
    # A text that is no number is null, not the end of the run.
    return exp.TryCast(this=translate(node.this, build), to=node.args["to"].copy())
