"""How many task runs one daily run makes: counted from the source of the flows, not from a run.

Every call of a `@task` in `flows/` is one task run; a call within a loop or comprehension runs once a partition when it
loops over `range(partitions)`, and once a campaign otherwise: flows loop over nothing else. Flows call other flows, and
functions of their own file, whose calls count as well. Messages, patients and batches appear nowhere in it, so the
number is the same for ten messages and for ten million.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import ROOT

_LOOPS = (ast.For, ast.While, ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp)


@dataclass(frozen=True)
class TaskRuns:
    """At most so many, once a run, a campaign and a partition (both branches of every condition are counted)."""

    once: int
    per_campaign: int
    per_partition: int = 0

    def __add__(self, other: TaskRuns) -> TaskRuns:
        return TaskRuns(
            self.once + other.once,
            self.per_campaign + other.per_campaign,
            self.per_partition + other.per_partition,
        )

    def of(self, campaigns: int, partitions: int = 1) -> int:
        return self.once + self.per_campaign * campaigns + self.per_partition * partitions


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
        total += _within(statement, tasks, flows, "")
    return total


def _within(node: ast.AST, tasks: set[str], flows: dict[str, ast.FunctionDef], loop: str) -> TaskRuns:
    total = TaskRuns(0, 0)
    if isinstance(node, ast.Call):
        called = _called(node)
        if called in tasks:
            total += _times(1, loop)
        elif called in flows:
            inner = _count(called, tasks, flows)
            total += _times(inner.once, loop) if loop else inner
    inside = loop or _loops_over(node)
    for child in ast.iter_child_nodes(node):
        total += _within(child, tasks, flows, inside)
    return total


def _called(node: ast.Call) -> str:
    """Name of what is called: `task(...)`, `module.task(...)` or `task.submit(...)`."""
    if not isinstance(node.func, ast.Attribute):
        return getattr(node.func, "id", "")
    if node.func.attr == "submit":
        return getattr(node.func.value, "attr", getattr(node.func.value, "id", ""))
    return node.func.attr


def _loops_over(node: ast.AST) -> str:
    if not isinstance(node, _LOOPS):
        return ""
    over = [node.iter] if isinstance(node, ast.For) else [one.iter for one in getattr(node, "generators", [])]
    return "partition" if any("partitions" in ast.unparse(one) for one in over) else "campaign"


def _times(runs: int, loop: str) -> TaskRuns:
    if loop == "partition":
        return TaskRuns(0, 0, runs)
    return TaskRuns(0, runs) if loop else TaskRuns(runs, 0)
