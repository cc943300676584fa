"""Quiet hours follow the recipient's own clock, over midnight and over changes of summer time."""

from __future__ import annotations

from datetime import UTC, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alongside.outreach.quiet_hours import earliest_send, is_quiet

NIGHT = (time(21), time(8))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "zone", "quiet"),
    [
        ("2026-03-01T00:00", "Asia/Shanghai", False),  # 08:00 there
        ("2026-02-28T23:59", "Asia/Shanghai", True),  # 07:59
        ("2026-03-01T13:00", "Asia/Shanghai", True),  # 21:00
        ("2026-03-01T13:00", "Europe/London", False),
        ("2026-03-01T18:15", "Asia/Kathmandu", True),  # 00:00, an offset of 5:45
    ],
)
def test_the_recipients_clock_decides(moment: str, zone: str, quiet: bool) -> None:
    assert is_quiet(at(moment), zone, *NIGHT) is quiet


@pytest.mark.parametrize(
    ("moment", "zone", "send"),
    [
        ("2026-03-01T14:00", "Asia/Shanghai", "2026-03-02T00:00"),  # in the evening: tomorrow morning
        ("2026-02-28T18:00", "Asia/Shanghai", "2026-03-01T00:00"),  # after midnight: this morning
        ("2026-03-29T00:30", "Europe/Berlin", "2026-03-29T06:00"),  # 01:30 before the clocks go forward
        ("2026-10-25T00:30", "Europe/Berlin", "2026-10-25T07:00"),  # the hour that happens twice
        ("2026-03-07T23:00", "America/New_York", "2026-03-07T23:00"),
        ("2026-03-08T03:00", "America/New_York", "2026-03-08T12:00"),
    ],
)
def test_a_quiet_moment_waits_for_the_morning(moment: str, zone: str, send: str) -> None:
    assert earliest_send(at(moment), zone, *NIGHT) == at(send)


def test_equal_bounds_mean_no_quiet_hours() -> None:
    assert not is_quiet(at("2026-03-01T03:00"), "UTC", time(8), time(8))


@given(
    moment=st.integers(1_704_067_200, 1_893_456_000).map(lambda s: datetime.fromtimestamp(s, UTC)),
    zone=st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
    start=st.times().map(lambda t: t.replace(second=0, microsecond=0)),
    end=st.times().map(lambda t: t.replace(second=0, microsecond=0)),
)
def test_the_answer_is_never_quiet_never_past_and_within_a_day(
    moment: datetime, zone: str, start: time, end: time
) -> None:
    send = earliest_send(moment, zone, start, end)
    assert moment <= send
    assert (send - moment).total_seconds() <= 26 * 3600
    if zone in ("UTC", "Asia/Shanghai"):  # elsewhere the end itself may fall into the hour that summer time skips
        assert not is_quiet(send, zone, start, end)
