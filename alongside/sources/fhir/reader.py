"""FHIR files to typed rows: file by file, in chunks, each resource validated before it is believed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from alongside.model.canonical import PROVENANCE, TABLES
from alongside.sources.concepts import Concepts
from alongside.sources.config import SourceConfig, Value
from alongside.sources.fhir.documents import Found, Unreadable, read_document
from alongside.sources.fhir.related_person import related_person
from alongside.sources.fhir.rows import FAULT, READERS, TABLE, Context, Row
from alongside.sources.locate import ExtractFile, Extracts, require_files
from alongside.sources.mapping_sql import Reading
from alongside.sources.rules import fault
from alongside.sources.staging import Staged, StagedTable, file_entry, stop_on_fault, write_typed
from alongside.sources.tabular import Counter, schema_for
from alongside.sources.text import DAMAGE, FileFault, damaged, open_text, sample

#: Pseudo-table of what belongs to no canonical one: documents and lines that are no resource.
NO_TABLE = "resource"
CHUNK_ROWS = 10_000
_READERS = {**READERS, "RelatedPerson": ("related_person", related_person)}


def stage_fhir(
    connection: duckdb.DuckDBPyConnection,
    source: SourceConfig,
    extracts: Extracts,
    concepts: Concepts,
    as_of: datetime,
    work: Path,
) -> Staged:
    """Read all FHIR files of a source into typed rows."""
    files = list({file.relative: file for pattern in source.files for file in extracts.files(pattern)}.values())
    require_files(source, extracts, " or ".join(source.files), files)
    staged = Staged(source.name)
    counter = Counter()
    context = Context(source, concepts, as_of)
    with ExitStack() as stack:
        sinks = _Sinks(stack, source.name, work)
        for file_no, file in enumerate(files):
            _read_file(file_no, file, context, sinks, staged, counter)
        sinks.flush()
    staged.files.extend(file_entry(number, source, "", file, counter) for number, file in enumerate(files))
    stop_on_fault(source, "FHIR", source.on_unreadable, staged.files)
    for table, part in sinks.parts.items():
        typed = work / f"{source.name}.{table}.typed.parquet"
        write_typed(connection, _reading(table, source), _batches(part, table), typed)
        staged.tables[table] = StagedTable(table, [typed], sinks.count(table, counter))
    return staged


@dataclass
class Tally:
    """Resources of one file; they count once the file was read to its end."""

    read: int = 0
    not_used: dict[str, int] = field(default_factory=dict)


class _Sinks:
    """One Parquet file of raw rows for each table that occurs, written in chunks."""

    def __init__(self, stack: ExitStack, source: str, work: Path) -> None:
        self._stack, self._source, self._work = stack, source, work
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._written: dict[str, dict[int, int]] = {}
        self.parts: dict[str, Path] = {}

    def add(self, table: str, row: dict[str, Any]) -> None:
        rows = self._rows.setdefault(table, [])
        rows.append(row)
        counts = self._written.setdefault(table, {})
        counts[row["__file"]] = counts.get(row["__file"], 0) + 1
        if len(rows) >= CHUNK_ROWS:
            self._write(table)

    def flush(self) -> None:
        for table in list(self._rows):
            self._write(table)
        for writer in self._writers.values():
            writer.close()

    def count(self, table: str, counter: Counter) -> int:
        """Rows of the table that came from files which could be read to their end."""
        return sum(rows for file_no, rows in self._written[table].items() if file_no not in counter.faults)

    def _write(self, table: str) -> None:
        schema = schema_for(_columns(table))
        if table not in self._writers:
            self.parts[table] = self._work / f"{self._source}.{table}.raw.parquet"
            self._writers[table] = self._stack.enter_context(pq.ParquetWriter(self.parts[table], schema))
        self._writers[table].write_table(pa.Table.from_pylist(self._rows[table], schema))
        self._rows[table] = []


def _read_file(
    file_no: int, file: ExtractFile, context: Context, sinks: _Sinks, staged: Staged, counter: Counter
) -> None:
    counter.rows.setdefault(file_no, 0)
    tally = Tally()
    try:
        sample(file.path, context.source)
        with open_text(file.path, context.source) as stream:
            lines = ".ndjson" in file.path.suffixes
            for item in read_document(stream, lines=lines):
                tally.read += 1
                for table, row in _rows(item, context, tally):
                    number = counter.take(file_no, 1).start
                    sinks.add(table, row | {"__file": file_no, "__row": item.row, "__seq": number})
    except FileFault as error:
        counter.faults[file_no] = error
    except DAMAGE as error:
        counter.faults[file_no] = damaged(error)
    if file_no not in counter.faults:
        staged.resources_read += tally.read
        for kind, count in tally.not_used.items():
            staged.not_used[kind] = staged.not_used.get(kind, 0) + count


def _rows(item: Found | Unreadable, context: Context, tally: Tally) -> Iterator[tuple[str, Row]]:
    """(table, row) of everything that one resource says."""
    if isinstance(item, Unreadable):
        yield NO_TABLE, {FAULT: fault("", item.rule, fatal=True), "__detail": item.detail}
        return
    kind = item.resource["resourceType"]
    if kind not in _READERS:
        tally.not_used[kind] = tally.not_used.get(kind, 0) + 1
        return
    table, read = _READERS[kind]
    problem = _invalid(item.resource)
    if problem is not None:
        yield table, {"source_id": item.id, FAULT: fault("", "invalid_resource", fatal=True), "__detail": problem}
        return
    for row in read(item, context):
        yield row.pop(TABLE, None) or table, row


def _invalid(resource: dict[str, Any]) -> str | None:
    """Where a resource breaks FHIR R4 and how, without the value that does."""
    try:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        return f"{resource['resourceType']}.{path} ({first['type']})"
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        # Some shapes make the model's own validators stumble; that too says that the resource is not R4.
        return f"{resource['resourceType']} ({type(error).__name__})"
    return None


def _columns(table: str) -> tuple[str, ...]:
    """Text columns of a table's raw rows: the canonical ones that a reader fills, and source_id."""
    if table == NO_TABLE:
        return ("source_id",)
    provenance = {column.name for column in PROVENANCE}
    return ("source_id", *(item for item in TABLES[table].column_names if item not in provenance | {"concepts"}))


def _reading(table: str, source: SourceConfig) -> Reading:
    """The mapping of raw rows onto the table: every column is already under its canonical name."""
    columns = _columns(table)
    values = {column: Value(column=column) for column in columns if column != "source_id"}
    return Reading(table, columns, Value(column="source_id"), "", values, source.time_zone)


def _batches(part: Path, table: str) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(part) as parquet:
        yield from parquet.iter_batches(CHUNK_ROWS, columns=schema_for(_columns(table)).names)
