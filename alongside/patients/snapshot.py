"""The 360 snapshot: one pseudonymous row a person, and their histories, as of one moment."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb

from alongside.ledger import Ledger
from alongside.ledger.vault import Vault
from alongside.model.canonical import TABLES, Table
from alongside.model.clock import require_utc
from alongside.model.errors import StoreUnavailable
from alongside.patients import details, keyed, own, scripts
from alongside.patients.prepare import prepare
from alongside.patients.reports import BuildReport
from alongside.patients.resolution import PERSON_MAP
from alongside.settings.hospital import HospitalSettings
from alongside.warehouse import Draft, Warehouse
from alongside.warehouse.duck import quoted

#: Tables of a snapshot that hold what happened; `patient` becomes `person`, consents and relatives live in the
#: ledger's logs.
HISTORIES = tuple(table for name, table in TABLES.items() if name not in ("patient", "consent", "related_person"))


def build_snapshot(
    clean: Path,
    draft: Draft,
    ledger: Ledger,
    vault: Vault,
    *,
    as_of: datetime,
    settings: HospitalSettings,
    warehouse: Warehouse,
) -> BuildReport:
    """Write `person.parquet` and the history tables of docs/architecture.md into the draft.

    `clean` lies beside the `person_map.parquet` that `resolve` wrote. What happened after `as_of` is left out, and so
    are rows of patients whom no extract describes. No identifying value leaves the staging folder: addresses become
    blind indexes, birth dates an age in the hospital's time zone.

    Raises
    ------
    StoreUnavailable : the disk is full or DuckDB's budget too small; the previous snapshot stays current
    """
    as_of = require_utc(as_of)
    try:
        with warehouse.connect() as duck:
            _begin(duck, clean, ledger, vault, as_of, settings)
            written = {table.name: _history(duck, clean, draft, table) for table in HISTORIES}
            left_out = {table.name: _rows(duck, clean / f"{table.name}.parquet") for table in HISTORIES}
            left_out = {name: rows + own.rows(duck, name) - written[name] for name, rows in left_out.items()}
            left_out = {name: rows for name, rows in left_out.items() if rows > 0}
            persons = _persons(duck, draft)
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        raise StoreUnavailable(
            f"the snapshot cannot be built: out of memory or disk ({type(error).__name__})",
            where=str(draft.path),
            remedy="Free space, or raise 'warehouse.memory_limit'; the previous snapshot stays current.",
        ) from None
    return BuildReport(persons, {"person": persons, **written}, left_out)


def _begin(
    duck: duckdb.DuckDBPyConnection,
    clean: Path,
    ledger: Ledger,
    vault: Vault,
    as_of: datetime,
    settings: HospitalSettings,
) -> None:
    hospital = settings.hospital
    prepare(duck, ledger.info.secret, settings.sources, as_of)
    keyed.install(duck, "blind_hash", vault.blind_key)
    details.prepare(duck, hospital.country, as_of, hospital.time_zone)
    values = {
        "as_of": as_of.astimezone(UTC).replace(tzinfo=None),
        "country": hospital.country,
        "time_zone": hospital.time_zone,
        "locale": str(hospital.default_locale),
    }
    for name, value in values.items():
        duck.execute(f"SET VARIABLE {name} = ?", [value])
    person_map = quoted(clean.parent / PERSON_MAP)
    duck.execute(f"CREATE OR REPLACE TEMP VIEW mapped AS SELECT * FROM read_parquet({person_map})")
    own.load(duck, ledger, as_of)
    if not details.load_kept(duck, clean.parent, as_of, hospital.time_zone):
        duck.execute(
            "CREATE OR REPLACE TEMP VIEW known AS "
            "SELECT source, patient_source_id AS source_id, person_id, since FROM mapped"
        )
        details.load(duck, clean / "patient.parquet", hospital.country)
    duck.execute("CREATE OR REPLACE TEMP VIEW member AS FROM detail")
    scripts.run(duck, "golden")


def _history(duck: duckdb.DuckDBPyConnection, clean: Path, draft: Draft, table: Table) -> int:
    """Write one history table up to `as_of`, with what patients told us, as a view of its name; returns its rows."""
    columns = ", ".join(f't."{column.name}"' for column in table.columns if not column.identifying)
    happened = (
        f"WHERE t.{table.event_time} IS NULL OR t.{table.event_time} <= getvariable('as_of')"
        if table.event_time
        else ""
    )
    source, target = clean / f"{table.name}.parquet", draft.table(table.name)
    duck.execute(
        f"COPY (SELECT m.person_id, {columns} FROM read_parquet({quoted(source)}) AS t "
        f"JOIN mapped AS m ON m.source = t.source AND m.patient_source_id = t.patient_source_id {happened} "
        f"{own.union_sql(table.name)}) TO {quoted(target)} (FORMAT parquet, COMPRESSION zstd)"
    )
    duck.execute(f'CREATE OR REPLACE TEMP VIEW "{table.name}" AS FROM read_parquet({quoted(target)})')
    return _rows(duck, target)


def _persons(duck: duckdb.DuckDBPyConnection, draft: Draft) -> int:
    scripts.run(duck, "snapshot_facts")
    scripts.run(duck, "preference_fact")
    scripts.run(duck, "snapshot_person")
    target = draft.table("person")
    duck.execute(f"COPY snapshot_person TO {quoted(target)} (FORMAT parquet, COMPRESSION zstd)")
    return _rows(duck, target)


def _rows(duck: duckdb.DuckDBPyConnection, file: Path) -> int:
    return scripts.count(duck, f"SELECT count(*) FROM read_parquet({quoted(file)})")
