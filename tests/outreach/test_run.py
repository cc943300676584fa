"""Invented contacts and consents are for the stand-in: elsewhere a run is refused before it writes anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from alongside.ledger import Ledger, consent, schema
from alongside.model.enums import DeliveryMode
from alongside.model.errors import Refused
from alongside.outreach.run import RunRequest, start_run

NOW = datetime(2026, 3, 1, tzinfo=UTC)
STAND_IN, VENDOR = "http://127.0.0.1:8025", "https://api.sendgrid.com"
PLAIN = RunRequest("r1", DeliveryMode.SANDBOX, "c" * 64, "no-repository", STAND_IN, timedelta(hours=6))
INVENTING = replace(PLAIN, fictional_contacts=True)


def _runs(ledger: Ledger) -> int:
    with ledger.reading() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(schema.run)).scalar_one())


@pytest.mark.parametrize(
    ("mode", "url"),
    [
        (DeliveryMode.SANDBOX, VENDOR),
        (DeliveryMode.SANDBOX, "http://127.0.0.1.evil.example"),
        (DeliveryMode.STAGING, STAND_IN),
        (DeliveryMode.STAGING, VENDOR),
        (DeliveryMode.LIVE, VENDOR),
    ],
)
def test_contacts_are_invented_towards_the_stand_in_only(ledger: Ledger, mode: DeliveryMode, url: str) -> None:
    with pytest.raises(Refused, match=r"for the stand-in only.*delivery.mode to sandbox"):
        start_run(ledger, replace(INVENTING, mode=mode, vendor_url=url), NOW)
    assert _runs(ledger) == 0
    assert start_run(ledger, INVENTING, NOW).run_id == "r1"


@pytest.mark.parametrize("mode", [DeliveryMode.STAGING, DeliveryMode.LIVE])
def test_a_ledger_with_invented_consents_stays_in_the_sandbox(ledger: Ledger, mode: DeliveryMode) -> None:
    real = replace(PLAIN, mode=mode, vendor_url=VENDOR)
    start_run(ledger, real, NOW)
    with ledger.begin() as connection:
        consent.mark_invented(connection, NOW)
    with pytest.raises(Refused, match=r"--fictional-contacts invented.*ALONGSIDE_LEDGER_URL"):
        start_run(ledger, replace(real, run_id="r2"), NOW)
    assert _runs(ledger) == 1
    start_run(ledger, replace(PLAIN, run_id="r3"), NOW)
