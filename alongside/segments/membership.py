"""Refresh: tags and membership of all people, as of one moment, from a snapshot draft's tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path

import duckdb
from sqlglot import exp

from alongside.model.errors import DataInvalid, StoreUnavailable
from alongside.segments.catalogue import Catalogue, Node
from alongside.segments.evaluation import Evaluation, add_definitions, null_of, sql
from alongside.segments.features import Sources
from alongside.segments.moment import Moment
from alongside.segments.types import Type
from alongside.warehouse.duck import quoted

OUTPUTS = ("tag", "membership", "membership_change", "membership_stopped")


@dataclass(frozen=True)
class SegmentCount:
    """People in the segment now, and how many of them entered and left since the previous snapshot."""

    members: int
    entered: int
    left: int


@dataclass(frozen=True)
class Stopped:
    """A tag or segment that was not refreshed, and the failed fields that it reads."""

    kind: str
    name: str
    fields: tuple[str, ...]


@dataclass(frozen=True)
class RefreshReport:
    """What a refresh did; counts only.

    Attributes
    ----------
    persons : people in the snapshot
    tags : people who carry each yes-or-no tag, or have a value of another one
    removed : segments with members in the previous snapshot that the configuration no longer has
    """

    as_of: datetime
    persons: int
    tags: Mapping[str, int] = field(default_factory=dict)
    segments: Mapping[str, SegmentCount] = field(default_factory=dict)
    stopped: tuple[Stopped, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def stopped_segments(self) -> frozenset[str]:
        return frozenset(item.name for item in self.stopped if item.kind == "segment")

    def to_json(self) -> dict[str, object]:
        """Plain values for `json.dumps`."""
        return {
            "as_of": self.as_of.isoformat(),
            "persons": self.persons,
            "tags": dict(self.tags),
            "segments": {
                name: {"members": count.members, "entered": count.entered, "left": count.left}
                for name, count in self.segments.items()
            },
            "stopped": [{"kind": item.kind, "name": item.name, "fields": list(item.fields)} for item in self.stopped],
            "removed_segments": list(self.removed),
        }


def refresh(
    catalogue: Catalogue,
    tables: Path,
    out: Path,
    previous: Path | None,
    as_of: datetime,
    connection: duckdb.DuckDBPyConnection,
    blocked: Collection[str] = (),
) -> RefreshReport:
    """Write `tag`, `membership`, `membership_change` and `membership_stopped` (.parquet) into `out`.

    Parameters
    ----------
    tables : folder of the draft's Parquet tables
    previous : folder of the previous snapshot's tables, None for the first one
    as_of : the run's moment, with a time zone
    blocked : canonical fields (`table.column`) that failed data quality; tags and segments that read them, also
        through others, are not refreshed: a tag's column is null, a segment has no rows in `membership` or
        `membership_change`, and its last known rows wait in `membership_stopped` until it comes back

    The same inputs give the same rows, in any order. Raises `DataInvalid` when the tables lack what is read and
    `StoreUnavailable` when the results cannot be written.
    """
    moment = catalogue.moment(as_of)
    stopped = catalogue.stopped_by(blocked)
    running = [node for node in catalogue.order if node not in stopped]
    with _clear_errors(tables, out), _private_tables(connection):
        _evaluate(catalogue, running, moment, tables, connection)
        _write_tags(catalogue, running, out, connection)
        _compare(catalogue, running, stopped, moment, previous, connection)
        for name in OUTPUTS[1:]:
            _copy(_statement(name), out / f"{name}.parquet", connection)
        return _report(catalogue, running, stopped, as_of, connection)


def refresh_query(catalogue: Catalogue, nodes: Sequence[Node], moment: Moment, tables: Path) -> str:
    """SQL of one row a person with a column for every tag and segment among the nodes."""
    evaluation = Evaluation(moment, Sources(tables))
    add_definitions(evaluation, catalogue, nodes)
    columns = [catalogue.definition(node).column for node in nodes]
    return sql(evaluation.query({name: name for name in columns}))


def _evaluate(
    catalogue: Catalogue,
    nodes: Sequence[Node],
    moment: Moment,
    tables: Path,
    connection: duckdb.DuckDBPyConnection,
) -> None:
    query = refresh_query(catalogue, nodes, moment, tables)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE refresh_people AS {query}")


def _write_tags(
    catalogue: Catalogue, running: Sequence[Node], out: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    alive = set(running)
    columns = [
        (exp.column(tag.column, quoted=True) if tag.node in alive else null_of(tag.type)).as_(name, quoted=True)
        for name, tag in sorted(catalogue.tags.items())
    ]
    _copy(sql(exp.select("person_id", *columns).from_("refresh_people")), out / "tag.parquet", connection)


def _compare(
    catalogue: Catalogue,
    running: Sequence[Node],
    stopped: Collection[Node],
    moment: Moment,
    previous: Path | None,
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Hold the membership of now against the last known one."""
    connection.execute(f"CREATE OR REPLACE TEMP VIEW refresh_now AS {_membership(catalogue, running)}")
    connection.execute(f"CREATE OR REPLACE TEMP VIEW refresh_previous AS {_previous(previous)}")
    names = {"running": running, "stopped": stopped, "known": catalogue.order}
    for variable, nodes in names.items():
        values = [exp.Literal.string(name) for kind, name in nodes if kind == "segment"]
        listed = sql(exp.cast(exp.Array(expressions=values), "VARCHAR[]"))
        connection.execute(f"SET VARIABLE refresh_{variable} = {listed}")
    connection.execute("SET VARIABLE refresh_as_of = ?::TIMESTAMP", [moment.utc])
    connection.execute(_statement("before"))
    connection.execute(_statement("diff"))


def _membership(catalogue: Catalogue, running: Sequence[Node]) -> str:
    """(segment, person_id) of everybody who belongs now: one pass over two columns for each segment."""
    parts = [
        exp.select(exp.Literal.string(name).as_("segment"), "person_id")
        .from_("refresh_people")
        .where(exp.column(catalogue.segments[name].column, quoted=True))
        for kind, name in running
        if kind == "segment"
    ]
    empty = exp.select(
        exp.cast(exp.null(), "VARCHAR").as_("segment"), exp.cast(exp.null(), "VARCHAR").as_("person_id")
    ).where(exp.false())
    return " UNION ALL ".join(sql(part) for part in parts or [empty])


def _previous(previous: Path | None) -> str:
    """Rows of the last known membership: the refreshed segments', and those that had been stopped."""
    folder = previous or Path()
    files = [folder / f"{name}.parquet" for name in ("membership", "membership_stopped")]
    found = [file for file in files if previous is not None and file.is_file()]
    if not found:
        return "SELECT ''::VARCHAR AS segment, ''::VARCHAR AS person_id, NULL::TIMESTAMP AS since WHERE false"
    return " UNION ALL ".join(f"SELECT segment, person_id, since FROM read_parquet({quoted(file)})" for file in found)


def _report(
    catalogue: Catalogue,
    running: Sequence[Node],
    stopped: Mapping[Node, tuple[str, ...]],
    as_of: datetime,
    connection: duckdb.DuckDBPyConnection,
) -> RefreshReport:
    counted = {row[0]: SegmentCount(*row[1:]) for row in connection.execute(_statement("counts")).fetchall()}
    persons, tags = _tag_counts(catalogue, [name for kind, name in running if kind == "tag"], connection)
    removed = connection.execute(_statement("removed")).fetchall()
    names = sorted(name for kind, name in running if kind == "segment")
    return RefreshReport(
        as_of,
        persons,
        tags,
        {name: counted.get(name, SegmentCount(0, 0, 0)) for name in names},
        tuple(Stopped(kind, name, fields) for (kind, name), fields in sorted(stopped.items())),
        tuple(row[0] for row in removed),
    )


def _tag_counts(
    catalogue: Catalogue, names: Iterable[str], connection: duckdb.DuckDBPyConnection
) -> tuple[int, dict[str, int]]:
    ordered = sorted(names)
    counts: list[exp.Expr] = [exp.Count(this=exp.Star())]
    for name in ordered:
        tag = catalogue.tags[name]
        column = exp.column(tag.column, quoted=True)
        if tag.type is Type.BOOLEAN:
            counts.append(exp.Anonymous(this="count_if", expressions=[column]))
        else:
            counts.append(exp.Count(this=column))
    row = connection.execute(sql(exp.select(*counts).from_("refresh_people"))).fetchone() or (0,)
    return int(row[0]), {name: int(count) for name, count in zip(ordered, row[1:], strict=True)}


@cache
def _statements() -> dict[str, str]:
    """Named statements of membership.sql."""
    text = (Path(__file__).with_suffix(".sql")).read_text("utf-8")
    parts = [part.split("\n", 1) for part in text.split("-- name: ")[1:]]
    return {name.strip(): body.strip().rstrip(";") for name, body in parts}


def _statement(name: str) -> str:
    return _statements()[name]


def _copy(query: str, path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(f"COPY ({query}) TO {quoted(path)} (FORMAT parquet, COMPRESSION zstd)")


@contextmanager
def _private_tables(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """The connection is left as it was found."""
    try:
        yield
    finally:
        for view in ("refresh_before", "refresh_now", "refresh_previous"):
            connection.execute(f"DROP VIEW IF EXISTS {view}")
        for table in ("refresh_diff", "refresh_people"):
            connection.execute(f"DROP TABLE IF EXISTS {table}")


@contextmanager
def _clear_errors(tables: Path, out: Path) -> Iterator[None]:
    """DuckDB's errors as errors that say what to do; its texts may carry values, so they are not passed on."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        remedy = "Raise warehouse.memory_limit in config/alongside.yaml, or free space for spilling."
        raise StoreUnavailable("segments do not fit into the memory budget", where=str(out), remedy=remedy) from error
    except (duckdb.BinderException, duckdb.CatalogException) as error:
        remedy = "Build the snapshot again with this version."
        raise DataInvalid("a table lacks a column that segments read", where=str(tables), remedy=remedy) from error
    except duckdb.IOException as error:
        remedy = "Check that every table is there and that the disk has space; the previous snapshot stays current."
        raise StoreUnavailable("segments cannot be read or written", where=str(out), remedy=remedy) from error
    except duckdb.Error as error:
        remedy = "Look for a calculation with very large numbers in config/tags and config/segments."
        kind = type(error).__name__
        # Not chained: this error's text may quote a patient's value.
        raise DataInvalid(f"a value does not fit a calculation ({kind})", where=str(tables), remedy=remedy) from None
