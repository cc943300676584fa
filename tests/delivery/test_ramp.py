"""The ramp of a new sender: what each day allows, and what follows from what was really sent."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alongside.model.warm_up import Ramp

FIRST = date(2026, 12, 1)
RAMP = Ramp(FIRST, first_day=500, growth=1.5, until=3000)


@st.composite
def ramps(draw: st.DrawFn) -> Ramp:
    first = draw(st.integers(1, 5000))
    growth = draw(st.floats(1.01, 3, allow_nan=False))
    return Ramp(FIRST, first, growth, draw(st.integers(first + 1, 200_000)))


def used_in_full(ramp: Ramp, days: int) -> list[int | None]:
    """The allowances of a sender that always has more to send than it may."""
    best, found = 0, []
    for number in range(days):
        allowed = ramp.allowance(FIRST + timedelta(days=number), best)
        found.append(allowed)
        best = max(best, allowed or 0)
    return found


def test_the_ramp_of_the_docs() -> None:
    assert used_in_full(RAMP, 6) == [500, 750, 1125, 1688, 2532, None]
    assert RAMP.allowance(FIRST - timedelta(days=1), 0) == 0


@pytest.mark.parametrize(("silent_days", "allowed"), [(1, 750), (30, 750), (3000, 750)])
def test_who_was_silent_goes_on_from_the_most_that_was_sent(silent_days: int, allowed: int) -> None:
    assert RAMP.allowance(FIRST + timedelta(days=silent_days), best=500) == allowed


@given(ramp=ramps(), days=st.integers(2, 40))
def test_used_in_full_it_grows_every_day_by_no_more_than_growth_and_ends(ramp: Ramp, days: int) -> None:
    found = used_in_full(ramp, days)
    assert found[0] == ramp.first_day
    for before, after in pairwise(found):
        if before is None:
            assert after is None  # once warm, always warm
        elif after is not None:
            assert before < after <= before * ramp.growth + 1
            assert after < ramp.until
        else:
            assert before * ramp.growth + 1 >= ramp.until
    assert found == [ramp.by_calendar(FIRST + timedelta(days=number)) for number in range(days)]


@given(ramp=ramps(), day=st.integers(-5, 400), best=st.integers(0, 300_000), more=st.integers(0, 1000))
def test_no_day_allows_more_than_growth_times_what_was_ever_sent(ramp: Ramp, day: int, best: int, more: int) -> None:
    when = FIRST + timedelta(days=day)
    allowed = ramp.allowance(when, best)
    if day < 0:
        assert allowed == 0
    elif allowed is None:
        assert best * ramp.growth + 1 >= ramp.until
    else:
        assert allowed <= max(ramp.first_day, best * ramp.growth + 1)
        generous = ramp.allowance(when, best + more)
        assert generous is None or generous >= allowed  # having sent more never allows less


@given(ramp=ramps(), backlog=st.integers(1, 100_000), taken=st.integers(0, 600))
def test_the_forecast_is_the_day_on_which_a_simulation_ends(ramp: Ramp, backlog: int, taken: int) -> None:
    left, best, already, day = backlog, 0, taken, FIRST
    for _ in range(4000):
        allowed = ramp.allowance(day, best)
        sent = left if allowed is None else max(0, min(left, allowed - already))
        left, best, already = left - sent, max(best, sent + already), 0
        if left == 0:
            break
        day += timedelta(days=1)
    assert ramp.through(FIRST, 0, taken, backlog) == (day if left == 0 else None)
