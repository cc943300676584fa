"""Which records are one person: deterministic rules, then probability on what they leave open, then a person's word."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from alongside.patients import grouping, probability, scripts

#: From this probability on two records are one person; from `REVIEW` on somebody is asked.
MATCH = 0.99
REVIEW = 0.5
#: A number, mailbox or name with birth date that more records share is no key: it is a front desk's, or a placeholder.
LARGEST_BLOCK = 40


@dataclass(frozen=True)
class Matching:
    """What the comparison did. `rules` counts joined pairs by the rule that joined them."""

    pairs: int
    rules: dict[str, int]
    scored: int
    contradictions: int


def match(duck: duckdb.DuckDBPyConnection) -> Matching:
    """Temp tables `joined`, `refused` (see `grouping.group`), `edge` and `scored`.

    Relations: record, detail, trust, person_known, reviewed.
    """
    scripts.run(duck, "pairs_macros")
    scripts.run(duck, "pairs", {"largest_block": LARGEST_BLOCK})
    scripts.run(duck, "edges_by_rule")
    grouping.components(duck, "edge")
    scripts.run(duck, "open_pairs")
    scored = scripts.count(duck, "SELECT count(*) FROM open_pair")
    if scored:
        probability.score(duck, scripts.count(duck, "SELECT count(*) FROM record"))
    else:
        duck.execute("CREATE OR REPLACE TEMP TABLE scored (left_id VARCHAR, right_id VARCHAR, probability DOUBLE)")
    scripts.run(duck, "edges_by_probability", {"match": MATCH})
    contradictions = grouping.group(duck)
    rules = dict(duck.execute("SELECT rule, count(*) FROM edge GROUP BY rule ORDER BY rule").fetchall())
    return Matching(scripts.count(duck, "SELECT count(*) FROM pair"), rules, scored, contradictions)
