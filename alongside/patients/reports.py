"""What each step did, in counts: no report holds a value of a patient."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class ResolutionReport:
    """Outcome of `resolve`.

    Attributes
    ----------
    records, persons : rows of `clean/patient.parquet`, and the living people they are
    new_records, changed_records : never seen before, and seen with other details
    minted, merged : people met for the first time, and formerly separate people who became one
    pairs : pairs of records that were compared
    rules : joined pairs by the rule that joined them (national_id, mrn, phone, email, splink, review)
    scored : pairs whose probability was computed
    to_review : pairs newly put before a person
    contradictions : groups that could not be joined as a whole
    """

    records: int
    persons: int
    new_records: int = 0
    changed_records: int = 0
    minted: int = 0
    merged: int = 0
    pairs: int = 0
    rules: dict[str, int] = field(default_factory=dict)
    scored: int = 0
    to_review: int = 0
    contradictions: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class ConsentReport:
    """Outcome of `record_consents`: rows read, decisions new to the log, and rows that could not be taken.

    `ahead` are grants dated after `now` (they are taken when their day has come), `unknown_people` rows of patients
    whom no extract describes, `unreadable` rows that may be withdrawals and block until they can be read.
    """

    rows: int
    recorded: int
    ahead: int
    unknown_people: int
    unreadable: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class RelationReport:
    """Outcome of `record_relations`: rows read, statements new to the log, rows of unknown relatives."""

    rows: int
    recorded: int
    unknown_people: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class BuildReport:
    """Outcome of `build_snapshot`: rows of every table written.

    `left_out` counts, by table, rows that belong to nobody or happened after `as_of`.
    """

    persons: int
    tables: dict[str, int]
    left_out: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
