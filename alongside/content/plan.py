"""A body taken apart: static text, placeholders, loops and conditions.

For one outcome of all conditions a message is a row of fixed chunks with placeholders between them. That row is worked
out once per outcome; afterwards a message costs the evaluation of its distinct placeholders and one join, and many
messages can share one text with substitutions. A loop is a placeholder too, whose value is a piece of the body. What is
evaluated, escaped and checked stays Jinja2's own generated code, so that both ways give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from jinja2 import Template, nodes
from jinja2.runtime import Context
from markupsafe import escape

from alongside.content.environment import MessageEnvironment

#: Names whose values are nearly always the same for a whole batch: they belong to the shared text.
SHARED = frozenset({"hospital", "today"})
PARTS = ("subject", "html", "text")
Values = Mapping[str, Any]
Path = tuple[str, ...]


class NotBatchable(Exception):
    """A body uses a construct (assignment, ...) whose text cannot be told from its conditions alone."""


@dataclass(frozen=True)
class Slot:
    """One placeholder, or one loop. Equal slots are evaluated once per message."""

    code: str  # the syntax tree, as text
    part: str  # subject | html | text: where it stands decides how it is escaped
    node: nodes.Expr | nodes.For = field(compare=False, hash=False, repr=False)

    @property
    def is_loop(self) -> bool:
        return isinstance(self.node, nodes.For)

    @property
    def shared(self) -> bool:
        return not self.is_loop and names_in(self.node) <= SHARED

    @property
    def evaluation(self) -> str:
        """What is evaluated: an expression once for all parts, a loop for each, because it escapes as it prints."""
        return f"{self.part}:{self.code}" if self.is_loop else self.code

    @property
    def finish(self) -> Callable[[str], str] | None:
        """What follows evaluation, for where the value stands."""
        return None if self.is_loop and self.part == "html" else _FINISH[self.part]


@dataclass(frozen=True)
class Choice:
    """`{% if %}` with its branches; the last branch is the `else` (maybe empty)."""

    number: str
    tests: tuple[nodes.Node, ...]
    branches: tuple[tuple[Piece, ...], ...]


Piece = str | Slot | Choice


@dataclass(frozen=True)
class Flat:
    """One outcome of all conditions: the pieces of every part, and the distinct slots in order of appearance."""

    parts: Mapping[str, tuple[str | Slot, ...]]
    shared: tuple[Slot, ...]
    personal: tuple[Slot, ...]
    shared_values: Printer
    personal_values: Printer


class Plan:
    """The plan of one message in one language: subject, html and text together."""

    def __init__(self, environment: MessageEnvironment, sources: Mapping[str, str]) -> None:
        self._environment = environment
        counter = iter(range(1_000_000))
        self._trees = {
            part: tuple(_pieces(environment.parse(source).body, part, counter)) for part, source in sources.items()
        }
        pieces = [piece for tree in self._trees.values() for piece in tree]
        #: Recipients of a body with a loop differ in structure, not only in words: each gets a text of its own.
        self.has_loops = any(_loops(pieces))
        choices = _choices(pieces)
        self.has_choices = bool(choices)
        self._outcome = _yields(environment, choices) if choices else (lambda values: ())
        self._flat: dict[Path, Flat] = {}

    def flat(self, values: Values) -> tuple[Path, Flat]:
        """The outcome of the conditions for these values, and what follows from it."""
        path = self._outcome(values)
        found = self._flat.get(path)
        if found is None:
            found = self._flat[path] = self._flatten(path)
        return path, found

    def _flatten(self, path: Path) -> Flat:
        taken = dict(mark.split(":", 1) for mark in path)
        parts = {part: _merge(_walk(tree, taken)) for part, tree in self._trees.items()}
        slots = list(dict.fromkeys(piece for row in parts.values() for piece in row if isinstance(piece, Slot)))
        shared = tuple(slot for slot in slots if slot.shared)
        personal = tuple(slot for slot in slots if not slot.shared)
        return Flat(parts, shared, personal, *(Printer.of(self._environment, chosen) for chosen in (shared, personal)))


def names_in(expression: nodes.Node) -> set[str]:
    """Variables that an expression reads."""
    names = {node.name for node in expression.find_all(nodes.Name)}
    return names | {expression.name} if isinstance(expression, nodes.Name) else names


def _pieces(body: Iterable[nodes.Node], part: str, counter: Iterator[int]) -> Iterator[Piece]:
    for node in body:
        if isinstance(node, nodes.Output):
            for child in node.nodes:
                if isinstance(child, nodes.TemplateData):
                    yield child.data
                elif isinstance(child, nodes.Expr):
                    yield Slot(repr(child), part, child)
        elif isinstance(node, nodes.If):
            yield _choice(node, part, counter)
        elif isinstance(node, nodes.For):
            yield Slot(repr(node), part, node)
        else:
            raise NotBatchable(type(node).__name__)


def _choice(node: nodes.If, part: str, counter: Iterator[int]) -> Choice:
    number = str(next(counter))
    arms = [node, *node.elif_]
    branches = [tuple(_pieces(arm.body, part, counter)) for arm in arms]
    branches.append(tuple(_pieces(node.else_, part, counter)))
    return Choice(number, tuple(arm.test for arm in arms), tuple(branches))


def _choices(pieces: Iterable[Piece]) -> list[nodes.Node]:
    """The conditions alone, as a template that prints which branch of each was taken."""
    found: list[nodes.Node] = []
    for piece in pieces:
        if isinstance(piece, Choice):
            bodies = [
                [_say(f"{piece.number}:{index}"), *_choices(branch)] for index, branch in enumerate(piece.branches)
            ]
            rest = [nodes.If(test, body, [], []) for test, body in zip(piece.tests[1:], bodies[1:], strict=False)]
            found.append(nodes.If(piece.tests[0], bodies[0], rest, bodies[-1]))
    return found


def _loops(pieces: Iterable[Piece]) -> Iterator[bool]:
    for piece in pieces:
        if isinstance(piece, Choice):
            yield from (found for branch in piece.branches for found in _loops(branch))
        else:
            yield isinstance(piece, Slot) and piece.is_loop


def _say(text: str) -> nodes.Output:
    return nodes.Output([nodes.TemplateData(text)])


def _walk(pieces: Iterable[Piece], taken: Mapping[str, str]) -> Iterator[str | Slot]:
    for piece in pieces:
        if isinstance(piece, Choice):
            yield from _walk(piece.branches[int(taken[piece.number])], taken)
        else:
            yield piece


def _merge(pieces: Iterable[str | Slot]) -> tuple[str | Slot, ...]:
    merged: list[str | Slot] = []
    for piece in pieces:
        if isinstance(piece, str) and merged and isinstance(merged[-1], str):
            merged[-1] += piece
        elif piece != "":
            merged.append(piece)
    return tuple(merged)


@dataclass(frozen=True)
class Printer:
    """From a message's values to the printed text of each slot, escaped for where it stands.

    Each expression is evaluated once, however many parts show it: values are plain scalars, never mark-up, so that
    escaping afterwards gives what Jinja2's autoescape would.

    Attributes
    ----------
    evaluate : values of a message -> text of each expression, not escaped yet
    slots : of each slot, which expression it shows, and what follows evaluation there
    names : the expressions, when all of them are bare names
    """

    evaluate: Callable[[Values], tuple[str, ...]]
    slots: tuple[tuple[int, Callable[[str], str] | None], ...]
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, environment: MessageEnvironment, slots: Sequence[Slot]) -> Printer:
        if not slots:
            return cls(lambda values: (), ())
        distinct = {slot.evaluation: slot for slot in slots}
        evaluate = _yields(environment, list(map(_printed, distinct.values())))
        names = tuple(slot.node.name for slot in distinct.values() if isinstance(slot.node, nodes.Name))
        order = {evaluation: index for index, evaluation in enumerate(distinct)}
        places = tuple((order[slot.evaluation], slot.finish) for slot in slots)
        return cls(evaluate, places, names if len(names) == len(distinct) else ())

    def __call__(self, values: Values) -> tuple[str, ...]:
        return self.finish([self.evaluate(values)])[0]

    def evaluate_all(self, rows: Sequence[Values]) -> list[tuple[str, ...]]:
        """`evaluate` of many messages; where every placeholder is a bare name of a text, that text is what is printed.

        Raises what `evaluate` raises, without saying for whom.
        """
        if self.names and rows:
            columns: list[list[Any]] = [[row.get(name) for row in rows] for name in self.names]
            if all(set(map(type, column)) == {str} for column in columns):
                return list(zip(*columns, strict=True))
        return list(map(self.evaluate, rows))

    def finish(self, evaluated: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
        """What `evaluate` gave for many messages, put into its places; mostly none of it has anything to escape."""
        if is_harmless(chain.from_iterable(evaluated)):
            places = [index for index, _ in self.slots]
            if not evaluated or places == list(range(len(evaluated[0]))):  # every expression stands in one place
                return list(evaluated)
            columns = list(zip(*evaluated, strict=True))
            return list(zip(*[columns[index] for index in places], strict=True))
        return [
            tuple([finish(raw[index]) if finish else raw[index] for index, finish in self.slots]) for raw in evaluated
        ]


def _printed(slot: Slot) -> nodes.Node:
    """A statement that prints the slot in one piece; a loop with the escaping of the part in which it stands."""
    if not isinstance(slot.node, nodes.For):
        return nodes.Output([slot.node])
    escaping = nodes.Keyword("autoescape", nodes.Const(slot.part == "html"))
    whole = nodes.AssignBlock(nodes.Name("_loop", "store"), None, [slot.node])
    captured = nodes.ScopedEvalContextModifier([escaping], [whole])
    return nodes.Scope([captured, nodes.Output([nodes.Name("_loop", "load")])])


def is_harmless(values: Iterable[str]) -> bool:
    """Whether no value has anything to escape or to blank: looked for in all of them at once, which is cheaper."""
    text = "".join(values)
    return text.isprintable() and len(escape(text)) == len(text)


def _escaped(text: str) -> str:
    return str(escape(text))


_BREAKS = dict.fromkeys([*range(0x20), 0x7F, *range(0x80, 0xA0), 0x2028, 0x2029], " ")


def one_line(text: str) -> str:
    """The text with every line break and control character as a blank: no value can add a header to a mail."""
    return text.translate(_BREAKS)


_FINISH: dict[str, Callable[[str], str] | None] = {"subject": one_line, "html": _escaped, "text": None}


def _yields(environment: MessageEnvironment, body: list[nodes.Node]) -> Callable[[Values], tuple[str, ...]]:
    """Compile statements to a function that gives the printed pieces one by one."""
    for node in body:
        node.set_environment(environment)
    tree = nodes.Template(body, lineno=1)
    tree.set_environment(environment)
    code = environment.compile(tree)
    template = Template.from_code(environment, code, {})
    root = template.root_render_func
    free: list[Context] = []  # a context costs more to make than most values to print

    def evaluate(values: Values) -> tuple[str, ...]:
        context = free.pop() if free else template.new_context({}, True)
        context.parent = values  # type: ignore[assignment]  # a read-only mapping is enough
        try:
            return tuple(root(context))
        finally:
            context.parent = {}
            free.append(context)

    return evaluate


__all__ = ["PARTS", "SHARED", "Flat", "NotBatchable", "Plan", "Slot", "names_in", "one_line"]
