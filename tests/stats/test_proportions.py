"""Two rates: one hypothesis, one p-value, whichever way it is displayed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact
from statsmodels.stats.proportion import confint_proportions_2indep, test_proportions_2indep

from alongside.stats import Comparison, Method, Unavailable
from alongside.stats.proportions import (
    EXPECTED_AT_LEAST,
    Proportion,
    compare_proportions,
    difference_interval,
    expected_in_smaller_arm,
    fisher_p,
)

test_proportions_2indep.__test__ = False  # statsmodels' function, not a test of ours
Z95 = 1.959963984540054

arms = st.integers(1, 100_000).flatmap(lambda n: st.builds(Proportion, st.just(n), st.integers(0, n)))


@pytest.mark.parametrize(
    ("treatment", "control", "low", "high"),
    [((70, 56), (80, 48), 0.0533, 0.3377), ((10, 9), (10, 3), 0.1821, 0.8370), ((7, 6), (7, 2), 0.0544, 0.8478)],
)
def test_difference_interval_is_mees_as_newcombe_tabulates_it(treatment, control, low, high):
    """Newcombe (1998), Statistics in Medicine 17:873-890, table II, method 5."""
    interval = difference_interval(Proportion(*treatment), Proportion(*control), Z95)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("x1", "n1", "x0", "n0"), [(80, 400, 50, 380), (152, 1000, 190, 1100), (900, 1000, 870, 990)])
def test_p_value_and_relative_interval_match_statsmodels(x1, n1, x0, n0):
    """The difference interval has no peer there: its restricted estimate is wrong (statsmodels issue 10269)."""
    ours = compare_proportions(Proportion(n1, x1), Proportion(n0, x0))
    peer = test_proportions_2indep(x1, n1, x0, n0, method="score", correction=False)
    assert ours.p_value == pytest.approx(peer.pvalue, rel=1e-9)
    low, high = confint_proportions_2indep(x1, n1, x0, n0, method="score", compare="ratio", correction=False)
    bounds = ours.relative.interval
    assert (bounds.low, bounds.high) == pytest.approx((low - 1, high - 1), rel=1e-6)


@given(arms, arms, st.sampled_from([0.01, 0.05, 0.2]))
@settings(deadline=None)
def test_both_intervals_agree_with_the_p_value(treatment, control, alpha):
    result = compare_proportions(treatment, control, alpha)
    assert result.p_value is not None
    if abs(result.p_value - alpha) < 1e-9:
        return
    significant = result.p_value < alpha
    assert result.interval.holds(0.0) != significant
    if result.relative.reason is None:
        assert result.relative.interval.holds(0.0) != significant


@given(arms, arms)
@settings(deadline=None)
def test_swapping_the_arms_mirrors_everything(one, other):
    ahead, back = compare_proportions(one, other), compare_proportions(other, one)
    assert ahead.p_value == pytest.approx(back.p_value, rel=1e-9)
    assert ahead.difference == -back.difference
    assert (ahead.interval.low, ahead.interval.high) == pytest.approx(
        (-back.interval.high, -back.interval.low), abs=1e-7
    )


@given(st.integers(50, 5000), st.integers(1, 9), st.integers(2, 50))
@settings(deadline=None)
def test_more_people_with_the_same_rates_never_weaken_the_evidence(n, tenths, times):
    control, better = n * tenths // 10, min(n, n * tenths // 10 + n // 20 + 1)
    small = compare_proportions(Proportion(n, better), Proportion(n, control))
    large = compare_proportions(Proportion(n * times, better * times), Proportion(n * times, control * times))
    if small.method is large.method:
        assert large.p_value <= small.p_value
    assert large.interval.high - large.interval.low < small.interval.high - small.interval.low


@given(arms, arms)
@settings(deadline=None)
def test_numbers_are_possible(treatment, control):
    result = compare_proportions(treatment, control)
    assert 0 < result.p_value <= 1
    assert -1 <= result.interval.low <= result.difference + 1e-12
    assert result.difference - 1e-12 <= result.interval.high <= 1
    few = expected_in_smaller_arm(treatment, control) < EXPECTED_AT_LEAST
    assert result.method is (Method.EXACT if few else Method.SCORE)


@pytest.mark.parametrize(
    ("treatment", "control"),
    [((500, 0), (500, 0)), ((500, 500), (500, 500)), ((1, 0), (1, 0)), ((1, 1), (500, 500))],
)
def test_rates_without_any_variation_are_no_evidence(treatment, control):
    result = compare_proportions(Proportion(*treatment), Proportion(*control))
    assert result.p_value == 1.0
    assert result.interval.holds(0.0)


def test_an_empty_arm_is_a_named_reason():
    result = compare_proportions(Proportion(0, 0), Proportion(10, 3))
    assert (result.reason, result.p_value, result.method) == (Unavailable.EMPTY_ARM, None, Method.NONE)


def test_a_p_value_that_underflows_is_not_zero():
    result = compare_proportions(Proportion(10_000_000, 9_000_000), Proportion(10_000_000, 1_000_000))
    assert 0 < result.p_value < 1e-300


def test_few_conversions_use_the_exact_test():
    """3 of 20 against none: the score test alone would say .072, Fisher says .23."""
    result = compare_proportions(Proportion(20, 3), Proportion(20, 0))
    assert result.method is Method.EXACT
    assert result.p_value == pytest.approx(0.23076923)


@given(st.integers(1, 3000), st.integers(1, 3000), st.data())
@settings(deadline=None, max_examples=200)
def test_fishers_p_value_is_scipys(n1, n0, data):
    x1, x0 = data.draw(st.integers(0, n1)), data.draw(st.integers(0, n0))
    peer = float(fisher_exact([[x1, n1 - x1], [x0, n0 - x0]])[1])
    assert fisher_p(Proportion(n1, x1), Proportion(n0, x0)) == pytest.approx(peer, rel=1e-6, abs=1e-300)


def test_rare_events_keep_the_size_of_the_test_below_alpha():
    """Exact enumeration at 0.2 % and 2,000 an arm: the score test alone has .0445, Fisher .018.

    By luck an arm that expects four shows seven or more now and then, and is compared by the score test.
    """
    rejected = _size(2000, 0.002, most=30)
    assert rejected == pytest.approx(0.019, abs=0.001)


def _size(n: int, rate: float, most: int) -> float:
    weight = [math.comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(most)]
    return sum(
        weight[a] * weight[b]
        for a in range(most)
        for b in range(most)
        if weight[a] * weight[b] > 1e-9 and _p(n, a, b) < 0.05
    )


def _p(n: int, a: int, b: int) -> float:
    result: Comparison = compare_proportions(Proportion(n, a), Proportion(n, b))
    assert result.p_value is not None
    return result.p_value


@pytest.mark.parametrize("counts", [(10, 11), (10, -1), (-1, 0)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(ValueError, match="not possible"):
        Proportion(*counts)


@pytest.mark.parametrize("alpha", [0, 1, -0.1, 5, math.nan])
def test_alpha_is_a_probability(alpha):
    with pytest.raises(ValueError, match="alpha"):
        compare_proportions(Proportion(10, 1), Proportion(10, 2), alpha)
