"""The second half's SQL: meanings of codes, conversion of units, and which record of a key stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from alongside.sources.concepts import Concepts, fold_unit
from alongside.sources.mapping_sql import text
from alongside.sources.rules import WORDS
from alongside.sources.staging import Staged, StagedTable
from alongside.sources.vocabulary import KIND_OF_TABLE
from alongside.warehouse.duck import quoted

#: A row with this condition is refused as a whole.
REMOVED = "contains(coalesce(faults, '') || ';', ':R;')"
_FOLDED = (
    "lower(replace(replace(replace(replace(replace(coalesce(t.unit, ''),"
    " ' ', ''), 'µ', 'u'), 'μ', 'u'), '／', '/'), '％', '%'))"
)


@dataclass(frozen=True)
class Resolved:
    """Names of the views of one source and table."""

    source: str
    table: str
    rows_read: int

    @property
    def stem(self) -> str:
        return f"{self.source}__{self.table}"

    @property
    def view(self) -> str:
        """typed columns, source_file, extract_date, concepts, with units converted and all faults."""
        return f'"resolved_{self.stem}"'

    @property
    def fates(self) -> str:
        """seq, fate (superseded | duplicate) of rows that another row of their key replaces."""
        return f'"fates_{self.stem}"'


def prepare(connection: duckdb.DuckDBPyConnection, concepts: Concepts, secret: bytes) -> None:
    """Small tables that every query joins: codes, units, conversions, words of rules, the key of record keys."""
    numeric = [concept for concept in concepts.concepts if concept.kind == "observation" and concept.unit]
    _table(connection, "concept_code", ["kind", "system", "pattern", "name"], list(concepts.patterns()))
    _table(
        connection,
        "concept_unit",
        ["name", "unit", "low", "high"],
        [(item.name, item.unit, *(item.plausible or (None, None))) for item in numeric],
        {"low": pa.float64(), "high": pa.float64()},
    )
    _table(
        connection,
        "conversion",
        ["name", "unit", "factor", "shift"],
        [(item.name, item.unit, 1.0, 0.0) for item in numeric]
        + [(item.name, unit, how.factor, how.offset) for item in numeric for unit, how in item.convert.items()],
        {"factor": pa.float64(), "shift": pa.float64()},
    )
    _table(connection, "rule_words", ["rule", "words"], list(WORDS.items()))
    _table(connection, "record_secret", ["secret"], [(secret.hex(),)])


def prepare_files(connection: duckdb.DuckDBPyConnection, staged: list[Staged]) -> None:
    """The files of all sources, by source and number; and whether their rows count."""
    rows = [
        (entry.source, entry.file_no, entry.relative, entry.day, entry.fault is None)
        for item in staged
        for entry in item.files
    ]
    types = {"file_no": pa.int32(), "readable": pa.bool_()}
    _table(connection, "extract_file", ["source", "file_no", "source_file", "day", "readable"], rows, types)


def prepare_units(
    connection: duckdb.DuckDBPyConnection, source: str, concepts: Concepts, own: Mapping[str, str]
) -> None:
    """Spellings of units as this source means them."""
    spellings = concepts.spellings | {fold_unit(word): unit for word, unit in own.items()}
    _table(connection, f"unit_{source}", ["spelling", "unit"], list(spellings.items()))


def _table(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    names: list[str],
    rows: Sequence[tuple[object, ...]],
    types: Mapping[str, pa.DataType] | None = None,
) -> None:
    schema = pa.schema([(column, (types or {}).get(column, pa.string())) for column in names])
    data = pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema)
    connection.register("small", data)
    connection.execute(f'CREATE OR REPLACE TEMP TABLE "{table}" AS SELECT * FROM small')
    connection.unregister("small")


def resolve(connection: duckdb.DuckDBPyConnection, source: str, staged: StagedTable) -> Resolved:
    """Create the views of one source and table."""
    found = Resolved(source, staged.table, staged.rows_read)
    parts = ", ".join(quoted(part) for part in staged.parts)
    connection.execute(f"""CREATE TEMP VIEW "typed_{found.stem}" AS
        SELECT t.*, f.source_file, CAST(f.day AS DATE) AS extract_date
        FROM read_parquet([{parts}]) t JOIN extract_file f
          ON f.source = {text(source)} AND f.file_no = t.file_no AND f.readable""")
    kind = KIND_OF_TABLE.get(staged.table)
    if kind is None:
        connection.execute(f'CREATE TEMP VIEW {found.view} AS SELECT * FROM "typed_{found.stem}"')
    else:
        connection.execute(_meanings(found, kind))
        body = _measured(found) if staged.table == "observation" else _coded(found)
        connection.execute(f"CREATE TEMP VIEW {found.view} AS {body}")
    connection.execute(_fates(found))
    return found


def _meanings(found: Resolved, kind: str) -> str:
    """Distinct codes with their concepts; the table is as small as the source's code list."""
    return f"""CREATE TEMP TABLE "meaning_{found.stem}" AS
        WITH code AS (SELECT DISTINCT system, code FROM "typed_{found.stem}" WHERE code IS NOT NULL),
        known AS (
          SELECT c.system, c.code, k.name FROM code c JOIN concept_code k
            ON k.kind = {text(kind)} AND k.system = c.system AND k.pattern = c.code
          UNION
          SELECT c.system, c.code, k.name FROM code c JOIN concept_code k
            ON k.kind = {text(kind)} AND k.system = c.system AND suffix(k.pattern, '*')
              AND starts_with(c.code, left(k.pattern, length(k.pattern) - 1)))
        SELECT k.system, k.code, list(k.name ORDER BY k.name) AS concepts,
          min(u.name) AS measured, any_value(u.unit) AS wanted, max(u.low) AS low, min(u.high) AS high
        FROM known k LEFT JOIN concept_unit u ON u.name = k.name AND {text(kind)} = 'observation'
        GROUP BY ALL"""


def _coded(found: Resolved) -> str:
    return f"""SELECT t.*, coalesce(m.concepts, []) AS concepts
        FROM "typed_{found.stem}" t LEFT JOIN "meaning_{found.stem}" m ON m.system = t.system AND m.code = t.code"""


def _measured(found: Resolved) -> str:
    """Observations: the number in the concept's unit, and the faults that only the concept can tell."""
    return f"""
        WITH named AS (
          SELECT t.* EXCLUDE (faults, unit), m.concepts, m.measured, m.wanted, m.low, m.high,
            coalesce(u.unit, t.unit) AS unit,
            CASE WHEN t.value IS NULL AND t.value_text IS NULL
              THEN regexp_replace(t.faults, '(^|;)(value:[a-z_]+):V', '\\1\\2:R') ELSE t.faults END AS faults
          FROM "typed_{found.stem}" t
          LEFT JOIN "meaning_{found.stem}" m ON m.system = t.system AND m.code = t.code
          LEFT JOIN "unit_{found.source}" u ON u.spelling = {_FOLDED}),
        converted AS (
          SELECT n.*, n.value * c.factor + c.shift AS number, c.factor IS NOT NULL AS convertible
          FROM named n LEFT JOIN conversion c ON c.name = n.measured AND c.unit = n.unit)
        SELECT * EXCLUDE (faults, value, unit, number, convertible, measured, wanted, low, high, concepts),
          coalesce(concepts, []) AS concepts,
          CASE WHEN wanted IS NULL THEN value ELSE round(number, 6) END AS value,
          CASE WHEN wanted IS NULL OR value IS NULL THEN unit ELSE wanted END AS unit,
          nullif(concat_ws(';', faults, CASE
            WHEN {REMOVED} THEN NULL
            WHEN value IS NULL AND value_text IS NULL THEN 'value:no_value:R'
            WHEN wanted IS NOT NULL AND value IS NOT NULL AND NOT convertible THEN 'unit:unknown_unit:R'
            WHEN number < low OR number > high THEN 'value:impossible_value:R' END), '') AS faults
        FROM converted"""


def _fates(found: Resolved) -> str:
    """Rows that a later good row of the same key replaces. A refused row replaces nothing."""
    return f"""CREATE TEMP TABLE {found.fates} AS
        WITH doubled AS (
          SELECT source_id FROM "typed_{found.stem}" WHERE source_id IS NOT NULL
          GROUP BY source_id HAVING count(*) > 1),
        candidate AS (
          SELECT r.source_id, r.seq, r.extract_date, {REMOVED} AS removed
          FROM {found.view} r SEMI JOIN doubled d ON d.source_id = r.source_id),
        winner AS (
          SELECT source_id, max(seq) AS seq, arg_max(extract_date, seq) AS day
          FROM candidate WHERE NOT removed GROUP BY source_id)
        SELECT c.seq, CASE WHEN c.extract_date < w.day THEN 'superseded' ELSE 'duplicate' END AS fate
        FROM candidate c JOIN winner w ON w.source_id = c.source_id
        WHERE c.seq < w.seq AND (c.extract_date < w.day OR NOT c.removed)"""
