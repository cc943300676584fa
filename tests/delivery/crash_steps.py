"""What the crash tests run in processes that are meant to die. Imported once by the fork server."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from alongside.channels.sendgrid_events import translate
from alongside.delivery import ingest_events
from alongside.delivery.worker import work  # noqa: F401  (loaded before the fork)
from alongside.ledger.failpoints import arm
from alongside.sandbox.sendgrid.behaviour import Act
from alongside.sandbox.sendgrid.events import event
from tests.delivery.clinic import SHARED, Clinic

BATCH = 4


def step(
    name: str,
    url: str,
    root: str,
    vendor_url: str,
    numbers: Sequence[int],
    failpoint: str | None,
    records: Sequence[dict[str, Any]] = (),
    template: str = SHARED,
) -> None:
    """One step of a run, in a process of its own that dies at the failpoint."""
    arm(failpoint)
    clinic = Clinic.attach(url, Path(root), vendor_url)
    take(clinic, name, numbers, records, template)
    clinic.ledger.engine.dispose()


def take(
    clinic: Clinic,
    name: str,
    numbers: Sequence[int],
    records: Sequence[dict[str, Any]] = (),
    template: str = SHARED,
) -> None:
    """plan, work, ingest or reconcile."""
    if name == "plan":
        clinic.plan(numbers, batch_size=BATCH, template=template)
    elif name == "work":
        clinic.dispatch()
    elif name == "ingest":
        ingest_events(clinic.ledger, [translate(event) for event in delivered(records)], datetime.now(UTC))
    else:
        clinic.reconcile(grace=timedelta(0))


def delivered(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every event of these accepted messages, some of them twice, in no sensible order."""
    moment = 1_772_500_000.0
    acts = (Act.DELIVERED, Act.PROCESSED, Act.DELIVERED)
    return [event(record, act, list(Act).index(act), moment) for act in acts for record in records]
