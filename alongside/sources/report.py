"""What an ingest did, in numbers; never a patient's value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class TableReport:
    """One source's rows of one canonical table: rows_read = kept + rejected + superseded.

    `superseded` rows were replaced by a later extract. `values_removed` counts values, not rows. Rows of files
    that could not be read to the end are in none of these numbers: such files are `files_rejected`.
    """

    source: str
    table: str
    files: int = 0
    files_rejected: int = 0
    rows_read: int = 0
    kept: int = 0
    rejected: int = 0
    superseded: int = 0
    values_removed: int = 0


@dataclass(frozen=True)
class RejectCount:
    """How many rows or values one rule refused."""

    source: str
    table: str
    field: str
    rule: str
    action: str
    count: int


@dataclass(frozen=True)
class UnmappedCode:
    """A code that no concept knows, and how many kept rows carry it."""

    source: str
    table: str
    system: str
    code: str
    rows: int


@dataclass(frozen=True)
class SourceReport:
    """One source as a whole."""

    source: str
    files: int = 0
    files_rejected: int = 0
    extracts: tuple[str, ...] = ()  # dated folders that were read
    extracts_ahead: int = 0  # dated folders after as_of, left alone
    folders_ignored: tuple[str, ...] = ()  # folders of a dated source whose name is no date
    missing_files: tuple[str, ...] = ()  # expected files that an extract does not hold
    unused_columns: tuple[tuple[str, str], ...] = ()  # (file pattern, column) that no mapping reads
    resources_read: int = 0  # FHIR resources, of any type
    resources_not_used: tuple[tuple[str, int], ...] = ()  # FHIR resource types that have no canonical table
    unmapped_rows: int = 0
    unmapped_codes: int = 0


@dataclass(frozen=True)
class IngestReport:
    """Everything one ingest read, kept and refused."""

    as_of: str
    tables: tuple[TableReport, ...]
    rejects: tuple[RejectCount, ...]
    sources: tuple[SourceReport, ...]
    unmapped: tuple[UnmappedCode, ...]  # the most frequent ones of each source and table

    def table(self, source: str, table: str) -> TableReport:
        """The counts of one source and table; zeros when it has none."""
        found = (item for item in self.tables if (item.source, item.table) == (source, table))
        return next(found, TableReport(source, table))

    def source(self, name: str) -> SourceReport:
        return next(item for item in self.sources if item.source == name)

    def count(self, rule: str, source: str | None = None, table: str | None = None) -> int:
        """Rows or values that a rule refused."""
        return sum(
            item.count
            for item in self.rejects
            if item.rule == rule and source in (None, item.source) and table in (None, item.table)
        )

    @property
    def rows_read(self) -> int:
        return _sum(item.rows_read for item in self.tables)

    @property
    def kept(self) -> int:
        return _sum(item.kept for item in self.tables)

    @property
    def rejected(self) -> int:
        return _sum(item.rejected for item in self.tables)

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        plain: dict[str, Any] = asdict(self)
        totals = {"rows_read": self.rows_read, "kept": self.kept, "rejected": self.rejected}
        for source in plain["sources"]:
            source["resources_not_used"] = dict(source["resources_not_used"])
        return {**plain, "totals": totals}


def _sum(numbers: Iterable[int]) -> int:
    return sum(numbers)
