"""The guide for marketers names every function and column, and its examples work."""

from __future__ import annotations

import re

import pytest

from alongside.segments.columns import PERSON, USABLE
from alongside.segments.functions import FUNCTIONS
from alongside.segments.language import BUILT_IN, parse
from tests.conftest import ROOT
from tests.segments.conftest import Written

GUIDE = (ROOT / "docs" / "segments.md").read_text("utf-8")
ROWS = [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in GUIDE.splitlines() if line.startswith("| `")]


def test_every_function_stands_in_the_guide_as_it_is() -> None:
    told = {row[0]: row[1:] for row in ROWS if "(" in row[0]}
    assert set(told) == {f"`{function.signature}`" for function in FUNCTIONS.values()}
    for function in FUNCTIONS.values():
        kind, meaning, example = told[f"`{function.signature}`"]
        assert (meaning, example) == (function.description, f"`{function.example}`")
        assert kind == ("the tag's type" if function.name == "tag" else function.returns.value)


def test_every_column_stands_in_the_guide_with_its_lineage() -> None:
    told = {row[0].strip("`"): row for row in ROWS if row[0].strip("`") in PERSON}
    assert set(told) == USABLE
    for name, row in told.items():
        own = {field for field in PERSON[name].reads if not field.endswith("patient_source_id")}
        assert row[1] == PERSON[name].type.value
        assert set(row[3].split(", ")) == own


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_function_stands_in_the_guide(name: str) -> None:
    assert f"{name}(" in GUIDE


def test_the_guides_segment_and_tags_are_valid(written: Written) -> None:
    blocks = re.findall(r"```yaml\n# (config/[\w/.]+)[^\n]*\n(.*?)```", GUIDE, re.DOTALL)
    assert len(blocks) == 2
    written.tag("at_home", when="not deceased and not inpatient_now")
    for path, body in blocks:
        (written.root / path).write_text(body, "utf-8")
    assert written.faults() == []


def test_expressions_in_the_guide_can_be_read() -> None:
    for block in re.findall(r"```sql\n(.*?)```", GUIDE, re.DOTALL):
        assert parse(block).tree is not None
