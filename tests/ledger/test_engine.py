"""The ledger's two ways in: transactions of rows, and Arrow in bulk, alike on both stores."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest
import sqlalchemy as sa

from alongside.ledger import Ledger, schema
from alongside.model.errors import Refused

NOON = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)


def suppressions(*blinds: str, since: object = None) -> pa.Table:
    rows = len(blinds)
    return pa.table(
        {
            "blind": list(blinds),
            "channel": ["email"] * rows,
            "scope": ["all"] * rows,
            "reason": ["import"] * rows,
            "since": since or pa.array([NOON] * rows, pa.timestamp("us", "UTC")),
            "origin": ["import"] * rows,
        }
    )


def test_what_arrow_inserts_the_row_api_reads_and_the_reverse(ledger: Ledger) -> None:
    assert ledger.insert_arrow(schema.suppression, suppressions("a", "b")) == 2
    with ledger.begin() as connection:
        connection.execute(
            schema.suppression.insert().values(
                blind="c", channel="email", scope="all", reason="staff", since=NOON, origin="staff:x"
            )
        )
        rows = connection.execute(sa.select(schema.suppression).order_by("blind")).all()
    assert [(row.blind, row.since) for row in rows] == [("a", NOON), ("b", NOON), ("c", NOON)]
    read = ledger.read_arrow("SELECT blind, since FROM suppression ORDER BY blind")
    assert read.schema == pa.schema({"blind": pa.string(), "since": pa.timestamp("us")})
    assert read.column("since").to_pylist() == [NOON.replace(tzinfo=None)] * 3


@pytest.mark.parametrize(
    "since",
    [
        pa.array([1_772_366_400_250], pa.timestamp("ms")),
        pa.array(
            [datetime(2026, 3, 1, 20, 0, 0, 250_000, timezone(timedelta(hours=8)))], pa.timestamp("us", "Asia/Shanghai")
        ),
        pa.array([1_772_366_400_250_000_000], pa.timestamp("ns")),
    ],
    ids=["naive is UTC", "Shanghai", "nanoseconds"],
)
def test_moments_of_any_unit_and_zone_arrive_as_the_same_moment(ledger: Ledger, since: pa.Array) -> None:
    ledger.insert_arrow(schema.suppression, suppressions("a", since=since))
    with ledger.begin() as connection:
        assert connection.execute(sa.select(schema.suppression.c.since)).scalar_one() == NOON


def test_whole_seconds_compare_equal_to_what_the_row_api_writes(ledger: Ledger) -> None:
    whole = NOON.replace(microsecond=0)
    ledger.insert_arrow(schema.suppression, suppressions("a", since=pa.array([whole], pa.timestamp("s", "UTC"))))
    with ledger.begin() as connection:
        found = connection.execute(sa.select(schema.suppression).where(schema.suppression.c.since == whole)).all()
    assert len(found) == 1


def test_rows_that_exist_are_ignored_or_refused_as_asked(ledger: Ledger) -> None:
    ledger.insert_arrow(schema.suppression, suppressions("a"))
    assert ledger.insert_arrow(schema.suppression, suppressions("a", "b"), on_conflict="ignore") == 1
    assert ledger.insert_arrow(schema.suppression, suppressions("a", "b"), on_conflict="ignore") == 0
    with pytest.raises(Refused, match=r"suppression.*Nothing was inserted"):
        ledger.insert_arrow(schema.suppression, suppressions("c", "a"))
    assert ledger.read_arrow("SELECT count(*) AS n FROM suppression").column("n").to_pylist() == [2]


def test_json_binary_booleans_nulls_and_defaults_survive(ledger: Ledger) -> None:
    ledger.insert_arrow(
        schema.audit,
        pa.table(
            {
                "at": pa.array([NOON]),
                "actor": ["x"],
                "action": ["y"],
                "subject": ["z"],
                "details": ['{"名": [1, null]}'],
            }
        ),
    )
    ledger.insert_arrow(
        schema.delivery_event,
        pa.table(
            {
                "event_id": ["e"], "message_key": ["m"], "kind": ["open"],
                "occurred_at": pa.array([NOON]), "received_at": pa.array([NOON]), "machine": [True],
            }
        ),
    )  # fmt: skip
    ledger.insert_arrow(
        schema.vault_person,
        pa.table({"person_id": ["p"], "sealed": pa.array([b"\x00\xff"]), "updated_at": pa.array([NOON])}),
    )
    with ledger.begin() as connection:
        assert connection.execute(sa.select(schema.audit.c.details)).scalar_one() == {"名": [1, None]}
        event = connection.execute(sa.select(schema.delivery_event)).one()
    assert (event.machine, event.detail) == (True, "")
    assert ledger.read_arrow("SELECT sealed FROM vault_person").column("sealed").to_pylist() == [b"\x00\xff"]
    read = ledger.read_arrow("SELECT machine, details FROM delivery_event, audit")
    assert read.schema == pa.schema({"machine": pa.bool_(), "details": pa.string()})


def test_an_empty_result_still_has_its_types(ledger: Ledger) -> None:
    read = ledger.read_arrow(
        "SELECT person_id, accepted_at, variables, max(planned_at) AS newest_at FROM message GROUP BY 1, 2, 3"
    )
    assert read.num_rows == 0
    assert read.schema.types == [pa.string(), pa.timestamp("us"), pa.string(), pa.timestamp("us")]


def test_aggregates_have_the_same_types_on_both_stores(ledger: Ledger) -> None:
    ledger.insert_arrow(schema.suppression, suppressions("a", "b"))
    read = ledger.read_arrow(
        "SELECT count(*) AS n, max(since) AS newest, sum(length(blind)) AS s, avg(length(blind)) AS mean"
        " FROM suppression"
    )
    assert read.to_pylist() == [{"n": 2, "newest": NOON.replace(tzinfo=None), "s": 2, "mean": 1.0}]
    assert read.schema.field("mean").type == pa.float64()


def test_values_are_bound_by_name_lists_too(ledger: Ledger) -> None:
    ledger.insert_arrow(schema.suppression, suppressions("a", "b'; --", "c"))
    read = ledger.read_arrow(
        "SELECT blind FROM suppression WHERE blind IN :blinds AND since <= :now AND channel = :channel ORDER BY blind",
        {"blinds": ["b'; --", "c", "d"], "now": NOON, "channel": "email"},
    )
    assert read.column("blind").to_pylist() == ["b'; --", "c"]
    with pytest.raises(ValueError, match="naive"):
        ledger.read_arrow("SELECT 1 AS x WHERE :t IS NOT NULL", {"t": datetime(2026, 1, 1)})  # noqa: DTZ001


def test_a_hundred_thousand_rows_arrive_from_a_reader(ledger: Ledger) -> None:
    batches = (suppressions(*(f"{part}-{i}" for i in range(25_000))).to_batches()[0] for part in range(4))
    reader = pa.RecordBatchReader.from_batches(suppressions("x").schema, batches)
    assert ledger.insert_arrow(schema.suppression, reader) == 100_000
    assert ledger.read_arrow("SELECT * FROM suppression").num_rows == 100_000


def test_columns_that_do_not_belong_are_named(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="suppression has no column colour"):
        ledger.insert_arrow(schema.suppression, suppressions("a").append_column("colour", [["red"]]))
    with pytest.raises(ValueError, match=r"suppression\.since needs timestamp"):
        ledger.insert_arrow(schema.suppression, suppressions("a", since=pa.array(["soon"])))


def test_sql_that_the_store_refuses_says_so(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="no_such_table"):
        ledger.read_arrow("SELECT * FROM no_such_table")


def test_opening_a_ledger_loads_no_arrow() -> None:
    program = "import sys, alongside.ledger; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
