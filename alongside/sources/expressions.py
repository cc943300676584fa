"""SQL expressions over one record of an extract: checked before they run, and unable to read anything else."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from alongside.model.findings import nearest

if TYPE_CHECKING:
    from sqlglot import exp

#: Functions that an expression may call (beside CASE, CAST, TRY_CAST, IN, LIKE, BETWEEN and arithmetic).
FUNCTIONS = frozenset(
    {
        "abs", "coalesce", "concat", "concat_ws", "contains", "if", "ifnull", "left", "length", "lower", "lpad",
        "ltrim", "md5", "nullif", "regexp_extract", "regexp_full_match", "regexp_matches", "regexp_replace", "replace",
        "reverse", "right", "round", "rpad", "rtrim", "split_part", "starts_with", "strftime", "strptime", "substr",
        "substring", "translate", "trim", "try_cast", "try_strptime", "upper",
    }
)  # fmt: skip


class ExpressionInvalid(ValueError):
    """The expression is not one that a mapping may use; the message says why."""


@lru_cache(maxsize=4096)
def columns_of(text: str) -> tuple[str, ...]:
    """The source columns that an expression reads, in order of appearance; `ExpressionInvalid` otherwise."""
    from sqlglot import exp

    expression = _parse(text)
    for node in expression.walk():
        _forbid(node)
    names = [column.name for column in expression.find_all(exp.Column)]
    return tuple(dict.fromkeys(names))


def _parse(text: str) -> exp.Expr:
    import sqlglot
    from sqlglot import exp

    try:
        statements = sqlglot.parse(f"SELECT (\n{text}\n)", read="duckdb")
    except sqlglot.errors.SqlglotError as error:
        raise ExpressionInvalid(f"is not a SQL expression: {str(error).splitlines()[0]}") from error
    select = statements[0] if len(statements) == 1 else None
    plain = isinstance(select, exp.Select) and len(select.expressions) == 1 and not _clauses(select)
    if select is None or not plain or not isinstance(select.expressions[0], exp.Paren):
        raise ExpressionInvalid("must be one SQL expression over the record's columns")
    inner: exp.Expr = select.expressions[0].this
    return inner


def _clauses(select: exp.Expr) -> list[str]:
    return [name for name, value in select.args.items() if value and name not in {"expressions", "kind"}]


def _forbid(node: exp.Expr) -> None:
    from sqlglot import exp

    if isinstance(node, exp.Query | exp.Window | exp.AggFunc | exp.Star | exp.Placeholder | exp.Parameter):
        raise ExpressionInvalid("may not contain sub-queries, windows, aggregates, * or parameters")
    if isinstance(node, exp.Column) and node.table:
        raise ExpressionInvalid(f"{node.sql()!r}: name the column alone, without a table")
    if isinstance(node, exp.Func) and not isinstance(node, exp.Case | exp.Cast | exp.Connector | exp.Binary):
        name = (node.name if isinstance(node, exp.Anonymous) else node.sql_name()).lower()
        if not _allowed(node, name):
            hint = nearest(name, FUNCTIONS) or "docs/data-engineer.md lists the functions"
            raise ExpressionInvalid(f"may not call {name}(): {hint}")


def _allowed(node: exp.Func, name: str) -> bool:
    from sqlglot import exp

    names = {name} if isinstance(node, exp.Anonymous) else {item.lower() for item in type(node).sql_names()}
    names.add(node.sql(dialect="duckdb").split("(", 1)[0].strip().lower())
    return bool(names & FUNCTIONS)
