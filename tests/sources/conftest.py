"""A small project with the shipped concepts, sources written in the test, and one call that ingests them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest

from alongside.settings import Project
from alongside.sources import Concepts, IngestReport, ingest, load_concepts, load_sources, source_roots
from alongside.warehouse import Warehouse

ROOT = Path(__file__).resolve().parent.parent.parent
AS_OF = datetime(2026, 3, 1, 0, 0, tzinfo=UTC)  # 08:00 in Shanghai

Rows = list[dict[str, Any]]


@cache
def shipped_concepts() -> Concepts:
    """config/concepts of the project itself, read once."""
    return load_concepts(Project.at(ROOT))


@dataclass
class Hospital:
    """A project folder, and what an ingest of its sources gave."""

    project: Project

    def config(self, name: str, yaml: str) -> Path:
        """Write config/sources/<name>.yaml."""
        path = self.project.config / "sources" / f"{name}.yaml"
        path.write_text(yaml, "utf-8")
        return path

    def put(self, path: str, content: str | bytes, encoding: str = "utf-8") -> Path:
        """Write one file of an extract, below var/."""
        target = self.project.var / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return target

    def read(
        self,
        *names: str,
        as_of: datetime = AS_OF,
        given: Mapping[str, Path] | None = None,
        secret: bytes | None = None,
        concepts: Concepts | None = None,
    ) -> IngestReport:
        """Ingest these sources; the tables are then there for `rows`."""
        sources = load_sources(self.project)
        chosen = {name: sources[name] for name in names}
        roots = source_roots(self.project, chosen, given)
        warehouse = Warehouse(self.project.var / "warehouse", "1GB", 2)
        return ingest(chosen, roots, concepts or shipped_concepts(), as_of, self.out, warehouse, secret)

    def concepts(self) -> Concepts:
        """The concepts of this project, where a test has changed them."""
        return load_concepts(self.project)

    @property
    def out(self) -> Path:
        return self.project.var / "canonical"

    def rows(self, table: str, columns: str = "*", order: str = "source, source_id") -> Rows:
        """Rows of a canonical table (or of `quarantine`)."""
        return self.sql(f"SELECT {columns} FROM '{self.out / table}.parquet' ORDER BY {order}")

    def quarantine(self) -> Rows:
        return self.rows("quarantine", order="table_name, source_file, source_row, field, rule")

    @staticmethod
    def sql(query: str) -> Rows:
        with duckdb.connect() as connection:
            cursor = connection.execute(query)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@pytest.fixture
def hospital(tmp_path: Path) -> Hospital:
    """A project with the shipped concepts and no sources yet."""
    (tmp_path / "config" / "sources").mkdir(parents=True)
    shutil.copytree(ROOT / "config" / "concepts", tmp_path / "config" / "concepts")
    return Hospital(Project.at(tmp_path))


@pytest.fixture
def shipped(hospital: Hospital) -> Hospital:
    """The same, with the shipped sources."""
    shutil.copytree(ROOT / "config" / "sources", hospital.project.config / "sources", dirs_exist_ok=True)
    return hospital


PATIENTS = """
format: csv
root: extract
time_zone: Asia/Shanghai
{more}
tables:
  patient:
    - file: patients.csv
      id: "no"
      columns:
        full_name: name
        gender: {{column: sex, values: {{男: male, 女: female}}}}
        birth_date: born
        registered_at: since
"""


@pytest.fixture
def patients(hospital: Hospital) -> Callable[..., Hospital]:
    """A hospital with one source `reg` of patients.csv (no,name,sex,born,since); `more` is further YAML."""

    def build(content: str | bytes | None = None, more: str = "", encoding: str = "utf-8") -> Hospital:
        hospital.config("reg", PATIENTS.format(more=more))
        if content is not None:
            hospital.put("extract/patients.csv", content, encoding)
        return hospital

    return build
