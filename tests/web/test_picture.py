"""One patient's part of the hospital's picture, as a page reads it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from alongside.ledger.wishes import Expressed
from alongside.warehouse import Warehouse
from alongside.web.picture import Picture, Seen

DAY = datetime(2026, 3, 1, tzinfo=UTC)


def publish(root: Path) -> Warehouse:
    """A snapshot of two people, of whom one told CRM something."""
    warehouse = Warehouse(root, "256MB", 1)
    draft = warehouse.begin("s1", DAY)
    with warehouse.connect() as duck:
        duck.execute(
            "COPY (SELECT unnest(['p1', 'p2']) AS person_id, 'en' AS language, 'valid' AS email_state,"
            f" 'missing' AS phone_state, 'missing' AS text_state) TO '{draft.table('person')}' (FORMAT parquet)"
        )
        duck.execute(
            "COPY (SELECT 'p1' AS person_id, unnest(['crm', 'alongside']) AS source, '7' AS source_id,"
            " NULL::VARCHAR AS channel, NULL::VARCHAR AS language, '20:00' AS quiet_from, '09:00' AS quiet_to,"
            " 'sleep' AS topics_off, TIMESTAMP '2026-02-01 03:00' AS updated_at)"
            f" TO '{draft.table('preference')}' (FORMAT parquet)"
        )
    warehouse.publish(draft, {})
    return warehouse


def test_before_the_first_snapshot_nothing_is_seen(tmp_path: Path) -> None:
    assert Picture(Warehouse(tmp_path)).of("p1") is None


def test_a_person_is_seen_with_what_extracts_say_and_nothing_of_our_own(tmp_path: Path) -> None:
    picture = Picture(publish(tmp_path))
    said = Expressed(
        datetime(2026, 2, 1, 3, tzinfo=UTC), "crm", "7", quiet_from="20:00", quiet_to="09:00", topics_off="sleep"
    )
    assert picture.of("p1") == Seen((said,), "en", "valid", "missing", "missing")
    assert picture.of("p2") == Seen((), "en", "valid", "missing", "missing")
    assert picture.of("p3") is None
