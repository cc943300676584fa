"""CSV and Parquet files as Arrow batches of text: one column per source column that the mapping reads.

Every batch carries where its records came from (`BESIDE`), so that whole mappings stream through one query.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from alongside.model.findings import nearest
from alongside.sources.config import SourceConfig
from alongside.sources.locate import ExtractFile
from alongside.sources.rules import fault
from alongside.sources.text import DAMAGE, FileFault, damaged, open_text, sample

#: Columns beside the record's own: file, record number within it, number within the table, fault of the whole record.
BESIDE = pa.schema(
    [
        ("__file", pa.int32()),
        ("__row", pa.int64()),
        ("__seq", pa.int64()),
        ("__fault", pa.string()),
        ("__detail", pa.string()),
    ]
)
#: A record may not be longer; two such blocks are the reader's memory.
BLOCK_BYTES = 16 << 20
PARQUET_ROWS = 65_536
_SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "|"}


@dataclass
class Counter:
    """Numbers that outlive one file: the next record of the table, and what each file held."""

    next_seq: int = 0
    rows: dict[int, int] = field(default_factory=dict)  # file -> records read
    faults: dict[int, FileFault] = field(default_factory=dict)  # file -> why it was given up
    unused: set[str] = field(default_factory=set)  # columns that no mapping reads

    def take(self, file_no: int, count: int) -> range:
        """Number `count` further records of a file."""
        start = self.next_seq
        self.next_seq += count
        self.rows[file_no] = self.rows.get(file_no, 0) + count
        return range(start, self.next_seq)


def schema_for(columns: Sequence[str]) -> pa.Schema:
    """The schema of the batches of a mapping that reads these columns."""
    return pa.schema([*((name, pa.string()) for name in columns), *BESIDE])


def read_files(
    source: SourceConfig, files: Sequence[tuple[int, ExtractFile]], columns: Sequence[str], counter: Counter
) -> Iterator[pa.RecordBatch]:
    """All records of these files, file after file. A file that fails is noted in `counter.faults`, never raised."""
    for file_no, file in files:
        counter.rows.setdefault(file_no, 0)
        reader = (
            _parquet(file, columns, counter) if source.format == "parquet" else _csv(source, file, columns, counter)
        )
        try:
            for cells, rows, faults, details in reader:
                yield _batch(cells, columns, file_no, rows, counter, faults, details)
        except FileFault as error:
            counter.faults[file_no] = error
        except pa.ArrowInvalid as error:
            counter.faults[file_no] = _arrow_fault(error)
        except DAMAGE as error:
            counter.faults[file_no] = damaged(error)


_Part = tuple[pa.RecordBatch | None, "np.ndarray[tuple[int], np.dtype[np.int64]]", list[str] | None, list[str] | None]


def _batch(
    cells: pa.RecordBatch | None,
    columns: Sequence[str],
    file_no: int,
    rows: np.ndarray[tuple[int], np.dtype[np.int64]],
    counter: Counter,
    faults: list[str] | None,
    details: list[str] | None,
) -> pa.RecordBatch:
    count = len(rows)
    numbers = counter.take(file_no, count)
    beside = [
        pa.array(np.full(count, file_no, dtype=np.int32)),
        pa.array(rows),
        pa.array(np.arange(numbers.start, numbers.stop, dtype=np.int64)),
        pa.nulls(count, pa.string()) if faults is None else pa.array(faults, pa.string()),
        pa.nulls(count, pa.string()) if details is None else pa.array(details, pa.string()),
    ]
    # Arrow trims ten times faster than DuckDB, and knows the ideographic and the no-break space.
    own = [
        pa.nulls(count, pa.string()) if cells is None else pc.utf8_trim_whitespace(cells.column(name))
        for name in columns
    ]
    return pa.RecordBatch.from_arrays([*own, *beside], schema=schema_for(columns))


def _csv(source: SourceConfig, file: ExtractFile, columns: Sequence[str], counter: Counter) -> Iterator[_Part]:
    """Records of one CSV file; those with a wrong number of columns come as faults, under their own number."""
    names, header_lines = _header(sample(file.path, source), source.delimiter)
    _require(columns, names, source.delimiter)
    counter.unused.update(name for name in names if name not in columns)
    bad: list[int] = []
    swallowed: list[int] = []

    def refuse(row: pacsv.InvalidRow) -> str:
        bad.append(row.number - header_lines)
        swallowed.append((row.text or "").count("\n"))
        return "skip"

    with open_text(file.path, source) as stream:
        kept = reported = 0
        for cells in _open_csv(stream, source.delimiter, names, columns, header_lines, refuse):
            if cells.num_rows:
                yield cells, _record_numbers(kept, cells.num_rows, bad), None, None
                kept += cells.num_rows
            if len(bad) > reported:
                yield _malformed(bad[reported:], swallowed[reported:])
                reported = len(bad)
        if len(bad) > reported:
            yield _malformed(bad[reported:], swallowed[reported:])


def _open_csv(
    stream: object, delimiter: str, names: list[str], columns: Sequence[str], skip: int, refuse: object
) -> Iterator[pa.RecordBatch]:
    try:
        reader = pacsv.open_csv(
            stream,
            # One thread keeps the order and lets Arrow tell the number of a malformed record.
            read_options=pacsv.ReadOptions(
                use_threads=False, block_size=BLOCK_BYTES, column_names=names, skip_rows=skip
            ),
            parse_options=pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=refuse),
            convert_options=pacsv.ConvertOptions(
                column_types={name: pa.string() for name in columns},
                include_columns=list(columns),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV file" in str(error):
            return  # a header and nothing below it
        raise
    yield from reader


def _record_numbers(kept: int, count: int, bad: list[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Numbers of `count` good records after `kept` earlier ones, with the malformed ones between them counted.

    Before malformed record number b[j] (sorted) stand b[j] - j - 1 good ones (j from 0).
    """
    good = np.arange(kept, kept + count, dtype=np.int64)
    if not bad:
        return good + 1
    thresholds = np.asarray(bad, dtype=np.int64) - np.arange(len(bad), dtype=np.int64) - 1
    return good + 1 + np.searchsorted(thresholds, good, side="right")


def _malformed(numbers: list[int], swallowed: list[int]) -> _Part:
    faults = [fault("", "unclosed_quote" if lines else "wrong_column_count", fatal=True) for lines in swallowed]
    details = [f"{lines} further lines" if lines else "" for lines in swallowed]
    return None, np.asarray(numbers, dtype=np.int64), faults, details


def _header(text: str, delimiter: str) -> tuple[list[str], int]:
    """Cleaned names of the columns, and how many lines the header takes."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    names = [name.strip().lstrip("\ufeff").strip() for name in next(rows)]
    twice = {name for name in names if names.count(name) > 1}
    unique = [f"{name}#{index}" if name in twice or not name else name for index, name in enumerate(names)]
    return unique, rows.line_num


def _require(columns: Sequence[str], names: Sequence[str], delimiter: str) -> None:
    missing = [name for name in columns if name not in names]
    if not missing:
        return
    if len(names) == 1 and (likely := _likely_delimiter(names[0], delimiter)):
        raise FileFault(
            f"the header is one column when split at {_SEPARATORS.get(delimiter, delimiter)}",
            f"it looks separated by {_SEPARATORS[likely]}: set 'delimiter' in the source's YAML",
        )
    twice = [name for name in missing if any(other.startswith(f"{name}#") for other in names)]
    listed = ", ".join(repr(name) for name in missing)
    if twice:
        raise FileFault(f"column {', '.join(map(repr, twice))} stands twice in the header", "resend it with one")
    hints = " ".join(filter(None, (nearest(name, names) for name in missing[:3])))
    raise FileFault(f"column {listed} is missing from the header", hints or "resend it, or correct the mapping")


def _likely_delimiter(header: str, configured: str) -> str:
    counts = {mark: header.count(mark) for mark in _SEPARATORS if mark != configured}
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] else ""


def _arrow_fault(error: pa.ArrowInvalid) -> FileFault:
    text = str(error)
    if "straddling" in text:
        what = f"a record is longer than {BLOCK_BYTES >> 20} MB"
        return FileFault(what, "look for a quote that is never closed, and resend the file")
    if "Parquet" in text or "parquet" in text:
        return FileFault("the file is not intact Parquet", "resend it, or correct 'format' in the source's YAML")
    return FileFault("the file is damaged", "resend it")  # Arrow's own words can quote a record


def _parquet(file: ExtractFile, columns: Sequence[str], counter: Counter) -> Iterator[_Part]:
    if not file.path.stat().st_size:
        raise FileFault("the file is empty", "resend it")
    with pq.ParquetFile(file.path) as parquet:
        names = parquet.schema_arrow.names
        _require(columns, names, ",")
        counter.unused.update(name for name in names if name not in columns)
        start = 1
        for batch in parquet.iter_batches(PARQUET_ROWS, columns=list(columns)):
            cells = pa.RecordBatch.from_arrays([_as_text(batch.column(name), name) for name in columns], list(columns))
            yield cells, np.arange(start, start + batch.num_rows, dtype=np.int64), None, None
            start += batch.num_rows


def _as_text(column: pa.Array, name: str) -> pa.Array:
    """A typed column in the words that a CSV would have used; lists are joined by |."""
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pc.binary_join(column.cast(pa.list_(pa.string())), "|")
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return pc.binary_join_element_wise(column.cast(pa.timestamp("us")).cast(pa.string()), "Z", "")
    try:
        return column.cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise FileFault(
            f"column {name!r} has the type {kind}, which is no text, number or date", "flatten it"
        ) from error
