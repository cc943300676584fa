"""The first half of an ingest: files to typed rows on disk, with the count of what each file held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa

from alongside.model.errors import DataInvalid
from alongside.sources.config import FileMapping, SourceConfig
from alongside.sources.locate import ExtractFile, Extracts, require_files
from alongside.sources.mapping_sql import Reading, typed_rows
from alongside.sources.tabular import Counter, read_files, schema_for
from alongside.sources.text import FileFault
from alongside.warehouse.duck import quoted


@dataclass(frozen=True)
class FileEntry:
    """One file of the ingest, by the number that its rows carry."""

    file_no: int
    source: str
    table: str
    relative: str
    day: str | None  # ISO date of the extract
    rows: int
    fault: FileFault | None = None


@dataclass
class StagedTable:
    """Typed rows of one source and canonical table."""

    table: str
    parts: list[Path] = field(default_factory=list)
    rows_read: int = 0


@dataclass
class Staged:
    """What one source has left on disk for the second half."""

    source: str
    tables: dict[str, StagedTable] = field(default_factory=dict)
    files: list[FileEntry] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unused_columns: list[tuple[str, str]] = field(default_factory=list)
    resources_read: int = 0
    not_used: dict[str, int] = field(default_factory=dict)


def stage_tables(connection: duckdb.DuckDBPyConnection, source: SourceConfig, extracts: Extracts, work: Path) -> Staged:
    """Read all files of a CSV or Parquet source."""
    staged = Staged(source.name)
    for table, mappings in source.tables.items():
        target = staged.tables.setdefault(table, StagedTable(table))
        counter = Counter()
        for index, mapping in enumerate(mappings):
            files = extracts.files(mapping.file)
            if not mapping.optional:
                require_files(source, extracts, mapping.file, files)
            staged.missing.extend(extracts.without(mapping.file, files))
            part = work / f"{source.name}.{table}.{index}.parquet"
            _stage_mapping(connection, source, table, mapping, files, counter, staged, part)
            target.parts.append(part)
        target.rows_read = sum(entry.rows for entry in staged.files if entry.table == table and not entry.fault)
    return staged


def _stage_mapping(
    connection: duckdb.DuckDBPyConnection,
    source: SourceConfig,
    table: str,
    mapping: FileMapping,
    files: list[ExtractFile],
    counter: Counter,
    staged: Staged,
    part: Path,
) -> None:
    numbered = list(enumerate(files, start=len(staged.files)))
    counter.unused.clear()
    batches = read_files(source, numbered, mapping.reads, counter)
    reading = Reading(
        table,
        mapping.reads,
        mapping.id,
        mapping.id_prefix,
        mapping.columns,
        source.time_zone,
        tuple(source.date_formats),
    )
    write_typed(connection, reading, batches, part)
    staged.unused_columns.extend((mapping.file, name) for name in sorted(counter.unused))
    for file_no, file in numbered:
        staged.files.append(file_entry(file_no, source, table, file, counter))
    stop_on_fault(source, table, source.policy(table, mapping), staged.files[len(staged.files) - len(numbered) :])


def file_entry(file_no: int, source: SourceConfig, table: str, file: ExtractFile, counter: Counter) -> FileEntry:
    """What is known of a file after it was read."""
    day = file.day.isoformat() if file.day else None
    rows, fault = counter.rows.get(file_no, 0), counter.faults.get(file_no)
    return FileEntry(file_no, source.name, table, file.relative, day, rows, fault)


def write_typed(
    connection: duckdb.DuckDBPyConnection, reading: Reading, batches: Iterator[pa.RecordBatch], part: Path
) -> None:
    """Stream batches of text through the mapping's SQL into a Parquet file of typed rows."""
    stream = pa.RecordBatchReader.from_batches(schema_for(reading.columns), batches)
    connection.register("incoming", stream)
    try:
        connection.execute(
            f"COPY ({typed_rows(reading, 'incoming')}) TO {quoted(part)} (FORMAT parquet, COMPRESSION lz4_raw)"
        )
    finally:
        connection.unregister("incoming")


def stop_on_fault(source: SourceConfig, table: str, policy: str, entries: list[FileEntry]) -> None:
    """Raise for the first unreadable file when the policy says stop, or when not one file could be read."""
    faulty = [(entry, entry.fault) for entry in entries if entry.fault is not None]
    if not faulty or (policy == "quarantine" and len(faulty) < len(entries)):
        return
    entry, fault = faulty[0]
    why = "" if policy == "stop" else "; no other file holds this table"
    raise DataInvalid(
        f"{fault.what}{why}",
        where=f"source {source.name}, {table}: {entry.relative}",
        remedy=fault.remedy[:1].upper() + fault.remedy[1:] + ("" if fault.remedy.endswith("?") else "."),
    )
