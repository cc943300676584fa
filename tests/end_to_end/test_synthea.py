"""Synthea's patients, CSV and FHIR together: from the extracts to the vendor's log, and nobody real is in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from alongside.delivery.modes import is_reserved
from alongside.diagnosis import examine
from alongside.ledger.messages import count_states
from alongside.sandbox.common.log import read_ndjson
from alongside.sandbox.sendgrid.launch import start
from alongside.sandbox.sendgrid.options import Options
from tasks import context, delivery
from tests.end_to_end.conftest import Played, new_project

pytestmark = [pytest.mark.peer_data, pytest.mark.timeout(240)]
AS_OF = "2026-03-01T10:00+08:00"


@pytest.fixture
def synthea(tmp_path: Path, peer_data: Path) -> Played:
    """The snapshot of both sources; nobody in them has an address of their own."""
    played = new_project(tmp_path / "project")
    roots = {"synthea_csv": str(peer_data / "synthea_csv"), "fhir_r4": str(peer_data / "synthea_fhir_r4")}
    played.refresh("s1", AS_OF, roots, fictional_contacts=True)
    return played


def test_synthea_s_patients_are_planned_for_and_written_to_at_reserved_addresses(
    synthea: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = synthea.plan("s1").values()
    planned = sum(plan.funnel["planned"] for plan in plans if plan.state == "planned")
    with start(Options(tmp_path / "vendor", patients=False)) as running:
        monkeypatch.setenv("SENDGRID_URL", running.url)
        monkeypatch.setenv("SENDGRID_API_KEY", running.api_key)
        context.services.cache_clear()
        delivery.dispatch_partition.fn("s1", 0, 1, synthea.root)
    with synthea.house.ledger.begin() as connection:
        states = count_states(connection, run_id="s1")
    assert 0 < states["taken"] == planned
    assert states["unknown"] == 0
    sent = list(read_ndjson(tmp_path / "vendor" / "accepted.ndjson"))
    assert len({record["m"] for record in sent}) == len(sent) == states["taken"]
    assert {record["to"] for record in sent if not is_reserved(str(record["to"]))} == set()
    checks = {check.name: check.state for check in examine(synthea.house)}
    assert checks["consents"] == "warning"  # the ledger stays in the sandbox
