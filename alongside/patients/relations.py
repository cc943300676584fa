"""Relatives that extracts deliver, into the append-only log: each statement once, under the records that brought it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from alongside.ledger import Ledger, schema
from alongside.ledger.copying import copy
from alongside.ledger.relations import FACT_KEY
from alongside.model.clock import require_utc
from alongside.patients import keyed, scripts
from alongside.patients.prepare import prepare
from alongside.patients.reports import RelationReport
from alongside.warehouse import Warehouse
from alongside.warehouse.duck import quoted

_ROWS = 50_000


def record_relations(
    clean: Path, person_map: Path, ledger: Ledger, *, now: datetime, warehouse: Warehouse
) -> RelationReport:
    """Append the statements of `clean/related_person.parquet` that the log does not hold yet.

    See `alongside.ledger.relations` for what stands. Set-based: only new statements leave DuckDB.
    """
    now = require_utc(now)
    with warehouse.connect() as duck:
        prepare(duck, ledger.info.secret, (), now)
        keyed.install(duck, "fact_hash", FACT_KEY)
        duck.execute(
            "CREATE OR REPLACE TEMP VIEW relation_row AS "
            f"SELECT * FROM read_parquet({quoted(clean / 'related_person.parquet')})"
        )
        duck.execute(f"CREATE OR REPLACE TEMP VIEW mapped AS SELECT * FROM read_parquet({quoted(person_map)})")
        duck.execute("CREATE OR REPLACE TEMP TABLE fact_known (fact VARCHAR)")
        copy(duck, ledger, "relation_event", "fact", "", ("fact",), "fact_known")
        scripts.run(duck, "relations")
        rows, strangers = duck.execute(
            "SELECT count(*), count_if(r.person_id IS NULL) FROM relation_row AS c LEFT JOIN mapped AS r "
            "ON r.source = c.source AND r.patient_source_id = c.relative_source_id"
        ).fetchall()[0]
        reader = duck.sql("FROM statement ORDER BY decided_at, fact").to_arrow_reader(_ROWS)
        recorded = ledger.insert_arrow(schema.relation_event, reader, on_conflict="ignore")
    return RelationReport(rows, recorded, strangers)
