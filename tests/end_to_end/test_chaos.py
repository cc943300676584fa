"""A short storm; and the checker, which has to find what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alongside.ledger import Ledger, schema
from tasks import context
from tests.fakes import key_of, plan
from tools.chaos import Report, check, play

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]


@pytest.fixture
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a storm announces to its processes is gone afterwards."""
    names = ("SENDGRID_URL", "SENDGRID_API_KEY", "SENDGRID_WEBHOOK_KEY", "ALIYUN_SMS_URL", "ALIYUN_ACCESS_KEY_ID")
    more = ("ALIYUN_ACCESS_KEY_SECRET", "ALIYUN_WEBHOOK_TOKEN", "ALONGSIDE_LEDGER_URL", "ALONGSIDE_KEY_DIR")
    for name in (*names, *more, "ALONGSIDE_PUBLIC_URL", "ALONGSIDE_HOME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    context.services.cache_clear()
    yield
    context.services.cache_clear()


@pytest.mark.postgres
@pytest.mark.usefixtures("_own_environment")
def test_a_storm_doubles_nothing_and_loses_nothing(tmp_path: Path) -> None:
    """On the store that can lose its power; kills on the other one: tests/delivery/test_crashes.py, `make chaos`."""
    report = play(tmp_path / "storm", patients=400, seconds=12, seed=7, postgres=True, say=lambda _: None)
    assert (report.duplicates, report.lost, report.invented, report.unexplained) == ([], [], [], [])
    assert report.messages > 100
    assert set(report.by_channel) >= {"email", "sms"}
    # How much of each comes about is a matter of the machine's speed; `make chaos` has minutes for it.
    assert report.workers_killed + report.runs_killed + sum(report.faults.values()) > 0
    assert report.database_restarts > 0


# ------------------------------------------------------------------------------------------------------------- checker
def checked(ledger: Ledger, *taken: int, **states: list[int]) -> Report:
    """Six planned messages, of which providers took some; the ledger says the rest."""
    plan(ledger, range(6))
    with ledger.begin() as connection:
        for state, numbers in states.items():
            for number in numbers:
                update = schema.message.update().where(schema.message.c.message_key == key_of(number))
                connection.execute(update.values(state=state))
    report = Report(0, "")
    check(report, [{"m": key_of(number)} for number in taken], ledger.engine.url.render_as_string(hide_password=False))
    return report


ALL: dict[str, list[int]] = {"accepted": [0, 1], "delivered": [2, 3], "bounced": [4], "withheld": [5]}


def test_a_sound_outcome_is_sound(ledger: Ledger) -> None:
    assert checked(ledger, 0, 1, 2, 3, 4, **ALL).sound


@pytest.mark.parametrize(
    ("taken", "states", "found"),
    [
        ((0, 0, 1, 2, 3, 4), {}, {"duplicates": [0]}),
        ((1, 2, 3, 4), {}, {"lost": [0]}),
        ((0, 1, 2, 3, 4, 5), {}, {"invented": [5]}),
        ((0, 1, 2, 3, 4, 77), {}, {"invented": [77]}),
        ((0, 1, 2, 3), {"planned": [4]}, {"lost": [4]}),
        ((0, 1, 2, 3), {"unknown": [4]}, {"unexplained": [4]}),
    ],
)
def test_what_is_wrong_is_found(
    ledger: Ledger, taken: tuple[int, ...], states: dict[str, list[int]], found: dict[str, list[int]]
) -> None:
    report = checked(ledger, *taken, **(ALL | states))
    named: dict[str, Any] = {
        name: getattr(report, name)
        for name in ("duplicates", "lost", "invented", "unexplained")
        if getattr(report, name)
    }
    assert named == {name: [key_of(number) for number in numbers] for name, numbers in found.items()}
    assert not report.sound
