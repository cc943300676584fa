"""The second half of an ingest: what is kept, what is refused, and the numbers of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import duckdb

from alongside.model.canonical import QUARANTINE, TABLES, Table
from alongside.model.errors import DataInvalid
from alongside.sources.concepts import Concepts
from alongside.sources.config import SourceConfig
from alongside.sources.locate import Extracts
from alongside.sources.mapping_sql import name, text
from alongside.sources.report import IngestReport, RejectCount, SourceReport, TableReport, UnmappedCode
from alongside.sources.resolve import REMOVED, Resolved, prepare, prepare_files, prepare_units, resolve
from alongside.sources.rules import WORDS
from alongside.sources.staging import FileEntry, Staged
from alongside.sources.text import FileFault
from alongside.sources.vocabulary import KIND_OF_TABLE
from alongside.warehouse.duck import quoted

__all__ = ["prepare", "write"]

#: Most frequent unmapped codes that the report lists, for each source and table.
LISTED_CODES = 50
_OPTIONS = "(FORMAT parquet)"  # Snappy: the files live for one run


def write(
    connection: duckdb.DuckDBPyConnection,
    staged: list[Staged],
    configs: Mapping[str, SourceConfig],
    extracts: Mapping[str, Extracts],
    concepts: Concepts,
    as_of: datetime,
    out: Path,
) -> IngestReport:
    """Write every canonical table and the quarantine; returns the report of the whole ingest."""
    prepare_files(connection, staged)
    found: list[Resolved] = []
    for item in staged:
        prepare_units(connection, item.source, concepts, configs[item.source].units)
        found.extend(resolve(connection, item.source, table) for table in item.tables.values())
    reports = tuple(_count(connection, one, staged) for one in found)
    for table in TABLES.values():
        _write_table(connection, table, [one for one in found if one.table == table.name], out)
    _write_quarantine(connection, found, reports, staged, out)
    unmapped = _unmapped(connection, out)
    sources = tuple(_source(item, extracts[item.source], unmapped) for item in staged)
    listed = tuple(code for codes in unmapped.values() for code in codes[:LISTED_CODES])
    return IngestReport(as_of.isoformat(), reports, _rejects(connection, out), sources, listed)


def _write_table(connection: duckdb.DuckDBPyConnection, table: Table, found: list[Resolved], out: Path) -> None:
    selects = [_kept(table, one) for one in found if one.table in TABLES]
    nothing = ", ".join(f"CAST(NULL AS {column.type}) AS {name(column.name)}" for column in table.columns)
    body = " UNION ALL ".join(selects) if selects else f"SELECT {nothing} WHERE false"
    connection.execute(f"COPY ({body}) TO {quoted(out / f'{table.name}.parquet')} {_OPTIONS}")


def _kept(table: Table, one: Resolved) -> str:
    given = {"source": text(one.source), "source_row": "row_no"}
    columns = ", ".join(
        f"CAST({given.get(column.name, name(column.name))} AS {column.type}) AS {name(column.name)}"
        for column in table.columns
    )
    return f"SELECT {columns} FROM {one.view} WHERE NOT {REMOVED} AND seq NOT IN (SELECT seq FROM {one.fates})"


def _count(connection: duckdb.DuckDBPyConnection, one: Resolved, staged: list[Staged]) -> TableReport:
    """The counts of one source and table; that nothing is lost is checked, not assumed."""
    rows = connection.execute(f"""
        SELECT count(*), count(*) FILTER (fate IS NULL AND NOT {REMOVED}), count(*) FILTER (fate = 'superseded'),
          coalesce(sum(len(string_split(faults, ';'))) FILTER (fate IS NULL AND NOT {REMOVED}), 0)
        FROM {one.view} LEFT JOIN {one.fates} USING (seq)""").fetchall()
    total, kept, superseded, values = (int(value) for value in rows[0])
    if total != one.rows_read:
        raise DataInvalid(
            f"{one.rows_read} records were read and {total} arrived",
            where=f"source {one.source}, {one.table}",
            remedy="Nothing was written. This is a fault of the program: report it.",
        )
    files = [entry for item in staged for entry in item.files if (entry.source, entry.table) == (one.source, one.table)]
    faulty = sum(entry.fault is not None for entry in files)
    rejected = total - kept - superseded
    return TableReport(one.source, one.table, len(files), faulty, total, kept, rejected, superseded, values)


def _write_quarantine(
    connection: duckdb.DuckDBPyConnection,
    found: list[Resolved],
    reports: tuple[TableReport, ...],
    staged: list[Staged],
    out: Path,
) -> None:
    parts = [
        _refused(one) for one, report in zip(found, reports, strict=True) if report.rejected or report.values_removed
    ]
    parts += [_refused_file(entry, entry.fault) for item in staged for entry in item.files if entry.fault is not None]
    types = {column: "BIGINT" if column == "source_row" else "VARCHAR" for column in QUARANTINE.names}
    nothing = ", ".join(f"CAST(NULL AS {kind}) AS {name(column)}" for column, kind in types.items())
    body = " UNION ALL ".join([f"SELECT {nothing} WHERE false", *parts])
    connection.execute(f"COPY ({body}) TO {quoted(out / 'quarantine.parquet')} {_OPTIONS}")


def _refused(one: Resolved) -> str:
    """One row for each reason: those of refused rows, and removed values of kept rows."""
    known = "coalesce(r.source_id, r.source_file || '#' || r.row_no)"
    return f"""
        SELECT {text(one.source)}, {text(one.table)}, p.source_file, p.row_no,
          left(sha256(concat_ws(chr(31), s.secret, {text(one.source)}, p.known)), 32),
          split_part(p.fault, ':', 1), w.rule, w.words || coalesce(': ' || nullif(p.detail, ''), ''),
          CASE split_part(p.fault, ':', 3) WHEN 'R' THEN 'row_removed' ELSE 'value_removed' END
        FROM (
          SELECT r.source_file, r.row_no, r.detail, {known} AS known, unnest(string_split(
            CASE WHEN f.fate = 'duplicate' AND NOT {REMOVED} THEN 'source_id:duplicate_id:R' ELSE r.faults END, ';'
          )) AS fault
          FROM {one.view} r LEFT JOIN {one.fates} f USING (seq)
          WHERE f.fate IS DISTINCT FROM 'superseded' AND (r.faults IS NOT NULL OR f.fate = 'duplicate')) p
        JOIN rule_words w ON w.rule = split_part(p.fault, ':', 2), record_secret s"""


def _refused_file(entry: FileEntry, fault: FileFault) -> str:
    reason = f"{WORDS['file_unreadable']}: {fault}"
    known = f"left(sha256(concat_ws(chr(31), s.secret, {text(entry.source)}, {text(entry.relative)})), 32)"
    return (
        f"SELECT {text(entry.source)}, {text(entry.table)}, {text(entry.relative)}, NULL, {known}, '', "
        f"'file_unreadable', {text(reason)}, 'row_removed' FROM record_secret s"
    )


def _rejects(connection: duckdb.DuckDBPyConnection, out: Path) -> tuple[RejectCount, ...]:
    rows = connection.execute(f"""
        SELECT source, table_name, field, rule, action, count(*) FROM read_parquet({quoted(out / "quarantine.parquet")})
        GROUP BY ALL ORDER BY ALL""").fetchall()
    return tuple(RejectCount(*row) for row in rows)


def _unmapped(connection: duckdb.DuckDBPyConnection, out: Path) -> dict[tuple[str, str], list[UnmappedCode]]:
    """Codes without a meaning, by source and table, the most frequent first."""
    found: dict[tuple[str, str], list[UnmappedCode]] = {}
    for table in KIND_OF_TABLE:
        rows = connection.execute(f"""
            SELECT source, coalesce(system, ''), left(code, 64), count(*) AS rows
            FROM read_parquet({quoted(out / f"{table}.parquet")}) WHERE len(concepts) = 0
            GROUP BY ALL ORDER BY source, rows DESC, 2, 3""").fetchall()
        for source, system, code, count in rows:
            found.setdefault((source, table), []).append(UnmappedCode(source, table, system, code, count))
    return found


def _source(staged: Staged, extracts: Extracts, unmapped: Mapping[tuple[str, str], list[UnmappedCode]]) -> SourceReport:
    codes = [code for (source, _), listed in unmapped.items() if source == staged.source for code in listed]
    return SourceReport(
        source=staged.source,
        files=len(staged.files),
        files_rejected=sum(entry.fault is not None for entry in staged.files),
        extracts=tuple(_days(extracts)),
        extracts_ahead=extracts.ahead,
        folders_ignored=extracts.ignored,
        missing_files=tuple(staged.missing),
        unused_columns=tuple(staged.unused_columns),
        resources_read=staged.resources_read,
        resources_not_used=tuple(sorted(staged.not_used.items())),
        unmapped_rows=sum(code.rows for code in codes),
        unmapped_codes=len(codes),
    )


def _days(extracts: Extracts) -> Iterator[str]:
    for extract in extracts.read:
        if extract.day is not None:
            yield extract.day.isoformat()
