"""A small staging folder with known faults, written the way a reader would."""

from __future__ import annotations

from pathlib import Path

import duckdb

from alongside.model.canonical import QUARANTINE, TABLES

PATIENTS = 200
OBSERVATIONS = 1000


def write_staging(
    folder: Path, *, observations: int = OBSERVATIONS, extract: str = "2026-03-01", null_unit_share: float = 0.0
) -> Path:
    """200 patients and readings of systolic pressure: 7 impossible, 3 of nobody, 2 in the future.

    Two birth dates lie in the future, four genders are no FHIR word, one man is pregnant.
    """
    folder.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect()
    provenance = (
        f"'his' AS source, {{key}} || i AS source_id, DATE '{extract}' AS extract_date, "
        "'f.csv' AS source_file, i AS source_row"
    )
    rows = {
        "patient": f"""SELECT {provenance.format(key="'p'")},
            CASE WHEN i <= 2 THEN DATE '2030-01-01' ELSE DATE '1960-01-01' + i::INT END AS birth_date,
            CASE WHEN i BETWEEN 3 AND 6 THEN 'M' ELSE 'male' END AS gender, 'p' || i || '@example.com' AS email
            FROM range(1, {PATIENTS + 1}) AS t(i)""",
        "observation": f"""SELECT {provenance.format(key="'o'")},
            CASE WHEN i <= 3 THEN 'nobody' ELSE 'p' || (1 + i % {PATIENTS}) END AS patient_source_id,
            'local:his' AS system, 'SBP' AS code, ['systolic_bp'] AS concepts,
            CASE WHEN i BETWEEN 10 AND 16 THEN 700 ELSE 120 + i % 40 END AS value,
            CASE WHEN i <= {int(observations * null_unit_share)} THEN NULL ELSE 'mm[Hg]' END AS unit,
            'clinic' AS context,
            CASE WHEN i BETWEEN 20 AND 21 THEN TIMESTAMP '2031-01-01' ELSE TIMESTAMP '2026-02-20' END AS effective_at
            FROM range(1, {observations + 1}) AS t(i)""",
        "condition": f"""SELECT {provenance.format(key="'c'")}, 'p9' AS patient_source_id, 'icd10' AS system,
            'Z33' AS code, ['pregnancy'] AS concepts, TIMESTAMP '2026-01-01' AS onset_at FROM range(1, 2) AS t(i)""",
    }
    for name, table in TABLES.items():
        given = f"({rows[name]})" if name in rows else "(SELECT 1 AS nothing WHERE FALSE)"
        have = {row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {given}").fetchall()}
        columns = ", ".join(f"{c.name if c.name in have else 'NULL'}::{c.type} AS {c.name}" for c in table.columns)
        connection.execute(f"COPY (SELECT {columns} FROM {given}) TO '{folder / name}.parquet'")
    empty = ", ".join(f"NULL::{'BIGINT' if n == 'source_row' else 'VARCHAR'} AS {n}" for n in QUARANTINE.names)
    connection.execute(f"COPY (SELECT {empty} WHERE FALSE) TO '{folder / 'quarantine.parquet'}'")
    return folder
