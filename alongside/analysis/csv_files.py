"""Anybody's CSV as something DuckDB can aggregate, with errors that a person can act on.

Only the header and, when something is wrong, the first bad line are looked at in Python: the file may be larger than
memory.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from alongside.model.errors import DataInvalid, Refused
from alongside.model.findings import nearest

_DELIMITERS = (",", ";", "\t", "|")
_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
_LARGEST_CELL = 1_000_000


@dataclass(frozen=True)
class CsvFile:
    """A readable CSV: `path` is UTF-8 (a converted copy when the original is not), `source` is what the user named."""

    path: Path
    source: Path
    delimiter: str
    columns: tuple[str, ...]

    def require(self, *names: str) -> None:
        """Refuse columns that the file does not have."""
        for name in names:
            if name not in self.columns:
                remedy = nearest(name, self.columns) or f"It has: {', '.join(self.columns[:20])}."
                if len(self.columns) == 1:
                    remedy = "It has a single column: name the right delimiter."
                raise Refused(f"there is no column '{name}'", where=str(self.source), remedy=_sentence(remedy))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


@contextmanager
def open_csv(path: Path, scratch: Path, delimiter: str | None = None, wanted: Sequence[str] = ()) -> Iterator[CsvFile]:
    """Find out encoding, columns and delimiter: the one that yields the wanted columns.

    A copy in `scratch`, for GB18030, UTF-16 and compressed files, is removed afterwards.

    Raises
    ------
    DataInvalid : the file is empty, not text, has no usable header or cannot be read
    """
    readable, converted = _as_utf8(path, scratch)
    try:
        header = _first_line(readable, path)
        chosen = delimiter or _delimiter(header, wanted)
        columns = tuple(name.strip() for name in next(csv.reader([header], delimiter=chosen)))
        repeated = sorted({name for name in columns if columns.count(name) > 1})
        if repeated:
            what = f"column '{repeated[0]}' stands twice in the header"
            raise DataInvalid(what, where=f"{path}:1", remedy="Rename one of them.")
        yield CsvFile(readable, path, chosen, columns)
    finally:
        if converted:
            readable.unlink(missing_ok=True)


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value] # GzipFile


def _as_utf8(path: Path, scratch: Path) -> tuple[Path, bool]:
    """The file itself when it is UTF-8 and plain, else a converted copy."""
    try:
        with _opened(path) as stream:
            start = stream.read(4)
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        raise DataInvalid(what, where=str(path), remedy="Check the path and the file.") from error
    if not start:
        raise DataInvalid("the file is empty", where=str(path), remedy="Export it again.")
    utf16 = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if utf16 else ("utf-8-sig", "gb18030"):
        if encoding == "utf-8-sig" and path.suffix != ".gz" and _decodes(path, encoding):
            return path, False
        if (copy := _convert(path, scratch, encoding)) is not None:
            return copy, True
    raise DataInvalid("the text is neither UTF-8 nor GB18030", where=str(path), remedy="Save it as UTF-8.")


def _pieces(path: Path, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with _opened(path) as stream:
            while piece := stream.read(1 << 20):
                yield decoder.decode(piece)
        yield decoder.decode(b"", final=True)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        what = "the compressed file is truncated or damaged"
        raise DataInvalid(what, where=str(path), remedy="Copy or export it again.") from error


def _decodes(path: Path, encoding: str) -> bool:
    try:
        for _ in _pieces(path, encoding):
            pass
    except UnicodeDecodeError:
        return False
    return True


def _convert(path: Path, scratch: Path, encoding: str) -> Path | None:
    scratch.mkdir(parents=True, exist_ok=True)
    copy = scratch / f"{path.stem}.{encoding}.csv"
    try:
        with copy.open("w", encoding="utf-8", newline="") as target:
            for piece in _pieces(path, encoding):
                target.write(piece)
    except UnicodeDecodeError:
        copy.unlink(missing_ok=True)
        return None
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    return copy


def _first_line(path: Path, source: Path) -> str:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        line = stream.readline(_LARGEST_CELL)
    if not line.strip():
        raise DataInvalid("the first line is empty", where=f"{source}:1", remedy="It must name the columns.")
    if "\x00" in line:
        raise DataInvalid("the file is not text", where=str(source), remedy="Export it as CSV.")
    return line.rstrip("\r\n")


def _delimiter(header: str, wanted: Sequence[str]) -> str:
    """The candidate that gives most of the wanted columns, then most columns."""

    def columns(mark: str) -> tuple[int, int]:
        names = [name.strip() for name in next(csv.reader([header], delimiter=mark))]
        return sum(name in names for name in wanted), len(names)

    return max(_DELIMITERS, key=columns)


def first_bad_line(file: CsvFile, column: str, good: Callable[[str], bool]) -> int | None:
    """1-based line of the first record whose cell is not `good`; None when all are. Reads line by line."""
    index = file.columns.index(column)
    csv.field_size_limit(1 << 27)
    with file.path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=file.delimiter)
        next(reader)
        line = reader.line_num + 1
        for row in reader:
            if row and (index >= len(row) or not good(row[index])):
                return line
            line = reader.line_num + 1
    return None


def ragged_line(file: CsvFile) -> int | None:
    """1-based line of the first record with another number of cells than the header."""
    csv.field_size_limit(1 << 27)
    with file.path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=file.delimiter)
        next(reader)
        line = reader.line_num + 1
        for row in reader:
            if row and len(row) != len(file.columns):
                return line
            line = reader.line_num + 1
    return None


def delimiter_name(mark: str) -> str:
    return _NAMES.get(mark, repr(mark))


def relation(file: CsvFile, columns: Sequence[str]) -> str:
    """The wanted columns as text, blanks and the usual words for "no value" as NULL."""
    from alongside.warehouse.duck import quoted

    cells = ", ".join(f"nullif(trim({identifier(name)}), '') AS {identifier(name)}" for name in columns)
    names = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in file.columns)
    return (
        f"SELECT {cells} FROM read_csv({quoted(file.path)}, delim = {literal(file.delimiter)}, header = true, "
        f"auto_detect = false, columns = {{{names}}}, quote = '\"', escape = '\"', null_padding = false, "
        f"max_line_size = 20000000)"
    )


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
