"""What the ledger knows of records and people, brought into DuckDB in portions of bounded size."""

from __future__ import annotations

import duckdb

from alongside.ledger import Ledger
from alongside.ledger.copying import copy


def load(duck: duckdb.DuckDBPyConnection, ledger: Ledger) -> None:
    """Temp tables `person_known` and `alias_known`, and `reviewed` with what people decided about pairs."""
    duck.execute(
        "CREATE OR REPLACE TEMP TABLE person_known (person_id VARCHAR, survivor_id VARCHAR, minted_at TIMESTAMP);"
        "CREATE OR REPLACE TEMP TABLE alias_known "
        "(own_id VARCHAR, alias VARCHAR, fingerprint VARCHAR, since TIMESTAMP);"
        "CREATE OR REPLACE TEMP TABLE reviewed (left_id VARCHAR, right_id VARCHAR, decision VARCHAR)"
    )
    copy(duck, ledger, "person", "person_id", "p", ("person_id", "survivor_id", "minted_at"), "person_known")
    copy(duck, ledger, "person_alias", "alias", "", ("person_id", "alias", "fingerprint", "since"), "alias_known")
    decided = ledger.read_arrow("SELECT left_alias, right_alias, decision FROM match_review")
    duck.register("arrived", decided)
    duck.execute(
        "INSERT INTO reviewed SELECT least(l.own_id, r.own_id), greatest(l.own_id, r.own_id), decision FROM arrived "
        "JOIN alias_known AS l ON l.alias = left_alias JOIN alias_known AS r ON r.alias = right_alias"
    )
    duck.unregister("arrived")
