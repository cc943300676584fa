"""A small hospital for tests: canonical tables from plain rows, with ledger, vault and warehouse around them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from alongside.ledger import Ledger
from alongside.ledger.vault import Vault
from alongside.model.canonical import TABLES
from alongside.patients import (
    PERSON_MAP,
    BuildReport,
    ConsentReport,
    RelationReport,
    ResolutionReport,
    build_snapshot,
    record_consents,
    record_relations,
    resolve,
)
from alongside.settings.hospital import HospitalSettings
from alongside.warehouse import Draft, Warehouse

NOW = datetime(2026, 3, 1, tzinfo=UTC)
Row = Mapping[str, Any]


_TYPES = {
    "VARCHAR": pa.string(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
    "DOUBLE": pa.float64(),
    "BIGINT": pa.int64(),
    "VARCHAR[]": pa.list_(pa.string()),
}


def write_clean(folder: Path, **tables: Iterable[Row]) -> None:
    """Every canonical table below `folder`, with these rows and nothing else; missing fields are null."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in TABLES.items():
        schema = pa.schema([(column.name, _TYPES[column.type]) for column in table.columns])
        defaults = {"source": "his", "extract_date": "2026-02-28"}
        rows = [
            defaults | {"source_id": f"{name}{number}"} | dict(row) for number, row in enumerate(tables.get(name, ()))
        ]
        assert all(set(row) <= set(schema.names) for row in rows)
        full = [{column: _typed(row.get(column), schema.field(column).type) for column in schema.names} for row in rows]
        pq.write_table(pa.Table.from_pylist(full, schema=schema), folder / f"{name}.parquet")


def _typed(value: Any, kind: pa.DataType) -> Any:
    return date.fromisoformat(value) if isinstance(value, str) and pa.types.is_date(kind) else value


def patient(source_id: str, source: str = "his", **details: Any) -> Row:
    return {"source": source, "source_id": source_id, **details}


@dataclass
class World:
    root: Path
    ledger: Ledger
    vault: Vault
    settings: HospitalSettings
    warehouse: Warehouse = field(init=False)

    def __post_init__(self) -> None:
        self.warehouse = Warehouse(self.root / "var", memory_limit="1GB", threads=1)

    @property
    def clean(self) -> Path:
        return self.root / "staging" / "clean"

    def resolve(self, *patients: Row, now: datetime = NOW, **tables: Iterable[Row]) -> ResolutionReport:
        write_clean(self.clean, patient=patients, **tables)
        return self.again(now)

    def again(self, now: datetime = NOW) -> ResolutionReport:
        return resolve(self.clean, self.ledger, self.vault, now=now, warehouse=self.warehouse, settings=self.settings)

    def record_consents(self, now: datetime = NOW) -> ConsentReport:
        return record_consents(
            self.clean, self.clean.parent / PERSON_MAP, self.ledger, now=now, warehouse=self.warehouse
        )

    def record_relations(self, now: datetime = NOW) -> RelationReport:
        person_map = self.clean.parent / PERSON_MAP
        return record_relations(self.clean, person_map, self.ledger, now=now, warehouse=self.warehouse)

    def person_map(self) -> dict[tuple[str, str], str]:
        """(source, id) -> person_id."""
        rows = pq.read_table(self.clean.parent / PERSON_MAP).to_pylist()
        return {(row["source"], row["patient_source_id"]): row["person_id"] for row in rows}

    def groups(self) -> set[frozenset[str]]:
        """Who is one person: sets of source ids."""
        found: dict[str, set[str]] = {}
        for (_, source_id), person in self.person_map().items():
            found.setdefault(person, set()).add(source_id)
        return {frozenset(group) for group in found.values()}

    def snapshot(self, as_of: datetime = NOW) -> tuple[Draft, BuildReport]:
        draft = self.warehouse.begin("test", as_of)
        report = build_snapshot(
            self.clean,
            draft,
            self.ledger,
            self.vault,
            as_of=as_of,
            settings=self.settings,
            warehouse=self.warehouse,
        )
        return draft, report

    def persons(self, as_of: datetime = NOW) -> list[dict[str, Any]]:
        """Rows of `person.parquet` of a fresh snapshot."""
        draft, _ = self.snapshot(as_of)
        rows: list[dict[str, Any]] = pq.read_table(draft.table("person")).to_pylist()
        return rows
