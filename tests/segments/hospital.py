"""Snapshot drafts for tests: Parquet tables of exactly the documented shape, from a few rows in Python."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from alongside.model.canonical import TABLES
from alongside.segments.columns import PERSON

#: 2026-03-01 08:00 in Shanghai
AS_OF = datetime(2026, 3, 1, 0, 0, tzinfo=UTC)
HISTORIES = [name for name in TABLES if name not in ("patient", "consent")]

_DEFAULTS: dict[str, Any] = {
    "gender": "female",
    "language": "zh_CN",
    "age": 50,
    "age_band": "45-59",
    "days_to_birthday": 100,
    "deceased": False,
    "email_state": "valid",
    "phone_state": "valid",
    "text_state": "valid",
    "openid_state": "missing",
    "device_token_state": "missing",
    "inpatient_now": False,
    "encounters_12m": 0,
    "emergency_visits_12m": 0,
    "noshows_12m": 0,
    "interactions_30d": 0,
    "articles_read_90d": 0,
    "is_patient": True,
    **{name: [] for name, column in PERSON.items() if column.sql_type == "VARCHAR[]"},
}
_EVENT_DEFAULTS: dict[str, dict[str, Any]] = {
    "procedure": {"status": "completed"},
    "medication_request": {"status": "active"},
    "appointment": {"status": "booked"},
    "observation": {"context": "clinic"},
}


def history_columns(table: str) -> dict[str, str]:
    """Column -> DuckDB type of a history table in a snapshot: `person_id` first, nothing identifying."""
    columns = {column.name: column.type for column in TABLES[table].columns if not column.identifying}
    return {"person_id": "VARCHAR", **columns}


def ago(days: float = 0, hours: float = 0) -> datetime:
    """So long before `AS_OF`, as the tables store it: UTC, naive."""
    return AS_OF.replace(tzinfo=None) - timedelta(days=days, hours=hours)


def utc(text: str) -> datetime:
    """A moment as the tables store it."""
    return datetime.fromisoformat(text).replace(tzinfo=None)


class Draft:
    """Rows, then files: `Draft(folder).person("p1", age=70).reading("p1", "hba1c", 8, ago(3)).write()`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rows: dict[str, list[dict[str, Any]]] = {"person": [], **{name: [] for name in HISTORIES}}

    def person(self, person_id: str, **values: Any) -> Draft:
        self._rows["person"].append({**_DEFAULTS, **values, "person_id": person_id})
        return self

    def event(self, table: str, person_id: str, **values: Any) -> Draft:
        known = {"source": "his", "source_id": str(len(self._rows[table])), **_EVENT_DEFAULTS.get(table, {})}
        if (concept := values.pop("concept", None)) is not None:
            known["concepts"] = [concept]
        self._rows[table].append({**known, **values, "person_id": person_id})
        return self

    def reading(
        self, person_id: str, concept: str, value: float | None, at: datetime, context: str = "clinic", **more: Any
    ) -> Draft:
        return self.event(
            "observation", person_id, concept=concept, value=value, effective_at=at, context=context, **more
        )

    def write(self) -> Path:
        """Write every table, empty where it has no rows; returns the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        connection = duckdb.connect()
        for table, rows in self._rows.items():
            types = {name: c.sql_type for name, c in PERSON.items()} if table == "person" else history_columns(table)
            connection.execute(f"CREATE TABLE {table} ({', '.join(f'{n} {t}' for n, t in types.items())})")
            for row in rows:
                marks = ", ".join("?" for _ in row)
                connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))
            connection.execute(f"COPY {table} TO '{self.folder / table}.parquet'")
        connection.close()
        return self.folder


def rows(path: Path, order: str = "ALL") -> list[tuple[Any, ...]]:
    """All rows of a Parquet file, sorted."""
    return duckdb.connect().execute(f"SELECT * FROM read_parquet('{path}') ORDER BY {order}").fetchall()
