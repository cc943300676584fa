"""`why` says where the record lies that nobody can read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from alongside.ledger import Ledger, consent, schema
from alongside.ledger.consent import ConsentEvent
from alongside.model.enums import Decision, Gate
from alongside.outreach.why import why

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PINS = {"snapshot_id": "s1", "config_hash": "c", "config_commit": "k", "mode": "sandbox", "replay": False}


def _planned(ledger: Ledger, folder: Path, decision: Decision) -> None:
    """One person, held back by the newest event of the log."""
    event = ConsentEvent("p1", "marketing", "email", decision, NOW, "extract:crm", "record 1a2b3c4d5e6f7a8b#0")
    with ledger.begin() as connection:
        consent.record(connection, [event], NOW)
        found, seq = consent.decide(connection, ["p1"], "marketing", "email")["p1"]
        connection.execute(
            schema.run.insert().values(run_id="r1", as_of=NOW, started_at=NOW, state="completed", **PINS)
        )
        connection.execute(
            schema.run_campaign.insert().values(run_id="r1", campaign="flu", plan_hash="h", state="planned", funnel={})
        )
    assert found is Decision.DENY
    path = folder / "r1" / "decisions" / "flu.parquet"
    path.parent.mkdir(parents=True)
    duckdb.sql(
        f"COPY (SELECT 'p1' AS person_id, {int(Gate.NO_CONSENT)} AS mask, NULL AS variant, FALSE AS consented, "
        f"{seq} AS consent_seq, TIMESTAMP '2026-03-01' AS consent_decided_at) TO '{path}' (FORMAT parquet)"
    )


@pytest.mark.parametrize(
    ("decision", "record"), [(Decision.UNKNOWN, "crm, record_key 1a2b3c4d5e6f7a8b"), (Decision.DENY, None)]
)
def test_a_record_that_cannot_be_read_is_named(
    ledger: Ledger, tmp_path: Path, decision: Decision, record: str | None
) -> None:
    _planned(ledger, tmp_path, decision)
    with duckdb.connect() as duck:
        [answer] = why(ledger, duck, tmp_path, "p1")
    [gate] = answer.gates
    assert (gate.gate, gate.facts.get("record")) == ("no_consent", record)
    assert ("cannot be read" in gate.meaning) is (record is not None)
