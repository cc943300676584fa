"""Levels, repeated p-values, endings and power of repeated looks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alongside.stats import normal, sequential
from alongside.stats.sequential import Look, Spending

MONTH = [Look(day, day / 28) for day in range(1, 29)]


@st.composite
def calendars(draw: st.DrawFn) -> list[Look]:
    """Looks that come unevenly, and spend on another clock than their information."""
    steps = draw(st.lists(st.floats(0.2, 5.0), min_size=1, max_size=10))
    pace = draw(st.floats(0.5, 2.0))
    whole, running, looks = sum(steps), 0.0, []
    for step in steps:
        running += step
        looks.append(Look(running, min(1.0, running / whole) ** pace))
    return looks


def test_two_sided_boundaries_are_those_of_either_side():
    fractions = [0.2, 0.4, 0.6, 0.8, 1.0]
    found = sequential.two_sided_boundaries([Look(each, each) for each in fractions])
    assert found == pytest.approx([4.876885, 3.357012, 2.680280, 2.289817, 2.031032], abs=1e-5)


def test_a_single_look_is_the_plain_test():
    once = [Look(700.0, 1.0)]
    assert sequential.level(once, 0.05) == pytest.approx(0.05)
    assert sequential.repeated_p(once, 0.0123) == pytest.approx(0.0123, rel=1e-6)
    ending = sequential.ending(once, 2.5)
    assert (ending.below, ending.above) == pytest.approx((1.959964, 1.959964), abs=1e-6)
    assert ending.median == pytest.approx(2.5, abs=1e-6)


@given(calendars(), st.floats(1e-6, 0.5))
@settings(deadline=None, max_examples=40)
def test_level_and_repeated_p_value_are_inverse(looks: list[Look], alpha: float):
    level = sequential.level(looks, alpha)
    assert level <= alpha * (1 + 1e-9)
    if level > 1e-200:
        assert sequential.repeated_p(looks, level) == pytest.approx(alpha, rel=1e-4)
        assert sequential.repeated_p(looks, level * 0.5) < alpha
        assert sequential.repeated_p(looks, min(1.0, level * 1.5)) > alpha * (1 - 1e-9)


@given(calendars(), st.floats(-5, 5), st.sampled_from([0.01, 0.05, 0.2]))
@settings(deadline=None, max_examples=40)
def test_an_ending_excludes_none_exactly_when_the_last_look_crosses(looks: list[Look], z: float, alpha: float):
    looks = [*looks[:-1], Look(looks[-1].information, 1.0)]
    bound = sequential.two_sided_boundaries(looks, alpha)[-1]
    ending = sequential.ending(looks, z, alpha)
    if abs(abs(z) - bound) > 1e-6:
        assert (z - ending.below > 0 or z + ending.above < 0) == (abs(z) > bound)
    assert z - ending.below < ending.median < z + ending.above


@given(st.floats(0.1, 4))
@settings(deadline=None, max_examples=20)
def test_arms_may_be_swapped(z: float):
    one, other = (sequential.ending(MONTH[:10], value) for value in (z, -z))
    assert (one.below, one.above) == pytest.approx((other.above, other.below), abs=1e-6)
    assert one.median == pytest.approx(-other.median, abs=1e-6)


def test_an_ending_covers_the_truth_and_its_estimate_is_in_the_middle():
    """On the process itself, at an effect that often ends early: where the repeated interval covers too much."""
    random = np.random.default_rng(11)
    looks = [Look(step, step / 8) for step in range(1, 9)]
    bounds = np.array(sequential.two_sided_boundaries(looks))
    time = np.arange(1, 9) / 8
    drift, runs = 3.0, 800
    z = random.normal(drift / 8, np.sqrt(1 / 8), (runs, 8)).cumsum(axis=1) / np.sqrt(time)
    crossed = np.abs(z) >= bounds
    ends = np.where(crossed.any(axis=1), crossed.argmax(axis=1), 7)
    covered = above = 0
    for run, end in enumerate(ends):
        ending = sequential.ending(looks[: end + 1], z[run, end])
        truth = drift * np.sqrt(time[end])
        covered += z[run, end] - ending.below <= truth <= z[run, end] + ending.above
        above += ending.median > truth
    assert 0.93 < covered / runs < 0.97
    assert 0.45 < above / runs < 0.55
    assert np.mean([z[run, end] > drift * np.sqrt(time[end]) for run, end in enumerate(ends)]) > 0.55  # the plain one


def test_power_without_effect_is_half_of_alpha_and_grows_with_it():
    none, some, more = (sequential.power(MONTH, z) for z in (0.0, 2.0, 3.0))
    assert none.overall == pytest.approx(0.025, abs=1e-6)
    assert none.overall < some.overall < more.overall < normal.cdf(3.0 - 1.96)
    assert list(more.by_look) == sorted(more.by_look)
    assert 0.6 < more.information < some.information < 1


def test_power_is_that_of_simulated_looks():
    random = np.random.default_rng(3)
    bounds = np.array(sequential.two_sided_boundaries(MONTH))
    z = random.normal(2.5 / 28, np.sqrt(1 / 28), (20_000, 28)).cumsum(axis=1) / np.sqrt(np.arange(1, 29) / 28)
    assert (z >= bounds).any(axis=1).mean() == pytest.approx(sequential.power(MONTH, 2.5).overall, abs=0.01)


def test_what_may_not_be_spent_claims_nothing():
    looks = [Look(1, 0.0), Look(2, 1.0)]
    assert sequential.two_sided_boundaries(looks)[0] > 30
    assert sequential.repeated_p(looks[:1], 1e-12) == 1.0


def test_many_small_looks_are_as_exact_as_few():
    """A look that adds a hair changes nothing: the grid follows the width of a step."""
    plain = sequential.two_sided_boundaries([Look(1, 0.5), Look(2, 1.0)], kind=Spending.POCOCK)
    split = [Look(1, 0.5), *[Look(1 + 0.001 * step, 0.5) for step in range(1, 20)], Look(2, 1.0)]
    assert sequential.two_sided_boundaries(split, kind=Spending.POCOCK)[-1] == pytest.approx(plain[-1], abs=1e-4)


@pytest.mark.parametrize(
    "looks",
    [[], [Look(1, 0.5), Look(1, 1.0)], [Look(2, 0.5), Look(1, 1.0)], [Look(1, 0.5), Look(2, 0.4)], [Look(1, 1.1)]],
)
def test_impossible_looks_are_refused(looks: list[Look]):
    with pytest.raises(ValueError, match="information must increase"):
        sequential.level(looks)
