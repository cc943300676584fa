"""The stand-in's append-only, fsynced NDJSON files, and the reading of them.

`accepted.ndjson` is written and fsynced before a 202 leaves, so that anyone can hold it against the sender's ledger.
Requests that arrive while an fsync runs share the next one (group commit).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

_READ = 1 << 20
#: An fsync costs some 100 us of a core however much it writes.
_GATHER_SECONDS = 0.002


class AppendLog:
    """One NDJSON file. `append` returns once the lines are on disk, with the byte offset of each."""

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self.path = path
        self.durable = durable
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._end = _drop_torn_tail(self._fd)
        self._waiting: list[tuple[bytes, asyncio.Future[int]]] = []
        self._committing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "log")

    @property
    def size(self) -> int:
        """Bytes that are safely written."""
        return self._end

    async def append(self, lines: Sequence[bytes]) -> list[int]:
        """Write lines (without line feed); the offset at which each one stands.

        Raises
        ------
        OSError : the disk is full or gone; nothing of it counts as written
        """
        return offsets(await self.hand_in(lines), lines)

    def hand_in(self, lines: Sequence[bytes]) -> asyncio.Future[int]:
        """`append` for who has no task to wait in: the future tells where the first line stands, or the `OSError`."""
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((b"\n".join(lines) + b"\n", done))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_all())
        return done

    async def _commit_all(self) -> None:
        """One write and one fsync for all that wait, in a thread: meanwhile the next requests are read and checked."""
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                group, self._waiting = self._waiting, []
                try:
                    data = b"".join(part for part, _ in group)
                    if self.durable:
                        await loop.run_in_executor(self._thread, self._write, data)
                    else:
                        self._write(data)
                except OSError as error:
                    os.ftruncate(self._fd, self._end)
                    for _, done in group:
                        if not done.done():
                            done.set_exception(error)
                    continue
                for part, done in group:
                    if not done.done():  # who gave up waiting has its lines written all the same
                        done.set_result(self._end)
                    self._end += len(part)
                if len(group) > 1 and self.durable:  # many callers at once: let the next group grow
                    await asyncio.sleep(_GATHER_SECONDS)
        finally:
            self._committing = None

    async def settled(self) -> None:
        """Returns once everything that was handed in before is on disk, or could not be written.

        Whoever is asked for a message must not say "not here" while it is being taken: it would be sent again.
        """
        if self._committing is None:
            return
        # Nothing to write, in the line behind everything that is to be written.
        turn: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((b"", turn))
        with contextlib.suppress(OSError):
            await turn

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        if self.durable:
            os.fdatasync(self._fd)

    def read(self, offset: int) -> dict[str, Any]:
        """The record at this offset."""
        size = 1024
        while True:
            chunk = os.pread(self._fd, size, offset)
            end = chunk.find(b"\n")
            if end >= 0:
                record: dict[str, Any] = orjson.loads(chunk[:end])
                return record
            size *= 4

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Every written line with its offset, in bounded memory."""
        position, rest, read = 0, b"", 0
        while read < self._end:
            chunk = os.pread(self._fd, min(_READ, self._end - read), read)
            read += len(chunk)
            rest += chunk
            parts = rest.split(b"\n")
            rest = parts.pop()
            for part in parts:
                yield position, part
                position += len(part) + 1

    def containing(self, needle: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
        """Records whose line contains these bytes, oldest first: the file itself is the index."""
        for offset, line in self.lines():
            if needle in line:
                yield offset, orjson.loads(line)

    def close(self) -> None:
        """Write what waits, and close."""
        self._thread.shutdown()  # a group that is being written is finished
        group, self._waiting = self._waiting, []
        self._write(b"".join(part for part, _ in group))
        os.close(self._fd)


def offsets(first: int, lines: Sequence[bytes]) -> list[int]:
    """Where each of these lines stands when the first of them stands there."""
    found = []
    for line in lines:
        found.append(first)
        first += len(line) + 1
    return found


def _drop_torn_tail(fd: int) -> int:
    """Cut an unfinished last line: it was never acknowledged. Returns the size that is left."""
    size = os.fstat(fd).st_size
    position = size
    while position > 0:
        start = max(0, position - _READ)
        found = os.pread(fd, position - start, start).rfind(b"\n")
        if found >= 0:
            position = start + found + 1
            break
        position = start
    if position != size:
        os.ftruncate(fd, position)
    return position


@dataclass
class Files:
    """All files of one stand-in's folder."""

    folder: Path
    accepted: AppendLog
    bookings: AppendLog
    posted: AppendLog
    bodies: AppendLog | None

    @classmethod
    def open(cls, folder: Path, *, keep_bodies: bool = False) -> Files:
        folder.mkdir(parents=True, exist_ok=True)
        return cls(
            folder,
            accepted=AppendLog(folder / "accepted.ndjson"),
            bookings=AppendLog(folder / "bookings.ndjson"),
            # Losing the end of it repeats events, which receivers must expect anyway.
            posted=AppendLog(folder / "posted.ndjson", durable=False),
            bodies=AppendLog(folder / "bodies.ndjson", durable=False) if keep_bodies else None,
        )

    async def __aenter__(self) -> Files:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for log in (self.accepted, self.bookings, self.posted, self.bodies):
            if log is not None:
                log.close()


def read_ndjson(path: Path) -> Iterator[dict[str, Any]]:
    """Complete records of one of the files, for whoever holds them against a ledger; an unfinished line is skipped."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield orjson.loads(line)
