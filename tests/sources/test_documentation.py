"""The guides' examples are run as they stand."""

from __future__ import annotations

import re

import pytest

from alongside.sources.expressions import FUNCTIONS
from alongside.sources.rules import WORDS
from tests.sources.conftest import ROOT, Hospital, shipped_concepts

ADDING = (ROOT / "docs" / "adding-a-source.md").read_text("utf-8")
GUIDE = (ROOT / "docs" / "data-engineer.md").read_text("utf-8")


def block(language: str, index: int = 0) -> str:
    return re.findall(rf"```{language}\n(.*?)```", ADDING, re.DOTALL)[index]


def test_the_example_of_adding_a_source(hospital: Hospital) -> None:
    concepts = hospital.project.config / "concepts" / "observations.yaml"
    meaning = block("yaml", 1).splitlines()[-1]
    text = concepts.read_text("utf-8")
    start = text.index("codes:", text.index("body_weight:")) + len("codes:\n")
    concepts.write_text(text[:start] + meaning + "\n" + text[start:], "utf-8")
    hospital.config("dialysis", block("yaml"))
    hospital.put("hospital/dialysis/2026-02-28/sessions.csv", block("csv"), "gb18030")

    report = hospital.read("dialysis", concepts=hospital.concepts())

    assert [(row["source_id"], row["value"], row["unit"], row["concepts"]) for row in hospital.rows("observation")] == [
        ("S-1", 71.5, "kg", ["body_weight"]),
        ("S-2", 71.5, "kg", ["body_weight"]),
    ]
    assert [(row["source_row"], row["rule"]) for row in hospital.quarantine()] == [(3, "unreadable_number")]
    assert (report.rows_read, report.kept, report.rejected) == (3, 2, 1)


@pytest.mark.parametrize("rule", sorted(WORDS))
def test_every_rule_is_documented(rule: str) -> None:
    assert f"`{rule}`" in GUIDE


def test_every_function_is_documented() -> None:
    [listed] = re.findall(r"the functions\n`(.*?)`", GUIDE, re.DOTALL)
    assert set(listed.split()) == FUNCTIONS


def test_shipped_units_are_all_spelled() -> None:
    concepts = shipped_concepts()
    assert {item.unit for item in concepts.concepts if item.unit} <= set(concepts.spellings.values())
