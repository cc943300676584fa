"""Consents that extracts deliver, into the append-only log: every decision once, under the record that brought it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from alongside.ledger import Ledger, schema
from alongside.ledger.consent import FACT_KEY, FICTIONAL, mark_invented
from alongside.ledger.copying import copy
from alongside.model.clock import require_utc
from alongside.patients import keyed, scripts
from alongside.patients.prepare import prepare
from alongside.patients.reports import ConsentReport
from alongside.warehouse import Warehouse
from alongside.warehouse.duck import quoted

_ROWS = 50_000
_MARKED = (
    "SELECT person_id, purpose, channel, decision, evidence FROM consent_event WHERE decision IN ('unknown', 'read')"
)


def record_consents(
    clean: Path, person_map: Path, ledger: Ledger, *, now: datetime, warehouse: Warehouse
) -> ConsentReport:
    """Append the decisions of `clean/consent.parquet` that the log does not hold yet.

    An extract repeats old decisions every night: they are known by their fact and change nothing (see
    `alongside.ledger.consent` for what stands). Set-based: only new decisions leave DuckDB.
    """
    now = require_utc(now)
    with warehouse.connect() as duck:
        prepare(duck, ledger.info.secret, (), now)
        keyed.install(duck, "fact_hash", FACT_KEY)
        duck.execute(
            "CREATE OR REPLACE TEMP VIEW consent_row AS "
            f"SELECT * FROM read_parquet({quoted(clean / 'consent.parquet')})"
        )
        duck.execute(f"CREATE OR REPLACE TEMP VIEW mapped AS SELECT * FROM read_parquet({quoted(person_map)})")
        duck.execute("CREATE OR REPLACE TEMP TABLE fact_known (fact VARCHAR)")
        copy(duck, ledger, "consent_event", "fact", "", ("fact",), "fact_known")
        duck.register("marked", ledger.read_arrow(_MARKED))
        scripts.run(duck, "consents")
        rows, ahead, unknown = duck.execute(
            "SELECT count(*), count_if(c.decision = 'permit' AND c.decided_at > getvariable('now')), "
            "count_if(m.person_id IS NULL) FROM consent_row AS c LEFT JOIN mapped AS m "
            "ON m.source = c.source AND m.patient_source_id = c.patient_source_id"
        ).fetchall()[0]
        unreadable = duck.execute("SELECT count(*) FROM unread").fetchall()[0][0]
        invented = f"SELECT count(*) FROM decision WHERE evidence = '{FICTIONAL}'"
        if duck.execute(invented).fetchall()[0][0]:
            with ledger.begin() as connection:
                mark_invented(connection, now)
        reader = duck.sql("FROM decision ORDER BY decided_at, fact").to_arrow_reader(_ROWS)
        recorded = ledger.insert_arrow(schema.consent_event, reader, on_conflict="ignore")
    return ConsentReport(rows, recorded, ahead, unknown, unreadable)
