"""Which files an ingest reads: facts as of a moment, never a later day's extract."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from alongside.model.errors import DataInvalid
from alongside.model.findings import nearest
from alongside.sources.config import SourceConfig


@dataclass(frozen=True)
class Extract:
    """One folder of files that were taken together; `day` is None where folders carry no date."""

    folder: Path
    day: date | None = None


@dataclass(frozen=True)
class ExtractFile:
    """One file of an extract. `relative` is the path below the source's root, as reports name it."""

    path: Path
    relative: str
    day: date | None


@dataclass(frozen=True)
class Extracts:
    """What lies below a source's root."""

    root: Path
    read: tuple[Extract, ...]
    ahead: int = 0
    ignored: tuple[str, ...] = ()

    def files(self, pattern: str) -> list[ExtractFile]:
        """Files that match the glob, oldest extract first, then by name; hidden files are not data."""
        return [
            ExtractFile(path, path.relative_to(self.root).as_posix(), extract.day)
            for extract in self.read
            for path in sorted(extract.folder.glob(pattern))
            if path.is_file() and not path.name.startswith(".")
        ]

    def without(self, pattern: str, files: Iterable[ExtractFile]) -> list[str]:
        """The extracts that hold no file of this pattern, as `<folder>/<pattern>`."""
        days = {file.day for file in files}
        missing = [extract for extract in self.read if extract.day not in days]
        return [f"{extract.day}/{pattern}" if extract.day else pattern for extract in missing]


def find_extracts(source: SourceConfig, root: Path, as_of: datetime) -> Extracts:
    """The extracts of a source that were there at `as_of`; `DataInvalid` when there is none."""
    if not root.is_dir():
        raise DataInvalid(
            f"the folder of source {source.name} does not exist",
            where=str(root),
            remedy=f"Deliver the extract there, or say where it lies: --source {source.name}=PATH.",
        )
    if source.layout == "flat":
        return Extracts(root, (Extract(root),))
    return _dated(source, root, as_of.astimezone(ZoneInfo(source.time_zone)).date())


def _dated(source: SourceConfig, root: Path, today: date) -> Extracts:
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    dated = [(day, path) for path in folders if (day := _day(path.name)) is not None]
    ignored = tuple(path.name for path in folders if _day(path.name) is None)
    due = [Extract(path, day) for day, path in dated if day <= today]
    if not due:
        have = f"the first of {len(dated)} is {dated[0][0]}" if dated else "there are no folders named YYYY-MM-DD"
        raise DataInvalid(
            f"source {source.name} has no extract of {today} or before: {have}",
            where=str(root),
            remedy="Deliver the extract, or run as of a later day.",
        )
    if source.load == "full":
        due = due[-1:]
    return Extracts(root, tuple(due), len(dated) - sum(day <= today for day, _ in dated), ignored)


def _day(name: str) -> date | None:
    try:
        return date.fromisoformat(name) if len(name) == len("YYYY-MM-DD") else None
    except ValueError:
        return None


def require_files(source: SourceConfig, extracts: Extracts, pattern: str, files: list[ExtractFile]) -> None:
    """`DataInvalid` when no extract holds a file of the pattern."""
    if files:
        return
    newest = extracts.read[-1].folder
    there = sorted(path.name for path in newest.iterdir() if path.is_file())
    hint = nearest(pattern, there) or (f"it holds {', '.join(there[:8])}" if there else "it is empty")
    raise DataInvalid(
        f"source {source.name} has no file {pattern!r}; {hint}",
        where=str(newest),
        remedy="Deliver the file, correct the pattern, or set 'optional: true' in the source's YAML.",
    )
