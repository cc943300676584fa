"""Static types: every fault of an expression, found without data."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlglot import exp

from alongside.model.findings import nearest
from alongside.segments.columns import PERSON
from alongside.segments.functions import CONTEXTS, FUNCTIONS, Function, Parameter
from alongside.segments.language import BUILT_IN, Fault, Scope, known_column
from alongside.segments.types import Type, common, fits

MAX_DAYS = 36_600
_Rule = Callable[["Checker", exp.Expr], Type]


def check_expression(tree: exp.Expr, scope: Scope, expected: Type | None = None) -> tuple[Type, list[Fault]]:
    """The expression's type and its faults, in reading order; `expected` adds a fault where it does not fit."""
    checker = Checker(scope)
    actual = checker.type_of(tree)
    checker.sweep(tree)
    if expected is not None and not fits(actual, expected):
        checker.fault(f"must be {expected}, but is {actual}", _boolean_remedy(actual))
    return actual, checker.faults


def _boolean_remedy(actual: Type) -> str:
    return "compare it with something, for example latest('hba1c') > 7" if actual is Type.NUMBER else ""


def words(node: exp.Expr) -> str:
    """The node as a person would write it, shortened."""
    text = node.sql(dialect="duckdb", normalize_functions=False)
    return text if len(text) <= 60 else text[:57] + "..."


class Checker:
    """Walks one expression. A node that was reported is `UNKNOWN` and fits everywhere: one fault, one finding."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.faults: list[Fault] = []
        self._visited: set[int] = set()

    def fault(self, what: str, remedy: str = "", fragment: str = "") -> Type:
        self.faults.append(Fault(what, remedy, fragment))
        return Type.UNKNOWN

    def type_of(self, node: exp.Expr) -> Type:
        self._visited.add(id(node))
        rule = _RULES.get(type(node))
        return rule(self, node) if rule else self._not_allowed(node)

    def sweep(self, tree: exp.Expr) -> None:
        """Refuse what no rule has looked at, such as one argument too many of a built-in function."""
        if self.faults:
            return
        for node in tree.walk():
            if id(node) not in self._visited and not isinstance(node, _PARTS_OF_OTHERS):
                remedy = "leave it out; docs/segments.md shows each function"
                self.fault(f"'{words(node)}' may not stand here", remedy, _fragment(node))
                return

    def expect(self, node: exp.Expr, expected: Type, role: str) -> None:
        """Report unless the node is of the expected type."""
        actual = self.type_of(node)
        if not fits(actual, expected):
            self.fault(f"{role} must be {expected}, but {words(node)} is {actual}", fragment=_fragment(node))

    def _not_allowed(self, node: exp.Expr) -> Type:
        if isinstance(node, exp.Func):
            name = node.name.lower() if isinstance(node, exp.Anonymous) else node.sql_name().lower()
            return self._unknown_function(name)
        remedy = "use days_since(...) and days_until(...)" if isinstance(node, exp.Interval) else ""
        remedy = remedy or "an expression is made of columns, values, operators and the functions of docs/segments.md"
        return self.fault(f"'{words(node)}' may not stand in an expression", remedy, _fragment(node))

    def _unknown_function(self, name: str) -> Type:
        remedy = nearest(name, [*FUNCTIONS, *BUILT_IN]) or "docs/segments.md lists the functions"
        return self.fault(f"'{name}' is not a known function", remedy, name)

    # Leaves

    def literal(self, node: exp.Expr) -> Type:
        return Type.TEXT if node.args.get("is_string") else Type.NUMBER

    def column(self, node: exp.Expr) -> Type:
        name = node.name.lower()
        if isinstance(node, exp.Column) and node.table:
            remedy = f"write {name}" if PERSON.get(name) else "docs/segments.md lists the columns"
            return self.fault(f"'{words(node)}' names a table; expressions know one person only", remedy, node.name)
        if fault := known_column(name):
            self.faults.append(fault)
            return Type.UNKNOWN
        return PERSON[name].type

    # Operators

    def logic(self, node: exp.Expr) -> Type:
        word = "'or'" if isinstance(node, exp.Or) else "'and'"
        chain = [node]
        while chain:  # a long chain of one operator is deep to the left: no recursion along it
            link = chain.pop()
            self._visited.add(id(link))
            for side in (link.expression, link.this):
                if type(side) is type(node):
                    chain.append(side)
                else:
                    self.expect(side, Type.BOOLEAN, f"each side of {word}")
        return Type.BOOLEAN

    def negation(self, node: exp.Expr) -> Type:
        self.expect(node.this, Type.BOOLEAN, "what follows 'not'")
        return Type.BOOLEAN

    def paren(self, node: exp.Expr) -> Type:
        return self.type_of(node.this)

    def comparison(self, node: exp.Expr) -> Type:
        left, right = node.this, node.expression
        if isinstance(left, exp.Null) or isinstance(right, exp.Null):
            return self.fault(f"'{words(node)}' is never true", "write 'is null' or 'is not null'", _fragment(node))
        self._comparable([left, right], node)
        self._closed_values(left, [right])
        self._closed_values(right, [left])
        return Type.BOOLEAN

    def between(self, node: exp.Expr) -> Type:
        self._comparable([node.this, node.args["low"], node.args["high"]], node)
        return Type.BOOLEAN

    def within(self, node: exp.Expr) -> Type:
        if any(node.args.get(key) for key in ("query", "unnest", "field")):
            return self.fault(f"'{words(node)}' may not stand in an expression", "list the values", _fragment(node))
        self._comparable([node.this, *node.expressions], node)
        self._closed_values(node.this, node.expressions)
        return Type.BOOLEAN

    def _comparable(self, nodes: list[exp.Expr], whole: exp.Expr) -> None:
        types = [self.type_of(node) for node in nodes]
        shared = common(types)
        if shared is None:
            said = " with ".join(dict.fromkeys(types))
            remedy = "write date '2026-01-31'" if Type.MOMENT in types and Type.TEXT in types else ""
            self.fault(f"'{words(whole)}' compares {said}", remedy, _fragment(whole))
        elif shared is Type.LIST:
            self.fault(f"'{words(whole)}' compares lists", "use list_contains(list, 'name')", _fragment(whole))

    def _closed_values(self, column: exp.Expr, values: list[exp.Expr]) -> None:
        """A value that the column never has is a condition that is never true."""
        if not isinstance(column, exp.Column) or not (known := PERSON.get(column.name.lower())):
            return
        for value in values:
            if isinstance(value, exp.Literal) and value.is_string:
                self._known_value(value.name, known.name, known.values or self.scope.names.get(known.names, ()))

    def _known_value(self, value: str, column: str, known: object) -> None:
        options = sorted(str(item) for item in known) if isinstance(known, (tuple, set, frozenset)) else []
        if options and value not in options:
            remedy = nearest(value, options) or f"one of: {', '.join(options)}"
            self.fault(f"'{value}' is never a value of {column}", remedy, value)

    def null_test(self, node: exp.Expr) -> Type:
        if isinstance(node.expression, exp.Boolean):
            self.expect(node.this, Type.BOOLEAN, "what stands before 'is true'")
        elif not isinstance(node.expression, exp.Null):
            self.fault(f"'{words(node)}' is not a test", "after 'is' stands null, not null, true or false")
        else:
            self.type_of(node.this)
        return Type.BOOLEAN

    def arithmetic(self, node: exp.Expr) -> Type:
        for side in (node.this, node.args.get("expression")):
            if side is not None:
                self.expect(side, Type.NUMBER, f"what is calculated with in '{words(node)}'")
        return Type.NUMBER

    def text_test(self, node: exp.Expr) -> Type:
        self.expect(node.this, Type.TEXT, "what is searched")
        self.expect(node.expression, Type.TEXT, "what is searched for")
        return Type.BOOLEAN

    # Built-in functions

    def rounding(self, node: exp.Expr) -> Type:
        decimals = node.args.get("decimals")
        if decimals is not None and not (isinstance(decimals, exp.Literal) and decimals.name.isdigit()):
            self.fault(f"the digits of '{words(node)}' must be a whole number", "for example round(age, 1)", "round")
        self.expect(node.this, Type.NUMBER, "what is rounded")
        return Type.NUMBER

    def text_function(self, node: exp.Expr) -> Type:
        for argument in node.iter_expressions():
            self.expect(argument, Type.TEXT, f"what '{words(node)}' is made from")
        return Type.TEXT

    def moment_part(self, node: exp.Expr) -> Type:
        self.expect(node.this, Type.MOMENT, f"what '{words(node)}' is taken from")
        return Type.NUMBER

    def length(self, node: exp.Expr) -> Type:
        if not fits(actual := self.type_of(node.this), Type.LIST) and actual is not Type.TEXT:
            self.fault(f"len needs a list or text, but {words(node.this)} is {actual}", fragment=_fragment(node))
        return Type.NUMBER

    def choice(self, node: exp.Expr) -> Type:
        """coalesce, nullif, least, greatest: all of one type, which is the result's."""
        types = [self.type_of(argument) for argument in node.iter_expressions()]
        return self._unified(types, node)

    def case(self, node: exp.Expr) -> Type:
        subject = node.args.get("this")
        branches = node.args.get("ifs") or [node]
        for branch in branches:
            if subject is None or branch is node:
                self.expect(branch.this, Type.BOOLEAN, "what follows 'when'")
            else:
                self._comparable([subject, branch.this], branch.this)
        results = [branch.args["true"] for branch in branches]
        default = node.args.get("default") or node.args.get("false")
        return self._unified([self.type_of(item) for item in [*results, *([default] if default else [])]], node)

    def _unified(self, types: list[Type], node: exp.Expr) -> Type:
        shared = common(types)
        if shared is None:
            said = " and ".join(dict.fromkeys(types))
            return self.fault(f"'{words(node)}' mixes {said}", "give all its values one type", _fragment(node))
        return shared

    def list_contains(self, node: exp.Expr) -> Type:
        self.expect(node.this, Type.LIST, "the first argument of list_contains")
        self.expect(node.expression, Type.TEXT, "the second argument of list_contains")
        self._closed_values(node.this, [node.expression])
        return Type.BOOLEAN

    def list_overlap(self, node: exp.Expr) -> Type:
        for side in (node.this, node.expression):
            self.expect(side, Type.LIST, "each argument of list_has_any")
        if isinstance(node.expression, exp.Array):
            self._closed_values(node.this, node.expression.expressions)
        return Type.BOOLEAN

    def array(self, node: exp.Expr) -> Type:
        for item in node.expressions:
            self.expect(item, Type.TEXT, "what stands in a list")
        return Type.LIST

    def cast(self, node: exp.Expr) -> Type:
        target = _CASTS.get(node.args["to"].this)
        if target is None:
            remedy = "cast to text, integer or double, or write date '2026-01-31'"
            return self.fault(f"'{words(node)}' casts to an unknown type", remedy, _fragment(node))
        if target is Type.MOMENT:
            return self._moment_literal(node)
        if (actual := self.type_of(node.this)) is Type.LIST:
            return self.fault(f"'{words(node)}' casts {actual}", fragment=_fragment(node))
        return target

    def _moment_literal(self, node: exp.Expr) -> Type:
        try:
            if not (isinstance(node.this, exp.Literal) and datetime.fromisoformat(node.this.name).tzinfo is None):
                raise ValueError
        except ValueError:
            self.fault(f"'{node.this.name}' is not a date", "write date '2026-01-31'", _fragment(node))
        return Type.MOMENT

    # The language's own functions

    def call(self, node: exp.Expr) -> Type:
        function = FUNCTIONS.get(node.name.lower())
        if function is None:
            return self._unknown_function(node.name)
        least, most = function.arity
        if not least <= len(node.expressions) <= most:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            plural = "" if wanted == "1" else "s"
            what = f"{function.name} takes {wanted} argument{plural}, not {len(node.expressions)}"
            return self.fault(what, f"write {function.signature}", function.name)
        for parameter, argument in zip(function.parameters, node.expressions, strict=False):
            self._argument(function, parameter, argument)
        return self._returned(function, node)

    def _returned(self, function: Function, node: exp.Expr) -> Type:
        if function.name == "tag":
            return self.scope.tags.get(node.expressions[0].name, Type.UNKNOWN)
        if function.name == "has_tag":
            name = node.expressions[0].name
            if not fits(kind := self.scope.tags.get(name, Type.UNKNOWN), Type.BOOLEAN):
                self.fault(f"has_tag('{name}') asks whether, but the tag is {kind}", f"write tag('{name}')", name)
        return function.returns

    def _argument(self, function: Function, parameter: Parameter, argument: exp.Expr) -> None:
        role = f"{parameter.name} of {function.name}"
        if parameter.kind == "moment":
            self.expect(argument, Type.MOMENT, f"the argument of {function.name}")
        elif parameter.kind == "days":
            number = argument.name if isinstance(argument, exp.Literal) and not argument.is_string else ""
            if not (number.isdigit() and 1 <= int(number) <= MAX_DAYS):
                self.fault(f"{role} must be a whole number from 1 to {MAX_DAYS:,}", "write it as digits", function.name)
        elif not (isinstance(argument, exp.Literal) and argument.is_string):
            self.fault(f"{role} must be a name in quotes", f"for example {function.example}", function.name)
        else:
            self._name(parameter.kind, argument.name)

    def _name(self, kind: str, name: str) -> None:
        known = self._known(kind)
        if known is not None and name not in known:
            remedy = nearest(name, known) or f"known: {', '.join(sorted(known)[:12]) or 'none'}"
            self.fault(f"'{name}' is not a known {kind}", remedy, name)

    def _known(self, kind: str) -> list[str] | None:
        if kind == "tag":
            return list(self.scope.tags)
        if kind == "segment":
            return list(self.scope.segments)
        if kind == "context":
            return list(CONTEXTS)
        return list(self.scope.names[kind]) if kind in self.scope.names else None


def _fragment(node: exp.Expr) -> str:
    """A word of the node's own text, by which its line is found."""
    for inner in node.walk():
        if isinstance(inner, (exp.Identifier, exp.Literal, exp.Anonymous)):
            return str(inner.name)
    return ""


def _same(kind: Type) -> _Rule:
    return lambda checker, node: kind


#: nodes that are checked together with the node they belong to
_PARTS_OF_OTHERS = (exp.Identifier, exp.Literal, exp.Null, exp.Boolean, exp.DataType, exp.If)
_CASTS = {
    exp.DataType.Type.TEXT: Type.TEXT,
    exp.DataType.Type.VARCHAR: Type.TEXT,
    exp.DataType.Type.INT: Type.NUMBER,
    exp.DataType.Type.BIGINT: Type.NUMBER,
    exp.DataType.Type.DOUBLE: Type.NUMBER,
    exp.DataType.Type.DATE: Type.MOMENT,
    exp.DataType.Type.TIMESTAMP: Type.MOMENT,
    exp.DataType.Type.TIMESTAMPNTZ: Type.MOMENT,
}
_RULES: dict[type[exp.Expr], _Rule] = {
    exp.Literal: Checker.literal,
    exp.Boolean: _same(Type.BOOLEAN),
    exp.Null: _same(Type.NOTHING),
    exp.Column: Checker.column,
    exp.Paren: Checker.paren,
    exp.Not: Checker.negation,
    exp.Between: Checker.between,
    exp.In: Checker.within,
    exp.Is: Checker.null_test,
    exp.Length: Checker.length,
    exp.Case: Checker.case,
    exp.If: Checker.case,
    exp.ArrayContains: Checker.list_contains,
    exp.ArrayOverlaps: Checker.list_overlap,
    exp.Array: Checker.array,
    exp.Cast: Checker.cast,
    exp.TryCast: Checker.cast,
    exp.Anonymous: Checker.call,
    exp.CurrentDate: _same(Type.MOMENT),
    **dict.fromkeys((exp.And, exp.Or), Checker.logic),
    **dict.fromkeys((exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE), Checker.comparison),
    **dict.fromkeys((exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg), Checker.arithmetic),
    **dict.fromkeys((exp.Abs, exp.Floor, exp.Ceil), Checker.arithmetic),
    exp.Round: Checker.rounding,
    **dict.fromkeys((exp.Like, exp.ILike, exp.StartsWith, exp.Contains), Checker.text_test),
    **dict.fromkeys((exp.Lower, exp.Upper, exp.Trim, exp.Concat, exp.DPipe), Checker.text_function),
    **dict.fromkeys((exp.Year, exp.Month, exp.Day, exp.Hour, exp.DayOfWeek), Checker.moment_part),
    **dict.fromkeys((exp.Coalesce, exp.Nullif, exp.Least, exp.Greatest), Checker.choice),
}
