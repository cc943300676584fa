"""What validation found, in counts only: no value of a patient leaves the warehouse through a report."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class CheckResult:
    """One expectation on one table. `unexpected` of `element_count` rows failed; table-level ones have `observed`."""

    table: str
    id: str
    type: str
    dimension: str
    severity: str
    action: str
    success: bool
    element_count: int = 0
    unexpected: int = 0
    observed: str = ""
    skipped: str = ""  # why it could not be judged, for example: no earlier snapshot


@dataclass(frozen=True)
class Scorecard:
    """Shares between 0 and 1 by dimension for one source; `previous` are those of the snapshot before."""

    source: str
    rows: int
    completeness: float
    validity: float
    consistency: float
    uniqueness: float
    timeliness: float
    previous: dict[str, float] = field(default_factory=dict)

    def trend(self, dimension: str) -> float | None:
        """Change against the snapshot before, in shares; None on the first one."""
        before = self.previous.get(dimension)
        return None if before is None else float(getattr(self, dimension)) - before


DIMENSIONS = ("completeness", "validity", "consistency", "uniqueness", "timeliness")


@dataclass(frozen=True)
class QualityReport:
    """The outcome of one validation.

    Attributes
    ----------
    failed_fields : `table.column` -> id of the expectation that stops whatever reads it
    rows : table -> (rows before, rows after)
    profile : table -> facts that the next snapshot is compared with
    """

    checks: tuple[CheckResult, ...]
    failed_fields: dict[str, str]
    rows: dict[str, tuple[int, int]]
    quarantined: int
    scorecards: tuple[Scorecard, ...]
    profile: dict[str, dict[str, float]]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> QualityReport:
        """The report that `to_json` wrote, for example from a snapshot's manifest."""
        return cls(
            checks=tuple(CheckResult(**item) for item in data["checks"]),
            failed_fields=dict(data["failed_fields"]),
            rows={table: (before, after) for table, (before, after) in data["rows"].items()},
            quarantined=data["quarantined"],
            scorecards=tuple(Scorecard(**item) for item in data["scorecards"]),
            profile=data["profile"],
        )
