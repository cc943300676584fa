"""`config/sources/<name>.yaml`: where a system's extract lies and how it becomes canonical tables."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, PrivateAttr, field_validator, model_validator

from alongside.model.canonical import PROVENANCE, TABLES
from alongside.model.enums import Purpose
from alongside.model.findings import nearest
from alongside.settings.strict import Strict
from alongside.sources.expressions import ExpressionInvalid, columns_of
from alongside.sources.vocabulary import ALLOWED

Encoding = Literal["utf-8", "utf-8-sig", "gb18030"]
Policy = Literal["stop", "quarantine"]
#: A lost file of these could mean a message to somebody who left or died: the run stops unless told otherwise.
STOP_BY_DEFAULT = frozenset({"patient", "consent"})


class Value(Strict):
    """Where one canonical value comes from: exactly one of `column`, `sql` and `value`.

    `values` translates the source's words; a word that is not in it is quarantined (`others: reject`), kept as it
    is (`keep`) or left out silently (`drop`).
    """

    column: str | None = None
    sql: str | None = None
    value: str | None = None
    values: dict[str, str] | None = None
    others: Literal["reject", "keep", "drop"] = "reject"

    @model_validator(mode="after")
    def _exactly_one(self) -> Value:
        if sum(item is not None for item in (self.column, self.sql, self.value)) != 1:
            raise ValueError("needs exactly one of 'column', 'sql' and 'value'")
        if self.others != "reject" and self.values is None:
            raise ValueError("'others' needs 'values'")
        return self

    @field_validator("sql")
    @classmethod
    def _safe_sql(cls, text: str | None) -> str | None:
        if text is not None:
            try:
                columns_of(text)
            except ExpressionInvalid as error:
                raise ValueError(f"sql {error}") from error
        return text

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns of the source that this value needs."""
        if self.column is not None:
            return (self.column,)
        return columns_of(self.sql) if self.sql is not None else ()


def _short_value(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a bare no, yes, on or off is true or false in YAML: put the column's name in quotes")
    if not isinstance(value, str | dict):
        raise ValueError("must be the name of a column, or one of {column: ...}, {sql: ...} and {value: ...}")
    return {"column": value} if isinstance(value, str) else value


Mapped = Annotated[Value, BeforeValidator(_short_value, json_schema_input_type=str | Value)]


class FileMapping(Strict):
    """One kind of file that feeds one canonical table."""

    file: str = Field(description="file name or glob, within the extract folder")
    id: Mapped
    id_prefix: str = Field("", description="put before the identifier when several files feed one table")
    columns: dict[str, Mapped]
    optional: bool = Field(False, description="no file at all is not an error")
    on_unreadable: Policy | None = Field(None, description="stop the run, or quarantine the file and go on")

    @field_validator("file")
    @classmethod
    def _inside(cls, pattern: str) -> str:
        return _inside_root(pattern)

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns of the source that this mapping needs, each once."""
        needed = [*self.id.reads, *(name for value in self.columns.values() for name in value.reads)]
        return tuple(dict.fromkeys(needed))


class SourceSpec(Strict):
    """The YAML file. `root` is relative to the project's `var/`; without it `--source NAME=PATH` must say it."""

    description: str = ""
    format: Literal["csv", "parquet", "fhir_r4"]
    root: str | None = None
    layout: Literal["flat", "dated"] = Field("flat", description="dated: <root>/<YYYY-MM-DD>/<file>")
    load: Literal["full", "incremental"] = Field("full", description="what one extract folder holds")
    time_zone: str = Field(description="IANA zone of times that are written without one")
    encoding: Encoding = "utf-8"
    delimiter: str = Field(",", min_length=1, max_length=1)
    compression: Literal["auto", "none", "gzip", "zstd"] = "auto"
    date_formats: list[str] = Field(default_factory=list, description="further strptime forms of dates and times")
    units: dict[str, str] = Field(default_factory=dict, description="the source's words for units -> UCUM")
    tables: dict[str, list[FileMapping]] = Field(default_factory=dict)
    files: list[str] = Field(default_factory=list, description="globs of FHIR files (fhir_r4 only)")
    consent_purposes: dict[str, Purpose | Literal["cross_border"]] = Field(default_factory=dict)
    on_unreadable: Policy = Field("quarantine", description="policy for FHIR files")

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is not an IANA time zone such as Asia/Shanghai") from error
        return name

    @field_validator("files")
    @classmethod
    def _files_inside(cls, patterns: list[str]) -> list[str]:
        return [_inside_root(pattern) for pattern in patterns]

    @field_validator("root")
    @classmethod
    def _relative(cls, root: str | None) -> str | None:
        return None if root is None else _inside_root(root)

    @model_validator(mode="after")
    def _form(self) -> SourceSpec:
        if self.format == "fhir_r4" and (self.tables or not self.files):
            raise ValueError("format fhir_r4 needs 'files' and no 'tables': FHIR resources need no mapping")
        if self.format != "fhir_r4" and (self.files or not self.tables):
            raise ValueError(f"format {self.format} needs 'tables' and no 'files'")
        if self.load == "incremental" and self.layout != "dated":
            raise ValueError("load incremental needs layout dated: without dates no row is newer than another")
        return self


class SourceConfig(SourceSpec):
    """A source with its name (the file's) and the file it came from."""

    _name: str = PrivateAttr("")
    _path: Path = PrivateAttr(Path())

    @classmethod
    def named(cls, name: str, spec: SourceConfig, path: Path) -> SourceConfig:
        """The same source under its name."""
        spec._name, spec._path = name, path
        return spec

    @property
    def name(self) -> str:
        return self._name

    @property
    def path(self) -> Path:
        """The YAML file, for messages."""
        return self._path

    def policy(self, table: str, mapping: FileMapping) -> Policy:
        """What an unreadable file of this mapping does to the run."""
        return mapping.on_unreadable or ("stop" if table in STOP_BY_DEFAULT else "quarantine")


def _inside_root(pattern: str) -> str:
    path = PurePosixPath(pattern)
    if not pattern or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{pattern!r} must be a relative path without '..'")
    return pattern


def mapping_faults(table: str, mapping: FileMapping) -> list[tuple[tuple[str, ...], str, str]]:
    """(place within the mapping, what, remedy) of every disagreement with the canonical table."""
    faults: list[tuple[tuple[str, ...], str, str]] = []
    provenance = {column.name for column in PROVENANCE}
    known = [name for name in TABLES[table].column_names if name not in provenance | {"concepts"}]
    for name, value in mapping.columns.items():
        if name not in known:
            remedy = nearest(name, known) or f"columns of {table}: {', '.join(known)}"
            faults.append((("columns", name), "is not a canonical column that a mapping fills", remedy))
        else:
            faults.extend(_vocabulary_faults(table, name, value))
    for column in TABLES[table].columns:
        if column.required and column.name in known and column.name not in mapping.columns:
            faults.append((("columns",), f"{column.name!r} is required and not mapped", "map it"))
    return faults


def _vocabulary_faults(table: str, name: str, value: Value) -> list[tuple[tuple[str, ...], str, str]]:
    allowed = ALLOWED.get((table, name))
    if allowed is None:
        return []
    written: list[tuple[tuple[str, ...], str]] = [] if value.value is None else [(("columns", name), value.value)]
    written += [(("columns", name, "values", key), word) for key, word in (value.values or {}).items()]
    listed = f"one of {', '.join(sorted(allowed))}"
    return [
        (place, f"{word!r} is not a {table}.{name}", nearest(word, allowed) or listed)
        for place, word in written
        if word not in allowed
    ]
