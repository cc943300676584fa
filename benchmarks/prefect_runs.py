"""How many task runs one daily run makes: counted from the source of the flows, not from a run.

Every call of a `@task` in `flows/` is one task run; a call within a loop or comprehension runs once a campaign, which
is the only thing that flows loop over. Flows call other flows, whose calls count as well. Messages, patients and
batches appear nowhere in it, so the number is the same for ten messages and for ten million.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import ROOT

_LOOPS = (ast.For, ast.While, ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp)


@dataclass(frozen=True)
class TaskRuns:
    """At most `once + per_campaign * campaigns` (both branches of every condition are counted)."""

    once: int
    per_campaign: int

    def __add__(self, other: TaskRuns) -> TaskRuns:
        return TaskRuns(self.once + other.once, self.per_campaign + other.per_campaign)

    def of(self, campaigns: int) -> int:
        return self.once + self.per_campaign * campaigns


def count(flow: str = "daily", root: Path = ROOT) -> TaskRuns:
    """Task runs of a flow by its function's name."""
    tasks = {name for name, node in _functions(root / "tasks").items() if _is_decorated(node, "task")}
    return _count(flow, tasks, _functions(root / "flows"))


def _functions(folder: Path) -> dict[str, ast.FunctionDef]:
    trees = (ast.parse(path.read_text("utf-8")) for path in sorted(folder.glob("*.py")))
    return {node.name: node for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}


def _is_decorated(node: ast.FunctionDef, name: str) -> bool:
    found = (item.func if isinstance(item, ast.Call) else item for item in node.decorator_list)
    return any(isinstance(item, ast.Name) and item.id == name for item in found)


def _count(name: str, tasks: set[str], flows: dict[str, ast.FunctionDef]) -> TaskRuns:
    total = TaskRuns(0, 0)
    for statement in flows[name].body:
        total += _within(statement, tasks, flows, looped=False)
    return total


def _within(node: ast.AST, tasks: set[str], flows: dict[str, ast.FunctionDef], *, looped: bool) -> TaskRuns:
    total = TaskRuns(0, 0)
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in tasks:
            total += TaskRuns(0, 1) if looped else TaskRuns(1, 0)
        elif called in flows:
            inner = _count(called, tasks, flows)
            total += TaskRuns(0, inner.once) if looped else inner
    for child in ast.iter_child_nodes(node):
        total += _within(child, tasks, flows, looped=looped or isinstance(node, _LOOPS))
    return total
