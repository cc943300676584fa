"""The SQL that turns records of text into typed canonical rows, with every refusal beside its row.

A row's faults travel as `field:rule:R;field:rule:V` (see `rules.fault`), so that one pass over an extract yields
both the rows and the reasons. Only text from checked configuration enters the SQL, always quoted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from alongside.model.canonical import PROVENANCE, TABLES, Column
from alongside.sources.config import Value
from alongside.sources.rules import MAX_CELL, fault
from alongside.sources.vocabulary import ALLOWED

_WIDE = "０１２３４５６７８９－／：．＋，　"
_NARROW = "0123456789-/:.+, "
#: Forms beside ISO 8601: when a word may be of it, and strptime's form. Conditions keep strptime from guessing.
_FORMS = (
    ("length({word}) = 8", "%Y%m%d"),
    ("length({word}) = 14", "%Y%m%d%H%M%S"),
    ("contains({word}, '年')", "%Y年%m月%d日"),
    ("contains({word}, '.')", "%Y.%m.%d"),
)
EARLIEST, LATEST = "1850-01-01", "2200-01-01"


@dataclass(frozen=True)
class Reading:
    """How one stream of records becomes one canonical table."""

    table: str
    columns: tuple[str, ...]  # source columns, as the stream names them
    id: Value
    id_prefix: str
    values: Mapping[str, Value]
    time_zone: str
    date_formats: tuple[str, ...] = ()

    @property
    def canonical(self) -> tuple[Column, ...]:
        """Canonical columns that the source fills (not provenance, not concepts)."""
        provenance = {column.name for column in PROVENANCE}
        columns = TABLES[self.table].columns if self.table in TABLES else ()
        return tuple(item for item in columns if item.name not in provenance | {"concepts"})


def text(value: str) -> str:
    """A SQL string literal."""
    return "'" + value.replace("'", "''") + "'"


def name(identifier: str) -> str:
    """A SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'


def typed_rows(reading: Reading, relation: str) -> str:
    """SELECT of file_no, row_no, seq, detail, faults, source_id and every canonical column, typed.

    Parameters
    ----------
    relation : a table or view with the reading's columns as trimmed VARCHAR and `tabular.BESIDE`
    """
    fields: dict[str, Value | None] = {"source_id": reading.id}
    fields |= {column.name: reading.values.get(column.name) for column in reading.canonical}
    mapped = {key: value for key, value in fields.items() if value is not None}
    types = {"source_id": "VARCHAR"} | {column.name: column.type for column in reading.canonical}
    required = {"source_id"} | {column.name for column in reading.canonical if column.required}
    fatal = required - {column.name for column in reading.canonical if column.keeps_row}
    outputs = [_output(reading, key, types[key], key in mapped) for key in fields]
    checks = [
        check
        for key, kind in types.items()
        if (check := _check(reading.table, key, kind, mapped.get(key), required=key in required, fatal=key in fatal))
    ]
    layers = {
        "cells": (_cells(reading.columns), "__file, __row, __seq, __fault, __detail"),
        "raw": ([f"{_raw(value)} AS {name(f'r_{key}')}" for key, value in mapped.items()], "*"),
        "words": ([f"{_word(key, value)} AS {name(f'w_{key}')}" for key, value in mapped.items()], "*"),
        "narrow": (_narrow(mapped, types), "*"),
        "moments": (_moments(reading, mapped, types), "*"),
        "typed": (_typed(reading, mapped, types), "*"),
    }
    return f"""
WITH {_layered(layers, relation)}
SELECT __file AS file_no, __row AS row_no, __seq AS seq, __detail AS detail,
  CASE WHEN suffix(__fault, ':R') THEN __fault
    ELSE nullif(concat_ws(';', __fault, {", ".join(checks)}), '') END AS faults,
  {", ".join(outputs)}
FROM typed"""


def _layered(layers: Mapping[str, tuple[Sequence[str], str]], relation: str) -> str:
    """Common table expressions, each adding columns to the one before."""
    parts = []
    for layer, (columns, first) in layers.items():
        parts.append(f"{layer} AS (SELECT {', '.join([first, *columns])} FROM {relation})")
        relation = layer
    return ",\n".join(parts)


def _cells(columns: Sequence[str]) -> list[str]:
    return [f"nullif({name(column)}, '') AS {name(column)}" for column in columns]


def _raw(value: Value) -> str:
    """The source's word, within a list for expressions: NULL instead of a list says that the expression failed."""
    if value.value is not None:
        return text(value.value)
    if value.column is not None:
        return name(value.column)
    return f"TRY([CAST((\n{value.sql}\n) AS VARCHAR)])"


def _plain(key: str, value: Value) -> str:
    raw = name(f"r_{key}")
    return f"nullif({raw}[1], '')" if value.sql is not None else raw


def _word(key: str, value: Value) -> str:
    """The word after the value map."""
    plain = _plain(key, value)
    if value.values is None:
        return plain
    branches = " ".join(f"WHEN {text(word)} THEN {text(ours)}" for word, ours in value.values.items())
    return f"CASE {plain} {branches} ELSE {plain if value.others == 'keep' else 'NULL'} END"


def _narrow(mapped: Mapping[str, Value], types: Mapping[str, str]) -> list[str]:
    """Numbers and dates with their full-width digits and signs made plain; most words are plain already."""
    return [
        f"CASE WHEN strlen({word}) = length({word}) THEN {word} "
        f"ELSE translate({word}, {text(_WIDE)}, {text(_NARROW)}) END AS {name(f'n_{key}')}"
        for key in mapped
        if types[key] != "VARCHAR" and (word := name(f"w_{key}"))
    ]


def _moments(reading: Reading, mapped: Mapping[str, Value], types: Mapping[str, str]) -> list[str]:
    return [
        f"{_moment(name(f'n_{key}'), reading, as_date=types[key] == 'DATE')} AS {name(f'm_{key}')}"
        for key in mapped
        if types[key] in {"DATE", "TIMESTAMP"}
    ]


def _typed(reading: Reading, mapped: Mapping[str, Value], types: Mapping[str, str]) -> list[str]:
    found = []
    for key in mapped:
        word = name(f"w_{key}")
        clean = f"NOT contains({word}, chr(65533)) AND length({word}) <= {MAX_CELL}"
        allowed = ALLOWED.get((reading.table, key))
        if allowed is not None:
            clean = f"{word} IN ({', '.join(text(item) for item in sorted(allowed))})"
        found.append(f"CASE WHEN {clean} THEN {_parsed(key, types[key])} END AS {name(f't_{key}')}")
    return found


def _parsed(key: str, kind: str) -> str:
    if kind == "VARCHAR":
        return name(f"w_{key}")
    if kind == "DOUBLE":
        narrow = name(f"n_{key}")
        number = f"TRY_CAST({narrow} AS DOUBLE)"
        # DuckDB reads 1_000 as a thousand and nan as a number; in an extract they are slips.
        return f"CASE WHEN isfinite({number}) AND NOT contains({narrow}, '_') THEN {number} END"
    moment = name(f"m_{key}")
    bounds = f"{moment} >= TIMESTAMP {text(EARLIEST)} AND {moment} < TIMESTAMP {text(LATEST)}"
    return f"CASE WHEN {bounds} THEN CAST({moment} AS {kind}) END"


def _output(reading: Reading, key: str, kind: str, is_mapped: bool) -> str:
    if not is_mapped:
        return f"CAST(NULL AS {kind}) AS {name(key)}"
    typed = name(f"t_{key}")
    if key == "source_id" and reading.id_prefix:
        return f"{text(reading.id_prefix)} || {typed} AS source_id"
    return f"{typed} AS {name(key)}"


def _check(table: str, key: str, kind: str, value: Value | None, *, required: bool, fatal: bool) -> str:
    """CASE that yields the column's fault, or NULL; empty for an optional column without a mapping."""
    if value is None or value.value is not None:
        return ""
    word, typed, plain = name(f"w_{key}"), name(f"t_{key}"), _plain(key, value)

    def then(rule: str) -> str:
        return text(fault(key, rule, fatal=fatal))

    branches = []
    if value.sql is not None:
        branches.append(f"WHEN {name(f'r_{key}')} IS NULL THEN {then('expression_failed')}")
    if value.values is not None and value.others == "reject":
        branches.append(f"WHEN {plain} IS NOT NULL AND {word} IS NULL THEN {_unmapped(plain, then)}")
    branches.append(f"WHEN {word} IS NULL THEN {then('missing_required') if required else 'NULL'}")
    if (table, key) in ALLOWED:
        branches.append(f"WHEN {typed} IS NULL THEN {_unmapped(word, then)}")
    else:
        branches.append(f"WHEN {typed} IS NULL THEN {_unreadable(word, kind, then)}")
    return f"CASE {' '.join(branches)} END"


def _unmapped(word: str, then: Callable[[str], str]) -> str:
    return f"CASE WHEN contains({word}, chr(65533)) THEN {then('undecodable')} ELSE {then('unknown_value')} END"


def _unreadable(word: str, kind: str, then: Callable[[str], str]) -> str:
    rule = {"DATE": "unreadable_date", "TIMESTAMP": "unreadable_date", "DOUBLE": "unreadable_number"}
    last = then(rule.get(kind, "cell_too_long"))
    return (
        f"CASE WHEN contains({word}, chr(65533)) THEN {then('undecodable')} "
        f"WHEN length({word}) > {MAX_CELL} THEN {then('cell_too_long')} ELSE {last} END"
    )


def _moment(word: str, reading: Reading, *, as_date: bool) -> str:
    """Naive UTC; for dates the day as it is written, whatever zone stands behind it.

    TRY_CAST reads ISO 8601 and the same with slashes; it drops an offset, which is why those are cast by themselves.
    """
    branches = " ".join(
        f"WHEN {condition.format(word=word)} THEN try_strptime({word}, {text(form)})" for condition, form in _FORMS
    )
    own = [f"try_strptime({word}, {text(form)})" for form in reading.date_formats]
    local = f"coalesce({', '.join([f'TRY_CAST({word} AS TIMESTAMP)', *own, f'CASE {branches} END'])})"
    if as_date:
        return local
    if reading.time_zone != "UTC":
        local = f"timezone('UTC', timezone({text(reading.time_zone)}, {local}))"
    tail = f"substr({word}, 11)"
    offset = " OR ".join(f"contains({tail}, '{mark}')" for mark in ("Z", "+", "-"))
    return f"CASE WHEN {offset} THEN timezone('UTC', TRY_CAST({word} AS TIMESTAMPTZ)) ELSE {local} END"
