"""From pairs to people: connected components, unless that would join what must stay apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import duckdb

from alongside.patients import scripts


@dataclass(frozen=True)
class Edge:
    """Two living people who would be joined; 2.0 is the strength of a deterministic rule, else a probability."""

    left: str
    right: str
    strength: float


def group(duck: duckdb.DuckDBPyConnection) -> int:
    """Temp tables `joined` (`person_id, survivor_id` of every person who is part of a group) and `refused` (edges).

    Relations: edge(left_id, right_id, left_person, right_person, rule, strength), candidate, pair, record. Returns how
    many groups held a contradiction (two valid national ids, or two records that a person called different); these are
    joined edge by edge, strongest first, as far as they stay free of it.
    """
    components(duck, "edge")
    scripts.run(duck, "contradictions")
    roots, refused = _untangled(duck)
    duck.execute("CREATE OR REPLACE TEMP TABLE untangled (person_id VARCHAR, root VARCHAR)")
    duck.execute("CREATE OR REPLACE TEMP TABLE refused (left_person VARCHAR, right_person VARCHAR)")
    if roots:
        duck.executemany("INSERT INTO untangled VALUES (?, ?)", sorted(roots.items()))
    if refused:
        duck.executemany("INSERT INTO refused VALUES (?, ?)", [(edge.left, edge.right) for edge in refused])
    scripts.run(duck, "survivors")
    return scripts.count(duck, "SELECT count(*) FROM contradiction")


def components(duck: duckdb.DuckDBPyConnection, edges: str) -> None:
    """Temp table `component` (`person_id, root`) of everybody in relation `edges`, by spreading the least label."""
    duck.execute(
        f"CREATE OR REPLACE TEMP TABLE link AS SELECT left_person AS one, right_person AS two FROM {edges} "
        f"UNION SELECT right_person, left_person FROM {edges}"
    )
    duck.execute("CREATE OR REPLACE TEMP TABLE component AS SELECT DISTINCT one AS person_id, one AS root FROM link")
    # Groups are the few records of one person: the label has reached everybody after their number of steps at most.
    while True:
        duck.execute(
            "CREATE OR REPLACE TEMP TABLE spread AS "
            "SELECT c.person_id, least(c.root, min(n.root)) AS root FROM component AS c "
            "JOIN link ON link.one = c.person_id JOIN component AS n ON n.person_id = link.two "
            "GROUP BY c.person_id, c.root"
        )
        moved = scripts.count(
            duck, "SELECT count(*) FROM component AS c JOIN spread AS s USING (person_id) WHERE s.root <> c.root"
        )
        if moved == 0:
            return
        duck.execute("CREATE OR REPLACE TEMP TABLE component AS SELECT person_id, root FROM spread")


def _untangled(duck: duckdb.DuckDBPyConnection) -> tuple[dict[str, str], list[Edge]]:
    """Only the members of contradictory groups come to Python."""
    numbers: dict[str, set[str]] = {}
    for person, number in duck.execute("SELECT person_id, national_id FROM contradicting_member").fetchall():
        known = numbers.setdefault(person, set())
        if number is not None:
            known.add(number)
    edges = [Edge(*row) for row in duck.execute("SELECT * FROM contradicting_edge").fetchall()]
    apart = {frozenset(row) for row in duck.execute("SELECT * FROM kept_apart").fetchall()}
    return untangle(numbers, edges, apart)


def untangle(
    numbers: Mapping[str, Iterable[str]], edges: Iterable[Edge], apart: set[frozenset[str]]
) -> tuple[dict[str, str], list[Edge]]:
    """Join people edge by edge, strongest first, never two with different numbers or two that are kept apart.

    Parameters
    ----------
    numbers : valid national ids of each person
    apart : pairs of people whom somebody called different

    Returns
    -------
    the root of each person's group, and the edges that were refused
    """
    root = {person: person for person in numbers}
    group = {person: {person} for person in numbers}
    known = {person: set(values) for person, values in numbers.items()}
    refused = []
    for edge in sorted(edges, key=lambda edge: (-edge.strength, edge.left, edge.right)):
        one, two = root[edge.left], root[edge.right]
        if one == two:
            continue
        numbers_differ = known[one] and known[two] and len(known[one] | known[two]) > 1
        if numbers_differ or any(frozenset((a, b)) in apart for a in group[one] for b in group[two]):
            refused.append(edge)
            continue
        keep, gone = min(one, two), max(one, two)
        for person in group[gone]:
            root[person] = keep
        group[keep] |= group.pop(gone)
        known[keep] |= known.pop(gone)
    return root, refused
