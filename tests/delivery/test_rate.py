"""The channel's rate limit holds for all workers together, by the clock of whoever is written to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from alongside.sandbox.sendgrid.launch import Running
from tests.delivery.clinic import PERSONAL, Clinic
from tests.delivery.conftest import AcceptedLog
from tests.ledgers import SqliteLedgers

RATE, WORKERS, MESSAGES = 60, 2, 120
#: Seconds by which a busy machine may delay a request on its way. What a worker may send at once is paid afterwards:
#: were the rate each worker's own, all would arrive within one second, in which a third less is allowed.
DELAY = 0.4


def most_beyond(arrivals: Sequence[float]) -> float:
    """Over all windows, by how many messages one exceeds the rate; one request of each worker goes on credit."""
    return max(
        last - first + 1 - WORKERS - RATE * (arrivals[last] - arrivals[first] + DELAY)
        for first in range(len(arrivals))
        for last in range(first, len(arrivals))
    )


def test_no_window_holds_more_than_the_channels_rate_allows_all_workers_together(
    tmp_path: Path, vendor: Running, sqlite_ledgers: SqliteLedgers, accepted: AcceptedLog
) -> None:
    url = sqlite_ledgers.place(tmp_path / "ledger.db")
    clinic = Clinic.open(url, tmp_path / "project", vendor.url, email={"rate_per_second": RATE})
    clinic.admit(range(MESSAGES))
    clinic.plan(range(MESSAGES), template=PERSONAL, batch_size=6)
    assert clinic.dispatch(workers=WORKERS).progress.accepted == MESSAGES
    took_part = clinic.ledger.read_arrow("SELECT DISTINCT worker FROM attempt").num_rows
    clinic.ledger.engine.dispose()
    arrivals = sorted(datetime.fromisoformat(str(record["at"])).timestamp() for record in accepted())
    assert took_part == WORKERS
    assert most_beyond(arrivals) <= 0


def test_the_measure_would_notice_workers_with_a_rate_of_their_own() -> None:
    within = [number / RATE for number in range(MESSAGES)]
    assert most_beyond(within) <= 0
    assert most_beyond([moment / WORKERS for moment in within]) > 0
