"""A project with one tag file and segments written by the test, and a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from alongside.segments import Catalogue, check, load
from alongside.settings import Project
from alongside.warehouse import connect

ROOT = Path(__file__).resolve().parents[2]
CONCEPTS = {
    "condition": {"hypertension", "diabetes_type_2", "pregnancy", "copd"},
    "observation": {"systolic_bp", "diastolic_bp", "hba1c", "fasting_glucose", "smoking_status"},
    "procedure": {"knee_replacement", "colonoscopy"},
    "medication": {"metformin", "insulin"},
    "immunization": {"influenza_vaccine"},
    "allergy": {"penicillin_allergy"},
}
_BODY = "description: {zh_CN: 说明, en: words}"


class Written:
    """A project whose tags and segments a test writes in a line each."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "config" / "tags").mkdir(parents=True)
        (root / "config" / "segments").mkdir()
        settings = (ROOT / "config" / "alongside.yaml").read_text("utf-8")
        (root / "config" / "alongside.yaml").write_text(settings, "utf-8")
        self.project = Project.at(root)

    def tag(self, name: str, when: str = "", value: str = "") -> Written:
        rule = f'when: "{when}"' if when else f'value: "{value}"'
        with (self.root / "config" / "tags" / "tags.yaml").open("a", encoding="utf-8") as file:
            file.write(f"{name}: {{level: basic, {rule}, {_BODY}}}\n")
        return self

    def segment(self, name: str, where: str, exclude: str = "") -> Written:
        lines = [f"name: {name}", "label: {zh_CN: 名, en: name}", _BODY, "stage: prevention", "where: |"]
        lines += [f"  {line}" for line in where.splitlines()]
        lines += [f'exclude: "{exclude}"'] if exclude else []
        (self.root / "config" / "segments" / f"{name}.yaml").write_text("\n".join(lines) + "\n", "utf-8")
        return self

    def load(self) -> Catalogue:
        return load(self.project, CONCEPTS)

    def faults(self) -> list[str]:
        return [str(finding).replace(f"{self.root}/config/", "") for finding in check(self.project, CONCEPTS)]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path / "project")


@pytest.fixture
def duck(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(tmp_path / "spill", "500MB") as connection:
        yield connection


@pytest.fixture(scope="session")
def shipped() -> Catalogue:
    """The catalogue of the repository itself."""
    return load(Project.at(ROOT))


Evaluate = Callable[[str, Path], dict[str, object]]


@pytest.fixture
def evaluate(written: Written, duck: duckdb.DuckDBPyConnection) -> Evaluate:
    """Value of one expression for every person of a draft."""
    from alongside.segments import compile_variables
    from tests.segments.hospital import AS_OF

    def run(expression: str, tables: Path) -> dict[str, object]:
        compiled = compile_variables({"value": expression}, written.load())
        table = compiled.evaluate(duck, tables, AS_OF)
        return dict(zip(table["person_id"].to_pylist(), table["value"].to_pylist(), strict=True))

    return run
