"""Where the variables of a body end up: in its text, or inside an address. Read from the syntax tree alone.

Conditions count: a variable that decides whether a sentence stands there is told by that sentence. What cannot be
followed (a macro, a filter block) is taken to reach everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType

from jinja2 import Environment, nodes

#: Literal text before an output that matters for where it stands.
_REMEMBERED = 600
_ATTRIBUTE = re.compile(
    r"\b(?:href|src|srcset|action|formaction|background|poster|data|cite|ping)\s*=\s*(?:\"[^\"]*|'[^']*)$",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"(?:https?://|www\.|mailto:|tel:|url\()[^\s<>\"'，。；：（）、]*$", re.IGNORECASE)


class Place(StrEnum):
    """Where a value can be read."""

    BODY = "body"
    SUBJECT = "subject"
    URL = "url"


@lru_cache(maxsize=1024)
def places_of(source: str, environment: Environment, part: str) -> Mapping[str, frozenset[Place]]:
    """Free variable -> where it can be read.

    Parameters
    ----------
    source : Jinja2 with its layout resolved (`CompiledMessage.sources`)
    part : subject, html or text
    """
    walk = _Walk(Place.SUBJECT if part == "subject" else Place.BODY)
    walk.all(environment.parse(source).body)
    return MappingProxyType({name: frozenset(places) for name, places in walk.found.items()})


@dataclass
class _Walk:
    """One pass over a tree in the order in which it is printed.

    Attributes
    ----------
    tail : what was printed last
    origins : name made in the template -> the free variables behind it
    deciding : free variables of the conditions that are open
    """

    home: Place
    tail: str = ""
    found: dict[str, set[Place]] = field(default_factory=dict)
    origins: dict[str, frozenset[str]] = field(default_factory=dict)
    deciding: frozenset[str] = frozenset()

    def all(self, body: Iterable[nodes.Node]) -> None:
        for node in body:
            self._one(node)

    def _one(self, node: nodes.Node) -> None:
        match node:
            case nodes.Output():
                for part in node.nodes:
                    self._print(part)
            case nodes.If():
                self._if(node)
            case nodes.For():
                self._for(node)
            case nodes.Assign():
                self._bind(node.target, self._names(node.node) | self.deciding)
            case nodes.AssignBlock():
                self._bind(node.target, self._names(node) | self.deciding)
            case nodes.With():
                for target, value in zip(node.targets, node.values, strict=True):
                    self._bind(target, self._names(value) | self.deciding)
                self.all(node.body)
            case nodes.Scope() | nodes.Block() | nodes.ScopedEvalContextModifier():
                self.all(node.body)
            case _:
                self._reach(self._names(node), {self.home, Place.URL})

    def _print(self, part: nodes.Node) -> None:
        if isinstance(part, nodes.TemplateData):
            if part.data:
                self._reach(self.deciding, self._here(part.data))
            self.tail = (self.tail + part.data)[-_REMEMBERED:]
            return
        self._reach(self._names(part) | self.deciding, self._here(""))
        self.tail += "\ufffc"  # something stands here: an address goes on through it

    def _here(self, printed: str) -> set[Place]:
        """Where the next thing stands; literal text that holds or continues an address reaches both."""
        inside = bool(_ATTRIBUTE.search(self.tail) or _ADDRESS.search(self.tail))
        if printed:
            return {self.home, Place.URL} if inside else {self.home}
        return {Place.URL} if inside else {self.home}

    def _if(self, node: nodes.If) -> None:
        before, tail = self.deciding, self.tail
        self.deciding = before | self._names(node.test)
        self.all(node.body)
        ends = [self.tail]
        for branch in node.elif_:
            self.tail = tail
            self.deciding |= self._names(branch.test)
            self.all(branch.body)
            ends.append(self.tail)
        self.tail = tail
        self.all(node.else_)
        ends.append(self.tail)
        self.deciding = before
        # The branch that leaves an address open decides how what follows is seen.
        self.tail = next((end for end in ends if _ATTRIBUTE.search(end) or _ADDRESS.search(end)), ends[0])

    def _for(self, node: nodes.For) -> None:
        before = self.deciding
        behind = self._names(node.iter) | (self._names(node.test) if node.test else frozenset())
        self.deciding = before | behind
        self._bind(node.target, behind)
        self.all(node.body)
        self.all(node.else_)
        self.deciding = before

    def _bind(self, target: nodes.Node, origin: frozenset[str]) -> None:
        for name in [target] if isinstance(target, nodes.Name) else target.find_all(nodes.Name):
            self.origins[name.name] = self.origins.get(name.name, frozenset()) | origin

    def _names(self, node: nodes.Node) -> frozenset[str]:
        """Free variables behind an expression."""
        names = [node] if isinstance(node, nodes.Name) else list(node.find_all(nodes.Name))
        found: set[str] = set()
        for name in names:
            found |= self.origins.get(name.name, {name.name})
        return frozenset(found)

    def _reach(self, names: Iterable[str], places: set[Place]) -> None:
        for name in names:
            self.found.setdefault(name, set()).update(places)
