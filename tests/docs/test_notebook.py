"""The page for notebooks runs from top to bottom, prints what it shows, and needs `alongside.stats` alone."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

PAGE = ROOT / "docs" / "experiments-in-a-notebook.md"
_CELL = re.compile(r"```python\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)
CELLS: list[tuple[str, str]] = _CELL.findall(PAGE.read_text("utf-8"))


def test_every_block_of_the_page_is_a_cell_with_its_output() -> None:
    text = PAGE.read_text("utf-8")
    assert len(CELLS) == text.count("```python") == text.count("```text") > 6


def test_cells_print_what_the_page_shows() -> None:
    names: dict[str, object] = {}
    for code, shown in CELLS:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, PAGE.name, "exec"), names)
        assert printed.getvalue() == shown, code


@pytest.mark.parametrize("code", [code for code, _ in CELLS])
def test_cells_use_the_library_alone(code: str) -> None:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            assert str(node.module).split(".")[:2] == ["alongside", "stats"]
        if isinstance(node, ast.Import):
            assert [name.name for name in node.names] == ["math"]


def test_the_library_brings_no_database_and_no_pandas() -> None:
    code = "\n".join(code for code, _ in CELLS) + "\nimport sys\n"
    code += (
        "assert not {'pandas', 'duckdb', 'sqlalchemy', 'pydantic', 'prefect'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
