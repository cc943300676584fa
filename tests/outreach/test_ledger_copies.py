"""What campaigns ask of the ledger alike is copied once, says what the ledger says, and does not grow old."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from alongside.ledger import Ledger, consent
from alongside.ledger.consent import ConsentEvent
from alongside.ledger.schema import person
from alongside.model.enums import Decision
from alongside.outreach import ledger_copies
from alongside.warehouse.duck import quoted

DAY = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def say(ledger: Ledger, who: str, decision: Decision, channel: str, days: float = 0) -> None:
    event = ConsentEvent(who, "marketing", channel, decision, DAY + timedelta(days=days), "extract:crm", "form 7")
    with ledger.begin() as connection:
        consent.record(connection, [event], DAY + timedelta(days=30))


def known(path: Path) -> set[tuple[str, str]]:
    with duckdb.connect() as connection:
        return set(connection.sql(f"SELECT person_id, decision FROM read_parquet({quoted(path)})").fetchall())


def test_a_merged_record_answers_for_its_survivor_on_every_channel(
    ledger: Ledger, duck: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    with ledger.begin() as connection:
        connection.execute(person.insert(), [{"person_id": "p1", "minted_at": DAY}])
        connection.execute(person.insert(), [{"person_id": "p2", "minted_at": DAY, "survivor_id": "p1"}])
    say(ledger, "p1", Decision.PERMIT, "*")
    say(ledger, "p2", Decision.DENY, "sms", days=1)
    say(ledger, "p3", Decision.PERMIT, "email")
    ask = [ledger_copies.consents(duck, ledger, tmp_path, channel) for channel in ("email", "sms", "*")]
    assert [known(path) for path in ask] == [
        {("p1", "permit"), ("p3", "permit")},
        {("p1", "deny")},
        {("p1", "permit")},
    ]


def test_the_log_is_read_once_for_all_channels(
    ledger: Ledger, duck: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(ledger, "p1", Decision.PERMIT, "*")
    read: list[str] = []
    ours = consent.copy_log
    monkeypatch.setattr(consent, "copy_log", lambda *given: (read.append("log"), ours(*given)))
    for channel in ("email", "sms", "email", "*"):
        ledger_copies.consents(duck, ledger, tmp_path, channel)
    assert read == ["log"]


def test_an_old_copy_is_made_again_with_all_that_was_made_of_it(
    ledger: Ledger, duck: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    say(ledger, "p1", Decision.PERMIT, "email")
    first = {channel: ledger_copies.consents(duck, ledger, tmp_path, channel) for channel in ("email", "sms")}
    say(ledger, "p1", Decision.DENY, "email", days=1)
    assert known(ledger_copies.consents(duck, ledger, tmp_path, "email")) == {("p1", "permit")}
    log = tmp_path / "consent-log.parquet"
    old = log.stat().st_mtime - ledger_copies.FRESH_SECONDS - 1
    os.utime(log, (old, old))
    assert known(ledger_copies.consents(duck, ledger, tmp_path, "sms")) == set()
    assert known(first["email"]) == {("p1", "permit")}  # nobody asked for it yet
    assert known(ledger_copies.consents(duck, ledger, tmp_path, "email")) == {("p1", "deny")}


def test_relations_are_copied_for_each_moment_and_old_ones_go(
    ledger: Ledger, duck: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    first = ledger_copies.relations(duck, ledger, tmp_path, DAY)
    assert ledger_copies.relations(duck, ledger, tmp_path, DAY + timedelta(minutes=1)) != first
    old = first.stat().st_mtime - ledger_copies.FRESH_SECONDS - 1
    os.utime(first, (old, old))
    ledger_copies.relations(duck, ledger, tmp_path, DAY + timedelta(minutes=2))
    assert not first.exists()
    assert len(list(tmp_path.glob("relations-*.parquet"))) == 2
