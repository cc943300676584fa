"""Suites: `expectations/<table>.yaml`, in Great Expectations' own vocabulary plus a few words in `meta`.

table: observation
expectations:
  - type: expect_column_values_to_be_between      # any expectation of Great Expectations 1.x
    kwargs: {column: value, min_value: 0}         # its own arguments; {$PARAMETER: ...} for values of the run
    severity: critical                            # critical | warning | info
    meta:
      id: value-not-negative                      # unique within the suite; appears in quarantine and scorecard
      dimension: validity                         # completeness | validity | consistency | uniqueness | timeliness
      on_failure: remove_row                      # rows: remove_row | remove_value | report; table: stop | report
      fields: [value]                             # what a failure at table level stops; default: the column
      why: a concentration below zero is a typing mistake
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, model_validator

from alongside.model.canonical import TABLES
from alongside.model.enums import Severity
from alongside.model.errors import ConfigurationInvalid
from alongside.model.findings import Finding, nearest
from alongside.settings import Document, Project, read_document, validate
from alongside.settings.strict import Strict

Dimension = Literal["completeness", "validity", "consistency", "uniqueness", "timeliness"]
OnFailure = Literal["remove_row", "remove_value", "report", "stop"]
COLUMN_ARGUMENTS = ("column", "column_A", "column_B")
#: Values of the run that `{$PARAMETER: ...}` may use; previous_* only once there is a previous snapshot.
PARAMETERS = ("as_of", "previous_row_count", "previous_null_rate_<column>")


class Meta(Strict):
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    dimension: Dimension
    on_failure: OnFailure
    fields: list[str] = Field(default_factory=list)
    why: str = ""


class Expectation(Strict):
    type: str
    kwargs: dict[str, Any] = Field(default_factory=dict)
    severity: Severity
    meta: Meta

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that its arguments name."""
        named = [self.kwargs[name] for name in COLUMN_ARGUMENTS if isinstance(self.kwargs.get(name), str)]
        return (*named, *self.kwargs.get("column_list", []))

    @property
    def field(self) -> str:
        """The field that a row-level failure is about."""
        return self.meta.fields[0] if self.meta.fields else (self.columns[0] if self.columns else "")

    @property
    def stopped_fields(self) -> tuple[str, ...]:
        """Columns that a table-level failure makes unfit to act on; empty means every column of the table."""
        return tuple(self.meta.fields) or self.columns

    @model_validator(mode="after")
    def _removable(self) -> Expectation:
        if self.meta.on_failure == "remove_value" and not self.field:
            raise ValueError("on_failure remove_value needs meta.fields: which value goes?")
        return self


class Suite(Strict):
    table: str
    expectations: list[Expectation]


@dataclass(frozen=True)
class SuiteFile:
    suite: Suite
    document: Document


def read_suites(project: Project) -> tuple[list[SuiteFile], list[Finding]]:
    """Every suite; those with faults are reported and left out."""
    found: list[SuiteFile] = []
    faults: list[Finding] = []
    for path in sorted(project.expectations.glob("*.yaml")):
        try:
            document = read_document(path)
            file = SuiteFile(validate(Suite, document), document)
        except ConfigurationInvalid as error:
            faults += error.findings
            continue
        found.append(file)
        faults += _faults(file)
    return found, faults


def check(project: Project) -> list[Finding]:
    """Faults of all suites: unknown tables and columns, ids that stand twice."""
    return read_suites(project)[1]


def load_suites(project: Project) -> dict[str, Suite]:
    """Suites by table.

    Raises
    ------
    ConfigurationInvalid : any suite has a fault
    """
    files, faults = read_suites(project)
    if faults:
        raise ConfigurationInvalid(faults)
    return {file.suite.table: file.suite for file in files}


def _faults(file: SuiteFile) -> list[Finding]:
    suite, document = file.suite, file.document
    if suite.table not in TABLES:
        what = f"unknown table '{suite.table}'"
        return [document.finding("table", what=what, remedy=nearest(suite.table, TABLES))]
    faults: list[Finding] = []
    if suite.table != document.path.stem:
        faults.append(document.finding("table", what=f"differs from its file's name {document.path.name}"))
    seen: set[str] = set()
    known = TABLES[suite.table].column_names
    for index, expectation in enumerate(suite.expectations):
        place = ("expectations", index)
        if expectation.meta.id in seen:
            what = f"'{expectation.meta.id}' stands twice"
            faults.append(document.finding(*place, "meta", "id", what=what, remedy="ids are unique in a suite"))
        seen.add(expectation.meta.id)
        for column in {*expectation.columns, *expectation.meta.fields} - set(known):
            what = f"{suite.table} has no column '{column}'"
            faults.append(document.finding(*place, what=what, remedy=nearest(column, known)))
    return faults
