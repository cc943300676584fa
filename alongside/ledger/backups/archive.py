"""The file of a backup: a ZIP of Parquet parts and one manifest that says what they are and what they hash to.

The same for both stores, so that a ledger can be moved from one to the other. Parts are small enough to be held in
memory one at a time; nothing else of the file ever is. Any tool that reads Parquet can look into it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from alongside.model.errors import Refused

#: Raised when a file of this release could not be read by an older one.
FORMAT = 1
MANIFEST = "manifest.json"
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, TypeError, ValueError, NotImplementedError)


@dataclass(frozen=True)
class Part:
    """One Parquet member of the archive."""

    name: str
    table: str
    rows: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a backup is a backup of.

    Attributes
    ----------
    revision : schema of the ledger
    made_at : wall time just before the ledger was read: nothing later is in the file for certain
    vault_check : proves that a vault key is the one the vault was sealed with; None when it never held anything
    columns : table -> its columns, in order
    """

    ledger_id: str
    revision: str
    epoch: int
    vault_check: str | None
    made_at: datetime
    store: str  # sqlite | postgresql: where it came from, for the reader only
    columns: dict[str, list[str]]
    parts: tuple[Part, ...]

    @property
    def rows(self) -> dict[str, int]:
        """Table -> rows."""
        counts = dict.fromkeys(self.columns, 0)
        for part in self.parts:
            counts[part.table] += part.rows
        return counts


class Writer:
    """An archive in the making; see `writing`."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._zip = archive
        self.parts: list[Part] = []

    def add(self, table: str, batch: pa.RecordBatch) -> None:
        """Append rows of a table; call it at least once for every table that has any."""
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_batches([batch]), sink, compression="zstd")
        content = sink.getvalue().to_pybytes()
        number = sum(part.table == table for part in self.parts)
        name = f"{table}/{number:06d}.parquet"
        self._zip.writestr(name, content)
        self.parts.append(Part(name, table, batch.num_rows, hashlib.sha256(content).hexdigest()))

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest; without it a file is no backup."""
        self._zip.writestr(MANIFEST, orjson.dumps({"format": FORMAT, **asdict(manifest)}, option=orjson.OPT_INDENT_2))


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """Make an archive at `path`, readable by its owner only: there whole and on disk, or not at all.

    Raises
    ------
    Refused : something is there already, or the place cannot be written to
    """
    if path.exists():
        raise Refused(
            "there is a file of that name", where=str(path), remedy="A backup overwrites nothing: choose another."
        )
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with open(handle, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:  # Parquet is compressed already
                yield Writer(archive)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        part.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> Refused:
    return Refused(
        f"the backup cannot be written: {error.strerror}",
        where=str(path),
        remedy="Give a place that may be written to and has room; no backup was made.",
    )


def _sync_folder(folder: Path) -> None:
    """A renamed file survives a power failure only when its folder was written, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Reader:
    """An archive that is there; `manifest` is read, parts are not."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._zip = archive
        try:
            self.manifest = _manifest(orjson.loads(archive.read(MANIFEST)), path)
        except _DAMAGE as error:
            raise _damaged(path, MANIFEST) from error

    def verify(self) -> None:
        """Read every part once and compare it with what the manifest says.

        Raises
        ------
        Refused : a part is missing, altered or cut off
        """
        for part in self.manifest.parts:
            self._content(part)

    def batches(self, table: str) -> Iterator[pa.Table]:
        """A table's rows, part by part, each compared with its hash again."""
        for part in self.manifest.parts:
            if part.table == table:
                try:
                    found = pq.read_table(pa.BufferReader(self._content(part)))
                except pa.ArrowException as error:
                    raise _damaged(self.path, part.name) from error
                if found.num_rows != part.rows:
                    raise _damaged(self.path, part.name)
                yield found

    def _content(self, part: Part) -> bytes:
        try:
            content = self._zip.read(part.name)
        except _DAMAGE as error:
            raise _damaged(self.path, part.name) from error
        if hashlib.sha256(content).hexdigest() != part.sha256:
            raise _damaged(self.path, part.name)
        return content


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """Open an archive.

    Raises
    ------
    Refused : it is missing, no backup, damaged, or of a newer format
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield Reader(path, archive)
    except OSError as error:
        raise Refused(
            f"the backup cannot be read: {error.strerror}", where=str(path), remedy="Check path and rights."
        ) from error
    except zipfile.BadZipFile as error:
        raise _damaged(path, "the archive's directory") from error


def _manifest(content: dict[str, Any], path: Path) -> Manifest:
    if content["format"] > FORMAT:
        raise Refused(
            f"the backup has format {content['format']}, this release reads {FORMAT}",
            where=str(path),
            remedy="Restore it with the release that made it, or a newer one.",
        )
    return Manifest(
        ledger_id=str(content["ledger_id"]),
        revision=str(content["revision"]),
        epoch=int(content["epoch"]),
        vault_check=content["vault_check"],
        made_at=datetime.fromisoformat(content["made_at"]).astimezone(UTC),
        store=str(content["store"]),
        columns={str(table): [str(name) for name in names] for table, names in content["columns"].items()},
        parts=tuple(Part(**part) for part in content["parts"]),
    )


def _damaged(path: Path, what: str) -> Refused:
    return Refused(
        f"the backup is damaged or cut off ({what})",
        where=str(path),
        remedy="Copy it again from where it was kept, or take an older one; the ledger is as it was.",
    )
