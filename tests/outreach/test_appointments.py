"""Which appointment a message is planned with."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from alongside.outreach import catalogues
from alongside.outreach.appointments import MARK_SQL, links_to_appointment, load_booked
from alongside.outreach.relations import Facts
from alongside.settings import Project
from tests.conftest import ROOT

AS_OF = datetime(2026, 3, 2, tzinfo=UTC)


def booked(tmp_path: Path, *, wanted: bool = True) -> dict[str, tuple[Any, ...]]:
    with duckdb.connect() as duck:
        duck.execute(
            "CREATE TABLE appointment (person_id VARCHAR, source VARCHAR, source_id VARCHAR, status VARCHAR,"
            " start_at TIMESTAMP)"
        )
        duck.execute("CREATE TABLE audience AS SELECT unnest(['p1', 'p2']) AS person_id")
        duck.execute(
            "INSERT INTO appointment VALUES ('p1', 'his', 'A2', 'booked', '2026-03-09 01:30'),"
            " ('p1', 'his', 'A1', 'booked', '2026-03-05 09:30'), ('p1', 'his', 'A0', 'booked', '2026-03-01 09:30'),"
            " ('p1', 'his', 'A3', 'cancelled', '2026-03-03 09:30'), ('p3', 'his', 'A4', 'booked', '2026-03-03 09:30')"
        )
        duck.execute(f"COPY appointment TO '{tmp_path / 'appointment.parquet'}' (FORMAT parquet)")
        facts = Facts(tmp_path, None, None, AS_OF, tmp_path)  # type: ignore[arg-type]
        load_booked(duck, facts, wanted=wanted)
        marked = duck.execute(
            "SELECT u.person_id, CAST(json_object('v', 1" + MARK_SQL + ") AS VARCHAR)"
            " FROM audience AS u LEFT JOIN booked AS b USING (person_id) ORDER BY ALL"
        ).fetchall()
    return {person: json.loads(text)["appointment"] for person, text in marked}


def test_the_next_booked_one_goes_with_the_message(tmp_path: Path) -> None:
    found = booked(tmp_path)
    assert found["p1"] == {"source": "his", "id": "A1", "at": "2026-03-05T09:30:00Z"}
    assert found["p2"] == {"source": None, "id": None, "at": None}


def test_nothing_is_read_where_no_message_asks(tmp_path: Path) -> None:
    assert booked(tmp_path, wanted=False)["p1"]["id"] is None


def test_the_shipped_checklist_asks_and_others_do_not() -> None:
    content = catalogues.load(Project.at(ROOT)).content
    assert [name for name in content if links_to_appointment(name, content)] == ["treatment/pre_op_checklist"]
