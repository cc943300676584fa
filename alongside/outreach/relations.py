"""What the gates need from the ledger, as relations in one DuckDB connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from alongside.ledger import Ledger, consent, holdouts, suppressions
from alongside.ledger.contacts import contacts
from alongside.model.enums import Pace, Purpose, Written
from alongside.outreach import ledger_copies, wishes
from alongside.outreach.campaigns import Campaign
from alongside.settings import HospitalSettings
from alongside.warehouse.duck import quoted

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

#: Candidates handled at a time: bounds the planner's memory.
CHUNK = 10_000
CROSS_BORDER = "cross_border"


@dataclass(frozen=True)
class Facts:
    """Where a plan takes its facts from."""

    tables: Path
    ledger: Ledger
    settings: HospitalSettings
    as_of: datetime
    folder: Path


def open_snapshot(connection: duckdb.DuckDBPyConnection, facts: Facts) -> None:
    """Views of the snapshot's person and membership tables; whoever has wished something since is as they wish."""
    source = quoted(facts.tables / "membership.parquet")
    connection.execute(f"CREATE OR REPLACE VIEW membership AS SELECT * FROM read_parquet({source})")
    wishes.lay_over(connection, facts.tables, facts.ledger)


def choose_audience(connection: duckdb.DuckDBPyConnection, segment: str) -> int:
    """Temp table `audience` of the segment's members; returns how many."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE audience AS SELECT DISTINCT person_id FROM membership WHERE segment = $segment",
        {"segment": segment},
    )
    return count(connection, "audience")


def load_relations(
    connection: duckdb.DuckDBPyConnection, facts: Facts, campaign: Campaign, purpose: Purpose, written: Written
) -> None:
    """Temp tables `consent`, `cross_border`, `suppressed`, `contact`, `heldout`, `kept_without`, and those of
    `_load_relatives`."""
    decided = ", ".join(quoted(_consents(connection, facts, channel.value)) for channel in campaign.channels)
    for name, wanted in (("consent", purpose.value), (CROSS_BORDER, CROSS_BORDER)):
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {name} AS"
            " SELECT person_id, channel, decision = 'permit' AS permitted, seq, decided_at"
            f" FROM read_parquet([{decided}]) WHERE purpose = $wanted",
            {"wanted": wanted},
        )
    _load_suppressed(connection, facts.ledger, campaign, purpose)
    _load_contacts(connection, facts, campaign)
    secret = facts.ledger.info.secret
    everywhere = facts.settings.gates.global_holdout if purpose is Purpose.MARKETING else 0.0
    _load_heldout(connection, "heldout", everywhere, holdouts.of_marketing(secret))
    here = 0.0 if purpose is Purpose.CARE or campaign.urgent else campaign.holdout  # `check` may not be asked
    _load_heldout(connection, "kept_without", here, holdouts.of_campaign(secret, campaign.name))
    _load_relatives(connection, facts, purpose, written)


def _load_relatives(connection: duckdb.DuckDBPyConnection, facts: Facts, purpose: Purpose, written: Written) -> None:
    """Temp tables `relation`; `ward`: for whom another decides; `refusing`: of whom nobody else may hear."""
    known = ledger_copies.relations(connection, facts.ledger, facts.folder, facts.as_of)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE relation AS SELECT * FROM read_parquet({quoted(known)})")
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE ward AS"
        " SELECT DISTINCT subject_id AS person_id FROM relation WHERE decides AND decision <> 'deny'"
    )
    connection.execute("CREATE OR REPLACE TEMP TABLE refusing (person_id VARCHAR)")
    if written is not Written.PATIENT:
        connection.execute(
            "INSERT INTO refusing SELECT person_id"
            f" FROM read_parquet({quoted(_consents(connection, facts, consent.ANY_CHANNEL))})"
            " WHERE purpose = $wanted AND decision <> 'permit'",
            {"wanted": purpose.value},
        )


def _consents(connection: duckdb.DuckDBPyConnection, facts: Facts, channel: str) -> Path:
    return ledger_copies.consents(connection, facts.ledger, facts.folder, channel)


def _load_suppressed(
    connection: duckdb.DuckDBPyConnection, ledger: Ledger, campaign: Campaign, purpose: Purpose
) -> None:
    scopes = ["all", "marketing"] if purpose is Purpose.MARKETING else ["all"]
    with _registered(connection, "listed", suppressions.listing(ledger)):
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE suppressed AS SELECT channel, blind, min(reason) AS reason FROM listed"
            " WHERE list_contains($channels, channel) AND list_contains($scopes, scope) GROUP BY channel, blind",
            {"channels": [channel.value for channel in campaign.channels], "scopes": scopes},
        )


def _load_contacts(connection: duckdb.DuckDBPyConnection, facts: Facts, campaign: Campaign) -> None:
    cap = facts.settings.gates.frequency_cap
    since = facts.as_of - timedelta(days=cap.days)
    paced_since = facts.as_of - timedelta(days=max(cap.days, *(pace.days or 0 for pace in Pace)))
    exempt = [purpose.value for purpose in cap.exempt]
    with _registered(connection, "said", contacts(facts.ledger, campaign.name, since, paced_since)):
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE contact AS"
            " SELECT person_id, subject_id, address_blind, campaign, occurrence, said_at,"
            " state <> 'rejected' AND is_first = 1 AND NOT list_contains($exempt, purpose) AS counts FROM said",
            {"exempt": exempt},
        )


def _load_heldout(connection: duckdb.DuckDBPyConnection, table: str, share: float, salt: holdouts.Salt) -> None:
    """Temp table of those of the audience whom this hold-out keeps without messages."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} (person_id VARCHAR)")
    if share <= 0:
        return
    import pyarrow as pa

    for chunk in chunks(connection, "SELECT person_id FROM audience ORDER BY person_id"):
        people: list[str] = chunk.column("person_id").to_pylist()
        held = [person for person in people if holdouts.is_kept_out(salt, person, share)]
        with _registered(connection, "held", pa.table({"person_id": pa.array(held, pa.string())})):
            connection.execute(f"INSERT INTO {table} SELECT person_id FROM held")


def chunks(connection: duckdb.DuckDBPyConnection, sql: str) -> Iterator[pa.Table]:
    """The query's rows in order, in tables of `CHUNK`; between two of them the connection is free for other work."""
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE waiting AS SELECT row_number() OVER () - 1 AS place, * FROM ({sql})"
    )
    for start in range(0, count(connection, "waiting"), CHUNK):
        yield connection.sql(
            f"SELECT * EXCLUDE (place) FROM waiting WHERE place >= {start} AND place < {start + CHUNK} ORDER BY place"
        ).to_arrow_table()


def count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    """Rows of a table. DuckDB 2 refuses other work while a result is not read to its end, hence `fetchall`."""
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])


@contextmanager
def _registered(connection: duckdb.DuckDBPyConnection, name: str, table: object) -> Iterator[None]:
    connection.register(name, table)
    try:
        yield
    finally:
        connection.unregister(name)
