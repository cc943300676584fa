"""`alongside appointments answers`: what the hospital's own system reads."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from alongside.ledger import Ledger, appointments
from alongside.ledger.appointments import Answered
from alongside.model.enums import AppointmentAnswer
from tests.cli.conftest import here

START = datetime(2026, 3, 5, 9, 30, tzinfo=UTC)
SAID = (
    ("A1", AppointmentAnswer.CONFIRM, datetime(2026, 3, 1, 15, 59, tzinfo=UTC)),
    ("A1", AppointmentAnswer.CANCEL, datetime(2026, 3, 1, 16, 0, tzinfo=UTC)),
    ("A2", AppointmentAnswer.CANCEL, datetime(2026, 3, 2, 1, 0, tzinfo=UTC)),
    ("A2", AppointmentAnswer.CONFIRM, datetime(2026, 3, 3, 1, 0, tzinfo=UTC)),
)


@pytest.fixture
def answered(shipped: Ledger) -> None:
    with shipped.begin() as connection:
        for number, (appointment, answer, at) in enumerate(SAID):
            told = Answered(f"{number:032x}", "p1", "his", appointment, START, answer, at, at)
            assert appointments.record(connection, told)
            assert not appointments.record(connection, told)


def rows(*words: str) -> list[tuple[str, str]]:
    done = here("appointments", "answers", *words, "--json")
    assert done.exit_code == 0, done.output
    return [(row["appointment"], row["answer"]) for row in json.loads(done.stdout)]


@pytest.mark.usefixtures("answered")
def test_a_day_begins_where_the_hospital_is() -> None:
    assert rows("--since", "2026-03-01") == [("A1", "cancel"), ("A2", "confirm")]
    assert rows("--since", "2026-03-02") == [("A1", "cancel"), ("A2", "confirm")]  # 16:00 UTC is midnight in Shanghai
    assert rows("--since", "2026-03-03") == [("A2", "confirm")]
    assert rows("--since", "2026-03-04") == []
    assert rows("--since", "2026-03-02", "--history") == [("A1", "cancel"), ("A2", "cancel"), ("A2", "confirm")]


@pytest.mark.usefixtures("answered")
def test_the_same_as_a_file(tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    assert here("appointments", "answers", "--since", "2026-03-01", "--csv", str(file)).exit_code == 0
    found = list(csv.DictReader(file.open(encoding="utf-8")))
    assert [(row["source"], row["appointment"], row["answer"]) for row in found] == [
        ("his", "A1", "cancel"),
        ("his", "A2", "confirm"),
    ]
    assert found[0]["start_at"] == START.isoformat()
    printed = here("appointments", "answers", "--since", "2026-03-03", "--csv", "-")
    assert printed.stdout.splitlines()[1].startswith("his,A2,")


def test_nobody_and_no_day(shipped: Ledger) -> None:
    assert "Nobody" in here("appointments", "answers", "--since", "2026-03-01").stdout
    assert here("appointments", "answers").exit_code == 2
